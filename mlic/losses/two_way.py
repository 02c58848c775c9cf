"""`TwoWayLoss`: classes are compared within a sample, and samples within a class."""

import math

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor
from torch.nn.functional import logsigmoid

from mlic.errors import UsageError
from mlic.losses.base import Loss, Reduction
from mlic.losses.log_sum_exp import log_sum_exp
from mlic.losses.processes import gathered, num_processes, summed

__all__ = ["TwoWayLoss"]


class TwoWayLoss(Loss):
    """Two-way multi-label loss (Kobayashi 2023, "Two-way Multi-Label Loss", CVPR).

    The cells of a sample, and those of a class in the batch, cost `softplus(tn log(sum_absent exp(logit / tn)) +
    tp log(sum_present exp(-logit / tp)))`: about how far the highest absent logit is above the lowest present one. The
    first is averaged over the samples that have a present class, the second over the classes that a sample of the batch
    has, and the loss is the sum of the two means. Where nothing is known to be absent, there is nothing to compare and
    the cost is 0; so labels of which only present ones are known teach nothing.

    Only differences of logits matter: a score is a rank, not a probability, before it is calibrated. And the batch
    matters: that of all processes is one in a distributed training, those of a gradient accumulation are several.

    Args:
        tp: temperature of the present, above 0: at low ones the lowest of their logits counts alone, at high ones all.
        tn: the same for the highest of the absent.
        reduction: `batchmean` and `mean` are both the paper's sum of two means, since no term belongs to a cell. In the
            first mean, the pull on the present classes of a sample does not shrink when absent ones are added; the
            second is shared by all classes that the batch has, as in the paper, and what each gets of it shrinks with
            their number. `sum` adds all terms as they are.

    Raises:
        UsageError: if a temperature is out of its range.

    Example:
        One sample whose present class is as high as its absent one: log(1 + 1) = 0.6931. In each class there is one
        sample, so there is nothing to compare.

        >>> TwoWayLoss()(torch.zeros(1, 3), torch.tensor([[1, 0, -1]]))
        tensor(0.6931)
    """

    takes_soft_labels = False

    def __init__(self, tp: float = 4.0, tn: float = 1.0, reduction: Reduction = "batchmean") -> None:
        super().__init__(reduction)
        for name, temperature in (("tp", tp), ("tn", tn)):
            if not 0 < temperature < math.inf:
                raise UsageError(f"{name} is {temperature}; expected a finite number above 0")
        self.tp = tp
        self.tn = tn

    def forward(
        self, logits: Float[Tensor, "batch classes"], labels: Shaped[Tensor, "batch classes"]
    ) -> Float[Tensor, ""]:
        """Returns the reduced loss; 0, with a gradient of 0, when no cell is known.

        Args:
            logits: any floating type; the arithmetic is at least float32.
            labels: 1 present, 0 absent, -1 unknown.

        Raises:
            UsageError: if the two have different shapes, or if a label is another number.
        """
        logits, values, known = self.masked(logits, labels)
        hard = (values == 0) | (values == 1)
        if not hard.all():
            raise UsageError(
                f"TwoWayLoss compares present classes with absent ones, and a label is {float(values[~hard][0]):g}; "
                "expected 1, 0 or -1; take another loss for soft labels, such as zlpr"
            )
        processes = num_processes() if self.training else 1
        samples, with_class = self._terms(logits, known & (values == 1), known & (values == 0), dim=1)
        num_samples = with_class.sum()
        if self.training:
            num_samples = summed(num_samples)
            logits, values = gathered(torch.cat([logits, torch.where(known, values, -1.0)], dim=1)).chunk(2, dim=1)
            known = values != -1
        classes, with_sample = self._terms(logits, known & (values == 1), known & (values == 0), dim=0)
        by_sample, by_class = samples.sum() * processes, classes.sum()
        # Each process has the classes' whole sum, but a gradient for its own rows alone, and DDP averages: that
        # gradient is multiplied, and the value is not.
        by_class = by_class + (processes - 1) * (by_class - by_class.detach())
        if self.reduction == "sum":
            return by_sample + by_class
        return by_sample / num_samples.clamp(min=1) + by_class / with_sample.sum().clamp(min=1)

    def _terms(
        self,
        logits: Float[Tensor, "rows columns"],
        present: Bool[Tensor, "rows columns"],
        absent: Bool[Tensor, "rows columns"],
        dim: int,
    ) -> tuple[Float[Tensor, " lines"], Bool[Tensor, " lines"]]:
        """Returns the cost of each line, 0 where it has nothing present, and which lines have something present."""
        highest = self.tn * log_sum_exp(logits / self.tn, absent, dim)
        lowest = self.tp * log_sum_exp(-logits / self.tp, present, dim)
        return -logsigmoid(-(highest + lowest)), present.any(dim)
