"""What the header of an image file says, without its pixels and without torch."""

import io
from pathlib import Path

from PIL import Image

from mlic.errors import ImageError

__all__ = ["FORMATS", "image_size", "orientation"]

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
"""The plug-ins of Pillow that are let near foreign files; some of the others start other programs."""

_ORIENTATION_TAG = 0x0112
_TURNED = {5, 6, 7, 8}  # orientations by which width and height change places


def image_size(source: Path | bytes) -> tuple[int, int]:
    """Returns the width and height of an image in pixels, upright.

    Args:
        source: the file, or what is in it.

    Raises:
        ImageError: if there is no such file, or it does not begin as an image does. A file that is cut short later has
            a size all the same.
    """
    # Pillow raises almost anything on damaged bytes.
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as image:
            width, height = image.size
            return (height, width) if orientation(image) in _TURNED else (width, height)
    except Exception as error:
        name = f"image of {len(source)} bytes" if isinstance(source, bytes) else source
        raise ImageError(f"{name}: no size can be read ({type(error).__name__})") from error


def orientation(image: Image.Image) -> int:
    """Returns how an image lies, 1 to 8 as EXIF counts; 1, upright, where nothing sensible is said."""
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:
        # Damaged notes about an image say nothing about its pixels; every viewer shows it as it lies.
        return 1
