"""`InceptionV3`: Inception v3 as timm has it, the default backbone."""

from mlic.backbones.timm import TimmBackbone
from mlic.backbones.weights import Weights

__all__ = ["InceptionV3"]


class InceptionV3(TimmBackbone):
    """Inception v3 (Szegedy et al. 2016, arXiv:1512.00567) without its auxiliary classifier.

    2048 features on an 8 x 8 map at 299 pixels; 21.8 million parameters, 5.7 thousand million multiply-adds an image.
    The weights are the TensorFlow authors' as torchvision ported them (`tv_in1k`), trained with a mean and a standard
    deviation of 0.5. torchvision's own model converts to these inside `forward`, timm's does not: applied once.

    Args:
        weights: `imagenet`, `none` or a file; torchvision's file has the same names and fits.
        freeze: whether parameters and BatchNorm statistics stay as they are.
        image_size: side of the square input in pixels, at least 75; by default 299.

    Raises:
        UsageError: if `image_size` is too small.
        WeightsError: if the weights do not fit.
        DownloadError: if the weights cannot be fetched.

    Example:
        >>> backbone = InceptionV3(weights="none")
        >>> backbone.num_features, backbone.image_size, backbone.mean, backbone.std
        (2048, 299, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    """

    def __init__(self, weights: Weights = "imagenet", freeze: bool = False, image_size: int | None = None) -> None:
        # The tag is named, so that another default of timm changes neither weights nor normalisation.
        super().__init__("inception_v3.tv_in1k", weights, freeze, image_size)
