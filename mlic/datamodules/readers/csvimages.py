"""`RowImages`: the images that the rows of a table are about."""

import logging
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mlic.datamodules.annotations.imagefiles import ImageFiles
from mlic.datamodules.annotations.rows import Row
from mlic.datamodules.annotations.text import text_lines
from mlic.datamodules.readers.csvcolumns import Layout
from mlic.datamodules.readers.csvpresets import PathForm
from mlic.errors import Faults, LabelError

__all__ = ["RowImages"]

log = logging.getLogger(__name__)


class RowImages:
    """The images of the rows, each once, and their groups.

    Args:
        path: of the file, for messages.
        layout: what its columns are.
        files: where the images are.
        forms: what the path of an image may stand for, the likeliest first.
        group: matches the group in the path of an image, where no column tells it.
        only: a file with the names of the images that are wanted, one a line; None: all are.

    Raises:
        LabelError: if `only` cannot be read.
    """

    def __init__(
        self,
        path: Path,
        layout: Layout,
        files: ImageFiles,
        forms: Sequence[PathForm],
        group: str | None,
        only: Path | None,
    ) -> None:
        self._path, self._layout, self._files, self._forms = path, layout, files, list(forms)
        self._pattern = re.compile(group) if group is not None and layout.group is None else None
        # Counted from the end, the columns behind the classes are where they are in a row without the cells of those.
        first = layout.block[0] if layout.block is not None else len(layout.header)
        behind = len(layout.header)
        self._image_at = layout.image if layout.image < first else layout.image - behind
        self._group_at = layout.group if layout.group is None or layout.group < first else layout.group - behind
        self._has_groups = self._group_at is not None or self._pattern is not None
        self._only = only
        self._wanted = None if only is None else {name: line for line, name in text_lines(only)}
        self._number: dict[str, int] = {}
        self._lines = array("q")
        self._groups: list[str] = []

    @property
    def root(self) -> Path:
        """The folder that the paths start from."""
        return self._files.root

    @property
    def paths(self) -> list[str]:
        """The paths relative to the root, in the order in which they came."""
        return list(self._number)

    @property
    def groups(self) -> list[str] | None:
        """The group of each image, if there are groups."""
        return self._groups if self._has_groups else None

    def check(self, rows: Iterable[Row], faults: Faults) -> Iterator[tuple[int, int, list[str], bytes]]:
        """Yields the rows of the right width, each with its line and the number of its image, or -1 for a faulty one.

        Raises:
            LabelError: if there are no rows.
        """
        width, line = len(self._layout.header), 0
        left_out, missing = 0, dict(self._wanted or {})
        for line, cells, codes in rows:
            if not codes and len(cells) != width and not _trim(cells, width):
                faults.add(f"{self._path}:{line}: {len(cells)} cells, but the header names {width} columns")
                continue
            written = cells[self._image_at].strip()
            if self._wanted is not None and written not in self._wanted:
                left_out += 1
                continue
            missing.pop(written, None)
            yield line, self._image(line, written, cells, faults), cells, codes
        if not line:
            faults.raise_if_any()
            raise LabelError(f"{self._path}: no sample below the header; expected a row an image")
        if self._only is not None:
            log.info("%s: %d rows are left out, since %s does not name their images", self._path, left_out, self._only)
        faults.extend(
            f"{self._only}:{place}: no row of {self._path} is about '{name}'" for name, place in missing.items()
        )

    def _image(self, line: int, written: str, cells: Sequence[str], faults: Faults) -> int:
        """Returns the number of an image; -1 for a fault, which is noted."""
        if not written:
            column = self._layout.header[self._layout.image]
            faults.add(f"{self._path}:{line}: column '{column}' is blank; expected an image")
            return -1
        try:
            path = self._find(written)
        except LabelError as error:
            faults.add(f"{self._path}:{line}: {error}{self._layout.image_hint}")
            return -1
        number = self._number.setdefault(path, len(self._number))
        if number == len(self._lines):
            self._lines.append(line)
        if self._has_groups:
            self._note_group(number, self._group(path, cells), line, path, faults)
        return number

    def _note_group(self, number: int, group: str, line: int, path: str, faults: Faults) -> None:
        if number == len(self._groups):
            self._groups.append(group)
        elif group != self._groups[number]:
            faults.add(
                f"{self._path}:{line}: image '{path}' is in group '{group}', but in '{self._groups[number]}' on line "
                f"{self._lines[number]}; expected one group"
            )

    def _group(self, path: str, cells: Sequence[str]) -> str:
        if self._group_at is not None:
            return cells[self._group_at].strip()
        match = self._pattern and self._pattern.search(path)
        return match[0] if match else ""

    def _find(self, written: str) -> str:
        for place, form in enumerate(self._forms[:-1]):
            try:
                path = self._files.find(form(written))
            except LabelError:
                continue
            # The images of neighbouring rows are in one folder mostly.
            self._forms.insert(0, self._forms.pop(place))
            return path
        return self._files.find(self._forms[-1](written))


def _trim(cells: list[str], width: int) -> bool:
    """Takes blank cells off the end that have no column; says whether that made the row fit."""
    if any(cell.strip() for cell in cells[width:]):
        return False
    del cells[width:]
    return len(cells) == width
