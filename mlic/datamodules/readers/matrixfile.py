"""`MatrixFile`: a 0/1 matrix in text, a line an image, perhaps with the number of its ones first or last."""

import re
from array import array
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from mlic.datamodules.annotations.binarycells import flags
from mlic.datamodules.annotations.text import open_text
from mlic.errors import LabelError

__all__ = ["MatrixFile"]

_NO_NUMBER = -1  # stands for a first or last value that is none
_MOST = 10**9

End = Literal["first", "last"]


class MatrixFile:
    """The lines of a matrix: between the first and the last value, which may count the others, all are 0 or 1.

    Separators are commas or white space. Blank lines at the end are none.

    Args:
        path: the file, UTF-8.

    Raises:
        LabelError: if it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.width = 0
        """The number of values on the first line."""
        self.num_lines = 0
        self._lines = array("q")
        self._ends: dict[End, array[int]] = {"first": array("q"), "last": array("q")}
        self._between = bytearray()
        self._no_numbers: dict[tuple[End, int], str] = {}
        self._faults: dict[int, str] = {}
        blank: list[int] = []
        with open_text(path) as stream:
            for number, line in enumerate(stream, 1):
                if not (text := line.strip()):
                    blank.append(number)
                    continue
                # A blank line that something follows is an image's.
                self._faults.update(dict.fromkeys(blank, "a blank line; expected the labels of an image"))
                blank.clear()
                self.num_lines = number
                try:
                    self._add(number, text)
                except LabelError as error:
                    self._faults[number] = str(error)

    def labels(
        self, num_classes: int | None, names: str = ""
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int8], list[str]]:
        """Returns the lines that are right, their labels, and the faults of the others.

        The count of each line is checked and left out.

        Args:
            num_classes: how many there are, so that one value more is the count; None: a first or last value is one if
                it exceeds 1 somewhere and most lines bear it out.
            names: the same in words, with who says so.

        Raises:
            LabelError: if the lines have neither as many values as there are classes nor one more, or if it is not
                clear whether the first or the last value is the count.
        """
        count = self._count_end(num_classes, names)
        found, right = dict(self._faults), np.ones(len(self._lines), np.bool_)
        parts, number = [self._inner()], {"first": 1, "last": self.width}
        for end in self._used_ends():
            values = np.frombuffer(self._ends[end], np.int64)
            if end == count:
                continue
            parts.insert(0 if end == "first" else len(parts), (values == 1).astype(np.int8)[:, None])
            for row in np.flatnonzero((values != 0) & (values != 1)).tolist():
                found[self._lines[row]] = f"value {number[end]} is '{self._written(end, row)}'; expected 0 or 1"
                right[row] = False
        labels = np.concatenate(parts, axis=1)
        if count is not None:
            ones, counts = labels.sum(axis=1, dtype=np.int64), np.frombuffer(self._ends[count], np.int64)
            for row in np.flatnonzero((ones != counts) & right).tolist():
                told = f"the count is '{self._written(count, row)}', but {ones[row]} values are 1"
                found[self._lines[row]] = f"{told}; expected them to agree"
            right &= ones == counts
        faults = [f"{self._path}:{line}: {found[line]}" for line in sorted(found)]
        return np.frombuffer(self._lines, np.int64)[right], labels if right.all() else labels[right], faults

    def _add(self, number: int, text: str) -> None:
        first, between, last = _torn(text)
        row = flags(between, first=2)
        width = len(row) + 1 + (last is not None)
        self.width = self.width or width
        if width != self.width:
            raise LabelError(f"the number of values is {width}; expected {self.width}, as on the first line")
        for end, token in zip(self._used_ends(), (first, last or ""), strict=False):
            value = _whole(token)
            if value == _NO_NUMBER:
                self._no_numbers[end, len(self._lines)] = token[:40]
            self._ends[end].append(value)
        self._lines.append(number)
        self._between += row.encode()

    def _used_ends(self) -> tuple[End, ...]:
        ends: tuple[End, ...] = ("first", "last")
        return ends[: self.width]

    def _inner(self) -> npt.NDArray[np.int8]:
        """Returns the values between the first and the last."""
        inner = np.frombuffer(self._between, np.int8).reshape(len(self._lines), max(0, self.width - 2))
        return inner - np.int8(ord("0"))

    def _written(self, end: End, row: int) -> str:
        return self._no_numbers.get((end, row), str(self._ends[end][row]))

    def _count_end(self, num_classes: int | None, names: str) -> End | None:
        """Returns which value of each line is the number of its ones; None if none is."""
        if num_classes == self.width or not self._lines or (num_classes is None and self.width < 2):
            return None
        if num_classes is not None and num_classes + 1 != self.width:
            raise LabelError(
                f"{self._path}: the number of values on a line is {self.width}; expected one for each of the {names}, "
                "and perhaps their count first or last"
            )
        first, last = (np.frombuffer(self._ends[end], np.int64) for end in self._used_ends())
        ones = self._inner().sum(axis=1, dtype=np.int64)
        borne_out: dict[End, int] = {
            "first": int(np.count_nonzero(first == ones + last)),
            "last": int(np.count_nonzero(last == ones + first)),
        }
        if num_classes is None:
            exceeds: dict[End, bool] = {"first": bool((first > 1).any()), "last": bool((last > 1).any())}
            likely = [end for end in borne_out if exceeds[end] and 2 * borne_out[end] > len(first)]
            return likely[0] if len(likely) == 1 else None
        if borne_out["first"] == borne_out["last"]:
            raise LabelError(
                f"{self._path}: the first and the last value of each line may be the number of its ones; take that out"
            )
        return max(borne_out, key=lambda end: borne_out[end])


def _torn(text: str) -> tuple[str, str, str | None]:
    """Returns the first value of a line, what is between it and the last, and the last; None if there is one value."""
    if "," in text and (" " in text or "\t" in text):
        text = re.sub(r"\s*,\s*", ",", text)
    start = re.search(r"[ \t,]", text)
    if start is None:
        return text, "", None
    end = max(text.rfind(separator) for separator in " \t,")
    if start.start() == end:
        return text[:end], "", text[end + 1 :]
    between = text[start.end() : end].strip()
    if not between and text[end] == ",":
        raise LabelError("value 2 is ''; expected 0 or 1")
    return text[: start.start()], between, text[end + 1 :]


def _whole(token: str) -> int:
    """Returns a whole number that is written as such, or as numpy writes it (`3.000e+00`)."""
    if token.isascii() and token.isdigit() and len(token) < 10:
        return int(token)
    if not re.fullmatch(r"[0-9.eE+-]{1,40}", token):
        return _NO_NUMBER
    try:
        value = float(token)
    except ValueError:
        return _NO_NUMBER
    return int(value) if 0 <= value < _MOST and value == int(value) else _NO_NUMBER
