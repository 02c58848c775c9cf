"""`OpenImagesRows`: the rows of a file of labels of Open Images, millions of which say much the same."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from mlic.datamodules.annotations.imagefiles import ImageFiles
from mlic.datamodules.annotations.samples import Samples
from mlic.datamodules.readers.openimagessayings import BY_MACHINE, FAULTY, NOTHING, Lines, Sayings

__all__ = ["OpenImagesRows"]

_BYTES = 1 << 18  # of the file that are worked on at a time
_ROWS = 10_000  # that are worked on at a time, where they are parsed one by one
_LEFT_OUT = -2  # the row of an image that is not there
_NEW = -2  # the column of a label that is no class yet
_HINT = "; or give missing: skip to leave out the images that are not there"


class OpenImagesRows:
    """Adds the rows of a file to `samples`.

    Lines are cut in two, the image and what is said of it, and of each only what is new is looked at: in less time than
    `csv` takes to make a list of each row. Where that cannot be, as where there are quotation marks, `csv` does it.

    Args:
        samples: what the rows are added to.
        files: the images.
        pattern: the path of an image, such as `train/{0}.jpg`.
        names: the display names of labels.
        machine_confidence: from which confidence on a machine's label is present; None: it says nothing.
        skips: whether an image that is not there is left out, rather than a fault.
    """

    def __init__(
        self,
        samples: Samples,
        files: ImageFiles,
        pattern: str,
        names: Mapping[str, str],
        machine_confidence: float | None,
        skips: bool,
    ) -> None:
        self._samples, self._display_names = samples, names
        self._images = _Images(samples, files, pattern, skips)
        self._sayings = Sayings(machine_confidence)
        self._columns = np.empty(0, np.int32)  # per label
        self._by_people: list[tuple[npt.NDArray[Any], npt.NDArray[Any]]] = []
        self._by_machines: list[tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]] = []
        self._heeds_machines = machine_confidence is not None
        self.num_rows_of_machines = 0
        """The rows of machines that say nothing."""

    @property
    def num_left_out(self) -> int:
        """The images that are not there and are left out."""
        return sum(row == _LEFT_OUT for row in self._images.absent.values())

    @property
    def labels(self) -> list[str]:
        """The labels that are classes, as the file calls them."""
        return [name for name, column in zip(self._sayings.names, self._columns, strict=False) if column >= 0]

    def read(self, stream: TextIO, line: int) -> None:
        """Adds all rows below the header, which ends before `line`.

        Args:
            stream: the file, of which its buffer is read.
            line: the number of the next one.

        Raises:
            UnicodeDecodeError: at what is not UTF-8.
        """
        while block := stream.buffer.read(_BYTES):
            block += stream.buffer.readline()
            block += b"" if block.endswith(b"\n") else b"\n"
            if (count := self._add_lines(block, line)) is not None:
                line += count
                continue
            lines: Iterable[str] = io.StringIO(block.decode(), newline="")
            # A quoted cell may run on into the next block.
            line += self._parse(chain(lines, stream) if b'"' in block else lines, line)
        self._add_machines()

    def _add_lines(self, block: bytes, line: int) -> int | None:
        """Adds lines and returns how many; None if they cannot be cut in two, or one may be faulty."""
        lines = Lines.cut(block.replace(b"\r\n", b"\n"))
        if lines is None:
            return None
        sayings = self._sayings.of_lines(lines)
        # Most often the rows of an image follow each other, so that it is looked for once.
        starts = lines.changes()
        images = lines.heads(starts)
        if (sayings == FAULTY).any() or re.search(r"[\s,]", "".join(images)):
            return None
        self._add(images, starts, sayings, np.arange(line, line + len(lines), dtype=np.int32))
        return len(lines)

    def _parse(self, lines: Iterable[str], line: int) -> int:
        """Adds rows one by one, and notes those that are faulty; returns the number of lines."""
        reader = csv.reader(lines, skipinitialspace=True, strict=True)
        rows: list[tuple[int, list[str]]] = []
        cells: list[str] | None = []
        while cells is not None:
            at = line + reader.line_num
            try:
                cells = next(reader, None)
            except csv.Error as error:
                self._samples.fault(at, f"{error}; is a quotation mark left open?")
                cells = None
            if cells is not None and any(map(str.strip, cells)):
                rows.append((at, cells))
            if len(rows) == _ROWS or cells is None:
                self._add_parsed(rows)
                rows.clear()
        return reader.line_num

    def _add_parsed(self, rows: Sequence[tuple[int, list[str]]]) -> None:
        images, sayings, lines = [], [], []
        for line, (image, *rest) in rows:
            said = tuple(rest)
            if (number := self._sayings[said]) == FAULTY:
                self._samples.fault(line, self._sayings.fault(said))
            if not image.strip():
                self._samples.fault(line, "ImageID is blank; expected the name of an image")
            else:
                images.append(image.strip())
                sayings.append(number)
                lines.append(line)
        self._add(images, np.arange(len(images)), np.array(sayings, np.int32), np.array(lines, np.int32))

    def _add(
        self,
        images: Sequence[str],
        starts: npt.NDArray[np.int64],
        sayings: npt.NDArray[np.int32],
        lines: npt.NDArray[np.int32],
    ) -> None:
        """Adds rows, of which those of image `i` begin at `starts[i]`."""
        rows = np.array(self._images.rows(images, lines[starts].tolist()), np.int32)
        rows = np.repeat(rows, np.diff(starts, append=len(sayings)))
        what = self._sayings.what(sayings)
        says_nothing = what == NOTHING
        self.num_rows_of_machines += int(np.count_nonzero(says_nothing & (sayings != FAULTY)))
        taken = ~says_nothing & (rows != _LEFT_OUT)
        rows, what, lines = rows[taken], what[taken], lines[taken]
        columns = self._columns_of(self._sayings.labels(sayings[taken]), lines)
        if self._heeds_machines:
            by_machine = what == BY_MACHINE
            self._by_machines.append((rows[by_machine], columns[by_machine], lines[by_machine]))
            rows, columns, what, lines = (part[~by_machine] for part in (rows, columns, what, lines))
            self._by_people.append((rows, columns))
        self._samples.extend(rows, columns, what, lines)

    def _columns_of(self, labels: npt.NDArray[np.int32], lines: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """Returns the columns of labels; those that are named for the first time become classes."""
        names = self._sayings.names
        self._columns = np.append(self._columns, np.full(len(names) - len(self._columns), _NEW, np.int32))
        is_new = np.flatnonzero(self._columns[labels] == _NEW)
        if len(is_new):
            new, first = np.unique(labels[is_new], return_index=True)
            for at in np.argsort(first):
                name = names[new[at]]
                line = int(lines[is_new[first[at]]])
                self._columns[new[at]] = self._samples.column(self._display_names.get(name, name), line)
        return self._columns[labels]

    def _add_machines(self) -> None:
        """Adds what machines said where no person said anything: people were shown it, and judged it."""
        if not self._by_machines:
            return
        size = len(self._columns)
        by_people = np.concatenate([rows.astype(np.int64) * size + columns for rows, columns in self._by_people])
        rows, columns, lines = (np.concatenate(parts) for parts in zip(*self._by_machines, strict=True))
        free = ~np.isin(rows.astype(np.int64) * size + columns, by_people)
        self._samples.extend(rows[free], columns[free], np.ones(np.count_nonzero(free), np.int8), lines[free])


class _Images:
    """The rows of images in the table."""

    def __init__(self, samples: Samples, files: ImageFiles, pattern: str, skips: bool) -> None:
        self._samples, self._files, self._pattern, self._skips = samples, files, pattern, skips
        self.absent: dict[str, int] = {}
        """The images that are not in the table: -1 for a fault, -2 for one that is left out."""

    def rows(self, names: Sequence[str], lines: Sequence[int]) -> list[int]:
        """Returns the row of each image; -1 for a fault, -2 for one that is left out."""
        paths = list(map(self._pattern.format, names))
        rows = self._samples.rows(paths)
        for at, row in enumerate(rows):
            if row < 0:
                rows[at] = self._new(names[at], paths[at], lines[at])
        return rows

    def _new(self, name: str, path: str, line: int) -> int:
        if name in self.absent:
            return self.absent[name]
        if "/" in name or "\\" in name:
            self._samples.fault(line, f"ImageID is '{name}'; expected the name of an image, without its folder")
            row = -1
        elif self._skips and not self._files.has(path):
            row = _LEFT_OUT
        else:
            row = self._samples.image(path, line, hint=_HINT)
        if row < 0:
            self.absent[name] = row
        return row
