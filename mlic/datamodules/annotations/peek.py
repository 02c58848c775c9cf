"""The first bytes of an annotation file: enough to tell which format it is, whatever its size."""

import codecs
import csv
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from xml.parsers import expat

__all__ = ["entry_names", "first_rows", "head", "json_shape", "xml_root"]

_BYTES = 1 << 16
_DEPTH = 5
_SEPARATORS = ",;\t"
# Possessive (`++`): a pattern that tries again may do so for hours on a file that is made for it.
_TOKEN = re.compile(
    r'"(?P<key>(?:[^"\\]|\\.)*+)"\s*+:|"(?:[^"\\]|\\.)*+(?:"|.?\Z)|(?P<sign>[\[\]{}])|[^\s\[\]{},:"]++', re.DOTALL
)


def head(path: Path, size: int = _BYTES) -> str:
    """Returns the text that a file begins with, without a byte-order mark; "" if it is no UTF-8 text file."""
    try:
        # A character may be cut by the end of what was read.
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(_first_bytes(path, size))
    except UnicodeDecodeError:
        return ""
    return "" if "\0" in text else text


def first_rows(path: Path, count: int = 20) -> list[list[str]]:
    """Returns the first rows of a CSV file, the header among them, without the spaces around cells."""
    text = head(path)
    lines = text.splitlines()
    if len(text.encode()) >= _BYTES - 6:  # `head` takes a byte-order mark off, and what is left of a character
        del lines[-1:]  # it may be cut
    lines = [line for line in lines if line.strip()]
    if not lines:
        return []
    separator = max(_SEPARATORS, key=re.sub(r'"[^"]*"', "", lines[0]).count)
    rows: Iterator[list[str]] = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    try:
        return [[cell.strip() for cell in row] for row in islice(rows, count)]
    except csv.Error:
        return []


def json_shape(path: Path) -> frozenset[str]:
    """Returns the paths of the keys that a JSON or JSON lines file begins with, `[]` standing for the items of a list.

    `LINES` is among them where a second document follows the first.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "a.json")
        ...     _ = path.write_text('{"images": [{"id": 1}, {"id"')
        ...     sorted(json_shape(path))
        ['images', 'images[].id']
    """
    seen: set[str] = set()
    containers: list[str] = []  # the path of what each that is open holds: an object's own, a list's with [] behind it
    value = ""  # the path of the value that comes next
    documents = 0
    for token in _TOKEN.finditer(head(path)):
        sign, key = token["sign"], token["key"]
        if not containers:
            if sign not in ("{", "["):
                break
            documents += 1
        if sign in ("{", "["):
            # Below the last keys that are told, paths need not grow; a file may hold nothing but brackets.
            deep = len(containers) >= _DEPTH
            containers.append(f"{value}[]" if sign == "[" and not deep else value)
        elif sign:
            containers.pop()
        elif key is not None and len(containers) <= _DEPTH:
            value = f"{containers[-1]}.{key}" if containers[-1] else key
            seen.add(value)
            continue
        value = containers[-1] if containers else ""
    return frozenset(seen | {"LINES"} if documents > 1 else seen)


def xml_root(path: Path) -> str:
    """Returns the name of a file's outermost XML element, whatever its encoding; "" if it is no XML."""
    parser = expat.ParserCreate()
    parser.StartElementHandler = _found
    parser.StartDoctypeDeclHandler = _refuse_declarations
    try:
        parser.Parse(_first_bytes(path, _BYTES), False)
    except _FoundError as found:
        return str(found)
    except (expat.ExpatError, ValueError, LookupError):  # no XML, or an encoding that nobody knows
        return ""
    return ""


def entry_names(folder: Path) -> frozenset[str]:
    """Returns the names of what lies in a folder; none if it cannot be read."""
    try:
        return frozenset(entry.name for entry in folder.iterdir())
    except (OSError, ValueError):  # a NUL in its name
        return frozenset()


class _FoundError(Exception):
    """Ends the parsing of what is known by its first element."""


def _found(name: str, _: dict[str, str]) -> None:
    raise _FoundError(name)


def _refuse_declarations(_: str, __: str | None, ___: str | None, has_declarations: int) -> None:
    if has_declarations:  # entities, which could be endless
        raise ValueError


def _first_bytes(path: Path, size: int) -> bytes:
    """Returns what a file begins with; nothing if it cannot be read."""
    try:
        # os.open would wait for a writer where `path` is a pipe.
        if not path.is_file():
            return b""
        with path.open("rb") as stream:
            return stream.read(size)
    except (OSError, ValueError):
        return b""
