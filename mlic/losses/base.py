"""`Loss`: logits and labels to one number, with unknown cells left out."""

from collections.abc import Mapping
from typing import ClassVar, Literal, get_args

import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor, nn

from mlic.errors import UsageError
from mlic.labels.counts import ClassCounts
from mlic.losses.processes import num_processes, summed
from mlic.parts import Part

__all__ = ["Loss", "Reduction"]

Reduction = Literal["batchmean", "mean", "sum"]


class Loss(Part, nn.Module):
    """A multi-label loss. A subclass writes `cells`; one over whole rows overrides `forward` instead.

    Attributes:
        takes_soft_labels: whether labels may lie between 0 and 1; a loss that says no is refused before a training with
            such labels begins.
        decides_at_zero: whether the loss itself says that a class is present where its logit is above 0; thresholds are
            not fitted then.
        epoch: number of the epoch that is being trained, from 0; the classifier sets it.
        index: in a training, the row of each sample of the batch in the training data; the classifier sets it.

    Args:
        reduction: how the cells become one number. `batchmean` sums over the classes and averages over the samples
            that have a known cell, so the gradient of a class does not shrink when classes are added; `mean` averages
            over all known cells; `sum` sums.

    In training mode, samples and cells are counted over all processes of a distributed training, and the result is
    multiplied by their number: the gradient that `DistributedDataParallel` makes, the average over the processes, is
    then the one that a single process would have for all the samples.

    Raises:
        UsageError: if `reduction` is none of these.
    """

    takes_soft_labels: ClassVar[bool] = True
    decides_at_zero: ClassVar[bool] = False

    def __init__(self, reduction: Reduction = "batchmean") -> None:
        super().__init__()
        if reduction not in get_args(Reduction):
            raise UsageError(f"reduction is '{reduction}'; expected one of {', '.join(get_args(Reduction))}")
        self.reduction = reduction
        self.epoch = 0
        self.index: Int64[Tensor, " batch"] | None = None

    def adapt(self, counts: ClassCounts) -> None:
        """Learns how often each class is present in the training data; called before a training, and for a checkpoint.

        Nothing is done here; a loss that weighs by frequency overrides it.
        """

    def memory(self) -> dict[str, Tensor]:
        """Returns what a training that goes on from a checkpoint has to know of the one before; here nothing.

        It has to be the same on all processes, since one of them writes the checkpoint.
        """
        return {}

    def remember(self, memory: Mapping[str, Tensor]) -> None:
        """Takes what `memory` returned, or nothing at the start of a training."""

    def cells(
        self, logits: Float[Tensor, "batch classes"], labels: Float[Tensor, "batch classes"]
    ) -> Float[Tensor, "batch classes"]:
        """Returns the loss of each cell.

        Args:
            logits: float32 or float64; 0 where the label is unknown.
            labels: of the type of the logits; 1 present, 0 absent, between them a soft label. An unknown label is 0
                here, and what is returned for it is not used.
        """
        raise NotImplementedError(f"{type(self).__name__} has to define cells(logits, labels), or override forward")

    def forward(
        self, logits: Float[Tensor, "batch classes"], labels: Shaped[Tensor, "batch classes"]
    ) -> Float[Tensor, ""]:
        """Returns the reduced loss; 0, with a gradient of 0, when no cell is known.

        The arithmetic is float32, or float64 for float64 logits; float16 and bfloat16 are raised to float32.

        Args:
            logits: any floating type.
            labels: 1 present, 0 absent, -1 unknown; floating labels may lie between 0 and 1 (soft labels).

        Raises:
            UsageError: if the two have different shapes.
        """
        logits, labels, known = self.masked(logits, labels)
        # Masked before the arithmetic as well as after it: 0 times an infinite gradient would be NaN.
        return self.reduce(torch.where(known, self.cells(logits, labels), 0.0), known)

    @staticmethod
    def masked(
        logits: Float[Tensor, "batch classes"], labels: Shaped[Tensor, "rows columns"]
    ) -> tuple[Float[Tensor, "batch classes"], Float[Tensor, "batch classes"], Bool[Tensor, "batch classes"]]:
        """Returns logits and labels of at least float32, both 0 where the label is unknown, and which are known.

        Raises:
            UsageError: if the two have different shapes.
        """
        if logits.shape != labels.shape:
            raise UsageError(f"logits have the shape {tuple(logits.shape)} and labels {tuple(labels.shape)}")
        # Only -1 is unknown, so that a label that is not a number shows in the loss and is not silently left out.
        known = labels != -1
        dtype = torch.promote_types(logits.dtype, torch.float32)
        return torch.where(known, logits.to(dtype), 0.0), torch.where(known, labels.to(dtype), 0.0), known

    def reduce(self, terms: Float[Tensor, "batch ..."], known: Bool[Tensor, "batch classes"]) -> Float[Tensor, ""]:
        """Makes one number of the terms, as `reduction` says.

        Args:
            terms: the loss of each cell, 0 where it is unknown; or of each sample, 0 where none of its cells is known.
            known: which cells are known.
        """
        total = terms.sum() * (num_processes() if self.training else 1)
        if self.reduction == "sum":
            return total
        counted = known.sum() if self.reduction == "mean" else known.any(dim=1).sum()
        if self.training:
            counted = summed(counted)
        return total / counted.clamp(min=1)
