"""`ANLSLoss`: unobserved labels are assumed to be absent, and no label is believed entirely."""

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from mlic.errors import UsageError
from mlic.losses.base import Reduction
from mlic.losses.unobserved import Unobserved, UnobservedLoss

__all__ = ["ANLSLoss"]


class ANLSLoss(UnobservedLoss):
    """Assume-negative loss with label smoothing (Cole et al. 2021, arXiv:2106.09708).

    Cross-entropy in which a present label is `1 - smoothing` and an unobserved or absent one `smoothing`.

    Args:
        smoothing: 0 to below 0.5; 0 is cross-entropy with unobserved labels as absent ones. Half of what `bce` calls
            `label_smoothing`: 0.1 here is 0.2 there.
        unobserved: as `UnobservedLoss` says.
        reduction: as `Loss` says.

    Raises:
        UsageError: if `smoothing` is out of its range.

    Example:
        A logit of 2 has log(1 + exp(2)) = 2.1269 for an absent label; a tenth of it is taken back.

        >>> import torch
        >>> ANLSLoss()(torch.tensor([[2.0]]), torch.tensor([[0]]))
        tensor(1.9269)
    """

    def __init__(
        self, smoothing: float = 0.1, unobserved: Unobserved = "absent", reduction: Reduction = "batchmean"
    ) -> None:
        super().__init__(unobserved, reduction)
        if not 0 <= smoothing < 0.5:
            raise UsageError(f"smoothing is {smoothing}; expected 0 or more, and below 0.5")
        self.smoothing = smoothing

    def partial_cells(
        self,
        logits: Float[Tensor, "batch classes"],
        labels: Float[Tensor, "batch classes"],
        unobserved: Bool[Tensor, "batch classes"],
    ) -> Float[Tensor, "batch classes"]:
        """Returns the smoothed cross-entropy of each cell."""
        smooth = labels * (1 - self.smoothing) + (1 - labels) * self.smoothing
        return -smooth * logsigmoid(logits) - (1 - smooth) * logsigmoid(-logits)
