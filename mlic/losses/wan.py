"""`WANLoss`: unobserved labels are assumed to be absent, all of a sample together as much as one other class."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from mlic.errors import UsageError
from mlic.losses.base import Reduction
from mlic.losses.unobserved import Unobserved, UnobservedLoss

__all__ = ["WANLoss"]


class WANLoss(UnobservedLoss):
    """Weak assume-negative loss (Cole et al. 2021, arXiv:2106.09708): an unobserved label is a light absent one.

    Args:
        weight: of an unobserved label, 0 or more; by default `1 / (classes - 1)`, as in the paper, so that those of a
            sample with one positive weigh as much as that. With few classes that is not little.
        unobserved: as `UnobservedLoss` says.
        reduction: as `Loss` says.

    Raises:
        UsageError: if `weight` is out of its range.

    Example:
        Of three classes one is present, and the others weigh one half: 2 log(2) = 1.3863.

        >>> WANLoss()(torch.zeros(1, 3), torch.tensor([[1, 0, 0]]))
        tensor(1.3863)
    """

    def __init__(
        self,
        weight: float | None = None,
        unobserved: Unobserved = "absent",
        reduction: Reduction = "batchmean",
    ) -> None:
        super().__init__(unobserved, reduction)
        if weight is not None and not 0 <= weight < math.inf:
            raise UsageError(f"weight is {weight}; expected a finite number of 0 or more, or null")
        self.weight = weight

    def partial_cells(
        self,
        logits: Float[Tensor, "batch classes"],
        labels: Float[Tensor, "batch classes"],
        unobserved: Bool[Tensor, "batch classes"],
    ) -> Float[Tensor, "batch classes"]:
        """Returns the weighted cross-entropy of each cell."""
        light = 1 / max(1, logits.shape[1] - 1) if self.weight is None else self.weight
        absent = -(1 - labels) * logsigmoid(-logits)
        return -labels * logsigmoid(logits) + torch.where(unobserved, light * absent, absent)
