"""`LabelTable`: which classes are in which image, for millions of images and thousands of classes."""

import hashlib
from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, SupportsIndex

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Int8, Int64, Shaped

from mlic.errors import Faults, LabelError
from mlic.labels.blocks import BlockCells
from mlic.labels.cells import (
    Lister,
    check_fractions,
    check_length,
    check_names,
    check_values,
    prefix,
    smallest,
    sorted_cells,
    stored,
    unknown_class,
)
from mlic.strings import Indices, Strings, gather, offsets_of, position, positions

__all__ = ["LabelTable"]


@dataclass(frozen=True, eq=False, repr=False)
class LabelTable:
    """The samples of a data set and their labels: 1 present, 0 absent, -1 unknown.

    A sample is labelled when at least one of its cells is known. A labelled sample may have no class at all. Between 0
    and 1 lies a soft label, the probability that the class is present; it counts as present above 0.5, as absent below.

    Held sparse: a row is its `fill` wherever it lists nothing. Make one with `from_present`, `from_dense` or
    `from_cells`, which keep what the rest relies on: no cell is listed twice, none is listed that equals its row's
    fill, and none of an unknown column.

    Args:
        paths: of the images, POSIX, relative to `root`.
        root: the folder that the paths start from.
        classes: the columns.
        indptr: row `i` lists the cells `indptr[i]` to `indptr[i + 1]` of the next two.
        columns: the class of each listed cell, as the smallest unsigned integers that hold them.
        values: each listed cell: int8 in {1, 0, -1}; or float32, where there are soft labels.
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
    values: Shaped[np.ndarray, " cells"]
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
        cells, counts, fill = Lister(names, paths, source), array("q"), bytearray()
        for row, labels in enumerate(lists):
            counts.append(0 if labels is None else cells.add(row, labels))
            fill.append(255 if labels is None else 0)
        cells.faults.raise_if_any()
        check_length("lists of labels", len(fill), paths, source)
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
        """Makes a table from a matrix of 1 present, 0 absent, -1 unknown; in a floating one, 0 to 1 is a soft label.

        The other arguments are the class's.

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
            raise LabelError(f"{prefix(source)}the matrix of labels is {list(labels.shape)}; expected {expected}")
        return cls.from_blocks(paths, names, [labels], root=root, groups=groups, origins=origins, source=source)

    @classmethod
    def from_blocks(
        cls,
        paths: Iterable[str],
        classes: Iterable[str],
        blocks: Iterable[Shaped[np.ndarray, "_ classes"]],
        *,
        root: Path,
        groups: Iterable[str] | None = None,
        origins: Mapping[str, str] | None = None,
        source: str = "",
    ) -> "LabelTable":
        """Makes a table from a matrix as `from_dense` takes it, in blocks of rows, which nobody need hold at once.

        Raises:
            LabelError: as `from_dense`.
        """
        paths, names = Strings(paths), tuple(classes)
        cells = BlockCells(len(names), source)
        for block in blocks:
            cells.add(block)
        check_length("rows of labels", len(cells.fill), paths, source)
        return cls._assemble(
            paths,
            names,
            cells.counts,
            cells.columns,
            cells.values,
            cells.fill,
            root=root,
            groups=groups,
            origins=origins,
            source=source,
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
        open_vocabulary: bool = False,
    ) -> "LabelTable":
        """Makes a table from listed cells.

        `rows` and `columns` say where each of `values` is (1, 0 or -1; a soft label between 0 and 1), and `fill` (0 or
        -1) what a sample has wherever it lists nothing. The other arguments are the class's.

        Raises:
            LabelError: if classes repeat, a cell is given twice or is outside the table, or a value is another.
        """
        paths, names = Strings(paths), tuple(classes)
        check_length("fills", len(fill), paths, source)
        check_values(values, source)
        if not np.isin(fill, (0, -1)).all():
            raise LabelError(f"{prefix(source)}the fill of a row is 0 (absent) or -1 (unknown)")
        rows, columns, values = sorted_cells(rows, columns, values, paths, names, source)
        listed = values != fill[rows]
        if not listed.all():
            rows, columns, values = rows[listed], columns[listed], values[listed]
        # As bincount does, but without a copy of the rows as int64.
        counts = np.diff(np.searchsorted(rows, np.arange(len(paths) + 1)))
        values, fill = stored(values), fill.astype(np.int8)
        table = cls._assemble(
            paths, names, counts, columns, values, fill, root=root, groups=groups, origins=origins, source=source
        )
        return replace(table, open_vocabulary=open_vocabulary)

    @classmethod
    def _assemble(
        cls,
        paths: Strings,
        names: tuple[str, ...],
        counts: Int64[np.ndarray, " samples"],
        columns: Shaped[np.ndarray, " cells"],
        values: Shaped[np.ndarray, " cells"],
        fill: Int8[np.ndarray, " samples"],
        *,
        root: Path,
        groups: Iterable[str] | None,
        origins: Mapping[str, str] | None,
        source: str,
    ) -> "LabelTable":
        """Makes a table from cells that are in the order of their rows and differ from these rows' fill."""
        groups = None if groups is None else Strings(groups)
        check_names(names, source)
        if groups is not None:
            check_length("groups", len(groups), paths, source)
        columns = columns.astype(smallest(len(names)), copy=False)
        unknown = np.zeros(len(names), np.bool_)
        indptr = offsets_of(counts)
        return cls(paths, root, names, indptr, columns, values, fill, unknown, groups, dict(origins or {}), source)

    @property
    def num_classes(self) -> int:
        """The number of columns."""
        return len(self.classes)

    @property
    def is_labelled(self) -> Bool[np.ndarray, " samples"]:
        """Which samples have at least one known cell."""
        labelled: Bool[np.ndarray, " samples"] = self._known() > 0
        return labelled

    @property
    def num_labelled(self) -> int:
        """The number of samples with at least one known cell."""
        return int(np.count_nonzero(self.is_labelled))

    @property
    def num_unlabelled(self) -> int:
        """The number of samples whose cells are all unknown."""
        return len(self) - self.num_labelled

    @property
    def num_all_negative(self) -> int:
        """The number of labelled samples whose cells are all known to be absent."""
        known = self._known()
        return int(
            np.count_nonzero((known == self.num_classes) & (known > 0) & (self._per_row(self.values >= 0.5) == 0))
        )

    @property
    def num_unknown_cells(self) -> int:
        """The number of unknown cells, those of unlabelled samples among them."""
        return len(self) * self.num_classes - int(self._known().sum())

    @property
    def is_soft(self) -> bool:
        """Whether there are soft labels."""
        return self.values.dtype != np.int8

    def hardened(self) -> "LabelTable":
        """Returns the table without soft labels: present above 0.5, absent below, and unknown at 0.5 itself.

        Example:
            >>> soft = LabelTable.from_dense(["a.jpg"], ["cat", "dog", "owl"], np.array([[0.9, 0.5, 0.2]]), root=Path())
            >>> soft.is_soft, soft.hardened().row(0).tolist()
            (True, [1, -1, 0])
        """
        if not self.is_soft:
            return self
        hard = np.select([self.values < 0, self.values > 0.5, self.values < 0.5], [-1, 1, 0], -1).astype(np.int8)
        rows = np.repeat(np.arange(len(self)), np.diff(self.indptr))
        listed = hard != self.fill[rows]
        indptr = offsets_of(self._per_row(listed))
        return replace(self, indptr=indptr, columns=self.columns[listed], values=hard[listed])

    def __len__(self) -> int:
        return len(self.paths)

    def __repr__(self) -> str:
        return f"<LabelTable {self.source!r}: {len(self)} samples, {self.num_classes} classes>"

    def path(self, index: SupportsIndex) -> Path:
        """Returns where the image of a sample is: its path below `root`."""
        return self.root / self.paths[index]

    def row(self, index: SupportsIndex) -> Shaped[np.ndarray, " classes"]:
        """Returns the labels of one sample, a new array of the type of `values`."""
        i = position(index, len(self))
        row = np.full(self.num_classes, self.fill[i], self.values.dtype)
        row[self.unknown_columns] = -1
        cells = slice(self.indptr[i], self.indptr[i + 1])
        row[self.columns[cells]] = self.values[cells]
        return row

    def dense(self, indices: Indices | None = None) -> Shaped[np.ndarray, "samples classes"]:
        """Returns the labels of some samples, or of all, as a matrix of the type of `values`."""
        at = np.arange(len(self)) if indices is None else positions(indices, len(self))
        offsets, (columns, values) = gather(self.indptr, at, self.columns, self.values)
        labels = np.repeat(self.fill[at, None].astype(self.values.dtype), self.num_classes, axis=1)
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
        return {side: self.take(rows) for side, rows in self.split_rows(fractions, salt=salt, group=group).items()}

    def split_rows(
        self, fractions: Mapping[str, float], *, salt: str = "", group: Callable[[str], str] | None = None
    ) -> dict[str, Int64[np.ndarray, " rows"]]:
        """Returns which rows each side of a split has, as `split`, whose arguments these are; "train" comes first.

        Raises:
            UsageError: as `split`.
        """
        check_fractions(fractions)
        place, low = self._places(salt, group), 0.0
        free = np.ones(len(self), np.bool_)
        sides: dict[str, Int64[np.ndarray, " rows"]] = {}
        for side, fraction in fractions.items():
            if side == "test":
                chosen = free & (place >= 1 - fraction)
            else:
                chosen = free & (place >= low) & (place < low + fraction)
                low += fraction
            free &= ~chosen
            sides[side] = np.flatnonzero(chosen)
        return {"train": np.flatnonzero(free), **sides}

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
        check_names(names, "")
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
            columns=target[self.columns[listed]].astype(smallest(len(names))),
            values=self.values[listed],
            unknown_columns=unknown,
            origins={name: where for name, where in self.origins.items() if name in columns},
        )

    def support(self) -> Int64[np.ndarray, " classes"]:
        """Returns the number of known positives of each class."""
        return np.bincount(self.columns[self.values > 0.5], minlength=self.num_classes)

    def negatives(self) -> Int64[np.ndarray, " classes"]:
        """Returns the number of known negatives of each class."""
        zero_rows = self.fill == 0
        otherwise = self.columns[np.repeat(zero_rows, np.diff(self.indptr))]
        absent = (self.values >= 0) & (self.values < 0.5)
        negatives = np.bincount(self.columns[absent], minlength=self.num_classes)
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
                where = prefix(self.origins.get(name, self.source))
                faults.add(f"{where}{unknown_class(name, list(wanted), faults)}")
        faults.raise_if_any()
