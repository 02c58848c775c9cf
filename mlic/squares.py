"""The square that a backbone takes, in numpy: what `mlic.images.squash` does, to the bit, without torch."""

import functools
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int64, UInt8

from mlic.pixels import read_pixels

__all__ = ["Taps", "read_square_array", "squash_array", "taps"]

_MOST_BITS, _WEIGHT_BITS = 22, 15
_FLOAT32_BITS = 16  # with so many, 255 times all weights stays below 2^24, up to which float32 counts exactly
_LINES = 16  # of the output at a time: few enough to skip what does not concern them
_CELLS = 1 << 17  # of the input at a time, so that it stays in the processor's cache


class Taps(NamedTuple):
    """What each place of a resized line is made of.

    Attributes:
        first: the first place of the line that it takes.
        weights: of that place and the next ones; whole numbers, in sum about 2 ** bits.
        bits: by how many bits the weighted sum is shifted to the right, after half of that was added.
    """

    first: Int64[np.ndarray, " size"]
    weights: Int64[np.ndarray, "size taps"]
    bits: int


def read_square_array(source: Path | bytes, size: int) -> UInt8[np.ndarray, "3 size size"]:
    """Reads an image and resizes the whole of it to a square: as `mlic.images.read_square`, to the bit, without torch.

    Args:
        source: the file, or what is in it.
        size: the side of the square, in pixels, at least 1.

    Raises:
        ImageError: as `mlic.pixels.read_pixels` does.
    """
    return squash_array(read_pixels(source, size), size)


def squash_array(pixels: UInt8[np.ndarray, "height width 3"], size: int) -> UInt8[np.ndarray, "3 size size"]:
    """Resizes the whole image to a square: as `mlic.images.squash`, to the bit.

    First each row, then each column, with a rounding to whole grey levels between. At 500 by 375 pixels and 299 it
    takes 1.1 ms, as long as Pillow takes, and torch 0.3 ms (one core with AVX-512).

    Args:
        pixels: 0..255.
        size: the side of the square, in pixels, at least 1.

    Example:
        >>> squash_array(np.array([[[0] * 3, [100] * 3]], dtype=np.uint8), 1).flatten().tolist()
        [50, 50, 50]
    """
    height, width, _ = pixels.shape
    rows = np.empty((3, height, size), np.float32 if width != size else np.uint8)
    if width == size:
        rows[...] = pixels.transpose(2, 0, 1)
    else:
        _squeeze_rows(pixels, _bands(width, size), rows)
    if height == size:
        return rows.astype(np.uint8)
    bands = _bands(height, size)
    rows = rows.astype(bands.dtype, copy=False)
    square = np.empty((3, size, size), bands.dtype)
    for plane, resized in zip(rows, square, strict=True):
        for begin, end, low, high, weights in bands.parts:
            np.matmul(weights.T, plane[low:high], out=resized[begin:end])
    _shift(square, bands.bits)
    return square.astype(np.uint8)


def taps(size: int, resized: int) -> Taps:
    """Returns how a line becomes one of another length, as torch's kernel for `uint8` has it (2.14.1).

    A triangle over each place of the result, as wide as two places of the longer line, whose weights are rounded to
    16-bit numbers (Pillow has 32 bits, which is why it differs by a grey level here and there).

    Args:
        size: of the line, at least 1.
        resized: what it is to become, at least 1.

    Example:
        >>> taps(4, 2)  # 3, 3 and 1 eighths, 1 eighth each
        Taps(first=array([0, 1]), weights=array([[28087, 28087,  9362,     0,     0],
               [ 9362, 28087, 28087,     0,     0]]), bits=16)
    """
    scale = size / resized
    support = max(scale, 1.0)
    slope = 1.0 / scale if scale >= 1.0 else 1.0
    most = math.ceil(support) * 2 + 1
    centre = scale * (np.arange(resized) + 0.5)
    first = np.maximum((centre - support + 0.5).astype(np.int64), 0)
    last = np.minimum((centre + support + 0.5).astype(np.int64), size)
    place = np.arange(most)
    distance = (place + first[:, None] - centre[:, None] + 0.5) * slope
    shares = np.maximum(1.0 - np.abs(distance), 0.0)
    shares[place >= (last - first)[:, None]] = 0.0
    # One after the other, as the kernel adds: `sum` would round otherwise.
    shares /= np.cumsum(shares, axis=1)[:, -1:]
    largest, bits = float(shares.max()), 0
    while bits < _MOST_BITS and int(0.5 + largest * (1 << (bits + 1))) < 1 << _WEIGHT_BITS:
        bits += 1
    return Taps(first, (shares * (1 << bits) + 0.5).astype(np.int64), bits)


class _Bands(NamedTuple):
    """`Taps` as small dense matrices: begin and end in the result, low and high in the line, weights between them."""

    parts: tuple[tuple[int, int, int, int, Float[np.ndarray, "line places"]], ...]
    bits: int
    dtype: type[Any]


@functools.lru_cache(maxsize=64)
def _bands(size: int, resized: int) -> _Bands:
    first, weights, bits = taps(size, resized)
    dtype = np.float32 if bits <= _FLOAT32_BITS else np.float64
    parts = []
    for begin in range(0, resized, _LINES):
        end = min(begin + _LINES, resized)
        low, high = int(first[begin]), min(int(first[end - 1]) + weights.shape[1], size)
        matrix = np.zeros((high - low + weights.shape[1], end - begin), dtype)
        for column, place in enumerate(range(begin, end)):
            start = int(first[place]) - low
            matrix[start : start + weights.shape[1], column] = weights[place]
        parts.append((begin, end, low, high, matrix[: high - low]))
    return _Bands(tuple(parts), bits, dtype)


def _squeeze_rows(
    pixels: UInt8[np.ndarray, "height width 3"], bands: _Bands, rows: Float[np.ndarray, "3 height size"]
) -> None:
    """Resizes each row, some rows at a time."""
    height, width, _ = pixels.shape
    at_once = min(height, max(8, _CELLS // (3 * width)))
    for top in range(0, height, at_once):
        some = pixels[top : top + at_once]
        planes = np.empty((3, len(some), width), bands.dtype)
        for channel in range(3):
            planes[channel] = some[..., channel]
        squeezed = np.empty((3 * len(some), rows.shape[2]), bands.dtype)
        for begin, end, low, high, weights in bands.parts:
            np.matmul(planes.reshape(-1, width)[:, low:high], weights, out=squeezed[:, begin:end])
        _shift(squeezed, bands.bits)
        np.trunc(squeezed, out=squeezed)
        rows[:, top : top + at_once] = squeezed.reshape(3, len(some), -1)


def _shift(sums: Float[np.ndarray, "..."], bits: int) -> None:
    """Divides sums by 2 ** bits, in place; what is behind the point is to be cut off."""
    sums += 1 << (bits - 1)
    sums *= 2.0**-bits
    np.minimum(sums, 255.0, out=sums)
