"""`HillLoss`: gentle on absent labels that the model takes for present, since they may be missing ones."""

import math

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from mlic.errors import UsageError
from mlic.losses.base import Loss, Reduction

__all__ = ["HillLoss"]


class HillLoss(Loss):
    """Hill loss (Zhang et al. 2021, arXiv:2112.07368), for tables in which some present labels are missing.

    A cell costs `-y (1 - p_m)^gamma log(p_m) + (1 - y) (lamb - p) p^2`, where `p = sigmoid(logit)` and
    `p_m = sigmoid(logit - margin)`. The pull on an absent label grows with `p` and falls again, a hill, so that one
    which is missing rather than absent does little harm. The formula is linear in `y`: a soft label is that mixture of
    present and absent.

    Args:
        lamb: lambda of the paper, 1 or more. Below 1.5 an absent label that the model is sure of pulls its logit up;
            with 1.5 it lets go of it.
        margin: by how much the logit of a present label has to be larger, 0 or more.
        gamma: how fast the weight of a present label falls as it becomes right, 0 or more.
        reduction: as `Loss` says.

    Raises:
        UsageError: if a number is out of its range.

    Example:
        An absent label at p = 1/2 costs (1.5 - 0.5) / 4; one that the model is sure of costs no more than 0.5.

        >>> import torch
        >>> HillLoss().cells(torch.tensor([[0.0, 50.0]]), torch.zeros(1, 2))
        tensor([[0.2500, 0.5000]])
    """

    def __init__(
        self, lamb: float = 1.5, margin: float = 1.0, gamma: float = 2.0, reduction: Reduction = "batchmean"
    ) -> None:
        super().__init__(reduction)
        if not 1 <= lamb < math.inf:
            raise UsageError(f"lamb is {lamb}; expected a finite number of 1 or more")
        for name, value in (("margin", margin), ("gamma", gamma)):
            if not 0 <= value < math.inf:
                raise UsageError(f"{name} is {value}; expected a finite number of 0 or more")
        self.lamb = lamb
        self.margin = margin
        self.gamma = gamma

    def cells(
        self, logits: Float[Tensor, "batch classes"], labels: Float[Tensor, "batch classes"]
    ) -> Float[Tensor, "batch classes"]:
        """Returns the hill loss of each cell."""
        raised = logits - self.margin
        present = -(self.gamma * logsigmoid(-raised)).exp() * logsigmoid(raised)
        # lamb - p = (lamb - 1) + (1 - p), which keeps its digits where p rounds to 1.
        absent = (self.lamb - 1 + logsigmoid(-logits).exp()) * (2 * logsigmoid(logits)).exp()
        return labels * present + (1 - labels) * absent
