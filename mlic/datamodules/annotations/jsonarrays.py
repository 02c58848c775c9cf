"""JSON documents with one long array, read a part at a time, so that they need not fit into memory."""

import re
from collections import deque
from collections.abc import Callable, Sequence
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from mlic.datamodules.annotations.opening import opener
from mlic.errors import LabelError

__all__ = ["read_in_parts"]

_BOM = b"\xef\xbb\xbf"
_SIZE = 1 << 18  # bytes of a part: what is made of it fits into the cache of a processor
_TRIES = 8
_NEAR = 1 << 12  # bytes from the end of a window in which an item mostly begins
_BETWEEN = re.compile(rb"\}\s*,\s*(?=\{)")
_LAST = re.compile(rb"\}\s*\]")
_NOTHING_LEFT = re.compile(rb"\s*\]")
_STAND_IN = b"[\t \n \r \t]"  # an empty array as nobody writes it

Shape = TypeVar("Shape")
Item = TypeVar("Item")
Taken = TypeVar("Taken")


def read_in_parts(
    path: Path,
    shape: type[Shape],
    key: str,
    item: type[Item],
    take: Callable[[Sequence[Item]], Taken],
    size: int = _SIZE,
) -> tuple[Shape, list[Taken]] | None:
    """Returns a JSON object of which one array of objects is long, and what `take` makes of that array's parts.

    Args:
        path: the file, UTF-8, with or without a byte-order mark.
        shape: what the file must hold: a `msgspec.Struct` in which the array may be empty.
        key: of the array, in the outermost object.
        item: what the array holds; with no `msgspec.Raw` in it, since the text does not stay where it is.
        take: is called with the items, some at a time, in their order.
        size: of a part, in bytes; an item may be longer.

    Returns:
        The document, with an empty array, and what `take` returned; None if the file is anything else, be it valid or
        not: then read it with `read_json`, which tells what is wrong.

    Raises:
        LabelError: if the file cannot be read.
    """
    try:
        with open(path, "rb", opener=opener) as stream:
            return _read(stream, shape, key, item, take, size)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    except OSError as error:
        raise LabelError(f"{path}: cannot be read ({error.strerror}); expected a JSON file") from error


def _read(
    stream: BufferedReader,
    shape: type[Shape],
    key: str,
    item: type[Item],
    take: Callable[[Sequence[Item]], Taken],
    size: int,
) -> tuple[Shape, list[Taken]] | None:
    start = _before_array(stream, key, size)
    if start is None:
        return None
    before, begun = start
    window = _Window(stream, begun, size)
    decoder: msgspec.json.Decoder[list[Item]] = msgspec.json.Decoder(list[item])  # type: ignore[valid-type]
    taken: list[Taken] = []
    window.fill()
    while window.after is None:
        items = window.items(decoder)
        if items is not None:
            taken.append(take(items))
        if not window.fill() and items is None:
            return None
    document = _around(before, window.after + stream.read(), key, shape)
    return None if document is None else (document, taken)


def _before_array(stream: BufferedReader, key: str, size: int) -> tuple[bytearray, bytes] | None:
    """Returns the text up to the first array under `key`, without its `[`, and what was read after that."""
    opening = re.compile(rb'"%b"\s*:\s*\[' % re.escape(key.encode()))
    text, seen = bytearray(), 0
    while block := stream.read(size):
        text += block
        match = opening.search(text, seen)
        if match is not None:
            begun = bytes(text[match.end() :])
            del text[match.end() - 1 :]
            if text.startswith(_BOM):
                del text[: len(_BOM)]
            return text, begun
        # What opens the array may be cut by the end of the block.
        seen = max(0, len(text) - len(key) - 64)
    return None


class _Window:
    """What was read of an array and not taken yet, after a `[`; the decoder reads it where it is.

    What is valid between brackets is cut between items: had the cut been within one, or within a text, that would be
    left open. So a cut need only be likely.

    Attributes:
        after: what was read after the array; None until its end.
    """

    def __init__(self, stream: BufferedReader, begun: bytes, size: int) -> None:
        self._stream = stream
        self._buffer, self._end = bytearray(b"[" + begun).ljust(size + 1), 1 + len(begun)
        self.after: bytes | None = None

    def fill(self) -> bool:
        """Reads on until the window is full, and makes a full one wider; says whether there was more to read."""
        if self.after is not None:
            return False
        if self._end == len(self._buffer):
            self._buffer += bytes(len(self._buffer))
        with memoryview(self._buffer) as whole, whole[self._end :] as free:
            count = self._stream.readinto(free)
        self._end += count
        return count > 0

    def items(self, decoder: "msgspec.json.Decoder[list[Item]]") -> list[Item] | None:
        """Takes the items that are whole; None if no end of one is found."""
        empty = _NOTHING_LEFT.match(self._buffer, 1, self._end)
        if empty is not None:
            self.after = bytes(self._buffer[empty.end() : self._end])
            return []
        for match in self._cuts():
            items = self._decoded(match.start() + 1, decoder)
            if items is not None:
                self._drop(match.end())
                return items
        for match in islice(_LAST.finditer(self._buffer, 0, self._end), _TRIES):
            items = self._decoded(match.start() + 1, decoder)
            if items is not None:
                self.after = bytes(self._buffer[match.end() : self._end])
                return items
        return None

    def _cuts(self) -> list[re.Match[bytes]]:
        """Returns the last few places where one item seems to end and the next one to begin, the last first."""
        for start in (max(0, self._end - _NEAR), 0):
            found = deque(_BETWEEN.finditer(self._buffer, start, self._end), _TRIES)
            if found:
                return list(reversed(found))
        return []

    def _decoded(self, cut: int, decoder: "msgspec.json.Decoder[list[Item]]") -> list[Item] | None:
        """Returns what stands before `cut`, where a `]` is put for now."""
        there, self._buffer[cut] = self._buffer[cut], ord("]")
        try:
            with memoryview(self._buffer) as whole, whole[: cut + 1] as text:
                return decoder.decode(text)
        except msgspec.ValidationError:
            raise  # wherever the cut is
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._buffer[cut] = there
            return None

    def _drop(self, start: int) -> None:
        """Lets go of what stands before an item."""
        self._buffer[start - 1] = ord("[")
        left = self._buffer[start - 1 : self._end]
        self._buffer[: len(left)], self._end = left, len(left)


def _around(before: bytearray, after: bytes, key: str, shape: type[Shape]) -> Shape | None:
    """Returns the document with an empty array, if the array was its own and not one of something in it."""
    if _STAND_IN in before or _STAND_IN in after:
        return None
    document = before
    document += _STAND_IN
    document += after
    outermost: Any = msgspec.defstruct("Outermost", [("found", msgspec.Raw, msgspec.Raw())], rename={"found": key})
    if bytes(msgspec.json.decode(document, type=outermost).found) != _STAND_IN:
        return None
    return msgspec.json.decode(document, type=shape)
