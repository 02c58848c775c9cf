"""`Precomputed`: stands where a backbone would, for features that were computed elsewhere."""

from jaxtyping import Float
from torch import Tensor

from mlic.backbones.base import Backbone
from mlic.errors import UsageError

__all__ = ["Precomputed"]


class Precomputed(Backbone):
    """No backbone: the datamodule `features` has what another program made of the images.

    A checkpoint with it is evaluated on features as well, and cannot predict on images.

    Args:
        num_features: of a sample; in `mlic fit` by default as many as the features have.

    Raises:
        UsageError: if `num_features` is not known or below 1.

    Example:
        >>> backbone = Precomputed(1280)
        >>> backbone.num_features, backbone.frozen, sum(parameter.numel() for parameter in backbone.parameters())
        (1280, True, 0)
    """

    def __init__(self, num_features: int | None = None) -> None:
        super().__init__()
        if num_features is None:
            raise UsageError(
                "the backbone precomputed does not know how many features there are; give them with --data features "
                "--data.features FILE.npy, or their number with --model.backbone.num_features"
            )
        if num_features < 1:
            raise UsageError(f"num_features is {num_features}; expected 1 or more")
        self.num_features = num_features
        self.image_size = 1
        self.mean, self.std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
        self.freeze()

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch features h w"]:
        """Refuses images.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            "the backbone precomputed makes no features of images; test on features (mlic test --data.test LABELS "
            "--data.test_features FILE.npy), or train with the backbone that made them in its place, frozen "
            "(--model.backbone NAME --model.backbone.freeze true): its checkpoint takes images"
        )
