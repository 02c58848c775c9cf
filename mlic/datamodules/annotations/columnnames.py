"""`ColumnNames`: the classes of a file that says which column a label is in, but not what the columns are called."""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mlic.datamodules.annotations.imagefiles import ImageFiles
from mlic.datamodules.annotations.peek import head
from mlic.datamodules.annotations.places import Places
from mlic.datamodules.annotations.samples import Samples
from mlic.datamodules.annotations.text import text_lines
from mlic.errors import Faults, LabelError
from mlic.suffixes import is_image

__all__ = ["MOST_UNNAMED", "USUAL_FILES", "ColumnNames"]

log = logging.getLogger(__name__)

USUAL_FILES = ("labels.txt", "label_list.txt", "label.txt", "classes.txt", "class_names.txt", "synsets.txt")
"""What a file of class names is called, the likeliest first."""

MOST_UNNAMED = 100_000
"""As many classes may go without a name; a number above is a slip rather than a class."""

_NUMBERED = re.compile(r"(\d{1,9})[\s:,]+(\S.*)", re.ASCII)  # `0 cat`, a line of a label map


@dataclass(frozen=True)
class ColumnNames:
    """What the columns are called, in their order.

    Args:
        path: the file that names them; None: they are told by `classes`, or numbered.
        lines: each name with its line in the file; 0 without one.
        classes: the classes of the table, in order; None: as the columns.
    """

    path: Path | None
    lines: Mapping[str, int]
    classes: Sequence[str] | None = None

    @classmethod
    def find(
        cls, path: Path | None, folder: Path, classes: Sequence[str] | None, *, besides: Iterable[Path] = ()
    ) -> "ColumnNames | None":
        """Returns the names that a file, or the one beside the labels, or `classes` tells; None if nothing does.

        Args:
            path: the file: a name a line; or a number and a name, as `0 cat`, in any order of the numbers, where every
                line has one and 0 is among them.
            folder: where a file with one of the `USUAL_FILES` names is looked for, if there is no `path`.
            classes: the classes of the table, in order.
            besides: files in it that hold something else.

        Raises:
            LabelError: if the file cannot be read, names a class twice, or leaves a number out.
        """
        if path is None and (path := _usual(folder, {file.name for file in besides})) is not None:
            log.info("the classes are those of %s", path)
        if path is not None:
            return cls.of_file(path, classes)
        return None if classes is None else cls(None, dict.fromkeys(classes, 0), classes)

    @classmethod
    def of_file(cls, path: Path, classes: Sequence[str] | None) -> "ColumnNames":
        """Returns the names that a file tells.

        Raises:
            LabelError: as `find`.
        """
        return cls(path, _read(path), classes)

    @classmethod
    def numbered(cls, width: int, path: Path) -> "ColumnNames":
        """Returns the names "0", "1" and so on, for the columns of `path`.

        Raises:
            LabelError: if there are more than `MOST_UNNAMED`.
        """
        if width > MOST_UNNAMED:
            raise LabelError(
                f"{path}: {width} columns, but only {MOST_UNNAMED} may go without a name; expected fewer, or give "
                "names: a file with a name a line"
            )
        return cls(None, dict.fromkeys(map(str, range(width)), 0))

    @property
    def width(self) -> int:
        """The number of columns."""
        return len(self.lines)

    def __str__(self) -> str:
        """Says how many there are and who says so, as `3 classes of labels.txt`."""
        classes = "1 class" if self.width == 1 else f"{self.width} classes"
        return classes if self.path is None else f"{classes} of {self.path.name}"

    def samples(self, path: Path, files: ImageFiles, places: Places) -> tuple[Samples, npt.NDArray[np.int32]]:
        """Returns what collects the samples, and the column in the table of each column of the file; -1 for none.

        A name that is not among `classes` is noted as a fault, and so is one of them that no column has.

        Args:
            path: the annotation file.
            files: the images.
            places: of the faults; the file of the names is opened in it.
        """
        whole = 0 if self.path is None else places.open(str(self.path))
        at = {name: places.at(line) if line else whole for name, line in self.lines.items()}
        classes = at if self.classes is None else {name: at.get(name, whole) for name in self.classes}
        samples = Samples(path, files, classes, where=places)
        for name in classes:
            if name not in at:
                samples.fault(whole, f"class '{name}' is not named; expected a name for each of the classes")
        return samples, np.array([samples.column(name, place) for name, place in at.items()], np.int32)


def _usual(folder: Path, besides: set[str]) -> Path | None:
    """Returns the file in a folder that is called as one of class names is, and lists no images."""
    for path in (folder / name for name in USUAL_FILES if name not in besides):
        first = head(path, 4096).lstrip().splitlines()[:1]
        if first and not any(map(is_image, re.split(r"[\s,]+", first[0]))):
            return path
    return None


def _read(path: Path) -> dict[str, int]:
    """Returns the names in the order of their columns, each with its line."""
    lines, faults = text_lines(path), Faults()
    matches = [(line, _NUMBERED.fullmatch(text)) for line, text in lines]
    numbered = [(int(match[1]), line, match[2]) for line, match in matches if match]
    if len(numbered) == len(lines) and any(number == 0 for number, _, _ in numbered):
        for expected, (number, line, _) in enumerate(sorted(numbered)):
            if number != expected:
                faults.add(f"{path}:{line}: the number is {number}; expected each of 0 to {len(lines) - 1} once")
                break
        lines = [(line, name) for _, line, name in sorted(numbered)]
    names: dict[str, int] = {}
    for line, name in lines:
        if name in names:
            faults.add(f"{path}:{line}: class '{name}' is there twice, first on line {names[name]}")
        names.setdefault(name, line)
    if not lines:
        faults.add(f"{path}: no class; expected one a line")
    faults.raise_if_any()
    return names
