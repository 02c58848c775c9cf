"""`Poly1Loss`: cross-entropy whose first polynomial term has a weight of its own."""

import math

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from mlic.errors import UsageError
from mlic.losses.base import Loss, Reduction

__all__ = ["Poly1Loss"]


class Poly1Loss(Loss):
    """Poly-1 loss: `CE + epsilon (1 - p_t)` (Leng et al. 2022, arXiv:2204.12511), for each class on its own.

    `p = sigmoid(logit)`, `p_t = y p + (1 - y) (1 - p)` is the probability given to the truth, and `CE` the binary
    cross-entropy, which is the series of `(1 - p_t)^j / j`: its first term now weighs `1 + epsilon`. Takes soft labels;
    the formula is linear in `y`, so a soft label is that mixture of present and absent.

    Args:
        epsilon: what is added to the weight of the first term, -1 or more; 0 is cross-entropy. The best value differs
            between data sets, and may be below 0.
        reduction: as `Loss` says.

    Raises:
        UsageError: if `epsilon` is out of its range.

    Example:
        An undecided logit costs log(2) + 1/2.

        >>> import torch
        >>> Poly1Loss()(torch.zeros(1, 1), torch.ones(1, 1))
        tensor(1.1931)
    """

    def __init__(self, epsilon: float = 1.0, reduction: Reduction = "batchmean") -> None:
        super().__init__(reduction)
        if not -1 <= epsilon < math.inf:
            raise UsageError(f"epsilon is {epsilon}; expected a finite number of -1 or more")
        self.epsilon = epsilon

    def cells(
        self, logits: Float[Tensor, "batch classes"], labels: Float[Tensor, "batch classes"]
    ) -> Float[Tensor, "batch classes"]:
        """Returns the Poly-1 loss of each cell."""
        log_p, log_not_p = logsigmoid(logits), logsigmoid(-logits)
        present = -log_p + self.epsilon * log_not_p.exp()
        absent = -log_not_p + self.epsilon * log_p.exp()
        return labels * present + (1 - labels) * absent
