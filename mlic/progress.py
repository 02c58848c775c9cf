"""Progress on stderr: a bar on a terminal, a plain line an epoch elsewhere."""

import logging
import math
import sys
import time

import pytorch_lightning as pl
from pytorch_lightning.callbacks import TQDMProgressBar

__all__ = ["EpochLines", "progress_callback"]

log = logging.getLogger(__name__)


class EpochLines(pl.Callback):
    """Logs one line an epoch with the training loss and the validation metrics."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock."""
        self._started = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tells the figures of the epoch; runs after its validation."""
        if not trainer.is_global_zero:
            return
        names = ["train/loss", "val/loss", "val/mAP", "val/f1_micro", "val/f1_macro"]
        figures = [
            f"{name} {float(trainer.callback_metrics[name]):.4f}"
            for name in names
            if name in trainer.callback_metrics and math.isfinite(float(trainer.callback_metrics[name]))
        ]
        seconds = time.monotonic() - self._started
        last = f"/{trainer.max_epochs}" if trainer.max_epochs and trainer.max_epochs > 0 else ""
        log.info("epoch %d%s: %s (%.1f s)", trainer.current_epoch + 1, last, ", ".join(figures), seconds)


def progress_callback() -> pl.Callback:
    """Returns a bar when stderr is a terminal, else lines; not Rich's merely because Rich happens to be installed."""
    return TQDMProgressBar() if sys.stderr.isatty() else EpochLines()
