"""`BlockCells`: a matrix of labels, given in blocks of rows, as the cells that a table lists."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from jaxtyping import Int8, Int64, Shaped

from mlic.errors import LabelError
from mlic.labels.cells import check_values, prefix, smallest, stored

__all__ = ["BlockCells", "blocks_of"]

_CELLS = 1 << 20  # that are worked on at a time


class BlockCells:
    """Lists the cells that differ from what most of their row's are: 0, or -1 where most are unknown.

    Args:
        width: the number of classes.
        source: for messages.
    """

    def __init__(self, width: int, source: str) -> None:
        self._width, self._source = width, source
        self._type: npt.DTypeLike = np.int8
        # They grow in place: a list of arrays to be joined would hold all of it twice.
        self._columns, self._values, self._fill, self._counts = bytearray(), bytearray(), bytearray(), bytearray()

    def add(self, block: Shaped[np.ndarray, "rows classes"]) -> None:
        """Adds some rows; all blocks are of one type.

        Raises:
            LabelError: if a cell is no label, or a row is not as wide as it should be.
        """
        if block.shape[1] != self._width:
            expected = f"expected one for each of {self._width} classes"
            raise LabelError(f"{prefix(self._source)}a row has {block.shape[1]} labels; {expected}")
        # As small as may be: a cell is a float32 only where it can be a fraction.
        self._type = np.float32 if np.issubdtype(block.dtype, np.floating) else np.int8
        for rows in blocks_of(block):
            fill = -((rows == -1).sum(axis=1) * 2 > self._width).astype(np.int8)
            listed = rows != fill[:, None]
            at = np.flatnonzero(listed)
            values = rows.reshape(-1)[at]
            check_values(values, self._source)
            self._fill += fill.tobytes()
            self._counts += np.count_nonzero(listed, axis=1).astype(np.int64).tobytes()
            self._columns += (at % self._width).astype(smallest(self._width)).tobytes()
            self._values += values.astype(self._type).tobytes()

    @property
    def fill(self) -> Int8[np.ndarray, " samples"]:
        """What each row has where it lists nothing."""
        return np.frombuffer(self._fill, np.int8)

    @property
    def counts(self) -> Int64[np.ndarray, " samples"]:
        """How many cells each row lists."""
        return np.frombuffer(self._counts, np.int64)

    @property
    def columns(self) -> Shaped[np.ndarray, " cells"]:
        """The class of each listed cell."""
        return np.frombuffer(self._columns, smallest(self._width))

    @property
    def values(self) -> Shaped[np.ndarray, " cells"]:
        """The label of each listed cell, as a table holds it."""
        return stored(np.frombuffer(self._values, self._type))


def blocks_of(labels: Shaped[np.ndarray, "rows classes"]) -> Iterator[Shaped[np.ndarray, "_ classes"]]:
    """Yields a matrix in blocks of rows, each of some million cells."""
    step = max(1, _CELLS // max(1, labels.shape[1]))
    return (labels[start : start + step] for start in range(0, len(labels), step))
