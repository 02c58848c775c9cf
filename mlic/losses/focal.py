"""`FocalLoss`: cross-entropy in which cells that are already right count less."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from mlic.errors import UsageError
from mlic.losses.base import Loss, Reduction

__all__ = ["FocalLoss"]


class FocalLoss(Loss):
    """Focal loss: `a_t (1 - p_t)^gamma CE` (Lin et al. 2017, arXiv:1708.02002). Takes soft labels.

    `p = sigmoid(logit)`, `p_t = y p + (1 - y) (1 - p)` is the probability given to the truth, `CE` the binary
    cross-entropy and `a_t = y alpha + (1 - y) (1 - alpha)`: the conventions of `torchvision.ops.sigmoid_focal_loss`.

    Args:
        alpha: the weight of a present label, 0 to 1, that of an absent one being `1 - alpha`; -1 weighs neither.
        gamma: how fast the weight of a cell falls as it becomes right, 0 or more; 0 is cross-entropy.
        reduction: as `Loss` says.

    Raises:
        UsageError: if `alpha` or `gamma` is out of its range.

    Example:
        An undecided logit has p_t = 1/2, so gamma = 2 leaves a quarter of log(2) = 0.6931.

        >>> import torch
        >>> FocalLoss(alpha=-1.0)(torch.zeros(1, 1), torch.ones(1, 1))
        tensor(0.1733)
    """

    def __init__(self, alpha: float = 0.25, gamma: float = 2.0, reduction: Reduction = "batchmean") -> None:
        super().__init__(reduction)
        if not (alpha == -1 or 0 <= alpha <= 1):
            raise UsageError(f"alpha is {alpha}; expected 0 to 1, or -1 to weigh present and absent alike")
        if not 0 <= gamma < float("inf"):
            raise UsageError(f"gamma is {gamma}; expected a finite number of 0 or more")
        self.alpha = alpha
        self.gamma = gamma

    def cells(
        self, logits: Float[Tensor, "batch classes"], labels: Float[Tensor, "batch classes"]
    ) -> Float[Tensor, "batch classes"]:
        """Returns the focal loss of each cell."""
        log_p, log_not_p = logsigmoid(logits), logsigmoid(-logits)
        cross_entropy = -labels * log_p - (1 - labels) * log_not_p
        # The power is taken in logarithms: x**gamma has an infinite slope at 0 for gamma below 1.
        log_wrong = torch.logaddexp(log_p + torch.log1p(-labels), log_not_p + torch.log(labels))
        focal = torch.exp(self.gamma * log_wrong) * cross_entropy
        return focal if self.alpha == -1 else (labels * self.alpha + (1 - labels) * (1 - self.alpha)) * focal
