"""`EMLoss`: what nobody looked at is to stay undecided."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from mlic.errors import UsageError
from mlic.losses.base import Reduction
from mlic.losses.unobserved import Unobserved, UnobservedLoss

__all__ = ["EMLoss"]


class EMLoss(UnobservedLoss):
    """Entropy maximisation (Zhou et al. 2022, arXiv:2203.16219), without that paper's asymmetric pseudo-labels.

    An observed label costs its cross-entropy; an unobserved one `-alpha H(p)`, where `H` is the entropy of yes and no.
    Near p = 1/2, where it is largest, it hardly pulls: the model is free to find out. The loss may be below 0.

    Args:
        alpha: the weight of the entropy, 0 or more; 0 leaves unobserved labels out. Where all observed labels are
            present ones, nothing else keeps scores low, and a small one such as 0.1 to 0.2 is usual.
        unobserved: as `UnobservedLoss` says.
        reduction: as `Loss` says.

    Raises:
        UsageError: if `alpha` is out of its range.

    Example:
        A present label at p = 1/2 costs log(2), an unobserved one a fifth of it less.

        >>> EMLoss()(torch.zeros(1, 2), torch.tensor([[1, 0]])) / math.log(2)
        tensor(0.8000)
    """

    def __init__(
        self, alpha: float = 0.2, unobserved: Unobserved = "absent", reduction: Reduction = "batchmean"
    ) -> None:
        super().__init__(unobserved, reduction)
        if not 0 <= alpha < math.inf:
            raise UsageError(f"alpha is {alpha}; expected a finite number of 0 or more")
        self.alpha = alpha

    def partial_cells(
        self,
        logits: Float[Tensor, "batch classes"],
        labels: Float[Tensor, "batch classes"],
        unobserved: Bool[Tensor, "batch classes"],
    ) -> Float[Tensor, "batch classes"]:
        """Returns the cross-entropy of each observed cell and the negative entropy of the others."""
        log_p, log_not_p = logsigmoid(logits), logsigmoid(-logits)
        entropy = -log_p.exp() * log_p - log_not_p.exp() * log_not_p
        observed = -labels * log_p - (1 - labels) * log_not_p
        return torch.where(unobserved, -self.alpha * entropy, observed)
