"""`Strings`: millions of strings in two arrays; and the arithmetic of items of unequal lengths."""

import operator
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, SupportsIndex, overload

import numpy as np
import numpy.typing as npt
from jaxtyping import Int64, Shaped, UInt8

from mlic.errors import LabelError

__all__ = ["Indices", "Strings", "gather", "offsets_of", "position", "positions"]

Indices = npt.NDArray[np.integer[Any]] | Sequence[SupportsIndex]
"""Positions of items; a negative one counts from the end."""

_BLOCK = 1 << 18  # items that are worked on at a time, so that what is in between stays small
_LONE_SURROGATES = "surrogatepass"  # file names that are not UTF-8 reach Python as such


class Strings(Sequence[str]):
    """An immutable sequence of strings, held as one buffer of UTF-8 and the offsets of its items.

    A list of a million strings is a million Python objects, whose reference counts make each forked worker copy them;
    this is two arrays.

    Example:
        >>> names = Strings(["cat", "", "dög"])
        >>> names[2], len(names), list(names.take([2, 0]))
        ('dög', 3, ['dög', 'cat'])
    """

    __slots__ = ("_buffer", "_offsets")
    _buffer: UInt8[np.ndarray, " bytes"]
    _offsets: Int64[np.ndarray, " boundaries"]

    def __init__(self, items: Iterable[str] = ()) -> None:
        if isinstance(items, Strings):
            self._set(items._buffer, items._offsets)
            return
        buffer, lengths, remaining = bytearray(), array("q"), iter(items)
        while block := list(islice(remaining, _BLOCK)):
            text = "".join(block)
            encoded = text.encode("utf-8", _LONE_SURROGATES)
            ascii_only = len(encoded) == len(text)
            encoded_items = block if ascii_only else [item.encode("utf-8", _LONE_SURROGATES) for item in block]
            lengths.extend(map(len, encoded_items))
            buffer += encoded
        self._set(np.frombuffer(buffer, np.uint8).copy(), offsets_of(np.frombuffer(lengths, np.int64)))

    @classmethod
    def from_utf8(cls, buffer: UInt8[np.ndarray, " bytes"], offsets: Int64[np.ndarray, " boundaries"]) -> "Strings":
        """Takes the two arrays as they are: item `i` is `buffer[offsets[i]:offsets[i + 1]]`.

        Raises:
            LabelError: if the offsets do not run from 0 to the length of the buffer without falling.
        """
        if len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != len(buffer) or (np.diff(offsets) < 0).any():
            raise LabelError(f"offsets of strings must run from 0 to {len(buffer)} without falling")
        strings = cls.__new__(cls)
        strings._set(buffer, offsets)
        return strings

    @property
    def nbytes(self) -> int:
        """The memory of both arrays, in bytes."""
        return int(self._buffer.nbytes + self._offsets.nbytes)

    def take(self, indices: Indices) -> "Strings":
        """Returns the items at `indices`, in their order.

        Raises:
            IndexError: if one is out of range.
        """
        offsets, (buffer,) = gather(self._offsets, positions(indices, len(self)), self._buffer)
        return Strings.from_utf8(buffer, offsets)

    def encoded(self) -> Iterator[bytes]:
        """Yields the items in UTF-8."""
        for start in range(0, len(self), _BLOCK):
            offsets = self._offsets[start : start + _BLOCK + 1]
            data, edges = self._buffer[offsets[0] : offsets[-1]].tobytes(), (offsets - offsets[0]).tolist()
            yield from (data[edges[i] : edges[i + 1]] for i in range(len(edges) - 1))

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @overload
    def __getitem__(self, index: SupportsIndex) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> "Strings": ...
    def __getitem__(self, index: SupportsIndex | slice) -> "str | Strings":
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        i = position(index, len(self))
        encoded: bytes = self._buffer[self._offsets[i] : self._offsets[i + 1]].tobytes()
        return encoded.decode("utf-8", _LONE_SURROGATES)

    def __iter__(self) -> Iterator[str]:
        return (item.decode("utf-8", _LONE_SURROGATES) for item in self.encoded())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Strings):
            return NotImplemented
        return np.array_equal(self._offsets, other._offsets) and np.array_equal(self._buffer, other._buffer)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Strings({list(self)})" if len(self) <= 3 else f"<Strings: {len(self)} items, the first {self[0]!r}>"

    def _set(self, buffer: UInt8[np.ndarray, " bytes"], offsets: Int64[np.ndarray, " boundaries"]) -> None:
        self._buffer, self._offsets = buffer, offsets


def offsets_of(lengths: Shaped[np.ndarray, " items"]) -> Int64[np.ndarray, " boundaries"]:
    """Returns where each item starts, and where the last one ends."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def gather(
    offsets: Int64[np.ndarray, " boundaries"], at: Int64[np.ndarray, " items"], *arrays: npt.NDArray[Any]
) -> tuple[Int64[np.ndarray, " new_boundaries"], list[npt.NDArray[Any]]]:
    """Takes items of unequal lengths out of `arrays`, which share their offsets."""
    lengths = offsets[at + 1] - offsets[at]
    new = offsets_of(lengths)
    taken = [np.empty(new[-1], whole.dtype) for whole in arrays]
    for start in range(0, len(at), _BLOCK):
        block = slice(start, start + _BLOCK)
        end = min(start + _BLOCK, len(at))
        shift = np.repeat(offsets[at[block]] - new[start:end], lengths[block])
        source = np.arange(new[start], new[end]) + shift
        for whole, part in zip(arrays, taken, strict=True):
            part[new[start] : new[end]] = whole[source]
    return new, taken


def position(index: SupportsIndex, length: int) -> int:
    """Returns `index` counted from the start.

    Raises:
        IndexError: if it is out of range.
    """
    i = operator.index(index)
    if not -length <= i < length:
        raise IndexError(f"{i} is out of range; there are {length}")
    return i % length


def positions(indices: Indices, length: int) -> Int64[np.ndarray, " items"]:
    """Returns `indices` counted from the start.

    Raises:
        IndexError: if one is out of range or is no integer.
    """
    at = np.asarray(indices)
    if at.size and not np.issubdtype(at.dtype, np.integer):
        raise IndexError(f"positions are integers, not {at.dtype}")
    at = at.astype(np.int64)
    if at.size and not (at.min() >= -length and at.max() < length):
        raise IndexError(f"{at.min()} to {at.max()} is out of range; there are {length}")
    return np.where(at < 0, at + length, at)
