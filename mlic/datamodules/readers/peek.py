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
_TOKEN = re.compile(r'"(?P<text>(?:[^"\\]|\\.)*)"|(?P<sign>[\[\]{},])|[^\s\[\]{},:"]+')


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
    complete = text if len(text.encode()) < _BYTES - 4 else text[: text.rfind("\n") + 1]
    lines = [line for line in complete.splitlines() if line.strip()]
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

    `lines` in capital letters is among them where a second document follows the first.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "a.json")
        ...     _ = path.write_text('{"images": [{"id": 1}, {"id"')
        ...     sorted(json_shape(path))
        ['images', 'images[].id']
    """
    seen: set[str] = set()
    containers: list[tuple[str, str]] = []  # the sign and the path of each that is open
    value = key = ""  # the paths of the value and of the key that may come next
    expects_key = False
    for match in _TOKEN.finditer(head(path)):
        sign, text = match.group("sign"), match.group("text")
        if not containers and sign not in ("{", "["):
            return frozenset(seen)
        if sign in ("{", "["):
            if not containers and value:
                seen.add("LINES")
            containers.append((sign, value if containers else ""))
            value = key = f"{containers[-1][1]}[]" if sign == "[" else ""
            expects_key = sign == "{"
        elif sign in ("}", "]"):
            containers.pop()
            value = "LINES" if not containers else ""
        elif sign == "," and containers[-1][0] == "{":
            expects_key = True
        elif text is not None and expects_key:
            outer = containers[-1][1]
            value = key = f"{outer}.{text}" if outer else text
            expects_key = False
            if len(containers) <= _DEPTH:
                seen.add(key)
        if sign == "," and containers[-1][0] == "[":
            value = f"{containers[-1][1]}[]"
    return frozenset(seen)


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
    except OSError:
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
