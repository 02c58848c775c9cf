"""`EPRLoss`: observed labels, and how many classes a sample has on average."""

import math

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor
from torch.nn.functional import logsigmoid

from mlic.errors import UsageError
from mlic.labels.counts import ClassCounts
from mlic.losses.base import Reduction
from mlic.losses.processes import gathered, num_processes, summed
from mlic.losses.unobserved import Unobserved, UnobservedLoss

__all__ = ["EPRLoss"]


class EPRLoss(UnobservedLoss):
    """Expected positive regularisation (Cole et al. 2021, arXiv:2106.09708).

    Observed labels cost their cross-entropy, unobserved ones nothing; but the number of classes that the model sees in
    a sample, as the mean over the batch, is to be `expected_positives`: the square of the difference, divided by the
    square of the number of classes, is added to the mean over the cells (`mean`). `batchmean` is that times the number
    of classes. In a distributed training the batch is that of all processes; that of a gradient accumulation is not.

    Args:
        expected_positives: how many classes a sample has on average, above 0; somebody has to know it. By default the
            training labels have to tell. `absent`: the mean number of present classes, which is 1 for single positives
            and then too few. `unknown`: the sum over the classes of the present ones' share of the known labels, which
            is right if chance chose what is known.
        unobserved: as `UnobservedLoss` says.
        reduction: as `Loss` says.

    Raises:
        UsageError: if `expected_positives` is out of its range; and when it is called, if it is not given and the
            training labels do not tell, because nobody counted them or, where `unknown`, none is known to be absent.

    Example:
        Two classes at p = 1/2 are as many as expected, so the present one's log(2) is all.

        >>> EPRLoss(expected_positives=1.0)(torch.zeros(1, 2), torch.tensor([[1, 0]]))
        tensor(0.6931)
    """

    def __init__(
        self,
        expected_positives: float | None = None,
        unobserved: Unobserved = "absent",
        reduction: Reduction = "batchmean",
    ) -> None:
        super().__init__(unobserved, reduction)
        if expected_positives is not None and not 0 < expected_positives < math.inf:
            raise UsageError(f"expected_positives is {expected_positives}; expected a finite number above 0")
        self.expected_positives = expected_positives
        self._counted: float | None = None

    def adapt(self, counts: ClassCounts) -> None:
        """Takes from the training labels how many classes a sample has on average, if they tell."""
        if self.unobserved == "absent":
            self._counted = sum(counts.positives) / max(counts.samples, 1)
            return
        pairs = zip(counts.positives, counts.negatives, strict=True)
        shares = [positives / max(positives + negatives, 1) for positives, negatives in pairs]
        self._counted = sum(shares) if any(counts.negatives) else None

    def partial_cells(
        self,
        logits: Float[Tensor, "batch classes"],
        labels: Float[Tensor, "batch classes"],
        unobserved: Bool[Tensor, "batch classes"],
    ) -> Float[Tensor, "batch classes"]:
        """Returns the cross-entropy of each observed cell, and 0 for the others; without the regularisation."""
        observed = -labels * logsigmoid(logits) - (1 - labels) * logsigmoid(-logits)
        return torch.where(unobserved, 0.0, observed)

    def forward(
        self, logits: Float[Tensor, "batch classes"], labels: Shaped[Tensor, "batch classes"]
    ) -> Float[Tensor, ""]:
        """Returns the reduced loss with the regularisation; arguments and errors as `UnobservedLoss.forward`."""
        logits, labels, unobserved, counted = self.parted(logits, labels)
        observed = self.reduce(torch.where(counted, self.partial_cells(logits, labels, unobserved), 0.0), counted)
        seen = torch.where(counted, logits.sigmoid(), 0.0).sum(dim=1, keepdim=True)
        num_cells, num_samples = counted.sum(), counted.any(dim=1).sum()
        processes = 1
        if self.training:
            processes = num_processes()
            seen, num_cells, num_samples = gathered(seen), summed(num_cells), summed(num_samples)
        if not num_cells:
            return observed
        mean_classes = num_cells / num_samples
        penalty = ((seen.sum() / num_samples - self._expected()) / mean_classes) ** 2
        # Each process has the whole penalty, but its gradient for its own rows alone, and DDP averages.
        penalty = penalty + (processes - 1) * (penalty - penalty.detach())
        if self.reduction == "mean":
            return observed + penalty
        return observed + (mean_classes if self.reduction == "batchmean" else num_cells) * penalty

    def _expected(self) -> float:
        expected = self._counted if self.expected_positives is None else self.expected_positives
        if expected is None:
            raise UsageError(
                "expected_positives is not given, and the training data does not tell how many classes a sample has: "
                "it was not counted, or none of its labels is known to be absent; give the number"
            )
        return expected
