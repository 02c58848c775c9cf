"""A loss."""

from jaxtyping import Float
from torch import Tensor

from mlic import Loss


class SquaredLoss(Loss):
    """The squared difference of score and label (the Brier score). Unknown cells are left out by `Loss`."""

    def cells(
        self, logits: Float[Tensor, "batch classes"], labels: Float[Tensor, "batch classes"]
    ) -> Float[Tensor, "batch classes"]:
        """Returns the loss of each cell."""
        return (logits.sigmoid() - labels) ** 2
