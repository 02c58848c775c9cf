"""`LabelLists`: the cells of a column that lists labels, such as `cat|dog`."""

from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mlic.errors import Faults, did_you_mean
from mlic.strings import gather, offsets_of

__all__ = ["LabelLists", "Lists"]

_DELIMITERS = ",|;"
_UNKNOWN = frozenset({"?", "nan"})
_NONE = frozenset({"", "no finding"})


class Lists(NamedTuple):
    """What a column says: the classes, where each is first named, the present cells, and each image's fill."""

    classes: tuple[str, ...]
    origins: Mapping[str, str]
    rows: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]
    fill: npt.NDArray[np.int8]


class LabelLists:
    """Collects cells, and splits each different one once at the end.

    Args:
        path: of the file, for messages.
        column: the name of the column, for messages.
        delimiter: between labels; a space stands for any white space; None finds it out.
        classes: the labels there may be, in order; None takes all there are, sorted by name.
        negative_value: a cell that says "none", beside a blank and `No Finding`.
        unknown_value: a cell that says "not labelled", beside `?` and `nan`.
    """

    def __init__(
        self,
        path: Path,
        column: str,
        delimiter: str | None,
        classes: Sequence[str] | None,
        negative_value: str | None,
        unknown_value: str | None,
    ) -> None:
        self._path, self._column, self._delimiter, self._classes = path, column, delimiter, classes
        self._none, self._unknown = set(_NONE), set(_UNKNOWN)
        for value, its, other in (
            (negative_value, self._none, self._unknown),
            (unknown_value, self._unknown, self._none),
        ):
            if value is not None:
                its.add(value.strip().casefold())
                other.discard(value.strip().casefold())
        self._different: dict[str, int] = {}
        self._first_lines = array("q")
        self._cells = array("q")
        self._owners = array("q")

    def add(self, line: int, owner: int, cell: str) -> None:
        """Adds the cell of one image.

        Args:
            line: of the file.
            owner: the number of the image; -1 if it is faulty.
            cell: as it is written.
        """
        if cell not in self._different:
            self._different[cell] = len(self._different)
            self._first_lines.append(line)
        self._cells.append(self._different[cell])
        self._owners.append(owner)

    def lists(self, num_images: int, faults: Faults) -> Lists | None:
        """Returns the union of each image's cells; None where the delimiter is not known.

        Notes labels that are not among the classes, and "none" beside a label.
        """
        delimiter = self._delimiter or self._find_delimiter(faults)
        if delimiter is None:
            return None
        named, counts, labelled = self._split(delimiter, faults)
        names = tuple(sorted(named)) if self._classes is None else tuple(self._classes)
        at = {name: column for column, name in enumerate(names)}
        columns = np.array([at[name] for name in self._pieces if name in at], np.int64)
        if faults.count:
            return None
        cells, owners = np.frombuffer(self._cells, np.int64), np.frombuffer(self._owners, np.int64)
        offsets, (columns,) = gather(offsets_of(np.array(counts, np.int64)), cells, columns)
        width = max(1, len(names))
        keys = np.unique(np.repeat(owners, np.diff(offsets)) * width + columns)
        fill = np.full(num_images, -1, np.int8)
        fill[owners[np.array(labelled, np.bool_)[cells]]] = 0
        origins = {name: f"{self._path}:{line}" for name, line in named.items()}
        return Lists(names, origins, keys // width, keys % width, fill)

    def _split(self, delimiter: str, faults: Faults) -> tuple[dict[str, int], list[int], list[bool]]:
        """Splits each different cell.

        Returns:
            The labels with the line that names each first; per cell, the number of its labels; and whether it says
            anything at all.
        """
        named: dict[str, int] = {}
        counts, labelled = [], []
        self._pieces: list[str] = []
        allowed = None if self._classes is None else frozenset(self._classes)
        for cell, line in zip(self._different, self._first_lines, strict=True):
            whole = cell.strip().casefold()
            labelled.append(whole not in self._unknown)
            pieces = self._labels(cell, delimiter) if labelled[-1] and whole not in self._none else []
            for label in pieces:
                named.setdefault(label, line)
                if label.casefold() in self._none:
                    faults.add(f"{self._path}:{line}: '{label}' stands beside other labels; expected it alone")
                elif allowed is not None and label not in allowed:
                    hint = "" if faults.is_full else did_you_mean(label, self._classes or ())
                    where = f"{self._path}:{line}: "
                    faults.add(f"{where}class '{label}' is not among the {len(allowed)} classes{hint}")
            counts.append(len(pieces))
            self._pieces.extend(pieces)
        return named, counts, labelled

    def _labels(self, cell: str, delimiter: str) -> list[str]:
        pieces = cell.split() if delimiter.isspace() else cell.split(delimiter)
        return [label for piece in dict.fromkeys(pieces) if (label := piece.strip())]

    def _find_delimiter(self, faults: Faults) -> str | None:
        found: dict[str, int] = {}
        for cell, line in zip(self._different, self._first_lines, strict=True):
            for delimiter in _DELIMITERS:
                if delimiter in cell:
                    found.setdefault(delimiter, line)
        if len(found) > 1:
            places = " and ".join(f"'{delimiter}' (line {line})" for delimiter, line in found.items())
            line = max(found.values())
            faults.add(
                f"{self._path}:{line}: the cells of column '{self._column}' hold {places}; "
                "give delimiter: the one that separates labels"
            )
            return None
        # Without any delimiter each cell is one label, which a split at any of them leaves whole.
        return next(iter(found), _DELIMITERS[0])
