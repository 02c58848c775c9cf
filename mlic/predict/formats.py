"""Rows as text: CSV, JSON lines, and the lines of the classic tool; and where such rows end, to go on after them."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from mlic.errors import UsageError
from mlic.predict.prediction import Prediction, Shown

__all__ = ["ALL", "Csv", "Format", "Jsonl", "Record", "Text"]

ALL = Shown()

_QUOTED = re.compile(rb'"((?:[^"]|"")*)"')


class Record(NamedTuple):
    """A whole row of a file.

    Attributes:
        name: the image, as the format writes it.
        end: the byte after the row.
    """

    name: str
    end: int


@runtime_checkable
class Format(Protocol):
    """How predictions become text."""

    def head(self) -> str:
        """Returns what stands above the rows."""
        ...

    def row(self, prediction: Prediction) -> str:
        """Returns the text of one prediction, with its end."""
        ...

    def name(self, path: str) -> str:
        """Returns the path of an image as its `Record` has it."""
        ...

    def records(self, lines: Iterable[bytes]) -> Iterator[Record]:
        """Yields the whole rows of a file, given its lines from the first; that of the head is among them."""
        ...


class Csv:
    r"""`path,labels,error` and then a column with the score of each class; labels are joined by `|`.

    Where only some scores are shown, one column `scores` takes the place of those of the classes: `dog=0.91|cat=0.25`,
    the highest first, with six digits. Where images have keys, the column `key` follows `path`.

    Args:
        classes: the names of the classes, in order.
        shown: which scores.
        first: the first columns: `("path",)`, or `("path", "key")`.

    Raises:
        UsageError: if a class is called like one of the other columns, or has a `|` in its name.

    Example:
        >>> rows = Csv(["cat", "dog"])
        >>> rows.head() + rows.row(Prediction("a, b.jpg", ("dog",), {"cat": 0.25, "dog": 0.5}))
        'path,labels,error,cat,dog\n"a, b.jpg",dog,,0.250000,0.500000\n'
    """

    def __init__(self, classes: Sequence[str], shown: Shown = ALL, first: Sequence[str] = ("path",)) -> None:
        columns = (*first, "labels", "error")
        unfit = [name for name in classes if "|" in name or (shown.is_all and name in columns)]
        if unfit:
            raise UsageError(f"the class '{unfit[0]}' would make the CSV ambiguous; write JSON lines (.jsonl, --json)")
        self._classes = classes
        self._shown = shown
        self._first = first
        self._columns = (*columns, *(classes if shown.is_all else ("scores",)))

    def head(self) -> str:
        """Returns the names of the columns."""
        return ",".join(map(_cell, self._columns)) + "\n"

    def row(self, prediction: Prediction) -> str:
        """Returns one line; longer where a name has lines of its own."""
        scores = self._shown.of(prediction)
        if self._shown.is_all:
            cells = [f"{scores[name]:.6f}" if scores else "" for name in self._classes]
        else:
            cells = [_cell("|".join(f"{name}={score:.6f}" for name, score in scores.items()))]
        first = [_cell(getattr(prediction, column)) for column in self._first]
        return ",".join([*first, _cell("|".join(prediction.labels)), _cell(prediction.error), *cells]) + "\n"

    def name(self, path: str) -> str:
        """Returns the path."""
        return path

    def records(self, lines: Iterable[bytes]) -> Iterator[Record]:
        """Yields the whole rows; within quotes the end of a line is not the end of a row."""
        row, end = b"", 0
        for line in _whole(lines):
            row += line
            if row.count(b'"') % 2 == 0:
                end += len(row)
                yield Record(_first_cell(row), end)
                row = b""


class Jsonl:
    r"""An object a line: `path`, `labels` (a list), `scores` (class to score) and `error` (null if none).

    Where only some scores are shown, the highest comes first. Where images have keys, the `key` follows the `path`.

    Args:
        shown: which scores.
        first: the first members: `("path",)`, or `("path", "key")`.

    Example:
        >>> Jsonl().row(Prediction("a.jpg", ("dog",), {"cat": 0.25, "dog": 0.5}))
        '{"path": "a.jpg", "labels": ["dog"], "scores": {"cat": 0.25, "dog": 0.5}, "error": null}\n'
    """

    def __init__(self, shown: Shown = ALL, first: Sequence[str] = ("path",)) -> None:
        self._shown = shown
        self._first = first

    def head(self) -> str:
        """Returns nothing."""
        return ""

    def row(self, prediction: Prediction) -> str:
        """Returns one line."""
        row = {
            **{member: getattr(prediction, member) for member in self._first},
            "labels": list(prediction.labels),
            "scores": self._shown.of(prediction),
            "error": prediction.error or None,
        }
        line = json.dumps(row, ensure_ascii=False)
        # A name that is not UTF-8 would make the file no JSON; escaped, `os.fsencode` gives its bytes back.
        return (line if _is_utf8(line) else json.dumps(row)) + "\n"

    def name(self, path: str) -> str:
        """Returns the path."""
        return path

    def records(self, lines: Iterable[bytes]) -> Iterator[Record]:
        """Yields the whole lines.

        Raises:
            UsageError: if one of them is no prediction.
        """
        end = 0
        for number, line in enumerate(_whole(lines), 1):
            end += len(line)
            try:
                yield Record(str(json.loads(line)["path"]), end)
            except (ValueError, KeyError, TypeError):
                raise UsageError(f"line {number} is no prediction that mlic has written") from None


class Text:
    """The path, below it a line `label (score = 0.12345)` for each class, the highest first, and an empty line.

    So printed TensorFlow's label_image. An image that cannot be read has a line `error: ...` in their place.

    Args:
        shown: which scores.

    Example:
        >>> print(Text(Shown(top=1)).row(Prediction("a.jpg", (), {"cat": 0.25, "dog": 0.5})), end="")
        a.jpg
        dog (score = 0.50000)
        <BLANKLINE>
    """

    def __init__(self, shown: Shown = ALL) -> None:
        self._shown = shown

    def head(self) -> str:
        """Returns nothing."""
        return ""

    def row(self, prediction: Prediction) -> str:
        """Returns some lines."""
        ranked = self._shown.ranked(prediction).items()
        lines = [f"{_one_line(name)} (score = {score:.5f})" for name, score in ranked]
        if prediction.error:
            lines = [f"error: {_one_line(prediction.error)}"]
        return "\n".join([self.name(prediction.path), *lines]) + "\n\n"

    def name(self, path: str) -> str:
        """Returns the path on one line."""
        return _one_line(path)

    def records(self, lines: Iterable[bytes]) -> Iterator[Record]:
        """Yields the whole paragraphs."""
        end, name = 0, None
        for line in _whole(lines):
            end += len(line)
            if name is None:
                name = line[:-1].decode("utf-8", "surrogateescape")
            elif line == b"\n":
                yield Record(name, end)
                name = None


def _cell(text: str) -> str:
    """Returns a cell in quotes where it has to be; Python 3.11's own writer leaves a carriage return without."""
    if any(sign in text for sign in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


def _first_cell(row: bytes) -> str:
    if row.startswith(b'"'):
        quoted = _QUOTED.match(row)
        cell = quoted.group(1).replace(b'""', b'"') if quoted else row
    else:
        cell = row.rstrip(b"\n").partition(b",")[0]
    return cell.decode("utf-8", "surrogateescape")


def _whole(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yields the lines that have an end."""
    return (line for line in lines if line.endswith(b"\n"))


def _one_line(text: str) -> str:
    return text.replace("\r", "\\r").replace("\n", "\\n")


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
