"""What is said while it goes: a bar on a terminal, a plain line an epoch elsewhere, and nothing on stdout."""

import contextlib
import logging
import sys
import time
import warnings
from collections.abc import Iterator

import pytorch_lightning as pl
from lightning_utilities.core.rank_zero import rank_zero_only
from pytorch_lightning.callbacks import TQDMProgressBar

__all__ = ["EpochLines", "hush", "progress_callback", "quietly"]

log = logging.getLogger(__name__)


class EpochLines(pl.Callback):
    """Logs one line an epoch with the training loss, and the validation metrics if there was a validation."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._trained = self._validated = False

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock."""
        self._started = time.monotonic()
        self._trained = self._validated = False

    def on_train_batch_end(self, *args: object) -> None:
        """Notes that the epoch trained; a resumed run begins with the end of an epoch that did not."""
        self._trained = True

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Notes that the validation metrics are those of this epoch."""
        self._validated = True

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tells the figures of the epoch; runs after its validation."""
        if not (trainer.is_global_zero and self._trained):
            return
        validation = ["val/loss", "val/mAP", "val/f1_micro", "val/f1_macro"] if self._validated else []
        names = ["penalty", "train/loss", *validation]
        metrics = trainer.callback_metrics
        figures = [f"{name} {float(metrics[name]):.4f}" for name in names if name in metrics]
        seconds = time.monotonic() - self._started
        last = f"/{trainer.max_epochs}" if trainer.max_epochs and trainer.max_epochs > 0 else ""
        log.info("epoch %d%s: %s (%.1f s)", trainer.current_epoch + 1, last, ", ".join(figures), seconds)


def progress_callback() -> pl.Callback:
    """Returns a bar when stderr is a terminal, else lines; not Rich's merely because Rich happens to be installed."""
    return TQDMProgressBar() if sys.stderr.isatty() else EpochLines()


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keeps stdout for results, whatever Lightning prints, and leaves out what it says beside the point."""
    advice = (
        ".*does not have many workers.*",  # the number is chosen from the machine's cores
        ".*is smaller than the logging interval.*",
        ".*directory .* exists and is not empty.*",  # the run's own folder, which the run has just made
        ".*callbacks used to create the checkpoint.*",  # those of `fit`, which evaluation does without
        ".*LeafSpec.*",  # raised inside torch 2.14 by Lightning 2.6
        ".*in eval mode at the start of training.*",  # a frozen backbone
        ".*across ranks is zero.*",  # no validation data
        ".*You need to call .lr_scheduler.* manually.*",  # it is called where several steps come at a time
        ".*predict returned None.*",  # features go to a store
        ".*sync_dist=True.*",  # the metrics are computed from the rows of all processes, not averaged
    )
    hush()
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        for pattern in advice:
            warnings.filterwarnings("ignore", message=pattern)
        yield


def hush() -> None:
    """Leaves what is not a warning out of Lightning's log, and of ours in all processes but the first."""
    for library in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(library).setLevel(logging.WARNING)  # importing them has set INFO
    if getattr(rank_zero_only, "rank", 0) != 0:
        logging.getLogger("mlic").setLevel(logging.ERROR)
