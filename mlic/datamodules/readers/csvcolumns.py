"""`Columns`: what the columns of an annotation table are, by their names and their first cells."""

import logging
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlic.datamodules.annotations.rows import Row
from mlic.datamodules.annotations.spellings import Spellings
from mlic.errors import Faults, LabelError, did_you_mean
from mlic.labels.cells import unknown_class
from mlic.suffixes import is_image

__all__ = ["Columns", "Layout"]

log = logging.getLogger(__name__)

_IMAGE_COLUMNS = (
    *("image", "image_path", "path", "filename", "file_name", "file", "image_name", "imagename", "image index"),
    *("imageid", "image_id", "img", "img_path"),
)
_LABEL_COLUMNS = ("label", "labels", "tags", "finding labels", "classes")


@dataclass(frozen=True)
class Layout:
    """What the columns of a file are, by their positions."""

    line: int
    header: list[str]
    image: int
    group: int | None
    label: int | None
    class_columns: list[int]
    classes: tuple[str, ...]
    image_hint: str
    """What to add to the fault of a missing image."""

    @property
    def block(self) -> tuple[int, int] | None:
        """How many columns come before and after those of the classes, if these stand together in order."""
        if not self.class_columns:
            return None
        first, count = self.class_columns[0], len(self.class_columns)
        together = self.class_columns == list(range(first, first + count))
        return (first, len(self.header) - first - count) if together else None


@dataclass(frozen=True)
class Columns:
    """What is told about the columns of `path`; the arguments are those of `CsvReader`.

    What is `skipped` is ignored as what is `ignored`, but need not be there.
    """

    path: Path
    image_column: str | None
    label_column: str | None
    group_column: str | None
    ignored: Sequence[str]
    skipped: Sequence[str]
    classes: Sequence[str] | None
    spellings: Spellings

    def layout(self, line: int, cells: Sequence[str], rows: Sequence[Row]) -> Layout:
        """Finds out what the columns are.

        Args:
            line: of the header.
            cells: of the header.
            rows: the first ones below it.

        Raises:
            LabelError: with all that is wrong with the header, for then the rows say nothing.
        """
        faults = Faults()
        where = f"{self.path}:{line}: "
        header = [cell.strip() for cell in cells]
        while header and not header[-1]:  # some write a separator at the end of each line
            header.pop()
        self._check_header(header, where, faults)
        group = None if self.group_column is None else header.index(self.group_column)
        taken = {group, *(header.index(name) for name in (*self.ignored, *self.skipped) if name in header)}
        look_so = [column for column in range(len(header)) if _holds_images(rows, column)]
        image = self._find_image(header, rows, where, taken, look_so, faults)
        taken.add(image)
        if 0 not in taken and _is_unnamed(header[0]) and self.label_column != header[0]:
            log.info("%scolumn 1, '%s', is ignored: it is no class, but an index as pandas writes it", where, header[0])
            taken.add(0)
        label = self._find_label(header, rows, where, taken, faults)
        columns = [column for column in range(len(header)) if column not in taken] if label is None else []
        columns = self._class_columns(header, columns, where, faults) if label is None else []
        faults.raise_if_any()
        classes = tuple(header[column] for column in columns)
        others = [header[at] for at in look_so if header[at] and at != image]
        hint = f"; or give image_column: '{others[0]}'" if others and image not in look_so else ""
        return Layout(line, header, image, group, label, columns, classes, hint)

    def _check_header(self, header: list[str], where: str, faults: Faults) -> None:
        if not header:
            raise LabelError(f"{where}no column has a name; expected a header, such as image,cat,dog")
        if any(is_image(name) for name in header):
            faults.add(f"{where}the first line names an image; expected a header, such as image,cat,dog")
        elif len(header) == 1:
            expected = "expected several, separated by ',', ';' or a tab, such as image,cat,dog"
            faults.add(f"{where}the only column is '{header[0]}'; {expected}")
        for name in filter(None, [*self.ignored, self.image_column, self.label_column, self.group_column]):
            if name not in header:
                hint = did_you_mean(name, header)
                faults.add(f"{where}there is no column '{name}'{hint or '; there are ' + ', '.join(header)}")
        faults.raise_if_any()

    def _find_image(
        self,
        header: list[str],
        rows: Sequence[Row],
        where: str,
        taken: set[int | None],
        look_so: Sequence[int],
        faults: Faults,
    ) -> int:
        if self.image_column is not None:
            return header.index(self.image_column)
        free = [column for column in range(len(header)) if column not in taken]
        # A class may be called "path": its cells are labels.
        known = [at for at in free if header[at].casefold() in _IMAGE_COLUMNS and self._holds_text(rows, at)]
        look_so = [at for at in look_so if at in free]
        named = [at for at in look_so if at in known or header[at].casefold() == "name"] or known
        if named:
            return named[0]
        unnamed = [at for at in free if _is_unnamed(header[at])]
        if len(look_so) == 1 and look_so[0] not in unnamed:
            return look_so[0]
        others = [at for at in free if at not in unnamed]
        if not others or set(look_so) & set(unnamed):
            column = (look_so or unnamed or [0])[0] + 1
            faults.add(f"{where}no column is the image's; if column {column} is, name it image")
            return column - 1
        return others[0]

    def _find_label(
        self, header: list[str], rows: Sequence[Row], where: str, taken: set[int | None], faults: Faults
    ) -> int | None:
        if self.label_column is not None:
            return header.index(self.label_column)
        free = [column for column in range(len(header)) if column not in taken]
        named = [column for column in free if header[column].casefold() in _LABEL_COLUMNS]
        # A lone column without any cell lists no labels, rather than being a class of which nothing is known.
        lone = len(free) == 1
        found = [at for at in named if self._holds_text(rows, at) or (lone and _is_blank(rows, at))]
        if len(found) > 1:
            names = " and ".join(f"'{header[column]}'" for column in found)
            faults.add(f"{where}columns {names} may both list labels; give label_column: one of them")
        elif found:
            name = header[found[0]]
            of_labels = [header[at] for at in free if at != found[0] and self._holds_labels(rows, at)]
            if of_labels:
                faults.add(
                    f"{where}column '{name}' may list labels, but column '{of_labels[0]}' holds 1 and 0 as a class "
                    f"does; give label_column: '{name}', or ignore_columns: ['{name}'] if each other column is a class"
                )
        return found[0] if found else None

    def _class_columns(self, header: list[str], columns: list[int], where: str, faults: Faults) -> list[int]:
        """Returns the columns of the classes, in order."""
        at: dict[str, int] = {}
        wanted = frozenset(self.classes or ())
        for column in columns:
            name = header[column]
            if not name:
                faults.add(f"{where}column {column + 1} has no name; name it or take it out (pandas: index=False)")
            elif name in at:
                faults.add(f"{where}column '{name}' is there twice; expected each class once")
            elif self.classes is not None and name not in wanted:
                among = unknown_class(name, self.classes, faults)
                way_out = "" if among.endswith("?") else f"; give ignore_columns: ['{name}'] to leave it out"
                faults.add(f"{where}{among}{way_out}")
            at.setdefault(name, column)
        for name in self.classes or ():
            if name not in at:
                hint = "" if faults.is_full else did_you_mean(name, list(at))
                faults.add(f"{where}class '{name}' has no column{hint}")
        if not columns:
            faults.add(
                f"{where}no column is a class; expected a column a class, or label_column: one that lists labels"
            )
        return columns if self.classes is None or faults.count else [at[name] for name in self.classes]

    def _holds_text(self, rows: Sequence[Row], column: int) -> bool:
        return any(not self.spellings.reads(cell) for cell in _cells(rows, column))

    def _holds_labels(self, rows: Sequence[Row], column: int) -> bool:
        cells = _cells(rows, column)
        return bool(cells) and all(self.spellings.knows(cell) for cell in cells)


def _cells(rows: Sequence[Row], column: int) -> list[str]:
    return [cells[column] for _, cells, _ in rows if column < len(cells)]


def _holds_images(rows: Sequence[Row], column: int) -> bool:
    """Says whether most cells look like image files."""
    cells = _cells(rows, column)
    # The cells of a class are a few different ones.
    return sum(count for cell, count in Counter(cells).items() if is_image(cell.strip())) * 2 > len(cells)


def _is_blank(rows: Sequence[Row], column: int) -> bool:
    return not any(cell.strip() for cell in _cells(rows, column))


def _is_unnamed(name: str) -> bool:
    """Says whether a column has no name, or the one that pandas gives such a column when it reads it."""
    return re.fullmatch(r"(Unnamed: \d+)?", name) is not None
