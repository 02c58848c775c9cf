"""JSON documents with one long array, read a part at a time, so that they need not fit into memory."""

import re
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec

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
        item: what the array holds.
        take: is called with the items, some at a time, in their order.
        size: of a part, in bytes; an item may be longer.

    Returns:
        The document, with an empty array, and what `take` returned; None if the file is anything else, be it valid or
        not: then read it with `read_json`, which tells what is wrong.

    Raises:
        LabelError: if the file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return _read(stream, shape, key, item, take, size)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    except OSError as error:
        raise LabelError(f"{path}: cannot be read ({error.strerror}); expected a JSON file") from error


def _read(
    stream: BinaryIO, shape: type[Shape], key: str, item: type[Item], take: Callable[[Sequence[Item]], Taken], size: int
) -> tuple[Shape, list[Taken]] | None:
    start = _before_array(stream, key, size)
    if start is None:
        return None
    before, window = start
    window += stream.read(size)
    decoder: msgspec.json.Decoder[list[Item]] = msgspec.json.Decoder(list[item])  # type: ignore[valid-type]
    taken: list[Taken] = []
    ends = _NOTHING_LEFT.match(window)
    after = None if ends is None else ends.end()
    while after is None:
        window += stream.read(max(0, size - len(window)))
        part = _part(window, decoder)
        if part is None:
            # An item is longer than the window.
            more = stream.read(len(window))
            if not more:
                return None
            window += more
            continue
        items, rest, is_last = part
        taken.append(take(items))
        if is_last:
            after = rest
        else:
            window = window[rest:]
    document = _around(before, window[after:] + stream.read(), key, shape)
    return None if document is None else (document, taken)


def _before_array(stream: BinaryIO, key: str, size: int) -> tuple[bytes, bytes] | None:
    """Returns the text up to the first array under `key`, without its `[`, and what was read after that."""
    opening = re.compile(rb'"%b"\s*:\s*\[' % re.escape(key.encode()))
    text, seen = bytearray(), 0
    while block := stream.read(size):
        text += block
        match = opening.search(text, seen)
        if match is not None:
            return bytes(text[: match.end() - 1]).removeprefix(_BOM), bytes(text[match.end() :])
        # What opens the array may be cut by the end of the block.
        seen = max(0, len(text) - len(key) - 64)
    return None


def _part(window: bytes, decoder: "msgspec.json.Decoder[list[Item]]") -> tuple[list[Item], int, bool] | None:
    """Returns the items that a window begins with, where the text after them begins, and whether the array ends there.

    What is valid between brackets is cut between items: had the cut been within one, or within a text, that would be
    left open. So a cut need only be likely.
    """
    for match in _cuts(window):
        items = _decoded(window[: match.start() + 1], decoder)
        if items is not None:
            return items, match.end(), False
    for match in islice(_LAST.finditer(window), _TRIES):
        items = _decoded(window[: match.start() + 1], decoder)
        if items is not None:
            return items, match.end(), True
    return None


def _cuts(window: bytes) -> list[re.Match[bytes]]:
    """Returns the last few places where one item seems to end and the next one to begin, the last first."""
    for start in (max(0, len(window) - _NEAR), 0):
        found = deque(_BETWEEN.finditer(window, start), _TRIES)
        if found:
            return list(reversed(found))
    return []


def _decoded(items: bytes, decoder: "msgspec.json.Decoder[list[Item]]") -> list[Item] | None:
    try:
        return decoder.decode(b"[%b]" % items)
    except msgspec.ValidationError:
        raise  # wherever the cut is
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _around(before: bytes, after: bytes, key: str, shape: type[Shape]) -> Shape | None:
    """Returns the document with an empty array, if the array was its own and not one of something in it."""
    if _STAND_IN in before or _STAND_IN in after:
        return None
    document = b"".join((before, _STAND_IN, after))
    outermost: Any = msgspec.defstruct("Outermost", [("found", msgspec.Raw, msgspec.Raw())], rename={"found": key})
    if bytes(msgspec.json.decode(document, type=outermost).found) != _STAND_IN:
        return None
    return msgspec.json.decode(document, type=shape)
