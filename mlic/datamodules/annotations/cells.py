"""`Cells`: labelled cells in the order in which they come, millions of them."""

from array import array
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Shaped

__all__ = ["Cells"]


class Cells:
    """Rows, columns, values and places, in arrays that grow where they are; values are bytes until one needs more.

    Args:
        keeps_places: whether the places are wanted; without them a cell takes nine bytes instead of thirteen.

    Example:
        >>> cells = Cells()
        >>> cells.add(0, 2, 1, place=7)
        >>> [part.tolist() for part in cells.take()]
        [[0], [2], [1], [7]]
    """

    def __init__(self, keeps_places: bool = True) -> None:
        self._keeps_places = keeps_places
        self._start()

    def _start(self) -> None:
        self._rows, self._columns, self._places = array("i"), array("i"), array("i")
        self._values: array[int] | array[float] = array("b")

    def add(self, row: int, column: int, value: int | float, place: int) -> None:
        """Adds a cell."""
        try:
            self._values.append(value)  # type: ignore[arg-type]
        except (TypeError, OverflowError):
            self._values = array("f", self._values)
            self._values.append(value)
        self._rows.append(row)
        self._columns.append(column)
        if self._keeps_places:
            self._places.append(place)

    def extend(
        self,
        rows: Shaped[np.ndarray, " cells"],
        columns: Shaped[np.ndarray, " cells"],
        values: Shaped[np.ndarray, " cells"],
        places: Shaped[np.ndarray, " cells"],
    ) -> None:
        """Adds many cells."""
        if self._values.typecode == "b" and not ((values == 1) | (values == 0) | (values == -1)).all():
            self._values = array("f", self._values)
        self._rows.frombytes(_bytes(rows, "i"))
        self._columns.frombytes(_bytes(columns, "i"))
        self._values.frombytes(_bytes(values, self._values.typecode))
        if self._keeps_places:
            self._places.frombytes(_bytes(places, "i"))

    def take(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
        """Returns the four, and holds no cells any more."""
        rows, columns, values, places = (
            np.frombuffer(part, part.typecode) for part in (self._rows, self._columns, self._values, self._places)
        )
        self._start()
        return rows, columns, values, places


def _bytes(numbers: Shaped[np.ndarray, " cells"], typecode: str) -> memoryview:
    """Returns numbers as the bytes of another type; those that are of it already are not copied."""
    return np.ascontiguousarray(numbers, typecode).data.cast("B")
