"""`UnobservedLoss`: labels that nobody looked at are neither absent nor left out."""

from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from mlic.errors import UsageError
from mlic.losses.base import Loss, Reduction

__all__ = ["Unobserved", "UnobservedLoss"]

Unobserved = Literal["absent", "unknown"]


class UnobservedLoss(Loss):
    """A loss that has its own way with labels that nobody looked at. A subclass writes `partial_cells`.

    Args:
        unobserved: which labels these are. `absent`: the file lists what somebody saw, so a 0 says nothing (single
            positives); an unknown label stays out of everything. `unknown`: the file tells what is absent, and the
            unknown labels of samples of which something is known are the unobserved ones.
        reduction: as `Loss` says; unobserved labels count as known ones.

    Raises:
        UsageError: if an argument is none of these.
    """

    takes_soft_labels = False

    def __init__(self, unobserved: Unobserved = "absent", reduction: Reduction = "batchmean") -> None:
        super().__init__(reduction)
        if unobserved not in get_args(Unobserved):
            raise UsageError(f"unobserved is '{unobserved}'; expected one of {', '.join(get_args(Unobserved))}")
        self.unobserved = unobserved

    def partial_cells(
        self,
        logits: Float[Tensor, "batch classes"],
        labels: Float[Tensor, "batch classes"],
        unobserved: Bool[Tensor, "batch classes"],
    ) -> Float[Tensor, "batch classes"]:
        """Returns the loss of each cell.

        Args:
            logits: float32 or float64; 0 where a cell is left out.
            labels: of the type of the logits; 1 present, 0 absent, unobserved or left out.
            unobserved: which cells nobody looked at.
        """
        raise NotImplementedError(f"{type(self).__name__} has to define partial_cells(logits, labels, unobserved)")

    def cells(
        self, logits: Float[Tensor, "batch classes"], labels: Float[Tensor, "batch classes"]
    ) -> Float[Tensor, "batch classes"]:
        """Returns the loss of each cell of a table without unknown labels."""
        return self.partial_cells(logits, labels, (labels == 0) & (self.unobserved == "absent"))

    def forward(
        self, logits: Float[Tensor, "batch classes"], labels: Shaped[Tensor, "batch classes"]
    ) -> Float[Tensor, ""]:
        """Returns the reduced loss; 0, with a gradient of 0, when nothing is known.

        Args:
            logits: any floating type; the arithmetic is at least float32.
            labels: 1 present, 0 absent, -1 unknown.

        Raises:
            UsageError: if the two have different shapes, or if a label is another number.
        """
        logits, labels, unobserved, counted = self.parted(logits, labels)
        return self.reduce(torch.where(counted, self.partial_cells(logits, labels, unobserved), 0.0), counted)

    def parted(
        self, logits: Float[Tensor, "batch classes"], labels: Shaped[Tensor, "rows columns"]
    ) -> tuple[
        Float[Tensor, "batch classes"],
        Float[Tensor, "batch classes"],
        Bool[Tensor, "batch classes"],
        Bool[Tensor, "batch classes"],
    ]:
        """Returns logits and labels, both 0 where a cell is left out, which are unobserved, and which count.

        Raises:
            UsageError: as `forward`.
        """
        unknown = labels == -1
        if self.unobserved == "unknown":
            # Of a sample without any known label nobody has looked at anything.
            labels = torch.where(unknown & ~unknown.all(dim=1, keepdim=True), 0, labels)
        logits, values, counted = self.masked(logits, labels)
        hard = (values == 0) | (values == 1)
        if not hard.all():
            raise UsageError(
                f"{type(self).__name__} tells present from unobserved labels, and a label is "
                f"{float(values[~hard][0]):g}; expected 1, 0 or -1; take another loss for soft labels, such as bce"
            )
        unobserved = unknown & counted if self.unobserved == "unknown" else counted & (values == 0)
        return logits, values, unobserved, counted
