"""A backbone."""

from jaxtyping import Float
from torch import Tensor, nn

from mlic import Backbone


class PatchBackbone(Backbone):
    """Looks at patches of 16 pixels, each by itself.

    Args:
        num_features: channels of the feature map.
    """

    def __init__(self, num_features: int = 32) -> None:
        super().__init__()
        self.num_features = num_features
        self.image_size = 64
        self.mean = (0.5, 0.5, 0.5)
        self.std = (0.25, 0.25, 0.25)
        self.patches = nn.Conv2d(3, num_features, kernel_size=16, stride=16)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch features h w"]:
        """Returns one vector a patch."""
        return self.patches(images).relu()
