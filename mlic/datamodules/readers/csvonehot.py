"""`OneHotCells`: the cells of a table with a column a class."""

import operator
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from jaxtyping import Int8, Shaped

from mlic.datamodules.annotations.packing import Packer
from mlic.datamodules.annotations.spellings import (
    ABSENT,
    BLANK,
    FRACTION,
    MINUS_ONE,
    PRESENT,
    UNKNOWN,
    UNREADABLE,
    Spellings,
    Uncertain,
)
from mlic.datamodules.readers.csvcolumns import Layout
from mlic.errors import Faults, shortened

__all__ = ["OneHotCells"]

_SHOWN = 20
_BLOCK = 1 << 22  # cells that are worked on at a time
_CODE = {code: code - 256 for code in (MINUS_ONE, UNREADABLE, FRACTION, BLANK)}  # as int8


class OneHotCells:
    """Collects rows of cells, a byte each, and turns them into labels at the end.

    Args:
        path: of the file, for messages.
        layout: what its columns are.
        spellings: what a cell means.
        uncertain: what -1 means.
        soft: whether a number between 0 and 1 is a soft label; otherwise it is a fault.
        packer: of the cells of the classes.
    """

    def __init__(
        self, path: Path, layout: Layout, spellings: Spellings, uncertain: Uncertain, soft: bool, packer: Packer
    ) -> None:
        self._path, self._classes, self._columns = path, layout.classes, layout.class_columns
        self._spelling, self._uncertain, self._packer = spellings.__getitem__, uncertain, packer
        self._explained = uncertain.says_something or not spellings.is_default
        self._is_faulty = {UNREADABLE} if soft else {UNREADABLE, FRACTION}
        first = layout.class_columns[0]
        self._block = None if layout.block is None else operator.itemgetter(slice(first, first + len(self._classes)))
        # Blocks of rows, so that a table can be made of one after the other while they are thrown away.
        self._blocks = [bytearray()]
        self._rows_a_block = max(1, _BLOCK // len(self._classes))
        self._fractions = array("f")
        self._lines = array("q")
        self._owners = array("q")
        self._unreadable: dict[int, list[tuple[int, str]]] = {}
        self._num_unreadable = [0] * len(self._classes)

    def add(self, line: int, owner: int, cells: Sequence[str], codes: bytes) -> None:
        """Adds the row of one image.

        Args:
            line: of the file.
            owner: the number of the image; -1 if it is faulty.
            cells: the whole row, or what of it is not in `codes`.
            codes: the cells of the classes, if they are packed.
        """
        if len(self._blocks[-1]) == self._rows_a_block * len(self._classes):
            self._blocks.append(bytearray())
        self._blocks[-1] += codes or self._codes_of(line, cells)
        self._lines.append(line)
        self._owners.append(owner)

    def labels(self, paths: Sequence[str], faults: Faults) -> Iterable[Shaped[np.ndarray, "_ classes"]]:
        """Returns the labels of the images, in blocks; several rows of one image complete each other. For one call.

        Notes unreadable cells, a `-1` or a blank that nobody explained, and rows of one image that contradict each
        other; such cells are unknown.
        """
        self._judge_unreadable(faults)
        self._judge_minus_one(faults)
        self._judge_blanks(faults)
        owners = np.frombuffer(self._owners, np.int64)
        if len(owners) == len(paths) and (owners >= 0).all():
            return self._settled()  # a row an image, in order
        return [self._merged(np.concatenate(list(self._settled())), owners, paths, faults)]

    def _codes_of(self, line: int, cells: Sequence[str]) -> bytes:
        picked = self._block(cells) if self._block is not None else [cells[column] for column in self._columns]
        codes = self._packer.codes_of(picked)
        if codes is None:
            codes = bytes(map(self._spelling, picked))
            for at, code in enumerate(codes):
                if code in self._is_faulty:
                    self._note_unreadable(line, at, picked[at].strip())
                elif code == FRACTION:
                    self._fractions.append(float(picked[at]))
        return codes

    def _note_unreadable(self, line: int, at: int, cell: str) -> None:
        self._num_unreadable[at] += 1
        if self._num_unreadable[at] <= _SHOWN:
            self._unreadable.setdefault(at, []).append((line, cell))

    def _judge_unreadable(self, faults: Faults) -> None:
        for column, cells in sorted(self._unreadable.items()):
            name, count = self._classes[column], self._num_unreadable[column]
            filled = sum(len(codes) - np.isin(codes, (-1, _CODE[BLANK])).sum() for codes in self._column(column))
            line, text = cells[0]
            if count > 1 and count * 2 > filled:
                soft = "if they are probabilities, give soft: true; " if self._is_fraction(text) else ""
                faults.add(
                    f"{self._path}:{line}: column '{name}' holds '{shortened(text)}' and {count - 1} more cells that "
                    f"are no labels; {soft}if it is no class, give ignore_columns: ['{name}']; if its cells list "
                    f"labels, label_column: '{name}'"
                )
                continue
            for line, text in cells:
                soft = ", or soft: true if labels may be probabilities" if self._is_fraction(text) else ""
                faults.add(
                    f"{self._path}:{line}: column '{name}' holds '{shortened(text)}'; expected 1 (present), 0 (absent) "
                    f"or blank (unknown), or give ignore_columns: ['{name}'] if it is no class{soft}"
                )
            if count > len(cells):
                faults.add(f"{self._path}: column '{name}' holds {count - len(cells)} more such cells")

    def _is_fraction(self, cell: str) -> bool:
        return self._spelling(cell) == FRACTION

    def _judge_minus_one(self, faults: Faults) -> None:
        if not self._holds(MINUS_ONE):
            return
        found = [
            (int(rows[0]) + place * self._rows_a_block, column)
            for column, code in enumerate(self._uncertain.codes(self._classes))
            if code is None
            for place, codes in enumerate(self._column(column))
            if len(rows := np.flatnonzero(codes == _CODE[MINUS_ONE]))
        ]
        if not found:
            return
        row, column = min(found)
        name = self._classes[column]
        where = f"{self._path}:{self._lines[row]}: column '{name}' holds -1, which may mean absent or unknown"
        if self._uncertain.is_partial:
            faults.add(f"{where}; expected uncertain to name '{name}' too, or give unknown_value: -1 for the others")
            return
        if self._holds(ABSENT):
            guess = "the file has 1, 0 and -1, as where -1 means uncertain: then give unknown_value: -1"
            other = "negative_value: -1 if it means absent"
        else:
            guess = "the file has 1 and -1 but no 0, as where -1 means absent: then give negative_value: -1"
            other = "unknown_value: -1 if it means unknown"
        faults.add(f"{where}; {guess}; or {other}")

    def _judge_blanks(self, faults: Faults) -> None:
        if self._explained or self._holds(MINUS_ONE) or not self._holds(PRESENT) or self._holds(ABSENT):
            return
        for place, block in enumerate(self._blocks):
            if BLANK in block:
                row, column = divmod(block.index(BLANK), len(self._classes))
                line = self._lines[place * self._rows_a_block + row]
                faults.add(
                    f"{self._path}:{line}: column '{self._classes[column]}' holds a blank and no cell is 0; if a blank "
                    "means absent give negative_value: ''; if it means unknown give unknown_value: ''"
                )
                return

    def _holds(self, code: int) -> bool:
        return any(code in block for block in self._blocks)

    def _column(self, column: int) -> Iterator[Int8[np.ndarray, " rows"]]:
        """Yields the codes of a column, block by block."""
        return (np.frombuffer(block, np.int8)[column :: len(self._classes)] for block in self._blocks)

    def _settled(self) -> Iterator[Shaped[np.ndarray, "_ classes"]]:
        """Turns codes into labels, block by block, and throws the codes away."""
        minus_one = [-1 if code is None or code == UNKNOWN else code for code in self._uncertain.codes(self._classes)]
        fractions = np.frombuffer(self._fractions, np.float32)
        self._blocks.reverse()
        while self._blocks:
            block = self._blocks.pop()
            codes = np.frombuffer(block, np.int8).reshape(-1, len(self._classes))
            if MINUS_ONE in block:
                np.copyto(codes, np.array(minus_one, np.int8), where=codes == _CODE[MINUS_ONE])
            if len(self._fractions):
                soft = codes == _CODE[FRACTION]
                codes = codes.astype(np.float32)
                codes[soft], fractions = np.split(fractions, [np.count_nonzero(soft)])
            yield np.maximum(codes, -1, out=codes)  # what is not explained is unknown

    def _merged(
        self,
        labels: Shaped[np.ndarray, "rows classes"],
        owners: npt.NDArray[np.int64],
        paths: Sequence[str],
        faults: Faults,
    ) -> Shaped[np.ndarray, "samples classes"]:
        order = np.argsort(owners, kind="stable")
        order = order[np.count_nonzero(owners < 0) :]
        counts = np.bincount(owners[order], minlength=len(paths))
        starts = np.cumsum(counts) - counts
        merged: npt.NDArray[np.generic] = labels[order[starts]]
        for image in map(int, np.flatnonzero(counts > 1)):
            rows = order[starts[image] : starts[image] + counts[image]]
            merged[image] = labels[rows].max(axis=0)
            lowest = np.where(labels[rows] == -1, 2, labels[rows]).min(axis=0)
            torn = np.flatnonzero((lowest < merged[image]) & (merged[image] != -1))
            for told, column in enumerate(map(int, torn)):
                if faults.is_full:
                    faults.count += len(torn) - told
                    break
                self._note_contradiction(rows, column, labels[:, column], paths[image], faults)
            merged[image, torn] = -1
        return merged

    def _note_contradiction(
        self,
        rows: npt.NDArray[np.int64],
        column: int,
        labels: Shaped[np.ndarray, " rows"],
        image: str,
        faults: Faults,
    ) -> None:
        rows = rows[labels[rows] != -1]
        first = rows[0]
        second = rows[np.flatnonzero(labels[rows] != labels[first])[0]]
        here, there = (_word(float(labels[row])) for row in (second, first))
        faults.add(
            f"{self._path}:{self._lines[second]}: class '{self._classes[column]}' is {here} in image '{image}', but "
            f"{there} on line {self._lines[first]}; expected rows of one image to agree"
        )


def _word(label: float) -> str:
    return {1.0: "present", 0.0: "absent"}.get(label, f"{label:g}")
