"""`LabelLists`: the cells of a column that lists labels, such as `cat|dog`."""

import ast
import json
import re
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mlic.errors import Faults
from mlic.labels.cells import unknown_class
from mlic.strings import gather, offsets_of

__all__ = ["LabelLists", "Lists"]

_DELIMITERS = ",|;"
_UNKNOWN = frozenset({"?", "nan"})
_NONE = frozenset({"", "no finding"})
_UNCLEAR = frozenset({"none", "null", "n/a", "-1"})


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
        delimiter: between labels; a space stands for any white space; None finds it out, and takes a cell in brackets
            for a list in the notation of Python or JSON.
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

        Notes labels that are not among the classes, "none" beside a label, and cells that may mean several things; what
        such cells say otherwise is taken.
        """
        delimiter = self._delimiter or self._find_delimiter(faults)
        if delimiter is None:
            return None
        named, counts, labelled = self._split(delimiter, faults)
        names = tuple(sorted(named)) if self._classes is None else tuple(self._classes)
        at = {name: column for column, name in enumerate(names)}
        columns = np.array([at[name] for name in self._pieces], np.int64)
        cells, owners = np.frombuffer(self._cells, np.int64), np.frombuffer(self._owners, np.int64)
        cells, owners = cells[owners >= 0], owners[owners >= 0]
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
            The labels with the line that names each first; per cell, the number of its labels that may be; and whether
            it says anything at all.
        """
        named: dict[str, int] = {}
        counts, labelled = [], []
        self._pieces: list[str] = []
        allowed = None if self._classes is None else frozenset(self._classes)
        for cell, line in zip(self._different, self._first_lines, strict=True):
            whole = cell.strip().casefold()
            if whole in self._none | self._unknown:
                labels: list[str] | None = [] if whole in self._none else None
            else:
                labels = self._labels(cell, delimiter, line, faults)
            before = len(self._pieces)
            for label in labels or ():
                if label.casefold() in self._none:
                    faults.add(f"{self._path}:{line}: '{label}' stands beside other labels; expected it alone")
                elif allowed is not None and label not in allowed:
                    faults.add(f"{self._path}:{line}: {unknown_class(label, self._classes or (), faults)}")
                else:
                    named.setdefault(label, line)
                    self._pieces.append(label)
            counts.append(len(self._pieces) - before)
            labelled.append(labels is not None)
        return named, counts, labelled

    def _labels(self, cell: str, delimiter: str, line: int, faults: Faults) -> list[str] | None:
        """Returns what a cell lists; None for one that cannot be read, which is noted."""
        text = cell.strip()
        if text.casefold() in _UNCLEAR and text not in (self._classes or ()):
            faults.add(
                f"{self._path}:{line}: column '{self._column}' holds '{text}'; if it means none of the classes "
                f"give negative_value: '{text}', if it means not labelled unknown_value: '{text}'"
            )
            return None
        if self._is_list(cell):
            pieces = _read_list(cell)
            if pieces is None:
                faults.add(
                    f"{self._path}:{line}: column '{self._column}' holds {text[:40]}, which is no list of texts; "
                    "expected one such as ['cat', 'dog'], or give delimiter: what separates labels"
                )
                return None
        else:
            pieces = cell.split() if delimiter.isspace() else cell.split(delimiter)
        return list(dict.fromkeys(label for piece in pieces if (label := piece.strip())))

    def _is_list(self, cell: str) -> bool:
        return self._delimiter is None and re.fullmatch(r"\s*\[.*\]\s*", cell, re.DOTALL) is not None

    def _find_delimiter(self, faults: Faults) -> str | None:
        found: dict[str, int] = {}
        words: dict[str, int] = {}
        for cell, line in zip(self._different, self._first_lines, strict=True):
            if self._is_list(cell):
                continue
            words[cell.strip()] = line
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
        if not found and self._classes is None:
            self._judge_spaces(words, faults)
        # Without any delimiter each cell is one label, which a split at any of them leaves whole.
        return next(iter(found), _DELIMITERS[0])

    def _judge_spaces(self, cells: Mapping[str, int], faults: Faults) -> None:
        """Notes cells that combine so few words that spaces may well separate labels."""
        lines = {cell: line for cell, line in cells.items() if cell.casefold() not in self._none | self._unknown}
        words = {word for cell in lines for word in cell.split()}
        spaced = next((line for cell, line in lines.items() if len(cell.split()) > 1), None)
        if spaced is not None and len(words) * 3 <= len(lines) * 2:
            faults.add(
                f"{self._path}:{spaced}: the {len(lines)} different cells of column '{self._column}' are made of "
                f"{len(words)} words; give delimiter: ' ' if a space separates labels, ',' if each cell is one label"
            )


def _read_list(cell: str) -> list[str] | None:
    """Reads a list of texts in the notation of JSON or Python; None if it is none."""
    # Python joins texts without a comma between them, which is how numpy writes an array: ['cat' 'dog'].
    if re.search(r"""(['"])\s+\1""", cell):
        return None
    for parse in (json.loads, ast.literal_eval):
        try:
            items = parse(cell.strip())
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        return items if isinstance(items, list) and all(isinstance(item, str) for item in items) else None
    return None
