"""From the bytes of an image file to `uint8` tensors, and to the square that a backbone takes."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from mlic.pixels import read_pixels

__all__ = ["read_image", "read_square", "squash"]


def read_square(source: Path | bytes, size: int) -> UInt8[Tensor, "3 {size} {size}"]:
    """Reads an image and resizes the whole of it to a square, as training, evaluation and prediction see it.

    It is `squash(read_image(source, size), size)`.

    Args:
        source: the file, or what is in it.
        size: the side of the square, in pixels, at least 1.

    Raises:
        ImageError: as `read_image` does.

    Example:
        >>> import io
        >>> from PIL import Image
        >>> file = io.BytesIO()
        >>> Image.new("RGB", (2, 1), (255, 128, 0)).save(file, "PNG")
        >>> read_square(file.getvalue(), 1).flatten().tolist()
        [255, 128, 0]
    """
    return squash(read_image(source, size), size)


def read_image(source: Path | bytes, side: int | None = None) -> UInt8[Tensor, "3 height width"]:
    """Reads an image as red, green and blue in 0..255, upright: as `mlic.pixels.read_pixels`, which tells all about it.

    The memory is laid out pixel by pixel (height, width, 3), as it was decoded, which `squash` takes faster than plane
    by plane.

    Args:
        source: the file, or what is in it.
        side: of the square that the image is meant for, in pixels. A JPEG that is much larger is decoded at a half, a
            quarter or an eighth of its size. None: at its own size.

    Raises:
        ImageError: if there is no such file or it is no such image, or it is damaged.
        UsageError: if some other code told Pillow to fill what is missing in truncated files.

    Example:
        >>> import io
        >>> from PIL import Image
        >>> file = io.BytesIO()
        >>> Image.new("RGB", (2, 1), (255, 128, 0)).save(file, "PNG")
        >>> read_image(file.getvalue())[:, 0, 0].tolist()
        [255, 128, 0]
    """
    return torch.from_numpy(read_pixels(source, side)).permute(2, 0, 1)


def squash(image: UInt8[Tensor, "3 height width"], size: int) -> UInt8[Tensor, "3 {size} {size}"]:
    """Resizes the whole image to a square, without cropping: a label may be at the border.

    Bilinear with antialiasing, on `uint8`; equals Pillow's `BILINEAR` within one grey level. It draws no random
    numbers, and gives the same values for every memory layout and number of threads. `mlic.squares` does the same
    without torch, to the bit.

    Args:
        image: 0..255.
        size: the side of the square, in pixels, at least 1.

    Example:
        >>> squash(torch.tensor([0, 100], dtype=torch.uint8).expand(3, 1, 2), 1).flatten().tolist()
        [50, 50, 50]
    """
    # Pixel by pixel in memory: faster, and torch 2.14.1 fails on planes when `size` is 1.
    # The axis of batches comes first, for otherwise torch does not see that the channels are last, and repacks them.
    packed = image.permute(1, 2, 0).contiguous()[None].permute(0, 3, 1, 2)
    resized = torch.nn.functional.interpolate(packed, size=(size, size), mode="bilinear", antialias=True)
    return torch.from_numpy(np.ascontiguousarray(resized[0].numpy()))  # twice as fast as torch's
