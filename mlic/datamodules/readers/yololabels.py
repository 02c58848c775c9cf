"""The label file of an image, as YOLO writes it: a line an object."""

import os
import re
import stat
from collections.abc import Iterator

__all__ = ["classes_of", "looks_like_labels", "read_labels"]

_NUMBER = rb"[-+]?+(?:\d++(?:\.\d*+)?+|\.\d++)(?:[eE][-+]?+\d++)?+"
_LINE = rb"[ \t\r\n]*+\d{1,9}+(?:[ \t]++" + _NUMBER + rb"){4,}+[ \t]*+(?=[\r\n]|\Z)"
# A whole file at once, which is twenty times quicker than line by line. Nothing in it is ever tried twice.
_LINES = re.compile(rb"(?:\xef\xbb\xbf)?+(?:" + _LINE + rb")*+[ \t\r\n]*+")
_CLASS = re.compile(rb"(?:\A(?:\xef\xbb\xbf)?+|[\r\n])[ \t]*+(\d++)")
_A_NUMBER = re.compile(_NUMBER)
# A pipe would wait for a writer; Windows would take line ends apart.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_CHUNK = 1 << 16
_MOST = 1 << 24  # bytes: the outlines of many thousand objects
_FEWEST = 5  # columns: the class and a box


def read_labels(file: str) -> bytes:
    """Returns what is in a label file. There may be a million of them, so this does the least that is safe.

    Raises:
        OSError: if it cannot be read, or is larger than the labels of an image can be.
    """
    descriptor = os.open(file, _FLAGS)
    try:
        data = os.read(descriptor, _CHUNK)
        if not data and not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "it is not a file")
        if len(data) == _CHUNK:
            data += os.read(descriptor, _MOST)
    finally:
        os.close(descriptor)
    if len(data) > _MOST:
        raise OSError(0, f"it has more than {_MOST >> 20} MiB")
    return data


def looks_like_labels(data: bytes) -> bool:
    """Says whether all lines are labels."""
    return bool(data.strip()) and _LINES.fullmatch(data) is not None


def classes_of(data: bytes, num_classes: int) -> tuple[set[int], Iterator[tuple[int, str]]]:
    r"""Returns the positions of the classes that a label file names, and what is wrong with its lines.

    Args:
        data: what is in the file.
        num_classes: how many classes there are.

    Example:
        >>> classes_of(b"1 .5 .5 .2 .2\n0 0.1 0.1 0.9 0.1 0.9 0.9\n", num_classes=2)[0]
        {0, 1}
        >>> list(classes_of(b"\n2 .5 .5 .2 .2\n", num_classes=2)[1])
        [(2, "class '2' is none of the 2; expected 0 to 1")]
    """
    if _LINES.fullmatch(data):
        found = set(map(int, set(_CLASS.findall(data))))
        if not found or max(found) < num_classes:
            return found, iter(())
    lines = [line.split() for line in data.removeprefix(b"\xef\xbb\xbf").splitlines()]
    faults = ((number, fault) for number, line in enumerate(lines, 1) if line and (fault := _fault(line, num_classes)))
    return {int(line[0]) for line in lines if line and not _fault(line, num_classes)}, faults


def _fault(columns: list[bytes], num_classes: int) -> str:
    """Says what is wrong with a line; nothing if it is right."""
    label, *numbers = (column.decode(errors="replace") for column in columns[:1000])
    if not (columns[0].isdigit() and len(columns[0]) < 10 and int(columns[0]) < num_classes):
        return f"class '{label:.40}' is none of the {num_classes}; expected 0 to {num_classes - 1}"
    if len(columns) < _FEWEST:
        return f"a line of {len(columns)} columns; expected a class and a box, such as '{label} 0.5 0.5 0.2 0.2'"
    wrong = next((number for number, column in zip(numbers, columns[1:], strict=False) if not _is_number(column)), None)
    return "" if wrong is None else f"'{wrong:.40}' is no number; expected a class and numbers"


def _is_number(column: bytes) -> bool:
    return _A_NUMBER.fullmatch(column) is not None
