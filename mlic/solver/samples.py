"""`Samples`: features in the basis of their covariance and what the cells of labels cost, read in blocks."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int64
from torch import Tensor

from mlic.errors import UsageError

__all__ = ["CLASSES_AT_A_TIME", "Cells", "Rows", "Samples"]

CLASSES_AT_A_TIME = 512  # that are solved: bounds the memory of the steps, whatever the number of classes

_BLOCK_BYTES = 2**24  # of features and labels in float32 that are read at a time

Cells = tuple[Float32[Tensor, "rows features"], Float32[Tensor, "rows some"], Float32[Tensor, "rows some"]]
"""Features, `a` and `b` of a block: a cell with the logit z costs `a softplus(z) - b z`."""


@runtime_checkable
class Rows(Protocol):
    """A matrix that is read by rows: an array, a memory map or a tensor."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> Any: ...


class Samples:
    """Features about their mean, in units of their spread, and labels; what is known of them after one reading.

    Args:
        features: as `RidgeLogistic` takes them, like the other arguments.
        labels: likewise.
        pos_weight: likewise.
        label_smoothing: likewise.
        held: likewise.

    Attributes:
        spread: the root of the mean variance of a feature, 1 if all are constant.
        basis: the eigenvectors of the covariance, one per column.
        eigenvalues: theirs, in units of the squared spread; from the smallest to the largest.
        heaviest: what a cell of the class weighs at most.
        present: the sum of the weights of the present labels, per class; `absent` likewise.
        num_present: the sum of the known labels, per class.
        num_known: the number of known cells, per class.
    """

    def __init__(
        self,
        features: Rows,
        labels: Rows,
        pos_weight: float | Sequence[float] | None,
        label_smoothing: float,
        held: int,
    ) -> None:
        if not 0 <= label_smoothing < 1:
            raise UsageError(f"label_smoothing is {label_smoothing}; expected 0 or more, and below 1")
        if len(features) != len(labels):
            raise UsageError(f"{len(features)} rows of features and {len(labels)} rows of labels; expected as many")
        if not len(features):
            raise UsageError("no samples to fit a linear head to; expected at least one")
        self._features, self._labels, self._smoothing = features, labels, label_smoothing
        self.num_samples = len(features)
        self.num_features, self.num_classes = _width(features, "features"), _width(labels, "labels")
        self._pos_weight = _per_class(pos_weight, self.num_classes)
        self.heaviest = self._pos_weight.clamp(min=1)
        row = 4 * (self.num_features + 2 * min(self.num_classes, CLASSES_AT_A_TIME))
        self._rows = max(1, _BLOCK_BYTES // row)
        self._num_held = max(0, held // row // self._rows)
        self._held: list[Float32[Tensor, "rows features"]] = []
        self._read()

    @property
    def all_held(self) -> bool:
        """Whether no block is read again."""
        return len(self._held) * self._rows >= self.num_samples

    def cells(self, columns: Int64[Tensor, " some"], held: bool) -> Iterator[Cells]:
        """Yields each block that is held, in the basis of the eigenvectors, or each that is not, as it is."""
        starts = range(0, self.num_samples, self._rows)
        for number in range(len(self._held)) if held else range(len(self._held), len(starts)):
            start = starts[number]
            block = self._held[number] if held else self._scaled(start)
            yield block, *self._targets(_tensor(self._labels[start : start + self._rows]), columns)

    def inward(
        self, weight: Float[Tensor, "some features"], bias: Float[Tensor, " some"]
    ) -> Float32[Tensor, "some parameters"]:
        """Returns a linear head in the basis of the eigenvectors, the bias last."""
        weight = weight.float()
        inside = bias.double() + weight.double() @ self._center.double()
        return torch.cat([weight * self.spread @ self.basis, inside.float()[:, None]], dim=1)

    def outward(
        self, theta: Float32[Tensor, "some parameters"]
    ) -> tuple[Float32[Tensor, "some features"], Float32[Tensor, " some"]]:
        """Returns the weights and biases for features as they were given."""
        # What does not vary has no weight; rotations would leave some rounding.
        weight = theta[:, :-1] @ self.basis.T / self.spread * self._varies
        return weight, (theta[:, -1].double() - weight.double() @ self._center.double()).float()

    def _read(self) -> None:
        """Goes through everything once: counts, mean and covariance, and what is held of the features."""
        totals = torch.zeros(4, self.num_classes, dtype=torch.float64)
        gram = torch.zeros(self.num_features, self.num_features, dtype=torch.float64)
        mean = torch.zeros(self.num_features, dtype=torch.float64)
        # About the mean of the first block, nothing of a large common value is left to cancel.
        first = self._raw(0)
        pivot = first.mean(dim=0, dtype=torch.float64).float()
        unit = float((first.double() - pivot).square().mean().sqrt()) or 1.0
        for start in range(0, self.num_samples, self._rows):
            shifted = (self._raw(start) - pivot) / unit
            gram += shifted.T @ shifted / self.num_samples
            mean += shifted.sum(dim=0, dtype=torch.float64) / self.num_samples
            totals += self._count(start)
        if not bool(gram.isfinite().all()):
            raise UsageError(
                "some features are more than 1e18 times as large as those of the first samples; expected sizes that "
                "float32 can square: scale the features, or leave out what is not one"
            )
        gram -= torch.outer(mean, mean)
        self._varies = gram.diagonal() > 0
        relative = math.sqrt(max(0.0, float(gram.trace()) / self.num_features)) or 1.0
        self._center, self.spread = (pivot.double() + unit * mean).float(), unit * relative
        self.present, self.absent, self.num_present, self.num_known = totals
        values, self.basis = torch.linalg.eigh((gram / relative**2).float())
        self.eigenvalues = values.clamp(min=0)
        for start in range(0, self.num_samples, self._rows)[: self._num_held]:
            self._held.append(self._scaled(start) @ self.basis)

    def _count(self, start: int) -> Float64[Tensor, "4 classes"]:
        """Returns the sums over a block of the weights of present and absent labels, of labels, and of known cells."""
        labels = _tensor(self._labels[start : start + self._rows])
        wrong = ~(((labels >= 0) & (labels <= 1)) | (labels == -1))
        if bool(wrong.any()):
            row, column = wrong.nonzero()[0].tolist()
            raise UsageError(
                f"label of sample {start + row}, class {column}, is {labels[row, column].item()}; expected 0 to 1, "
                f"or -1 for unknown"
            )
        weights, positives = self._targets(labels, torch.arange(self.num_classes))
        present = positives.sum(dim=0, dtype=torch.float64)
        absent = (weights - positives).sum(dim=0, dtype=torch.float64)
        known = labels >= 0
        return torch.stack([present, absent, (labels * known).double().sum(dim=0), known.double().sum(dim=0)])

    def _raw(self, start: int) -> Float32[Tensor, "rows features"]:
        block = _tensor(self._features[start : start + self._rows])
        if not bool(block.isfinite().all()):
            row, column = (~block.isfinite()).nonzero()[0].tolist()
            raise UsageError(
                f"feature {column} of sample {start + row} is {block[row, column].item()}; expected finite numbers"
            )
        return block

    def _scaled(self, start: int) -> Float32[Tensor, "rows features"]:
        """Returns a block of the features about their mean, in units of their spread."""
        block = _tensor(self._features[start : start + self._rows])
        return block.sub_(self._center).div_(self.spread)

    def _targets(
        self, labels: Float32[Tensor, "rows classes"], columns: Int64[Tensor, " some"]
    ) -> tuple[Float32[Tensor, "rows some"], Float32[Tensor, "rows some"]]:
        """Returns `a` and `b` such that a cell costs `a softplus(z) - b z`."""
        labels = labels[:, columns]
        known = labels >= 0
        labels = labels * (1 - self._smoothing) + self._smoothing / 2
        positives = torch.where(known, labels * self._pos_weight[columns], 0.0)
        return torch.where(known, positives + (1 - labels), 0.0), positives


def _tensor(rows: Any) -> Float32[Tensor, "rows columns"]:
    """Returns a copy as float32, on the CPU."""
    if isinstance(rows, Tensor):
        copied: Tensor = rows.detach().to("cpu", torch.float32, copy=True)
        return copied
    return torch.from_numpy(np.array(rows)).float()


def _width(rows: Rows, name: str) -> int:
    shape = tuple(rows[0:1].shape)
    if len(shape) != 2 or not shape[1]:
        raise UsageError(f"a row of {name} has the shape {shape[1:]}; expected one number or more")
    return int(shape[1])


def _per_class(pos_weight: float | Sequence[float] | None, num_classes: int) -> Float32[Tensor, " classes"]:
    weights = torch.as_tensor(1.0 if pos_weight is None else pos_weight, dtype=torch.float32)
    if weights.ndim and len(weights) != num_classes:
        raise UsageError(f"pos_weight has {len(weights)} numbers for {num_classes} classes; expected one, or as many")
    if not bool((weights.isfinite() & (weights >= 0)).all()):
        raise UsageError(f"pos_weight is {pos_weight}; expected finite numbers of 0 or more")
    expanded: Tensor = weights.expand(num_classes)
    return expanded
