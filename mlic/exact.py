"""`Exact`: in place of an optimizer, the optimum of a linear head, along a path of ridge penalties."""

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.optim import Optimizer

from mlic.datamodules.features import FeatureRows, Kept, OfFeatures, is_whole
from mlic.errors import UsageError
from mlic.heads.base import Head
from mlic.heads.linear import LinearHead
from mlic.labels import LabelTable
from mlic.losses.base import Loss
from mlic.losses.bce import BCELoss
from mlic.solver import RidgeLogistic, Solution

__all__ = ["Exact", "ExactHead", "kept_for_exact"]

log = logging.getLogger(__name__)

_PENALTIES = tuple(10 ** (2 - number / 3) for number in range(13))


class Exact(Optimizer):
    """Solves a linear head with binary cross-entropy exactly, each epoch for another ridge penalty.

    What other optimizers come near to after many epochs at the right learning rate and weight decay, found for certain:
    the epochs of a training go through `penalties`, and `best.ckpt` is the head of the penalty that is best on the
    validation samples. The training ends with the last of them. For `head: linear` and `loss: bce` behind a frozen
    backbone whose features are kept (see `mlic.solver.RidgeLogistic`).

    Args:
        params: as of any optimizer.
        penalties: each above 0, as multiples of the mean variance of a feature, so that they mean the same for every
            backbone. From the largest to the smallest each solution is a good start for the next. The default is three
            a decade, from 100 to 0.01.

    Raises:
        UsageError: if there is no penalty, or one is not above 0.
    """

    def __init__(self, params: Iterable[Any], penalties: Sequence[float] = _PENALTIES) -> None:
        if not penalties or not all(0 < penalty < float("inf") for penalty in penalties):
            raise UsageError(f"Exact's penalties are {list(penalties)}; expected finite numbers above 0")
        self.penalties = tuple(penalties)
        super().__init__(params, {"lr": 1.0})

    def step(self, closure: Any = None) -> Any:
        """Runs `closure`, which solves; there is nothing to do with gradients."""
        return None if closure is None else closure()


class ExactHead:
    """A linear head, and the problem that its optimum solves.

    Args:
        head: gets the weights.
        loss: says what a cell costs.
        kept: features and labels.

    Raises:
        UsageError: if the head is not linear in the features, or the loss is another.
    """

    def __init__(self, head: Head, loss: Loss, kept: Kept) -> None:
        if not isinstance(head, LinearHead) or not head.condensed or head.dropout.p:
            raise UsageError(
                f"optimizer Exact solves a linear head without dropout that pools by avg, max or avg_max; found "
                f"{head!r}; take --model.head linear, or another optimizer such as AdamW"
            )
        if not isinstance(loss, BCELoss):
            raise UsageError(
                f"optimizer Exact minimises binary cross-entropy; found {type(loss).__name__}; take --model.loss bce, "
                "or another optimizer such as AdamW"
            )
        self._head = head
        self._problem = RidgeLogistic(
            _Flat(kept.views, head),
            _Labels(kept.table, np.tile(kept.rows, len(kept.views))),
            pos_weight=loss.positive_weights(len(kept.table.classes)),
            label_smoothing=loss.label_smoothing,
        )
        self._last: Solution | None = None

    def solve(self, penalty: float) -> Float[Tensor, ""]:
        """Gives the head the weights that are best for a penalty; returns what was minimised, summed over classes.

        Args:
            penalty: as a multiple of the mean variance of a feature, above 0.
        """
        solution = self._last = self._problem.solve(penalty * self._problem.scale, start=self._last or self._start())
        with torch.no_grad():
            self._head.linear.weight.copy_(solution.weight)
            self._head.linear.bias.copy_(solution.bias)
        return solution.objective.sum()

    def _start(self) -> Solution:
        """Returns where the head stands, such as after a resumed training."""
        weight, bias = self._head.linear.weight.detach().cpu().float(), self._head.linear.bias.detach().cpu().float()
        unknown = torch.full((len(bias),), torch.inf, dtype=torch.float64)
        return Solution(weight, bias, unknown, unknown, 0)


def kept_for_exact(trainer: pl.Trainer, optimizer: Exact, *, scheduled: bool) -> OfFeatures:
    """Returns the data of a training that is to be solved.

    Args:
        trainer: at the start of the training.
        optimizer: what solves.
        scheduled: whether a learning-rate scheduler was asked for.

    Raises:
        UsageError: if no features are kept, or something is asked for that has no meaning for it.
    """
    data = getattr(trainer, "datamodule", None)
    if not isinstance(data, OfFeatures):
        raise UsageError(
            "optimizer Exact solves a head on the kept features of a frozen backbone, and none are kept; "
            "set model.backbone.freeze true and data.augmentation.flip false, and leave out --features off"
        )
    if scheduled or trainer.gradient_clip_val or trainer.accumulate_grad_batches > 1:
        raise UsageError(
            "optimizer Exact has no learning rate, gradient or batch; leave out model.lr_scheduler, "
            "trainer.gradient_clip_val and trainer.accumulate_grad_batches"
        )
    if getattr(data, "repeat_threshold", None) is not None or not is_whole(trainer.limit_train_batches):
        raise UsageError(
            "optimizer Exact solves for all training samples, each once; leave out data.repeat_threshold and "
            "trainer.limit_train_batches (--model.loss.pos_weight weighs rare classes)"
        )
    if trainer.max_epochs is not None and 0 <= trainer.max_epochs < len(optimizer.penalties):
        log.warning(
            "of the %d penalties of Exact, the first %d are tried, one an epoch; take more epochs with "
            "--trainer.max_epochs",
            len(optimizer.penalties),
            trainer.max_epochs,
        )
    return data


class _Flat:
    """Features as a head pools them, one view after the other, as a matrix."""

    def __init__(self, views: Sequence[FeatureRows], head: Head) -> None:
        self._views = views
        self._head = head
        self._ends = np.cumsum([len(view) for view in views])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, rows: slice) -> Float[np.ndarray, "rows features"]:
        start, stop, _ = rows.indices(len(self))
        parts, begin = [], 0
        for view, end in zip(self._views, self._ends, strict=True):
            first, last = max(start, begin), min(stop, int(end))
            if first < last:
                parts.append(self._pooled(view[slice(first - begin, last - begin)]))
            begin = int(end)
        return np.concatenate(parts or [np.empty((0, self._views[0].shape[1]), np.float32)])

    def _pooled(self, features: Float[np.ndarray, "rows features h w"]) -> Float[np.ndarray, "rows features"]:
        if features.shape[2:] == (1, 1):
            return features[:, :, 0, 0]
        with torch.no_grad():
            pooled: Tensor = self._head.condense(torch.from_numpy(features).float())
        return pooled.flatten(1).numpy()


class _Labels:
    """Rows of a table, as a matrix."""

    def __init__(self, table: LabelTable, rows: Shaped[np.ndarray, " samples"]) -> None:
        self._table = table
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: slice) -> Shaped[np.ndarray, "rows classes"]:
        return self._table.dense(self._rows[rows])
