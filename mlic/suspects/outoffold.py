"""Out-of-fold scores: what a linear head says about samples that it has not seen."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int8, Int64
from torch import Tensor
from torch.nn.functional import softplus

from mlic.errors import UsageError
from mlic.labels import LabelTable
from mlic.solver import RidgeLogistic, Rows, Solution
from mlic.tracking import track

__all__ = ["OutOfFold", "folds_of", "learnable", "out_of_fold"]

_SALT = "folds of mlic.suspects"  # other folds than the shares that train and val are of one file
_PENALTIES = (10.0, 3.0, 1.0, 0.3, 0.1)
_GAP = 1e-3  # of the objective: far below what the order of suspects depends on
_ROWS = 1024  # scored at a time


class OutOfFold(NamedTuple):
    """What models said that had not seen the sample.

    Attributes:
        logits: of each sample by the model of the other folds.
        penalty: of these models, as a multiple of the mean variance of a feature.
        loss: their mean binary cross-entropy on the known cells that they had not seen.
    """

    logits: Float32[Tensor, "samples classes"]
    penalty: float
    loss: float


def folds_of(table: LabelTable, count: int) -> Int64[Tensor, " samples"]:
    """Returns the fold of each sample, 0 to `count - 1`, by a hash of its path below the root, or of its group.

    Neither other samples, nor their order, nor where the folder is makes a difference, and no group is torn apart.

    Args:
        table: the samples.
        count: how many folds, 2 or more.

    Raises:
        UsageError: if there are fewer than two.

    Example:
        >>> from pathlib import Path
        >>> table = LabelTable.from_present(["b.jpg", "a.jpg"], ["cat"], None, root=Path("here"))
        >>> both, one = folds_of(table, 5), folds_of(table.take([1]), 5)
        >>> (both[1] == one[0]).item()
        True
    """
    if count < 2:
        raise UsageError(f"folds is {count}; expected 2 or more, such as 5")
    sides = table.split_rows({f"fold {number}": 1 / count for number in range(1, count)}, salt=_SALT)
    folds = torch.zeros(len(table), dtype=torch.int64)
    for number, rows in enumerate(sides.values()):
        folds[torch.from_numpy(rows)] = number
    return folds


def learnable(
    labels: Int8[Tensor, "samples classes"], folds: Int64[Tensor, " samples"], count: int
) -> Bool[Tensor, " classes"]:
    """Says which classes can be judged: with `count` known positives and negatives, some of each beside every fold.

    Args:
        labels: 1 present, 0 absent, -1 unknown.
        folds: of each sample.
        count: how many folds there are.

    Example:
        Both positives of the second class are in fold 0: whoever has not seen them has seen none.

        >>> labels = torch.tensor([[1, 1], [0, 1], [1, 0], [0, 0]], dtype=torch.int8)
        >>> learnable(labels, torch.tensor([0, 0, 1, 1]), 2).tolist()
        [True, False]
    """
    enough = torch.ones(labels.shape[1], dtype=torch.bool)
    for value in (1, 0):
        there = labels == value
        enough &= there.sum(dim=0) >= count
        for fold in range(count):
            enough &= there[folds != fold].any(dim=0)
    return enough


def out_of_fold(
    features: Rows,
    labels: Int8[Tensor, "samples classes"],
    folds: Int64[Tensor, " samples"],
    penalties: Sequence[float] = _PENALTIES,
) -> OutOfFold:
    """Trains a linear head beside each fold, and returns what each says about the fold it has not seen.

    The heads are optimal for a ridge penalty (see `RidgeLogistic`), and the penalty is the one whose heads know best
    what they have not seen: that of the least binary cross-entropy over all known cells. Samples of which nothing is
    known are scored, and nobody learns from them.

    Args:
        features: a row of numbers for each sample.
        labels: 1 present, 0 absent, -1 unknown.
        folds: of each sample, 0 or more.
        penalties: to choose from, as multiples of the mean variance of a feature.

    Raises:
        UsageError: if fewer than two folds have a sample of which something is known.
    """
    known = (labels >= 0).any(dim=1)
    numbers = sorted(set(folds.tolist()))
    if len(set(folds[known].tolist())) < 2:
        raise UsageError(
            f"{int(known.sum())} samples of which something is known fall into fewer than two folds; there are too few "
            "to say anything about"
        )
    losses = torch.zeros(len(penalties), dtype=torch.float64)
    paths: list[list[Solution]] = []
    for fold in track(numbers, len(numbers), "training beside each fold"):
        learnt = ((folds != fold) & known).nonzero()[:, 0]
        paths.append(_path(features, labels, learnt, penalties))
        for rows in torch.split((folds == fold).nonzero()[:, 0], _ROWS):
            logits = _logits(features, rows, paths[-1])
            losses += _losses(logits, labels[rows])
    best = int(losses.argmin())
    found = torch.empty(labels.shape, dtype=torch.float32)
    for fold, path in zip(numbers, paths, strict=True):
        for rows in torch.split((folds == fold).nonzero()[:, 0], _ROWS):
            found[rows] = _logits(features, rows, [path[best]])[0]
    return OutOfFold(found, penalties[best], float(losses[best]) / max(1, int((labels >= 0).sum())))


class _Some:
    """Some rows of a matrix, read when they are asked for."""

    def __init__(self, matrix: Any, rows: Int64[Tensor, " some"]) -> None:
        self._matrix, self._rows = matrix, rows.numpy()

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: slice) -> Any:
        return self._matrix[self._rows[rows]]


def _path(
    features: Rows, labels: Int8[Tensor, "samples classes"], learnt: Int64[Tensor, " some"], penalties: Sequence[float]
) -> list[Solution]:
    """Returns the solution of each penalty, each begun where the one before has ended."""
    solver = RidgeLogistic(_Some(features, learnt), _Some(labels, learnt))
    path: list[Solution] = []
    for penalty in penalties:
        path.append(solver.solve(penalty * solver.scale, start=path[-1] if path else None, gap=_GAP))
    return path


def _logits(
    features: Rows, rows: Int64[Tensor, " rows"], heads: Sequence[Solution]
) -> Float32[Tensor, "heads rows classes"]:
    block = torch.from_numpy(np.array(_Some(features, rows)[:])).float()
    return torch.stack([torch.addmm(head.bias, block, head.weight.T) for head in heads])


def _losses(logits: Float32[Tensor, "heads rows classes"], labels: Int8[Tensor, "rows classes"]) -> Tensor:
    cells = softplus(logits) - labels * logits
    return torch.where(labels >= 0, cells, 0.0).sum(dim=(1, 2), dtype=torch.float64)
