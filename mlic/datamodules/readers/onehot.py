"""`OneHotCells`: the cells of a table with a column a class."""

import operator
from array import array
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from jaxtyping import Int8

from mlic.errors import Faults, LabelError

__all__ = ["CellValue", "OneHotCells", "Spellings"]

CellValue = str | int | float
"""What a cell may hold: `-1` in YAML is a number."""

_ABSENT, _PRESENT = 0, 1
_UNKNOWN, _MINUS_ONE, _UNREADABLE = 255, 254, 253  # -1, -2 and -3 as int8
_WORDS = {"true": _PRESENT, "yes": _PRESENT, "false": _ABSENT, "no": _ABSENT}
_WORDS |= {"": _UNKNOWN, "?": _UNKNOWN, "nan": _UNKNOWN}
_NUMBERS = {1.0: _PRESENT, 0.0: _ABSENT, -1.0: _MINUS_ONE}
_SHOWN = 20
_REMEMBERED = 10_000


class Spellings(dict[str, int]):
    """From a cell as it is written to its code; reads each spelling once.

    Args:
        negative_value: the spelling that means absent, beside `0`, `false` and `no`.
        unknown_value: the spelling that means unknown, beside a blank, `?` and `nan`.

    Raises:
        LabelError: if the two are the same, or one of them means present.

    Example:
        >>> spellings = Spellings(None, -1)
        >>> [spellings[cell] for cell in (" 1", "0.0", "", "-1.0", "maybe")]
        [1, 0, 255, 255, 253]
    """

    def __init__(self, negative_value: CellValue | None, unknown_value: CellValue | None) -> None:
        super().__init__()
        self._told: list[tuple[str, int]] = []
        for name, value, code in (
            ("negative_value", negative_value, _ABSENT),
            ("unknown_value", unknown_value, _UNKNOWN),
        ):
            if value is None:
                continue
            text = _folded(str(value))
            if _read(text) == _PRESENT:
                raise LabelError(f"{name} is {value!r}, which means present; expected another spelling")
            if any(_same(text, other) for other, _ in self._told):
                raise LabelError(f"negative_value and unknown_value are both {value!r}; expected two spellings")
            self._told.append((text, code))

    @property
    def is_default(self) -> bool:
        """Whether the user has said nothing about what cells mean."""
        return not self._told

    def __missing__(self, cell: str) -> int:
        text = _folded(cell)
        code = next((code for told, code in self._told if _same(text, told)), _read(text))
        if len(self) < _REMEMBERED:
            self[cell] = code
        return code

    def reads(self, cell: str) -> bool:
        """Says whether a cell is a label, or could be one once `-1` is explained."""
        return self[cell] != _UNREADABLE

    def knows(self, cell: str) -> bool:
        """Says whether a cell means present or absent."""
        return self[cell] in (_ABSENT, _PRESENT)


class OneHotCells:
    """Collects rows of cells, a byte each, and turns them into labels at the end.

    Args:
        path: of the file, for messages.
        columns: where the class columns are.
        classes: their names.
        spellings: what a cell means.
    """

    def __init__(self, path: Path, columns: Sequence[int], classes: Sequence[str], spellings: Spellings) -> None:
        self._path, self._classes, self._columns = path, classes, columns
        self._spelling, self._explained = spellings.__getitem__, not spellings.is_default
        contiguous = list(columns) == list(range(columns[0], columns[0] + len(columns)))
        self._pick = operator.itemgetter(slice(columns[0], columns[-1] + 1) if contiguous else slice(None))
        self._contiguous = contiguous
        self._codes = bytearray()
        self._lines = array("q")
        self._owners = array("q")
        self._unreadable: dict[int, list[tuple[int, str]]] = {}
        self._num_unreadable = [0] * len(classes)
        self._minus_one: tuple[int, int] | None = None
        self._blank: tuple[int, int] | None = None

    def add(self, line: int, owner: int, cells: Sequence[str]) -> None:
        """Adds the row of one image.

        Args:
            line: of the file.
            owner: the number of the image; -1 if it is faulty.
            cells: the whole row.
        """
        picked = self._pick(cells) if self._contiguous else [cells[column] for column in self._columns]
        codes = bytes(map(self._spelling, picked))
        if _UNREADABLE in codes:
            self._note_unreadable(line, codes, picked)
        if self._minus_one is None and _MINUS_ONE in codes:
            self._minus_one = line, codes.index(_MINUS_ONE)
        if self._blank is None and _UNKNOWN in codes:
            blank = next((at for at, cell in enumerate(picked) if not cell.strip()), None)
            self._blank = None if blank is None else (line, blank)
        self._codes += codes
        self._lines.append(line)
        self._owners.append(owner)

    def labels(self, paths: Sequence[str], faults: Faults) -> Int8[np.ndarray, "samples classes"]:
        """Returns the labels of each image; several rows of one image complete each other.

        Notes unreadable cells, a `-1` or a blank that nobody explained, and rows of one image that contradict each
        other.
        """
        codes = np.frombuffer(self._codes, np.int8).reshape(len(self._lines), len(self._classes))
        self._judge_unreadable(codes, faults)
        self._judge_minus_one(codes, faults)
        self._judge_blanks(codes, faults)
        owners = np.frombuffer(self._owners, np.int64)
        # A faulty table is never used; its faults are all there is to find out.
        if len(owners) == len(paths) or faults.count:
            return codes
        return self._merge(codes, owners, paths, faults)

    def _note_unreadable(self, line: int, codes: bytes, cells: Sequence[str]) -> None:
        at = codes.find(_UNREADABLE)
        while at >= 0:
            self._num_unreadable[at] += 1
            if self._num_unreadable[at] <= _SHOWN:
                self._unreadable.setdefault(at, []).append((line, cells[at].strip()))
            at = codes.find(_UNREADABLE, at + 1)

    def _judge_unreadable(self, codes: Int8[np.ndarray, "rows classes"], faults: Faults) -> None:
        for column, cells in sorted(self._unreadable.items()):
            name, count = self._classes[column], self._num_unreadable[column]
            filled = int(np.count_nonzero(codes[:, column] != -1))
            line, text = cells[0]
            if count > 1 and count * 2 > filled:
                faults.add(
                    f"{self._path}:{line}: column '{name}' holds '{_short(text)}' and {count - 1} more cells that are "
                    f"no labels; if it is no class, give ignore_columns: ['{name}']; if its cells list labels, "
                    f"label_column: '{name}'"
                )
                continue
            for line, text in cells:
                faults.add(
                    f"{self._path}:{line}: column '{name}' holds '{_short(text)}'; expected 1 (present), 0 (absent) or "
                    f"blank (unknown), or give ignore_columns: ['{name}'] if it is no class"
                )
            if count > len(cells):
                faults.add(f"{self._path}: column '{name}' holds {count - len(cells)} more such cells")

    def _judge_minus_one(self, codes: Int8[np.ndarray, "rows classes"], faults: Faults) -> None:
        if self._minus_one is None:
            return
        line, column = self._minus_one
        where = f"{self._path}:{line}: column '{self._classes[column]}' holds -1, which may mean absent or unknown"
        if (codes == _ABSENT).any():
            guess = "the file has 1, 0 and -1, as where -1 means uncertain: then give unknown_value: -1"
            other = "negative_value: -1 if it means absent"
        else:
            guess = "the file has 1 and -1 but no 0, as where -1 means absent: then give negative_value: -1"
            other = "unknown_value: -1 if it means unknown"
        faults.add(f"{where}; {guess}; or {other}")

    def _judge_blanks(self, codes: Int8[np.ndarray, "rows classes"], faults: Faults) -> None:
        if self._blank is None or self._explained or self._minus_one is not None:
            return
        if (codes == _PRESENT).any() and not (codes == _ABSENT).any():
            line, column = self._blank
            faults.add(
                f"{self._path}:{line}: column '{self._classes[column]}' holds a blank and no cell is 0; if a blank "
                "means absent give negative_value: ''; if it means unknown give unknown_value: ''"
            )

    def _merge(
        self,
        codes: Int8[np.ndarray, "rows classes"],
        owners: npt.NDArray[np.int64],
        paths: Sequence[str],
        faults: Faults,
    ) -> Int8[np.ndarray, "samples classes"]:
        order = np.argsort(owners, kind="stable")
        counts = np.bincount(owners, minlength=len(paths))
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        labels: npt.NDArray[np.int8] = codes[order[starts]]
        for image in map(int, np.flatnonzero(counts > 1)):
            rows = order[starts[image] : starts[image] + counts[image]]
            labels[image] = codes[rows].max(axis=0)
            torn = (codes[rows] == _ABSENT).any(axis=0) & (labels[image] == _PRESENT)
            for column in map(int, np.flatnonzero(torn)):
                self._note_contradiction(rows[codes[rows, column] != -1], column, codes, paths[image], faults)
        return labels

    def _note_contradiction(
        self,
        rows: npt.NDArray[np.int64],
        column: int,
        codes: Int8[np.ndarray, "rows classes"],
        image: str,
        faults: Faults,
    ) -> None:
        first = rows[0]
        second = rows[np.flatnonzero(codes[rows, column] != codes[first, column])[0]]
        words = {_PRESENT: "present", _ABSENT: "absent"}
        here, there = (words[int(codes[row, column])] for row in (second, first))
        faults.add(
            f"{self._path}:{self._lines[second]}: class '{self._classes[column]}' is {here} in image '{image}', but "
            f"{there} on line {self._lines[first]}; expected rows of one image to agree"
        )


def _folded(cell: str) -> str:
    return cell.strip().casefold()


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _same(text: str, told: str) -> bool:
    return text == told or (_number(text) is not None and _number(text) == _number(told))


def _read(text: str) -> int:
    if text in _WORDS:
        return _WORDS[text]
    number = _number(text)
    return _UNREADABLE if number is None else _NUMBERS.get(number, _UNREADABLE)


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
