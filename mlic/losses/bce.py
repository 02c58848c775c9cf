"""`BCELoss`: binary cross-entropy, one independent yes-or-no question per class."""

import math

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from mlic.errors import UsageError
from mlic.losses.base import Loss, Reduction

__all__ = ["BCELoss"]


class BCELoss(Loss):
    """Binary cross-entropy: `-w y log(p) - (1 - y) log(1 - p)` with `p = sigmoid(logit)`. Takes soft labels.

    Args:
        pos_weight: `w`, how much more a present label counts than an absent one: one number for all classes, or one
            per class in the order of the classes; each 0 or more. None is 1.
        reduction: as `Loss` says.

    Raises:
        UsageError: if a weight is negative or not finite, or their number is not the number of classes.

    Example:
        Undecided logits cost log(2) = 0.6931 a cell; the -1 costs nothing.

        >>> import torch
        >>> BCELoss()(torch.zeros(1, 3), torch.tensor([[1, 0, -1]])) / 2
        tensor(0.6931)
    """

    def __init__(self, pos_weight: float | list[float] | None = None, reduction: Reduction = "batchmean") -> None:
        super().__init__(reduction)
        weights = pos_weight if isinstance(pos_weight, list) else [1.0 if pos_weight is None else pos_weight]
        for column, weight in enumerate(weights):
            if not (math.isfinite(weight) and weight >= 0):
                raise UsageError(f"pos_weight[{column}] is {weight}; expected a finite number of 0 or more")
        self.pos_weight = pos_weight
        # Not a buffer: converting the model to a half type would round the weights for good.
        self._weights: Tensor | None = None

    def cells(
        self, logits: Float[Tensor, "batch classes"], labels: Float[Tensor, "batch classes"]
    ) -> Float[Tensor, "batch classes"]:
        """Returns the cross-entropy of each cell."""
        return -self._weight(logits) * labels * logsigmoid(logits) - (1 - labels) * logsigmoid(-logits)

    def _weight(self, logits: Float[Tensor, "batch classes"]) -> Float[Tensor, "..."] | float:
        """Returns the weight of a present label, for one class or for all of them."""
        if not isinstance(self.pos_weight, list):
            return 1.0 if self.pos_weight is None else self.pos_weight
        if len(self.pos_weight) != logits.shape[1]:
            raise UsageError(
                f"pos_weight has {len(self.pos_weight)} numbers and there are {logits.shape[1]} classes; "
                "give one number, or one per class"
            )
        if self._weights is None or self._weights.dtype != logits.dtype or self._weights.device != logits.device:
            self._weights = logits.new_tensor(self.pos_weight)
        return self._weights
