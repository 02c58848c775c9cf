"""`AsymmetricLoss`: focal on the many absent labels, easy ones among them left out, and gentle on the few present."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from mlic.errors import UsageError
from mlic.losses.base import Loss, Reduction

__all__ = ["AsymmetricLoss"]


class AsymmetricLoss(Loss):
    """Asymmetric loss (Ridnik, Ben-Baruch et al. 2021, arXiv:2009.14119, equations 4 to 7).

    A cell costs `-y (1 - p)^gamma_pos log(p) - (1 - y) p_m^gamma_neg log(1 - p_m)`, where `p = sigmoid(logit)` and
    `p_m = max(p - clip, 0)`. The formula is linear in `y`, so a soft label is that mixture of present and absent.

    Args:
        gamma_neg: how fast the weight of an absent label falls as it becomes right, 0 or more.
        gamma_pos: the same for a present label.
        clip: an absent label whose probability is at most this costs nothing; 0 or more, below 1.
        detach_weight: whether the gradient takes the two focusing weights as constants, as the authors' training code
            does (`disable_torch_grad_focal_loss`). Otherwise the gradient is that of the formula.
        reduction: as `Loss` says.

    Raises:
        UsageError: if a number is out of its range.

    Example:
        An absent label at p = 0.05 is right enough; a present one at p = 1/2 costs log(2).

        >>> import torch
        >>> logits = torch.tensor([[-2.9445, 0.0]])
        >>> AsymmetricLoss()(logits, torch.tensor([[0, 1]]))
        tensor(0.6931)
    """

    def __init__(
        self,
        gamma_neg: float = 4.0,
        gamma_pos: float = 0.0,
        clip: float = 0.05,
        detach_weight: bool = False,
        reduction: Reduction = "batchmean",
    ) -> None:
        super().__init__(reduction)
        for name, gamma in (("gamma_neg", gamma_neg), ("gamma_pos", gamma_pos)):
            if not 0 <= gamma < math.inf:
                raise UsageError(f"{name} is {gamma}; expected a finite number of 0 or more")
        if not 0 <= clip < 1:
            raise UsageError(f"clip is {clip}; expected 0 or more, and below 1")
        self.gamma_neg = gamma_neg
        self.gamma_pos = gamma_pos
        self.clip = clip
        self.detach_weight = detach_weight

    def cells(
        self, logits: Float[Tensor, "batch classes"], labels: Float[Tensor, "batch classes"]
    ) -> Float[Tensor, "batch classes"]:
        """Returns the asymmetric loss of each cell."""
        log_p, log_not_p = logsigmoid(logits), logsigmoid(-logits)
        # log(1 - p_m) = log(min((1 - p) + clip, 1)), which keeps its digits where p rounds to 1.
        log_clip = logits.new_full((), math.log(self.clip) if self.clip else -math.inf)
        log_not_pm = torch.logaddexp(log_not_p, log_clip).clamp(max=0)
        weight_pos, weight_neg = self._weights(log_not_p, log_not_pm)
        return -labels * weight_pos * log_p - (1 - labels) * weight_neg * log_not_pm

    def _weights(
        self, log_not_p: Float[Tensor, "batch classes"], log_not_pm: Float[Tensor, "batch classes"]
    ) -> tuple[Float[Tensor, "batch classes"], Float[Tensor, "batch classes"]]:
        """Returns `(1 - p)^gamma_pos` and `p_m^gamma_neg`."""
        if self.detach_weight:
            log_not_p, log_not_pm = log_not_p.detach(), log_not_pm.detach()
        pm = -torch.expm1(log_not_pm)
        # The slope of x**gamma is infinite at 0 for gamma below 1, so the power never sees a 0.
        some = pm > torch.finfo(pm.dtype).tiny
        weight_neg = torch.where(some, torch.where(some, pm, 1.0) ** self.gamma_neg, 0.0)
        return torch.exp(self.gamma_pos * log_not_p), weight_neg
