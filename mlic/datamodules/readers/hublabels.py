"""`LabelValues`: what a value of `labels` says: a list, a name, a number, or a mapping from names to labels."""

import ast
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard

import msgspec

from mlic.errors import LabelError, shortened

__all__ = ["LabelValues", "Said"]

_UNKNOWN = frozenset(("?", "nan"))
_UNCLEAR = frozenset(("none", "null", "n/a"))
_DELIMITERS = ",|;"
_SHOWN = 60  # characters of a value in a message
_NUMBER = re.compile(r"[+-]?\d{1,18}(\.0+)?")


class Said(NamedTuple):
    """What is said of an image: a label for each class that is named; whether the others are absent, or unknown."""

    labels: Mapping[str, int | float]
    is_complete: bool


class LabelValues:
    """Reads values, and remembers what cannot be judged by one of them alone.

    Args:
        names: what the numbers stand for, in order; None: that is not known.

    Attributes:
        unnamed: the first number that has no name for want of names, and its place.
        has_mappings: whether there was any mapping.

    Example:
        >>> values = LabelValues(["cat", "dog"])
        >>> values.read(["cat", 1], place=1)
        Said(labels={'cat': 1, 'dog': 1}, is_complete=True)
        >>> values.read({"dog": 0.9}, place=2)
        Said(labels={'dog': 0.9}, is_complete=False)
        >>> values.read(None, place=3), values.read([], place=4)
        (None, Said(labels={}, is_complete=True))
    """

    def __init__(self, names: Sequence[str] | None) -> None:
        self._names = None if names is None else list(names)
        self._known = frozenset(names or ())
        self._cells: dict[str, int] = {}
        self._in_lists: set[str] = set()
        self.unnamed: tuple[int, int] | None = None
        self.has_mappings = False

    def read(self, value: object, place: int) -> Said | None:
        """Returns what a value of JSON or Parquet says; None if it says that the image is unlabelled.

        Raises:
            LabelError: if it is none of those that are read.
        """
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return None
        if isinstance(value, dict):
            self.has_mappings = True
            labels = {self._name(name, place): _label(name, label) for name, label in value.items()}
            if len(labels) < len(value):
                raise LabelError(f"{_short(value)} names a class twice; expected it once")
            return Said(labels, is_complete=False) if labels else None
        items = value if isinstance(value, list) else [value]
        numbers = [item for item in items if _is_number(item)]
        if len(set(numbers)) < len(numbers):
            raise LabelError(
                f"{_short(value)} has a number twice; expected the positions of the classes that are present, not a "
                "1 or 0 for each class"
            )
        return Said(dict.fromkeys((self._name(item, place) for item in items), 1), is_complete=True)

    def read_cell(self, cell: str, place: int) -> Said | None:
        """Returns what a cell of CSV says: a list or a mapping as JSON or Python write it, or one name or number.

        Raises:
            LabelError: as `read`; or if the cell may mean several things.
        """
        folded = cell.casefold()
        if cell in self._known:
            return self.read(cell, place)
        if not cell or folded in _UNKNOWN:
            return None
        if folded in _UNCLEAR:
            raise LabelError(f"'{cell}' may mean no class or not labelled; expected [], or a blank")
        if (cell[0], cell[-1]) in (("[", "]"), ("{", "}")):
            said = self.read(_parsed(cell), place)
            self._in_lists.update(() if said is None else said.labels)
            return said
        if _NUMBER.fullmatch(cell):
            return self.read(int(float(cell)), place)
        self._cells.setdefault(cell, place)
        return self.read(cell, place)

    def unclear_cell(self) -> tuple[str, str, int] | None:
        """Returns a cell that may well be several names, what would separate them, and its place; None if none is.

        It is one if its pieces are in other cells, too, alone or in a list.
        """
        for delimiter in _DELIMITERS:
            pieces = {cell: {piece.strip() for piece in cell.split(delimiter)} for cell in self._cells}
            counts = Counter(piece for cell in pieces.values() for piece in cell)
            for cell, place in self._cells.items():
                if delimiter in cell and any(counts[piece] > 1 or piece in self._in_lists for piece in pieces[cell]):
                    return cell, delimiter, place
        return None

    def _name(self, item: object, place: int) -> str:
        if isinstance(item, str):
            return item.strip()
        if not _is_number(item):
            raise LabelError(f"{_short(item)} is no label; expected the name or the number of a class")
        number = int(item)
        if self._names is None:
            self.unnamed = self.unnamed or (number, place)
            return str(number)
        if not 0 <= number < len(self._names):
            raise LabelError(f"{number} is no class; expected 0 to {len(self._names) - 1}, the numbers of the names")
        return self._names[number]


def _is_number(item: Any) -> TypeGuard[int | float]:
    if isinstance(item, bool):
        return False
    return isinstance(item, int) or (isinstance(item, float) and item.is_integer())


def _label(name: object, value: object) -> int | float:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return -1
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise LabelError(f"{name!r} is {_short(value)}; expected 1, 0, a probability between, or null for unknown")
    return value


def _parsed(cell: str) -> object:
    # Python joins texts without a comma between them, which is how numpy writes an array: ['cat' 'dog'].
    if not re.search(r"""(['"])\s+\1""", cell):
        for parse in (msgspec.json.decode, ast.literal_eval):
            try:
                return parse(cell)
            except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):  # msgspec's are ValueErrors
                continue
    raise LabelError(f'{_short(cell)} is no list; expected one such as ["cat", "dog"]')


def _short(value: object) -> str:
    return shortened(value if isinstance(value, str) else repr(value), _SHOWN)
