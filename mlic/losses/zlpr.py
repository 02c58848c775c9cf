"""`ZLPRLoss`: a softmax for several classes, in which each row compares its classes with 0."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn.functional import logsigmoid

from mlic.losses.base import Loss
from mlic.losses.log_sum_exp import log_sum_exp

__all__ = ["ZLPRLoss"]


class ZLPRLoss(Loss):
    """Zero-bounded log-sum-exp and pairwise rank-based loss (Su et al. 2022, arXiv:2208.02955).

    A sample costs `log(1 + sum_absent exp(logit)) + log(1 + sum_present exp(-logit))`: each present class is to be
    above 0 and each absent one below, and the worst of them count most, as in a softmax. So a class is present where
    its logit is above 0, and thresholds are not fitted.

    Soft labels enter as the authors' soft version has it: a class counts among the absent ones with `1 - y`, among the
    present ones with `y`.

    The classes of a sample share the gradient, at most 1 for all its absent ones and 1 for all its present ones. So
    classes that are added take from others' gradients, as far as their own logits are wrong.

    Args:
        reduction: as `Loss` says. `batchmean` is the mean over the samples, as in the paper.

    Raises:
        UsageError: if `reduction` is none of these.

    Example:
        Undecided logits, two of them absent and one present: log(1 + 2) + log(1 + 1) = log(6) = 1.7918.

        >>> ZLPRLoss()(torch.zeros(1, 4), torch.tensor([[1, 0, 0, -1]]))
        tensor(1.7918)
    """

    decides_at_zero = True

    def forward(
        self, logits: Float[Tensor, "batch classes"], labels: Shaped[Tensor, "batch classes"]
    ) -> Float[Tensor, ""]:
        """Returns the reduced loss; 0, with a gradient of 0, when no cell is known.

        Args:
            logits: any floating type; the arithmetic is at least float32.
            labels: 1 present, 0 absent, -1 unknown; floating labels may lie between 0 and 1 (soft labels).

        Raises:
            UsageError: if the two have different shapes.
        """
        logits, labels, known = self.masked(logits, labels)
        # A weight of 0 is one that is not chosen; a label that is not a number is chosen, and shows.
        absent = log_sum_exp(logits + torch.log1p(-labels), known & (labels != 1), dim=1)
        present = log_sum_exp(torch.log(labels) - logits, known & (labels != 0), dim=1)
        return self.reduce(-logsigmoid(-absent) - logsigmoid(-present), known)
