"""A head."""

from jaxtyping import Float
from torch import Tensor, nn

from mlic import Head


class MaxHead(Head):
    """Takes the strongest response anywhere in the image, then a linear layer.

    Args:
        num_features: channels of the feature map.
        num_classes: logits to return.
    """

    def __init__(self, num_features: int, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(num_features, num_classes)

    def forward(self, feature_map: Float[Tensor, "batch features h w"]) -> Float[Tensor, "batch classes"]:
        """Returns the logits."""
        return self.linear(feature_map.amax(dim=(2, 3)))
