"""The fast path of JPEG: the pixels that Pillow would give, sooner; or None where Pillow has to decide."""

from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

try:
    import simplejpeg
except ImportError:  # a platform without a wheel: Pillow decodes, more slowly
    simplejpeg = None

__all__ = ["Frame", "decode", "is_cut", "plain_frame", "reduction"]

_MARKER, _START_OF_SCAN, _END_OF_IMAGE = 0xFF, 0xDA, b"\xff\xd9"
_HUFFMAN_FRAMES = {0xC0, 0xC1, 0xC2}  # baseline, extended, progressive; the others are rare
_TABLES_AND_COMMENTS = {0xC4, 0xDB, 0xDD, 0xFE}
_JFIF, _ADOBE, _PROFILE = 0xE0, 0xEE, 0xE2

_MARGIN = 2.5
_SMALLEST = 16


class Frame(NamedTuple):
    """What a header says of the pixels."""

    width: int
    height: int


def plain_frame(data: bytes) -> Frame | None:
    r"""Returns the size of an upright grey or colour JPEG whose header holds nothing but what each decoder knows.

    It takes a tenth of the time that Pillow takes. None is no verdict: notes (EXIF, XMP), several pictures, four
    channels, damage and all that is rare are for Pillow to look at.

    Example:
        >>> plain_frame(b"\xff\xd8\xff\xc0\0\x0b\x08\0\x20\0\x10\x01\x01\x11\0\xff\xda")
        Frame(width=16, height=32)
    """
    frame: Frame | None = None
    position = 2
    while (head := data[position : position + 4]) and len(head) >= 2 and head[0] == _MARKER:
        marker, length = head[1], int.from_bytes(head[2:4], "big")
        if marker == _START_OF_SCAN:
            return frame
        content = data[position + 4 : position + 2 + length]
        if len(content) != length - 2:
            return None
        if marker in _HUFFMAN_FRAMES and frame is None and len(content) in (9, 15) and content[0] == 8:
            frame = Frame(int.from_bytes(content[3:5], "big"), int.from_bytes(content[1:3], "big"))
            if content[5] != (len(content) - 6) // 3 or not frame.width * frame.height:
                return None
        elif not (marker in _TABLES_AND_COMMENTS or _is_plain(marker, content)):
            return None
        position += 2 + length
    return None


def _is_plain(marker: int, content: bytes) -> bool:
    """Says whether an application's segment changes nothing about the pixels, or what each decoder knows."""
    if marker == _JFIF:
        return len(content) >= 14 and content.startswith(b"JFIF\0")
    if marker == _ADOBE:
        return len(content) == 12 and content.startswith(b"Adobe")
    return marker == _PROFILE and len(content) > 14 and content.startswith(b"ICC_PROFILE\0")


def is_cut(data: bytes) -> bool:
    r"""Says whether a JPEG's end is missing, as a broken download or a full disk leaves it, padded with zeros or not.

    libjpeg takes the zeros for pixels and Pillow is content (13.0.0).

    Example:
        >>> is_cut(b"\xff\xd8\xff\xda pixels \0\0"), is_cut(b"\xff\xd8\xff\xda pixels \xff\xd9")
        (True, False)
    """
    position = 2
    # Segments up to the first pixels: a small preview among them has an end of its own.
    while len(head := data[position : position + 2]) == 2 and head[0] == _MARKER and head[1] != _START_OF_SCAN:
        is_filling = head[1] == _MARKER
        position += 1 if is_filling else 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    # Never within compressed pixels, where a zero follows every 0xFF.
    return data.rfind(_END_OF_IMAGE, position) < 0


def reduction(frame: Frame, side: int) -> int:
    """Returns by how much a JPEG may be reduced while it is decoded, if it is to become a square: 1, 2, 4 or 8.

    Decoding at an eighth costs a few of each block's 64 coefficients. What is left is at least 2.5 times the square,
    so that after resizing it differs from full decoding by less than 1 grey level on average; at 2 times, sharp
    pictures differ by up to 1.6 (`tools/benchmark_input.py`). It depends on nothing but its arguments.

    Args:
        frame: the whole image.
        side: of the square, in pixels.

    Example:
        >>> [reduction(Frame(width, 1500), 299) for width in (500, 1494, 2000)]
        [1, 1, 2]
    """
    least = max(_MARGIN * side, _SMALLEST)
    return next((by for by in (8, 4, 2) if min(frame) / by >= least), 1)


def decode(data: bytes, frame: Frame, by: int = 1) -> UInt8[np.ndarray, "height width 3"] | None:
    """Decodes a grey or colour JPEG as it lies; None if anything is odd, so that Pillow says whether it is damage.

    Memory is taken for the frame alone, whatever else the file may say.

    Args:
        data: the file.
        frame: its size.
        by: the reduction, 1, 2, 4 or 8.
    """
    if simplejpeg is None or is_cut(data):
        return None
    width, height = -(-frame.width // by), -(-frame.height // by)
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    try:
        # Strict: what the library calls a warning is a missing end, too.
        decoded = simplejpeg.decode_jpeg(data, "RGB", min_height=height, min_width=width, buffer=pixels, strict=True)
    except ValueError:
        return None
    return pixels if decoded.shape == pixels.shape else None
