"""A run's folder: `runs/<name>/v<k>/` with everything that `fit` leaves behind."""

import json
import logging
import math
import os
import shutil
import time
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import yaml
from pytorch_lightning.callbacks import ModelCheckpoint

from mlic.checkpoints import read_checkpoint
from mlic.classifier import MultiLabelClassifier
from mlic.errors import UsageError
from mlic.thresholds import DecisionRule

__all__ = ["BestCheckpoint", "LastCheckpoint", "RunRecorder", "new_run_folder"]

log = logging.getLogger(__name__)

_SECONDS_APART = 5.0


def new_run_folder(root: Path, name: str) -> Path:
    """Makes the next free `root/name/v<k>` and points `root/name/latest` at it. Never touches an older run.

    Raises:
        UsageError: if `name` is not the name of one folder.
    """
    if not name or Path(name).name != name or name == "..":
        raise UsageError(f"the run's name is '{name}'; expected the name of one folder, which is made in {root}")
    family = root / name
    family.mkdir(parents=True, exist_ok=True)
    number = 1 + max((int(run.name[1:]) for run in family.glob("v*") if run.name[1:].isdecimal()), default=0)
    while True:
        folder = family / f"v{number}"
        try:
            folder.mkdir()
        except FileExistsError:  # another process was faster
            number += 1
            continue
        break
    fresh = family / f".latest-{os.getpid()}"
    try:
        fresh.symlink_to(folder.name)
        fresh.replace(family / "latest")
    except OSError:  # a file system without symbolic links
        fresh.unlink(missing_ok=True)
        log.warning("%s cannot be made a link here; the run is in %s", family / "latest", folder)
    return folder


class BestCheckpoint(ModelCheckpoint):
    """Keeps `best.ckpt`, by validation mAP, in the run's folder.

    A resumed run has a folder of its own; the best checkpoint so far is copied there, and its score has to be beaten.

    Args:
        folder: the run's folder.
        monitor: the metric to maximise; None keeps the newest, for a run without validation data.
    """

    _resumed: Path | None = None
    _copies: bool = True

    def __init__(self, folder: Path, monitor: str | None = "val/mAP") -> None:
        super().__init__(
            dirpath=folder,
            filename="best",
            monitor=monitor,
            mode="max",
            save_top_k=1,
            enable_version_counter=False,
            save_on_train_epoch_end=monitor is None,
        )

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Notes which checkpoint is resumed, and whether this process is the one that writes."""
        self._resumed = None if trainer.ckpt_path is None else Path(trainer.ckpt_path)
        self._copies = trainer.is_global_zero

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over the best checkpoint of the run that is resumed, from that run's folder."""
        named = state_dict["best_model_path"]
        if not named or self.dirpath is None:
            return
        best = Path(self.dirpath) / "best.ckpt"
        # The run may have been moved since.
        found = [Path(named), *([] if self._resumed is None else [self._resumed.with_name("best.ckpt")])]
        earlier = next((path for path in found if path.is_file()), None)
        if earlier is None:
            log.warning("%s, the best checkpoint so far, is no more; best.ckpt will be the best from here on", named)
            return
        if self._copies and earlier.resolve() != best.resolve():
            shutil.copy2(earlier, best)
        score = state_dict["best_model_score"]
        super().load_state_dict(
            {
                **state_dict,
                "dirpath": self.dirpath,
                "best_model_path": str(best),
                "best_k_models": {str(best): score},
                "kth_best_model_path": str(best),
                "kth_value": score,
            }
        )


class LastCheckpoint(ModelCheckpoint):
    """Keeps `last.ckpt` in the run's folder: the end of the last epoch, validated or not, better or worse.

    Epochs may be shorter than it takes to write a checkpoint, a head's on kept features for example: then only one in
    some seconds is written, and the last of the training.

    Args:
        folder: the run's folder.
    """

    # Not `save_last` of `BestCheckpoint`: that saves only when the best has changed (Lightning 2.6.6).

    def __init__(self, folder: Path) -> None:
        super().__init__(dirpath=folder, filename="last", enable_version_counter=False, save_on_train_epoch_end=True)
        self._written = -math.inf

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes the checkpoint, unless it was done just now and the training goes on."""
        last_epoch = trainer.max_epochs is not None and 0 <= trainer.max_epochs <= trainer.current_epoch + 1
        last_step = 0 <= trainer.max_steps <= trainer.global_step
        due = last_epoch or last_step or trainer.should_stop or time.monotonic() - self._written >= _SECONDS_APART
        # All processes have part in it, and the clocks of some may say otherwise.
        if trainer.strategy.broadcast(due):
            super().on_train_epoch_end(trainer, pl_module)
            self._written = time.monotonic()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Leaves the file of the run that is resumed where it is."""


class RunRecorder(pl.Callback):
    """Writes the configuration at the start and the figures at the end, and puts both into every checkpoint.

    Args:
        folder: the run's folder.
        config: the resolved configuration as plain data.
    """

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self.folder = folder
        self.config = config
        self._trains = False

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes `config.yaml` and `classes.txt`."""
        if not trainer.is_global_zero:
            return
        classes = cast(MultiLabelClassifier, pl_module).classes
        (self.folder / "config.yaml").write_text(
            yaml.safe_dump(self.config, sort_keys=False, allow_unicode=True), encoding="utf-8"
        )
        (self.folder / "classes.txt").write_text("".join(f"{name}\n" for name in classes), encoding="utf-8")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Notes that there is something to train."""
        self._trains = True

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adds the configuration and the newest validation metrics."""
        card = checkpoint.setdefault("mlic", {})
        card["config"] = self.config
        card["metrics"] = _figures(trainer)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes `metrics.json` and `thresholds.json` of the best checkpoint; tells if there was nothing to train."""
        if trainer.is_global_zero and trainer.ckpt_path is not None and not self._trains:
            log.warning(
                "nothing was trained: %s is at the end of its training, after %d epochs and %d steps; set "
                "trainer.max_epochs or trainer.max_steps higher to go on",
                trainer.ckpt_path,
                trainer.current_epoch,
                trainer.global_step,
            )
        best = self.folder / "best.ckpt"
        if not trainer.is_global_zero or not best.exists():
            return
        checkpoint = read_checkpoint(best)
        thresholds = checkpoint["state_dict"]["thresholds"].tolist()
        card = checkpoint["mlic"]
        _write_json(self.folder / "thresholds.json", dict(zip(card["classes"], thresholds, strict=True)))
        _write_json(self.folder / "metrics.json", {"epochs": checkpoint["epoch"] + 1, **card["metrics"]})
        if unreached := card.get("fitted", {}).get("unreached"):
            goal = DecisionRule(**card["model"]["decision"]).goal
            log.warning("thresholds: %s is not reached on the validation samples of %s", goal, ", ".join(unreached))


def _figures(trainer: pl.Trainer) -> dict[str, float | None]:
    """Returns the validation metrics as numbers; what is not defined is None.

    Not those of training: a checkpoint is written after the validation, before the epoch's training loss is known.
    """
    figures = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
    return {name: figure if math.isfinite(figure) else None for name, figure in figures.items()}


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
