"""The cells of a table: from what a reader collects to sorted arrays, and the checks on the way."""

import operator
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt
from jaxtyping import Shaped

from mlic.errors import Faults, LabelError, UsageError, did_you_mean
from mlic.strings import Strings

__all__ = [
    "Lister",
    "check_fractions",
    "check_length",
    "check_names",
    "check_values",
    "prefix",
    "smallest",
    "sorted_cells",
    "stored",
    "unknown_class",
]


class Lister:
    """Turns names and positions of classes into columns, and notes those that are none."""

    def __init__(self, classes: tuple[str, ...], paths: Strings, source: str) -> None:
        self.faults = Faults()
        self.columns = array("q")
        self._classes, self._paths, self._source = classes, paths, source
        self._position = {name: column for column, name in enumerate(classes)}

    def add(self, row: int, labels: Iterable[str | SupportsIndex]) -> int:
        """Adds the cells of one row and returns their number."""
        before = len(self.columns)
        if isinstance(labels, str):
            self.faults.add(f"{self._at(row)}labels are the text {labels!r}; expected a list of classes")
            return 0
        self.columns.extend({self._column(row, label) for label in labels} - {-1})
        return len(self.columns) - before

    def _column(self, row: int, label: str | SupportsIndex) -> int:
        if isinstance(label, str):
            if label in self._position:
                return self._position[label]
            self.faults.add(f"{self._at(row)}{unknown_class(label, self._classes, self.faults)}")
            return -1
        column = operator.index(label)
        if 0 <= column < len(self._classes):
            return column
        self.faults.add(f"{self._at(row)}class {column} is not among 0 to {len(self._classes) - 1}")
        return -1

    def _at(self, row: int) -> str:
        return prefix(self._source) + (prefix(self._paths[row]) if row < len(self._paths) else "")


def prefix(where: str) -> str:
    """Returns what opens a message about `where`; nothing where that is not known."""
    return f"{where}: " if where else ""


def unknown_class(name: str, names: Sequence[str], faults: Faults) -> str:
    """Says that a class is not among `names`, and which one may be meant."""
    # The search for a similar name is slow, and nobody reads the hint of the thousandth fault.
    hint = "" if faults.is_full else did_you_mean(name, names)
    return f"class '{name}' is not among the {len(names)} classes{hint}"


def smallest(num_classes: int) -> npt.DTypeLike:
    """The smallest integers that hold the positions of all classes."""
    return np.min_scalar_type(max(0, num_classes - 1))


def check_names(names: tuple[str, ...], source: str) -> None:
    """Checks that no class is there twice.

    Raises:
        LabelError: with all that are.
    """
    faults, seen = Faults(), set[str]()
    for name in names:
        if name in seen:
            faults.add(f"{prefix(source)}class '{name}' is there twice; expected each class once")
        seen.add(name)
    faults.raise_if_any()


def check_length(what: str, length: int, paths: Strings, source: str) -> None:
    """Checks that there is one of `what` for each path.

    Raises:
        LabelError: if there is not.
    """
    if length != len(paths):
        raise LabelError(f"{prefix(source)}{length} {what} for {len(paths)} paths; expected one each")


def check_values(values: Shaped[np.ndarray, "..."], source: str) -> None:
    """Checks that labels are 1, 0 or -1; those of a floating type may lie between 0 and 1.

    Raises:
        LabelError: with the first that is something else.
    """
    right = (values == 1) | (values == 0) | (values == -1)
    if np.issubdtype(values.dtype, np.floating):
        right |= (values > 0) & (values < 1)
    strange = values[~right]
    if len(strange):
        raise LabelError(
            f"{prefix(source)}a label is {strange[0]}; expected 1 (present), 0 (absent), -1 (unknown) or, where labels "
            "are probabilities, a number between 0 and 1"
        )


def stored(values: Shaped[np.ndarray, " cells"]) -> Shaped[np.ndarray, " cells"]:
    """Returns labels as a table holds them: int8, or float32 where one of them lies between 0 and 1."""
    if np.issubdtype(values.dtype, np.floating) and ((values > 0) & (values < 1)).any():
        return values.astype(np.float32, copy=False)
    return values.astype(np.int8, copy=False)


def check_fractions(fractions: Mapping[str, float]) -> None:
    """Checks that the shares of the sides beside train are shares.

    Raises:
        UsageError: if one is not, or they exceed 1 together.
    """
    for side, fraction in fractions.items():
        if side == "train":
            raise UsageError("train is what the other sides leave; give the shares of those")
        if not 0 <= fraction <= 1:
            raise UsageError(f"{side} is {fraction}; expected a share of the samples, 0 to 1")
    if sum(fractions.values()) > 1 + 1e-9:
        raise UsageError(
            f"{' and '.join(fractions)} take {sum(fractions.values()):g} of the samples; expected at most 1"
        )


def sorted_cells(
    rows: npt.NDArray[Any],
    columns: npt.NDArray[Any],
    values: npt.NDArray[Any],
    paths: Strings,
    names: tuple[str, ...],
    source: str,
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """Sorts cells by row, then column.

    Raises:
        LabelError: if one is outside the table or there twice.
    """
    for what, index, size in (("row", rows, len(paths)), ("column", columns, len(names))):
        if len(index) and not (index.min() >= 0 and index.max() < size):
            raise LabelError(f"{prefix(source)}a cell is in {what} {index.min()} to {index.max()}; there are {size}")
    in_order = (rows[1:] > rows[:-1]) | ((rows[1:] == rows[:-1]) & (columns[1:] > columns[:-1]))
    if not in_order.all():
        key = rows.astype(np.int64) * len(names) + columns
        order = np.argsort(key, kind="stable")
        rows, columns, values = rows[order], columns[order], values[order]
        twice = np.flatnonzero(np.diff(key[order]) == 0)
        if len(twice):
            image, name = paths[rows[twice[0]]], names[columns[twice[0]]]
            raise LabelError(f"{prefix(source)}image '{image}' has two labels for class '{name}'; expected one")
    return rows, columns, values
