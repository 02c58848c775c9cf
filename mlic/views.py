"""Views of images for test-time augmentation: what a model looks at besides the image itself."""

import math
from collections.abc import Iterator
from typing import Literal, get_args

from jaxtyping import UInt8
from torch import Tensor

from mlic.errors import UsageError

__all__ = ["TTA", "check_tta", "scaled_sides", "views"]

TTA = Literal["none", "flip", "multi_scale", "ten_crop"]
"""Which views of an image the logits are averaged over."""

_SMALLER, _LARGER = 0.75, 1.25
_CROP = 7 / 8
_STRIDE = 32  # by which most networks divide the side


def check_tta(tta: str) -> None:
    """Checks that there are such views.

    Raises:
        UsageError: if there are not.
    """
    if tta not in get_args(TTA):
        raise UsageError(f"tta is '{tta}'; expected one of {', '.join(get_args(TTA))}")


def views(images: UInt8[Tensor, "batch 3 side side"], tta: TTA) -> Iterator[UInt8[Tensor, "batch 3 _ _"]]:
    """Yields the views, one batch each.

    - `none`: the images.
    - `flip`: the images, and mirrored left to right. Not for classes that depend on left and right.
    - `multi_scale`: the images and their mirror images at 0.75, 1 and 1.25 of their side, in multiples of 32 pixels:
      for backbones that take any size.
    - `ten_crop`: the four corners and the centre, 7/8 of the side each, enlarged to it, and their mirror images
      (Krizhevsky et al. 2012, who crop 224 of 256 pixels).

    Example:
        >>> import torch
        >>> images = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
        >>> [len(list(views(images, tta))) for tta in ("none", "flip", "multi_scale", "ten_crop")]
        [1, 2, 6, 10]
    """
    if tta == "none":
        yield images
    elif tta == "ten_crop":
        yield from _ten_crops(images)
    else:
        side = images.shape[-1]
        for scaled in scaled_sides(side) if tta == "multi_scale" else (side,):
            view = images if scaled == side else _resized(images, scaled)
            yield view
            yield view.flip(-1)


def scaled_sides(side: int) -> tuple[int, int, int]:
    """Returns the sides of the images that `multi_scale` makes of images of this side, in pixels.

    The side itself need not be a multiple of 32 pixels. Around small ones the others are the next multiples.

    Example:
        >>> scaled_sides(224)
        (160, 224, 288)
        >>> scaled_sides(64)
        (32, 64, 96)
    """
    steps = side / _STRIDE
    smaller = min(round(_SMALLER * steps), math.ceil(steps) - 1)
    larger = max(round(_LARGER * steps), math.floor(steps) + 1)
    return max(1, smaller) * _STRIDE, side, larger * _STRIDE


def _ten_crops(images: UInt8[Tensor, "batch 3 side side"]) -> Iterator[UInt8[Tensor, "batch 3 side side"]]:
    from torchvision.transforms.v2 import functional  # takes long to import, and nothing else here needs it

    side = images.shape[-1]
    for crop in functional.ten_crop(images, [max(1, round(side * _CROP))] * 2):
        yield _resized(crop, side)


def _resized(images: UInt8[Tensor, "batch 3 _ _"], side: int) -> UInt8[Tensor, "batch 3 _ _"]:
    from torchvision.transforms.v2 import functional

    resized: Tensor = functional.resize(images, [side, side], antialias=True)
    return resized
