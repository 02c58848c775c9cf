"""`Samples`: images and labelled cells in the order of an annotation file, and the table that they make."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from jaxtyping import Shaped

from mlic.datamodules.annotations.cells import Cells
from mlic.datamodules.annotations.imagefiles import ImageFiles
from mlic.errors import Faults, LabelError, did_you_mean
from mlic.labels import LabelTable

__all__ = ["Samples"]

log = logging.getLogger(__name__)

_UNSEEN = -1


class Samples:
    """Collects what an annotation file says, notes its faults, and makes a `LabelTable` of it.

    An image is unlabelled until `labelled` is called for it; then what is not said about it is absent. A cell may be
    said several times: known beats unknown; present and absent contradict each other.

    A place is where in the file something is said: a number that `where` turns into words, by default `path:line`.

    Args:
        path: the annotation file or folder: the table's source.
        files: the images.
        classes: the classes in order, each with the place that names it (0: none does); None takes all classes that
            are named, sorted by name.
        where: from a place to the words that open a message about it.
        contradiction: whether a cell that is both present and absent is a fault, or is made unknown and counted.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Path(folder, "a.jpg").touch()
        ...     samples = Samples(Path(folder, "labels.txt"), ImageFiles(Path(folder), Path(folder)))
        ...     row = samples.image("a.jpg", place=1)
        ...     samples.labelled(row)
        ...     samples.add(row, samples.column("cat", place=1), place=1)
        ...     samples.table().dense().tolist()
        [[1]]
    """

    def __init__(
        self,
        path: Path,
        files: ImageFiles,
        classes: dict[str, int] | None = None,
        *,
        where: Callable[[int], str] | None = None,
        contradiction: Literal["fault", "unknown"] = "fault",
    ) -> None:
        self.faults = Faults()
        self._path, self._files, self._contradiction = path, files, contradiction
        self._where = where or (lambda place: f"{path}:{place}" if place else str(path))
        self._fixed = classes is not None
        self._named = dict(classes or {})
        self._columns = {name: column for column, name in enumerate(self._named)}
        self._images: dict[str, int] = {}
        self._fill = bytearray()
        self._groups: list[str] = []
        # Where nothing contradicts, no place is told.
        self._cells = Cells(keeps_places=contradiction == "fault")

    @property
    def num_images(self) -> int:
        """The number of images so far."""
        return len(self._images)

    def rows(self, paths: Sequence[str]) -> list[int]:
        """Returns the rows of images by their paths relative to the root; -1 for one that has none yet."""
        return [self._images.get(path, -1) for path in paths]

    def image(self, written: str, place: int, *, group: str = "", hint: str = "") -> int:
        """Returns the row of an image; a new one when it is named for the first time.

        Args:
            written: its path as the file has it.
            place: where that is.
            group: what a split must not tear apart, such as the patient; blank: the image alone.
            hint: what to add to the message about a missing image.

        Returns:
            The row, or -1 for a fault, which is noted: there is no such image.
        """
        if not written:
            self.fault(place, "the path of an image is blank; expected one")
            return -1
        try:
            path = self._files.find(written)
        except LabelError as error:
            self.fault(place, f"{error}{hint}")
            return -1
        row = self._images.setdefault(path, len(self._images))
        if row == len(self._fill):
            self._fill.append(_UNSEEN & 0xFF)
            self._groups.append(group)
        elif group != self._groups[row]:
            self.fault(
                place, f"image '{path}' is in group '{group}', but before in '{self._groups[row]}'; expected one"
            )
        return row

    def images(self, written: Sequence[str], place: int) -> Sequence[int]:
        """Returns the rows of images that are named at consecutive places, as `image` does for one, but sooner."""
        if not self._images and self._files.are_in_root(written):
            rows = dict(zip(written, range(len(written)), strict=True))
            if len(rows) == len(written):  # none is there twice
                self._images, self._groups = rows, [""] * len(rows)
                self._fill = bytearray([_UNSEEN & 0xFF]) * len(rows)
                return range(len(rows))
        return [self.image(one, at) for at, one in enumerate(written, place)]

    def column(self, name: str, place: int) -> int:
        """Returns the column of a class; -1 for a fault, which is noted: it is not among the classes."""
        if name in self._columns:
            return self._columns[name]
        if self._fixed:
            hint = "" if self.faults.is_full else did_you_mean(name, list(self._columns))
            self.fault(place, f"class '{name}' is not among the {len(self._columns)} classes{hint}")
            return -1
        if not name:
            self.fault(place, "the name of a class is blank; expected one")
            return -1
        self._named[name] = place
        return self._columns.setdefault(name, len(self._columns))

    def labelled(self, row: int) -> None:
        """Notes that somebody annotated an image: what is not said about it is absent."""
        if row >= 0:
            self._fill[row] = 0

    def add(self, row: int, column: int, place: int, value: int | float = 1) -> None:
        """Adds a cell: 1 present, 0 absent, -1 unknown, between them a soft label; a position of -1 adds nothing."""
        if row >= 0 and column >= 0:
            self._cells.add(row, column, value, place)

    def extend(
        self,
        rows: Shaped[np.ndarray, " cells"],
        columns: Shaped[np.ndarray, " cells"],
        values: Shaped[np.ndarray, " cells"],
        places: Shaped[np.ndarray, " cells"],
    ) -> None:
        """Adds many cells at once, as `add` does one."""
        kept = (rows >= 0) & (columns >= 0)
        if not kept.all():
            rows, columns, values, places = rows[kept], columns[kept], values[kept], places[kept]
        self._cells.extend(rows, columns, values, places)

    def fault(self, place: int, message: str) -> None:
        """Notes a fault of the file."""
        self.faults.add(f"{self._where(place)}: {message}")

    def table(self, *, open_vocabulary: bool = False) -> LabelTable:
        """Returns the table; images in the order in which they came.

        Args:
            open_vocabulary: as in `LabelTable`.

        Raises:
            LabelError: with all faults, and the table of what is right.
        """
        names = tuple(self._columns) if self._fixed else tuple(sorted(self._columns))
        rows, columns, values = self._settled(names)
        if not self.faults.count:  # otherwise they tell why there is none
            if not self._images:
                self.faults.add(f"{self._path}: no sample; expected at least one image")
            if not names:
                is_open = self._images and not self._fixed
                or_else = ", or give classes: the names of those that there are" if is_open else ""
                self.faults.add(f"{self._path}: no class; expected at least one{or_else}")
        table = LabelTable.from_cells(
            self._images,
            names,
            rows,
            columns,
            values,
            np.frombuffer(self._fill, np.int8),
            root=self._files.root,
            groups=self._groups if any(self._groups) else None,
            origins={name: self._where(place) for name, place in self._named.items()},
            source=str(self._path),
            open_vocabulary=open_vocabulary,
        )
        self.faults.raise_if_any(table)
        return table

    def _settled(self, names: Sequence[str]) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
        """Returns each cell once, sorted by row, then column."""
        keys, values, places = self._keyed(names)
        if not (keys[1:] > keys[:-1]).all():
            order = _sort(keys)
            values = values[order]
            if (keys[1:] == keys[:-1]).any():
                keys, values = self._united(keys, values, places, order, names)
        width = max(1, len(names))
        rows, columns = np.empty(len(keys), np.int32), np.empty(len(keys), np.int32)
        np.floor_divide(keys, width, out=rows, casting="unsafe")
        np.remainder(keys, width, out=columns, casting="unsafe")
        return rows, columns, values

    def _keyed(self, names: Sequence[str]) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
        """Returns each cell's key, which is its position in the table read row by row, its value and its place."""
        moved = np.empty(len(names), np.int32)
        moved[[self._columns[name] for name in names]] = np.arange(len(names))
        rows, columns, values, places = self._cells.take()
        keys = rows.astype(np.int64)
        del rows  # together they may be large, so each is let go once it is taken over
        keys *= len(names)
        keys += moved[columns]
        return keys, values, places

    def _united(
        self,
        keys: npt.NDArray[Any],
        values: npt.NDArray[Any],
        places: npt.NDArray[Any],
        order: npt.NDArray[Any],
        names: Sequence[str],
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Returns each of the sorted keys once, with what its values say together; the places are in `order`."""
        is_first = np.append(True, keys[1:] != keys[:-1])
        repeats = np.flatnonzero(~is_first | ~np.append(is_first[1:], True))  # mostly few of the cells
        several = values[repeats]
        starts = np.flatnonzero(is_first[repeats])
        highest = np.maximum.reduceat(several, starts)
        lowest = np.minimum.reduceat(np.where(several == -1, np.int8(2), several), starts)
        torn = np.flatnonzero((lowest < highest) & (highest >= 0))
        if self._contradiction == "unknown" and len(torn):
            highest[torn] = -1
            log.warning("%s: %d labels are said to be present and absent, so they are unknown", self._path, len(torn))
        elif len(torn):
            images, ends = list(self._images), np.append(starts[1:], len(repeats))
            for told, cell in enumerate(torn):
                if self.faults.is_full:
                    self.faults.count += len(torn) - told
                    break
                row, column = divmod(int(keys[repeats[starts[cell]]]), len(names))
                said = slice(starts[cell], ends[cell])
                self._note_contradiction(images[row], names[column], several[said], places[order[repeats[said]]])
        values[repeats[starts]] = highest
        return keys[is_first], values[is_first]

    def _note_contradiction(self, image: str, name: str, values: npt.NDArray[Any], places: npt.NDArray[Any]) -> None:
        known = np.flatnonzero(values != -1)
        first = known[0]
        second = known[np.flatnonzero(values[known] != values[first])[0]]
        here, there = (_word(float(values[at])) for at in (second, first))
        before = self._where(int(places[first]))
        self.fault(
            int(places[second]),
            f"class '{name}' is {here} in image '{image}', but {there} at {before}; expected one of them",
        )


def _sort(keys: npt.NDArray[np.int64]) -> npt.NDArray[np.integer[Any]]:
    """Sorts keys where they are, and returns the order that does it; equal ones stay in theirs."""
    bits = len(keys).bit_length()
    if int(keys.max()).bit_length() + bits > 62:
        order = np.argsort(keys, kind="stable")
        keys[:] = keys[order]
        return order
    # Each with its position in its lowest bits: quicker than argsort, and in half the memory.
    keys <<= bits
    keys += np.arange(len(keys), dtype=np.int32)
    keys.sort()
    positions = np.empty(len(keys), np.int32)
    np.bitwise_and(keys, (1 << bits) - 1, out=positions, casting="unsafe")
    keys >>= bits
    return positions


def _word(value: float) -> str:
    return {1.0: "present", 0.0: "absent"}.get(value, f"{value:g}")
