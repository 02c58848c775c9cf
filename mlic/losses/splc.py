"""`SPLCLoss`: takes absent labels for present ones where the model is sure that they are."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from mlic.errors import UsageError
from mlic.losses.base import Loss, Reduction

__all__ = ["SPLCLoss"]


class SPLCLoss(Loss):
    """Self-paced loss correction (Zhang et al. 2021, arXiv:2112.07368), for tables in which present labels are missing.

    With `p = sigmoid(logit)` and `p_m = sigmoid(logit - margin)`, a present label costs `-(1 - p_m)^gamma log(p_m)` and
    an absent one `-p^gamma log(1 - p)`. From the epoch `start_epoch` on, an absent label with `p > tau` costs
    `-(1 - p)^gamma log(p)` instead: what a present one costs, without the margin. A soft label `y` is the mixture of
    present and absent, and its absent share is corrected in the same way.

    Labels are corrected in training only: the loss of an evaluation (`eval()`) takes them as they are.

    Args:
        tau: the probability above which an absent label is taken for a missing one, above 0 and below 1.
        margin: by how much the logit of a present label has to be larger, 0 or more.
        gamma: how fast the weight of a label falls as it becomes right, 0 or more.
        start_epoch: the first epoch, counted from 0, in which labels are corrected; before it the model is not to be
            trusted.
        reduction: as `Loss` says.

    Raises:
        UsageError: if a number is out of its range.

    Example:
        The model is rather sure of an absent label (p = 0.88): it costs 0.88^2 x 2.1269, and later 0.12^2 x 0.1269.

        >>> import torch
        >>> loss, logits, absent = SPLCLoss(), torch.tensor([[2.0]]), torch.tensor([[0]])
        >>> loss(logits, absent)
        tensor(1.6501)
        >>> loss.epoch = 1
        >>> loss(logits, absent)
        tensor(0.0018)
    """

    def __init__(
        self,
        tau: float = 0.6,
        margin: float = 1.0,
        gamma: float = 2.0,
        start_epoch: int = 1,
        reduction: Reduction = "batchmean",
    ) -> None:
        super().__init__(reduction)
        if not 0 < tau < 1:
            raise UsageError(f"tau is {tau}; expected a number above 0 and below 1")
        for name, value in (("margin", margin), ("gamma", gamma), ("start_epoch", start_epoch)):
            if not 0 <= value < math.inf:
                raise UsageError(f"{name} is {value}; expected a finite number of 0 or more")
        self.tau = tau
        self.margin = margin
        self.gamma = gamma
        self.start_epoch = start_epoch

    def cells(
        self, logits: Float[Tensor, "batch classes"], labels: Float[Tensor, "batch classes"]
    ) -> Float[Tensor, "batch classes"]:
        """Returns the loss of each cell, corrected when it is time to."""
        present, absent = self._focal(logits - self.margin), self._focal(-logits)
        if self.training and self.epoch >= self.start_epoch:
            missing = logits > math.log(self.tau) - math.log1p(-self.tau)
            absent = torch.where(missing, self._focal(logits), absent)
        return labels * present + (1 - labels) * absent

    def _focal(self, logits: Float[Tensor, "batch classes"]) -> Float[Tensor, "batch classes"]:
        """Returns `-(1 - p)^gamma log(p)`."""
        return -(self.gamma * logsigmoid(-logits)).exp() * logsigmoid(logits)
