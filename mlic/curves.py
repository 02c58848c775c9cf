"""`CurveBoard`: the curves of a report, in TensorBoard while the training goes on."""

import math
import time
from typing import TYPE_CHECKING, cast

import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger

from mlic.charts import Bins
from mlic.charts import reliability as draw_reliability
from mlic.classifier import MultiLabelClassifier
from mlic.metrics import reliability

if TYPE_CHECKING:  # only who draws waits for TensorBoard
    from torch.utils.tensorboard import SummaryWriter

__all__ = ["CurveBoard"]

_SECONDS_APART = 10.0
_CLASSES = 20  # that have curves of their own: the most frequent ones


class CurveBoard(pl.Callback):
    """Writes curves of the validation samples for every TensorBoard logger.

    Precision against recall, of all cells together and of the most frequent classes, where the dashboard lets one move
    the threshold; and how far scores are frequencies. Epochs may be shorter than drawing takes, so that it is done
    once in some seconds, and at the end of the training.
    """

    def __init__(self) -> None:
        self._drawn_at = -math.inf
        self._is_new = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock."""
        self._drawn_at = time.monotonic()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draws, unless it was done just now."""
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        self._is_new = True
        if time.monotonic() - self._drawn_at >= _SECONDS_APART:
            self._draw(trainer, cast(MultiLabelClassifier, pl_module))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draws the last validation."""
        if self._is_new:
            self._draw(trainer, cast(MultiLabelClassifier, pl_module))

    def _draw(self, trainer: pl.Trainer, model: MultiLabelClassifier) -> None:
        self._drawn_at, self._is_new = time.monotonic(), False
        rows = model.evaluated["val"]
        scores, known = model.decisions.to("cpu").scores(rows.logits), rows.labels >= 0
        if not known.any():
            return
        present = rows.labels == 1
        support = present.sum(dim=0)
        frequent = support.argsort(descending=True, stable=True)[:_CLASSES].tolist()
        bins = reliability(scores[known].unsqueeze(1), rows.labels[known].unsqueeze(1))
        for logger in trainer.loggers:
            if not isinstance(logger, TensorBoardLogger):
                continue
            board, step = cast("SummaryWriter", logger.experiment), trainer.global_step
            board.add_pr_curve("val/all classes", present[known], scores[known], step)
            for column in (column for column in frequent if support[column]):
                cells = known[:, column]
                board.add_pr_curve(f"val/{model.classes[column]}", present[cells, column], scores[cells, column], step)
            figure = draw_reliability(Bins(*(each[0].numpy() for each in bins)))
            board.add_figure("val/are scores frequencies", figure, step)
