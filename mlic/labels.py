"""`LabelTable`: which classes are in which image, for millions of images and thousands of classes."""

import hashlib
import operator
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, SupportsIndex

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Int8, Int64, Shaped

from mlic.errors import Faults, LabelError, UsageError, did_you_mean
from mlic.strings import Indices, Strings, gather, offsets_of, position, positions

__all__ = ["LabelTable", "Strings"]

_BLOCK_CELLS = 1 << 24  # of a dense matrix that are looked at a time


@dataclass(frozen=True, eq=False, repr=False)
class LabelTable:
    """The samples of a data set and their labels: 1 present, 0 absent, -1 unknown.

    A sample is labelled when at least one of its cells is known. A labelled sample may have no class at all.

    Held sparse: a row is its `fill` wherever it lists nothing. Make one with `from_present`, `from_dense` or
    `from_cells`, which keep what the rest relies on: no cell is listed twice, none is listed that equals its row's
    fill, and none of an unknown column.

    Args:
        paths: of the images, POSIX, relative to `root`.
        root: the folder that the paths start from.
        classes: the columns.
        indptr: row `i` lists the cells `indptr[i]` to `indptr[i + 1]` of the next two.
        columns: the class of each listed cell, as the smallest unsigned integers that hold them.
        values: each listed cell, in {1, 0, -1}.
        fill: per row, what is not listed: 0 or -1.
        unknown_columns: the classes about which nothing is known, whatever the rows' fill.
        groups: per sample, what must not be torn apart by `split`, such as a patient; blank: the sample alone.
        origins: class -> "file:line" where it is first named, as far as known.
        source: the file the table comes from, for messages.
        open_vocabulary: whether a class that the table does not have is absent from its labelled samples, since its
            file lists the labels of each image and has no place to say "absent"; otherwise such a class is unknown.

    Example:
        >>> table = LabelTable.from_present(["a.jpg", "b.jpg"], ["cat", "dog"], [["dog"], None], root=Path("photos"))
        >>> table.dense().tolist(), table.path(0).as_posix()
        ([[0, 1], [-1, -1]], 'photos/a.jpg')
        >>> table.support().tolist(), table.negatives().tolist(), table.num_unlabelled
        ([0, 1], [1, 0], 1)
    """

    paths: Strings
    root: Path
    classes: tuple[str, ...]
    indptr: Int64[np.ndarray, " boundaries"]
    columns: Shaped[np.ndarray, " cells"]
    values: Int8[np.ndarray, " cells"]
    fill: Int8[np.ndarray, " samples"]
    unknown_columns: Bool[np.ndarray, " classes"]
    groups: Strings | None = None
    origins: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    open_vocabulary: bool = False

    @classmethod
    def from_present(
        cls,
        paths: Iterable[str],
        classes: Iterable[str],
        present: Iterable[Iterable[str | SupportsIndex] | None] | None,
        *,
        root: Path,
        groups: Iterable[str] | None = None,
        origins: Mapping[str, str] | None = None,
        source: str = "",
    ) -> "LabelTable":
        """Makes a table in which every class that a sample does not list is absent from it.

        `present` holds per sample the names or the positions of its classes, or None if it is unlabelled; None instead
        of it all stands for as many of those. The other arguments are the class's.

        Raises:
            LabelError: with all unknown classes; or if classes repeat, or there are not as many items as paths.

        Example:
            >>> LabelTable.from_present(["a.jpg"], ["cat", "dog"], [[]], root=Path()).num_all_negative
            1
        """
        paths, names = Strings(paths), tuple(classes)
        lists = iter([None] * len(paths) if present is None else present)
        cells, counts, fill = _Lister(names, paths, source), array("q"), bytearray()
        for row, labels in enumerate(lists):
            counts.append(0 if labels is None else cells.add(row, labels))
            fill.append(255 if labels is None else 0)
        cells.faults.raise_if_any()
        _check_length("lists of labels", len(fill), paths, source)
        columns = np.frombuffer(cells.columns, np.int64)
        return cls._assemble(
            paths,
            names,
            np.frombuffer(counts, np.int64),
            columns,
            np.ones(len(columns), np.int8),
            np.frombuffer(fill, np.int8),
            root=root,
            groups=groups,
            origins=origins,
            source=source,
        )

    @classmethod
    def from_dense(
        cls,
        paths: Iterable[str],
        classes: Iterable[str],
        labels: Shaped[np.ndarray, "samples classes"],
        *,
        root: Path,
        groups: Iterable[str] | None = None,
        origins: Mapping[str, str] | None = None,
        source: str = "",
    ) -> "LabelTable":
        """Makes a table from a matrix of 1 present, 0 absent, -1 unknown; the other arguments are the class's.

        Raises:
            LabelError: if the matrix holds anything else or has another shape, or if classes repeat.

        Example:
            >>> labels = np.array([[1, 0], [-1, -1]], np.int8)
            >>> LabelTable.from_dense(["a.jpg", "b.jpg"], ["cat", "dog"], labels, root=Path()).num_unlabelled
            1
        """
        paths, names = Strings(paths), tuple(classes)
        if labels.shape != (len(paths), len(names)):
            expected = f"{len(paths)} paths by {len(names)} classes"
            raise LabelError(f"{_at(source)}the matrix of labels is {list(labels.shape)}; expected {expected}")
        fill, counts = np.zeros(len(paths), np.int8), np.zeros(len(paths), np.int64)
        all_columns, all_values = [np.empty(0, _smallest(len(names)))], [np.empty(0, np.int8)]
        step = max(1, _BLOCK_CELLS // max(1, len(names)))
        for start in range(0, len(paths), step):
            block, at = labels[start : start + step], slice(start, start + step)
            fill[at] = -((block == -1).sum(axis=1) * 2 > len(names)).astype(np.int8)
            listed = block != fill[at, None]
            values = block[listed]
            _check_values(values, source)
            counts[at] = listed.sum(axis=1)
            all_columns.append(np.nonzero(listed)[1].astype(_smallest(len(names))))
            all_values.append(values.astype(np.int8))
        columns, values = np.concatenate(all_columns), np.concatenate(all_values)
        return cls._assemble(
            paths, names, counts, columns, values, fill, root=root, groups=groups, origins=origins, source=source
        )

    @classmethod
    def from_cells(
        cls,
        paths: Iterable[str],
        classes: Iterable[str],
        rows: Shaped[np.ndarray, " cells"],
        columns: Shaped[np.ndarray, " cells"],
        values: Shaped[np.ndarray, " cells"],
        fill: Shaped[np.ndarray, " samples"],
        *,
        root: Path,
        groups: Iterable[str] | None = None,
        origins: Mapping[str, str] | None = None,
        source: str = "",
    ) -> "LabelTable":
        """Makes a table from listed cells.

        `rows` and `columns` say where each of `values` (1, 0 or -1) is, and `fill` (0 or -1) what a sample has wherever
        it lists nothing. The other arguments are the class's.

        Raises:
            LabelError: if classes repeat, a cell is given twice or is outside the table, or a value is another.
        """
        paths, names = Strings(paths), tuple(classes)
        _check_length("fills", len(fill), paths, source)
        _check_values(values, source)
        if not np.isin(fill, (0, -1)).all():
            raise LabelError(f"{_at(source)}the fill of a row is 0 (absent) or -1 (unknown)")
        rows, columns, values = _sorted_cells(rows, columns, values, paths, names, source)
        listed = values != fill[rows]
        counts = np.bincount(rows[listed], minlength=len(paths))
        columns, values, fill = columns[listed], values[listed].astype(np.int8), fill.astype(np.int8)
        return cls._assemble(
            paths, names, counts, columns, values, fill, root=root, groups=groups, origins=origins, source=source
        )

    @classmethod
    def _assemble(
        cls,
        paths: Strings,
        names: tuple[str, ...],
        counts: Int64[np.ndarray, " samples"],
        columns: Shaped[np.ndarray, " cells"],
        values: Int8[np.ndarray, " cells"],
        fill: Int8[np.ndarray, " samples"],
        *,
        root: Path,
        groups: Iterable[str] | None,
        origins: Mapping[str, str] | None,
        source: str,
    ) -> "LabelTable":
        """Makes a table from cells that are in the order of their rows and differ from these rows' fill."""
        groups = None if groups is None else Strings(groups)
        _check_names(names, source)
        if groups is not None:
            _check_length("groups", len(groups), paths, source)
        columns = columns.astype(_smallest(len(names)), copy=False)
        unknown = np.zeros(len(names), np.bool_)
        indptr = offsets_of(counts)
        return cls(paths, root, names, indptr, columns, values, fill, unknown, groups, dict(origins or {}), source)

    @property
    def num_classes(self) -> int:
        """The number of columns."""
        return len(self.classes)

    @property
    def num_labelled(self) -> int:
        """The number of samples with at least one known cell."""
        return int(np.count_nonzero(self._known()))

    @property
    def num_unlabelled(self) -> int:
        """The number of samples whose cells are all unknown."""
        return len(self) - self.num_labelled

    @property
    def num_all_negative(self) -> int:
        """The number of labelled samples whose cells are all known to be absent."""
        known = self._known()
        return int(np.count_nonzero((known == self.num_classes) & (known > 0) & (self._per_row(self.values == 1) == 0)))

    @property
    def num_unknown_cells(self) -> int:
        """The number of unknown cells, those of unlabelled samples among them."""
        return len(self) * self.num_classes - int(self._known().sum())

    def __len__(self) -> int:
        return len(self.paths)

    def __repr__(self) -> str:
        return f"<LabelTable {self.source!r}: {len(self)} samples, {self.num_classes} classes>"

    def path(self, index: SupportsIndex) -> Path:
        """Returns where the image of a sample is: its path below `root`."""
        return self.root / self.paths[index]

    def row(self, index: SupportsIndex) -> Int8[np.ndarray, " classes"]:
        """Returns the labels of one sample, a new array."""
        i = position(index, len(self))
        row = np.full(self.num_classes, self.fill[i], np.int8)
        row[self.unknown_columns] = -1
        cells = slice(self.indptr[i], self.indptr[i + 1])
        row[self.columns[cells]] = self.values[cells]
        return row

    def dense(self, indices: Indices | None = None) -> Int8[np.ndarray, "samples classes"]:
        """Returns the labels of some samples, or of all, as a matrix."""
        at = np.arange(len(self)) if indices is None else positions(indices, len(self))
        offsets, (columns, values) = gather(self.indptr, at, self.columns, self.values)
        labels = np.repeat(self.fill[at, None], self.num_classes, axis=1)
        labels[:, self.unknown_columns] = -1
        labels[np.repeat(np.arange(len(at)), np.diff(offsets)), columns] = values
        return labels

    def take(self, indices: Indices) -> "LabelTable":
        """Returns a table of some samples, in the order of `indices`.

        Raises:
            IndexError: if one is out of range.
        """
        at = positions(indices, len(self))
        indptr, (columns, values) = gather(self.indptr, at, self.columns, self.values)
        return replace(
            self,
            paths=self.paths.take(at),
            indptr=indptr,
            columns=columns,
            values=values,
            fill=self.fill[at],
            groups=None if self.groups is None else self.groups.take(at),
        )

    def split(
        self, fractions: Mapping[str, float], *, salt: str = "", group: Callable[[str], str] | None = None
    ) -> "dict[str, LabelTable]":
        """Splits the samples by a hash of their paths, so that a sample stays on its side as others come and go.

        A sample's side depends on the salt and on its path relative to the root alone; or on its group's name, so that
        a group is never torn apart. A larger fraction keeps the samples of a smaller one. "test" is cut from the other
        end of the hashes than the rest, so that it keeps its samples whatever is asked for beside it.

        Args:
            fractions: side -> the share of samples it takes, 0 to 1; what remains is "train".
            salt: another one gives another split.
            group: from a path to the name of its group; by default `groups`, if there are any. Blank: the sample alone.

        Returns:
            The named sides and "train".

        Raises:
            UsageError: if a side is called "train", a fraction is not within 0 to 1, or they exceed 1 together.

        Example:
            >>> table = LabelTable.from_present([f"{i}.jpg" for i in range(100)], ["cat"], None, root=Path())
            >>> sides = table.split({"val": 0.2})
            >>> len(sides["train"]) + len(sides["val"]), list(sides)
            (100, ['train', 'val'])
        """
        _check_fractions(fractions)
        place, low = self._places(salt, group), 0.0
        free = np.ones(len(self), np.bool_)
        sides: dict[str, LabelTable] = {}
        for side, fraction in fractions.items():
            if side == "test":
                chosen = free & (place >= 1 - fraction)
            else:
                chosen = free & (place >= low) & (place < low + fraction)
                low += fraction
            free &= ~chosen
            sides[side] = self.take(np.flatnonzero(chosen))
        return {"train": self.take(np.flatnonzero(free)), **sides}

    def align(self, classes: Iterable[str], *, extra: Literal["error", "drop"] = "error") -> "LabelTable":
        """Returns the table with other columns: those of `classes`, in their order.

        A class that the table lacks is unknown for every sample; with an open vocabulary, for the unlabelled ones.

        Args:
            classes: the columns wanted.
            extra: whether a class of the table that is not among them is an error, or is dropped.

        Raises:
            LabelError: with all classes that are not among `classes`, and where each is first named.

        Example:
            >>> table = LabelTable.from_present(["a.jpg"], ["dog"], [["dog"]], root=Path())
            >>> table.align(["cat", "dog"]).row(0).tolist()
            [-1, 1]
        """
        names = tuple(classes)
        if names == self.classes:
            return self
        _check_names(names, "")
        columns = {name: column for column, name in enumerate(names)}
        if extra == "error":
            self._check_extra(columns)
        target = np.array([columns.get(name, -1) for name in self.classes], np.int64)
        kept = target >= 0
        unknown = np.full(len(names), not self.open_vocabulary)
        unknown[target[kept]] = self.unknown_columns[kept]
        listed = kept[self.columns]
        return replace(
            self,
            classes=names,
            indptr=offsets_of(self._per_row(listed)),
            columns=target[self.columns[listed]].astype(_smallest(len(names))),
            values=self.values[listed],
            unknown_columns=unknown,
            origins={name: where for name, where in self.origins.items() if name in columns},
        )

    def support(self) -> Int64[np.ndarray, " classes"]:
        """Returns the number of known positives of each class."""
        return np.bincount(self.columns[self.values == 1], minlength=self.num_classes)

    def negatives(self) -> Int64[np.ndarray, " classes"]:
        """Returns the number of known negatives of each class."""
        zero_rows = self.fill == 0
        otherwise = self.columns[np.repeat(zero_rows, np.diff(self.indptr))]
        negatives = np.bincount(self.columns[self.values == 0], minlength=self.num_classes)
        negatives += np.count_nonzero(zero_rows) - np.bincount(otherwise, minlength=self.num_classes)
        negatives[self.unknown_columns] = 0
        return negatives

    def _per_row(self, cells: Bool[np.ndarray, " cells"]) -> Int64[np.ndarray, " samples"]:
        """Counts, in each row, the listed cells that are true."""
        return np.diff(offsets_of(cells)[self.indptr])

    def _known(self) -> Int64[np.ndarray, " samples"]:
        listed = np.diff(self.indptr)
        if_absent = self.num_classes - np.count_nonzero(self.unknown_columns) - self._per_row(self.values == -1)
        return np.where(self.fill == 0, if_absent, listed)

    def _places(self, salt: str, group: Callable[[str], str] | None) -> npt.NDArray[np.float64]:
        """Hashes each sample, or its group, to a number in [0, 1)."""
        key = hashlib.blake2b(salt.encode(), digest_size=32).digest()
        names = self.paths.encoded()
        if group is not None:
            groups = Strings(group(path) for path in self.paths).encoded()
            names = (name or path for name, path in zip(groups, names, strict=True))
        elif self.groups is not None:
            names = (name or path for name, path in zip(self.groups.encoded(), names, strict=True))
        digests = b"".join(hashlib.blake2b(name, digest_size=8, key=key).digest() for name in names)
        # The upper 53 bits, which a float64 holds exactly.
        return (np.frombuffer(digests, ">u8") >> 11).astype(np.float64) * 2.0**-53

    def _check_extra(self, wanted: Mapping[str, int]) -> None:
        faults = Faults()
        for name in self.classes:
            if name not in wanted:
                where = _at(self.origins.get(name, self.source))
                faults.add(f"{where}{_unknown_class(name, list(wanted), faults)}")
        faults.raise_if_any()


class _Lister:
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
            self.faults.add(f"{self._at(row)}{_unknown_class(label, self._classes, self.faults)}")
            return -1
        column = operator.index(label)
        if 0 <= column < len(self._classes):
            return column
        self.faults.add(f"{self._at(row)}class {column} is not among 0 to {len(self._classes) - 1}")
        return -1

    def _at(self, row: int) -> str:
        return _at(self._source) + (_at(self._paths[row]) if row < len(self._paths) else "")


def _at(where: str) -> str:
    return f"{where}: " if where else ""


def _unknown_class(name: str, names: Sequence[str], faults: Faults) -> str:
    # The search for a similar name is slow, and nobody reads the hint of the thousandth fault.
    hint = "" if faults.is_full else did_you_mean(name, names)
    return f"class '{name}' is not among the {len(names)} classes{hint}"


def _smallest(num_classes: int) -> npt.DTypeLike:
    """The smallest integers that hold the positions of all classes."""
    return np.min_scalar_type(max(0, num_classes - 1))


def _check_names(names: tuple[str, ...], source: str) -> None:
    faults, seen = Faults(), set[str]()
    for name in names:
        if name in seen:
            faults.add(f"{_at(source)}class '{name}' is there twice; expected each class once")
        seen.add(name)
    faults.raise_if_any()


def _check_length(what: str, length: int, paths: Strings, source: str) -> None:
    if length != len(paths):
        raise LabelError(f"{_at(source)}{length} {what} for {len(paths)} paths; expected one each")


def _check_values(values: Shaped[np.ndarray, "..."], source: str) -> None:
    strange = values[~np.isin(values, (1, 0, -1))]
    if len(strange):
        raise LabelError(f"{_at(source)}a label is {strange[0]}; expected 1 (present), 0 (absent) or -1 (unknown)")


def _check_fractions(fractions: Mapping[str, float]) -> None:
    for side, fraction in fractions.items():
        if side == "train":
            raise UsageError("train is what the other sides leave; give the shares of those")
        if not 0 <= fraction <= 1:
            raise UsageError(f"{side} is {fraction}; expected a share of the samples, 0 to 1")
    if sum(fractions.values()) > 1 + 1e-9:
        raise UsageError(
            f"{' and '.join(fractions)} take {sum(fractions.values()):g} of the samples; expected at most 1"
        )


def _sorted_cells(
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
            raise LabelError(f"{_at(source)}a cell is in {what} {index.min()} to {index.max()}; there are {size}")
    key = rows.astype(np.int64) * len(names) + columns
    steps = np.diff(key)
    if (steps <= 0).any():
        order = np.argsort(key, kind="stable")
        rows, columns, values = rows[order], columns[order], values[order]
        twice = np.flatnonzero(np.diff(key[order]) == 0)
        if len(twice):
            image, name = paths[rows[twice[0]]], names[columns[twice[0]]]
            raise LabelError(f"{_at(source)}image '{image}' has two labels for class '{name}'; expected one")
    return rows, columns, values
