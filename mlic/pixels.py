"""From the bytes of an image file to its pixels in numpy: red, green and blue of 8 bits, upright; imports no torch."""

import io
import re
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFile, UnidentifiedImageError

from mlic.errors import ImageError, UsageError
from mlic.headers import FORMATS, orientation
from mlic.jpeg import Frame, decode, is_cut, plain_frame, reduction

__all__ = ["read_pixels"]

Pixels = UInt8[np.ndarray, "height width 3"]

_EXPECTED = "a JPEG, PNG, WebP, BMP, GIF or TIFF"

_SIGNATURES = (
    (re.compile(rb"\xff\xd8\xff"), "JPEG"),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "PNG"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "WebP"),
    (re.compile(rb"BM"), "BMP"),
    (re.compile(rb"GIF8[79]a"), "GIF"),
    (re.compile(rb"II[*+]\0|MM\0[*+]"), "TIFF"),
)
_LOOKALIKES = (
    (re.compile(rb"....ftyp(avif|avis)", re.DOTALL), "AVIF"),
    (re.compile(rb"....ftyp(hei|hev|mif1|msf1)", re.DOTALL), "HEIF"),
    (re.compile(rb"\s*<(!doctype )?html", re.IGNORECASE), "a web page"),
    (re.compile(rb"\s*<(\?xml|svg)", re.IGNORECASE), "SVG or XML"),
    (re.compile(rb"version https://git-lfs"), "a Git LFS pointer"),
    (re.compile(rb"%PDF"), "PDF"),
)

# How an image lies, as EXIF counts: whether rows and columns have changed places, then which of them run backwards.
_TRANSPOSED = {5, 6, 7, 8}
_FLIPPED = {2: [1], 3: [0, 1], 4: [0], 6: [1], 7: [0, 1], 8: [0]}

_BITS_TAG, _PHOTOMETRIC_TAG, _WHITE_IS_ZERO = 258, 262, 0

_PNG_BITS, _16_BITS = slice(24, 25), b"\x10"  # where the header of a PNG says how many a channel has


def read_pixels(source: Path | bytes, side: int | None = None) -> Pixels:
    """Reads an image as red, green and blue in 0..255, upright, the same from a file as from the file's bytes.

    JPEG, PNG, WebP, BMP, GIF and TIFF; the first frame, where there are several. The EXIF orientation is applied, a
    colour profile is not. Every kind of pixel becomes 8-bit RGB:

    - Transparency is laid over white, so that the hidden colours of transparent pixels are never seen. Where a PNG of
      16-bit colour names one transparent colour, its high bytes decide. A BMP whose alpha is 0 throughout is opaque.
    - 16-bit grey is divided by 257 (a TIFF of 12 bits by 4095/255), floats in 0..1 are multiplied by 255. Integers of
      32 bits are refused: nothing says which of them is white.
    - CMYK, YCbCr, LAB, palettes and 1-bit images are converted by Pillow, CMYK without a profile.

    A file that is cut short is refused, never filled with grey. What no reader can see is a file whose missing pixels
    were replaced by valid ones: an uncompressed image padded with zeros, a JPEG that was cut and closed again.

    A JPEG is decoded by simplejpeg where that is sure to give the pixels that Pillow gives, and by Pillow where it is
    not installed, or where the file is rare or damaged: libjpeg-turbo is in both, so the pixels are equal.

    It may be called from several threads at once.

    Args:
        source: the file, or what is in it.
        side: of the square that the image is meant for, in pixels. A JPEG that is much larger is decoded at a half, a
            quarter or an eighth of its size, at least at 2.5 times the square: resized, it equals the whole one within
            1 grey level on average, and is there sooner. None: at its own size.

    Raises:
        ImageError: if there is no such file or it is no such image; if it is truncated, damaged, without any pixel or
            above Pillow's limit on pixels (`PIL.Image.MAX_IMAGE_PIXELS`), or if the range of its values is not known.
        UsageError: if some other code told Pillow to fill what is missing in truncated files.

    Example:
        >>> file = io.BytesIO()
        >>> Image.new("RGB", (2, 1), (255, 128, 0)).save(file, "PNG")
        >>> read_pixels(file.getvalue())[0, 0].tolist()
        [255, 128, 0]
        >>> read_pixels(b"hello")
        Traceback (most recent call last):
        ...
        mlic.errors.ImageError: image of 5 bytes: not an image; expected a JPEG, PNG, WebP, BMP, GIF or TIFF
    """
    if isinstance(source, bytes):
        name, data = f"image of {len(source)} bytes", source
    else:
        # Always the whole file: a decoder that is given an open file may go another way than with bytes.
        name, data = str(source), _read_bytes(source)
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise UsageError(
            "PIL.ImageFile.LOAD_TRUNCATED_IMAGES is set, which turns damaged photographs into grey ones; "
            "set it back to False after importing whatever sets it"
        )
    return _decode(data, name, side)


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such file") from error
    except IsADirectoryError as error:
        raise ImageError(f"{path}: a folder; expected an image") from error
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror or error})") from error
    except ValueError as error:  # a byte 0 in the name, or what is no text of the file system's
        raise ImageError(f"{str(path)!r}: no name of a file ({error})") from error


def _decode(data: bytes, name: str, side: int | None) -> Pixels:
    """Returns the upright pixels; `name` opens every message."""
    if not data:
        raise ImageError(f"{name}: empty, 0 bytes; expected {_EXPECTED}")
    found = next((kind for pattern, kind in _SIGNATURES if pattern.match(data)), None)
    if found is None:
        lookalike = next((kind for pattern, kind in _LOOKALIKES if pattern.match(data)), None)
        raise ImageError(f"{name}: not an image{f' but {lookalike}' if lookalike else ''}; expected {_EXPECTED}")
    if found == "JPEG" and (frame := plain_frame(data)) is not None and not _is_above_limit(frame):
        pixels = decode(data, frame, _by(frame, side))
        if pixels is not None:
            return pixels
    # Pillow raises almost anything on damaged bytes (OSError, SyntaxError, ValueError, struct.error, IndexError, ...).
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
        _refuse_sizes(image, name)
        pixels = _jpeg_pixels(image, data, side) if found == "JPEG" else None
        if pixels is None:
            pixels = _pillow_pixels(image, data, found, name)
        return _upright(pixels, orientation(image))
    except (ImageError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{name}: {found} above Pillow's limit of {Image.MAX_IMAGE_PIXELS} pixels") from error
    except Exception as error:
        raise ImageError(f"{name}: not an image that can be read ({_cause(error, data, found)})") from error


def _jpeg_pixels(image: Image.Image, data: bytes, side: int | None) -> Pixels | None:
    """Decodes a JPEG whose header Pillow has read; or leaves it to Pillow, told how small it may be."""
    frame = Frame(*image.size)
    by = _by(frame, side)
    pixels = decode(data, frame, by) if image.mode in ("L", "RGB") else None
    if pixels is None and by > 1:
        image.draft(None, (frame.width // by, frame.height // by))
    return pixels


def _pillow_pixels(image: Image.Image, data: bytes, found: str, name: str) -> Pixels:
    image.load()
    if found == "JPEG" and is_cut(data):
        raise ImageError(f"{name}: not an image that can be read (truncated JPEG: its end is missing)")
    if found == "PNG" and data[_PNG_BITS] == _16_BITS:
        _shorten_transparent_colour(image)
    return np.array(_to_rgb(image, name))


def _upright(pixels: Pixels, lies: int) -> UInt8[np.ndarray, "upright_height upright_width 3"]:
    """Turns an image that lies in one of the 8 ways."""
    if lies not in _FLIPPED and lies not in _TRANSPOSED:
        return pixels
    backwards = [slice(None, None, -1 if axis in _FLIPPED.get(lies, ()) else 1) for axis in (0, 1)]
    if lies in _TRANSPOSED:
        # Plane by plane: four times as fast as all three bytes of each pixel at once.
        planes = [pixels[..., channel].T[tuple(backwards)] for channel in range(3)]
        return np.stack([np.ascontiguousarray(plane) for plane in planes], axis=-1)
    whole = pixels.view("V3")[tuple(backwards)]  # a pixel as one item: three times as fast
    return np.ascontiguousarray(whole).view(np.uint8).reshape(pixels.shape)


def _by(frame: Frame, side: int | None) -> int:
    return 1 if side is None else reduction(frame, side)


def _cause(error: Exception, data: bytes, found: str) -> str:
    """Says in a few words why the bytes of a `found` cannot be decoded; the same words in every process."""
    if found == "WebP" and len(data) < (expected := int.from_bytes(data[4:8], "little") + 8):
        return f"truncated WebP: {len(data)} of {expected} bytes are there"
    if isinstance(error, UnidentifiedImageError):  # its message holds a memory address
        return f"damaged or truncated {found}, or a variant of it that Pillow does not know"
    reason = " ".join(str(error).split()) or type(error).__name__
    return f"{'truncated' if 'truncated' in reason.lower() else 'damaged'} {found}: {reason}"


def _refuse_sizes(image: Image.Image, name: str) -> None:
    width, height = image.size
    if not width * height:
        raise ImageError(f"{name}: an image of {width} by {height} pixels; expected at least 1 by 1")
    if _is_above_limit(Frame(width, height)):  # between once and twice the limit, Pillow only warns
        raise ImageError(
            f"{name}: {width} by {height} pixels, above Pillow's limit of {Image.MAX_IMAGE_PIXELS}; make it smaller"
        )


def _is_above_limit(frame: Frame) -> bool:
    return Image.MAX_IMAGE_PIXELS is not None and frame.width * frame.height > Image.MAX_IMAGE_PIXELS


def _shorten_transparent_colour(image: Image.Image) -> None:
    """Makes the transparent colour of 16 bits a channel comparable with the 8 that Pillow has kept of each pixel."""
    colour = image.info.get("transparency")
    if image.mode == "RGB" and colour is not None:
        image.info["transparency"] = tuple(value >> 8 for value in colour)


def _to_rgb(image: Image.Image, name: str) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return _grey_to_rgb(image, name)
    # Many a program leaves the fourth byte of a BMP 0 without a thought of transparency.
    unused_alpha = image.format == "BMP" and image.mode == "RGBA" and not image.getchannel("A").getbbox()
    if unused_alpha or not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    over_white = Image.new("RGBA", image.size, "white")
    over_white.alpha_composite(image.convert("RGBA"))
    return over_white.convert("RGB")


def _grey_to_rgb(image: Image.Image, name: str) -> Image.Image:
    """Scales grey of more than 8 bits, which Pillow's own conversion clips at 255 (13.0.0)."""
    tags = getattr(image, "tag_v2", {})  # of a TIFF
    values = np.asarray(image)
    if image.mode == "F":
        white, step = 1.0, "floats of 0 to 1"
    else:
        bits = tags.get(_BITS_TAG, (16,))[0]
        if bits > 16:
            raise ImageError(
                f"{name}: {bits}-bit integers of {values.min()} to {values.max()}, which have no white point; "
                "convert it to 8 or 16 bits"
            )
        white, step = float((1 << bits) - 1), f"integers of 0 to {(1 << bits) - 1}"
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= white):  # also when there is a NaN
        raise ImageError(f"{name}: grey values of {low:g} to {high:g}; expected {step}: convert it to 8 bits")
    grey = np.floor(values.astype(np.float64) * (255 / white) + 0.5).astype(np.uint8)
    if tags.get(_PHOTOMETRIC_TAG) == _WHITE_IS_ZERO:  # Pillow 13.0.0 inverts 1-bit and 8-bit images only
        grey = 255 - grey
    if "transparency" in image.info:
        grey[values == image.info["transparency"]] = 255
    return Image.fromarray(grey).convert("RGB")
