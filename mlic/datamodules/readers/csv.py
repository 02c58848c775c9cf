"""`CsvReader`: labels in a table, with a column a class or a column that lists labels."""

import csv
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

from mlic.datamodules.readers.base import LabelReader
from mlic.datamodules.readers.imagefiles import ImageFiles, is_image
from mlic.datamodules.readers.labellists import LabelLists
from mlic.datamodules.readers.onehot import CellValue, OneHotCells, Spellings
from mlic.datamodules.readers.text import open_text, undecodable
from mlic.errors import Faults, LabelError, did_you_mean
from mlic.labels import LabelTable

__all__ = ["CsvReader"]

_IMAGE_COLUMNS = ("image", "image_path", "path", "filename", "file_name", "file")
_LABEL_COLUMNS = ("label", "labels", "tags", "finding labels", "classes")
_SEPARATORS = ",;\t"
_LOOKED_AT = 1000  # rows that tell what the columns are

Row = tuple[int, list[str]]
"""The line a row starts on, and its cells."""


class CsvReader(LabelReader):
    r"""Reads a CSV file with a header and a row an image, in one of two forms.

    One column a class (`image,cat,dog` / `a.jpg,1,0`): 1, true and yes are present, 0, false and no absent; a blank,
    `?` and NaN unknown. An image whose cells are all unknown is unlabelled. `-1` is refused until `negative_value` or
    `unknown_value` says what it means. Each column is a class, in the order of the header, except for the image's, the
    group's and those of `ignore_columns`. Rows of one image complete each other and must not contradict.

    One column that lists labels (`image,labels` / `a.jpg,"cat,dog"`): what is not listed is absent, and so is a class
    that the training file names and this one never does; a blank cell and
    `No Finding` are a labelled image without any class, `?` and NaN an unlabelled one. Classes are sorted by name.
    Rows of one image are united. Other columns are not read.

    Names map to classes exactly, after spaces around them are stripped. A name that is not among `classes`, where they
    are given, is an error with its line. An image without a row is not part of the table.

    Args:
        path: the file, UTF-8; cells are separated by `,`, `;` or a tab.
        image_column: by default one called image, image_path, path, filename, file_name or file, or the first.
        label_column: the column that lists labels; by default one called label, labels, tags, Finding Labels or
            classes, if its cells are not 1 and 0.
        delimiter: between the labels of a cell, a space for any white space; by default `,`, `|` or `;`, whichever
            occurs, if only one does.
        ignore_columns: columns that are no classes.
        group_column: what a split must not tear apart, such as the patient.
        negative_value: another spelling of absent, such as -1; "" makes blank cells absent.
        unknown_value: another spelling of unknown, such as -1.
        classes: the classes in order, all of them; by default those that the file names.
        root: the folder that image paths start from; by default the folder of the file.

    Raises:
        LabelError: by `read`, with all faults of the file, each with its line.
    """

    def __init__(
        self,
        path: Path,
        image_column: str | None = None,
        label_column: str | None = None,
        delimiter: str | None = None,
        ignore_columns: list[str] | None = None,
        group_column: str | None = None,
        negative_value: CellValue | None = None,
        unknown_value: CellValue | None = None,
        classes: list[str] | None = None,
        root: Path | None = None,
    ) -> None:
        self._path = Path(path)
        self._image_column, self._label_column, self._group_column = image_column, label_column, group_column
        self._delimiter = delimiter
        self._ignored = ignore_columns or []
        self._negative_value, self._unknown_value = negative_value, unknown_value
        self._spellings = Spellings(negative_value, unknown_value)
        self._classes = classes
        self._root = self._path.parent if root is None else Path(root)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Says whether `path` is a file whose name ends with `.csv` or `.tsv`."""
        return path.suffix.lower() in (".csv", ".tsv") and path.is_file()

    def read(self) -> LabelTable:
        """Returns the table; a row an image, in the order of the file."""
        faults = Faults()
        with open_text(self._path) as stream:
            rows = _rows(stream, self._path, faults)
            header_line, header = next(rows, (1, []))
            if not header:
                faults.raise_if_any()
                raise LabelError(f"{self._path}: the file is empty; expected a header and a row an image")
            first = list(islice(rows, _LOOKED_AT))
            layout = self._layout(header_line, header, first)
            images = _Images(self._path, self._root, layout)
            body = images.check(chain(first, rows), faults)
            if layout.label is None:
                return self._read_one_hot(body, layout, images, faults)
            return self._read_lists(body, layout, images, faults)

    def _read_one_hot(
        self, rows: Iterable[tuple[int, int, list[str]]], layout: "_Layout", images: "_Images", faults: Faults
    ) -> LabelTable:
        cells = OneHotCells(self._path, layout.class_columns, layout.classes, self._spellings)
        for line, image, row in rows:
            cells.add(line, image, row)
        paths = images.paths
        labels = cells.labels(paths, faults)
        faults.raise_if_any()
        origins = dict.fromkeys(layout.classes, f"{self._path}:{layout.line}")
        return LabelTable.from_dense(
            paths,
            layout.classes,
            labels,
            root=self._root,
            groups=images.groups,
            origins=origins,
            source=str(self._path),
        )

    def _read_lists(
        self, rows: Iterable[tuple[int, int, list[str]]], layout: "_Layout", images: "_Images", faults: Faults
    ) -> LabelTable:
        column = layout.label or 0
        values = (None if value is None else str(value) for value in (self._negative_value, self._unknown_value))
        cells = LabelLists(self._path, layout.header[column], self._delimiter, self._classes, *values)
        for line, image, row in rows:
            cells.add(line, image, row[column])
        lists = cells.lists(len(images.paths), faults)
        faults.raise_if_any()
        if lists is None or not lists.classes:
            raise LabelError(f"{self._path}: column '{layout.header[column]}' names no class; expected some labels")
        table = LabelTable.from_cells(
            images.paths,
            lists.classes,
            lists.rows,
            lists.columns,
            lists.rows * 0 + 1,
            lists.fill,
            root=self._root,
            groups=images.groups,
            origins=lists.origins,
            source=str(self._path),
        )
        return replace(table, open_vocabulary=True)

    def _layout(self, line: int, cells: list[str], rows: Sequence[Row]) -> "_Layout":
        """Finds out what the columns are.

        Raises:
            LabelError: with all that is wrong with the header, for then the rows say nothing.
        """
        faults = Faults()
        where = f"{self._path}:{line}: "
        header = [cell.strip() for cell in cells]
        while header and not header[-1]:  # some write a separator at the end of each line
            header.pop()
        if not header:
            raise LabelError(f"{where}no column has a name; expected a header, such as image,cat,dog")
        if any(is_image(name) for name in header):
            faults.add(f"{where}the first line names an image; expected a header, such as image,cat,dog")
        for name in filter(None, [*self._ignored, self._image_column, self._label_column, self._group_column]):
            if name not in header:
                hint = did_you_mean(name, header)
                faults.add(f"{where}there is no column '{name}'{hint or '; there are ' + ', '.join(header)}")
        faults.raise_if_any()
        group = None if self._group_column is None else header.index(self._group_column)
        taken = {group, *(header.index(name) for name in self._ignored if name in header)}
        image = self._find_image_column(header, rows, taken)
        label = self._find_label_column(header, rows, where, taken | {image}, faults)
        columns = [column for column in range(len(header)) if column not in taken | {image}] if label is None else []
        columns = self._class_columns(header, columns, where, faults) if label is None else []
        faults.raise_if_any()
        return _Layout(line, header, image, group, label, columns, tuple(header[column] for column in columns))

    def _find_image_column(self, header: list[str], rows: Sequence[Row], taken: set[int | None]) -> int:
        if self._image_column is not None:
            return header.index(self._image_column)
        free = [column for column in range(len(header)) if column not in taken]
        named = [column for column in free if header[column].casefold() in _IMAGE_COLUMNS]
        # A class may be called "path": its cells are labels.
        return next((column for column in named if self._holds_text(rows, column)), free[0] if free else 0)

    def _find_label_column(
        self, header: list[str], rows: Sequence[Row], where: str, taken: set[int | None], faults: Faults
    ) -> int | None:
        if self._label_column is not None:
            return header.index(self._label_column)
        free = [column for column in range(len(header)) if column not in taken]
        named = [column for column in free if header[column].casefold() in _LABEL_COLUMNS]
        # A lone column without any cell lists no labels, rather than being a class of which nothing is known.
        lone = len(free) == 1
        found = [at for at in named if self._holds_text(rows, at) or (lone and _is_blank(rows, at))]
        if len(found) > 1:
            names = " and ".join(f"'{header[column]}'" for column in found)
            faults.add(f"{where}columns {names} may both list labels; give label_column: one of them")
        return found[0] if found else None

    def _class_columns(self, header: list[str], columns: list[int], where: str, faults: Faults) -> list[int]:
        """Returns the columns of the classes, in order."""
        at: dict[str, int] = {}
        for column in columns:
            name = header[column]
            if not name:
                faults.add(f"{where}column {column + 1} has no name; name it or take it out (pandas: index=False)")
            elif name in at:
                faults.add(f"{where}column '{name}' is there twice; expected each class once")
            elif self._classes is not None and name not in self._classes:
                hint = did_you_mean(name, self._classes) or f"; give ignore_columns: ['{name}'] to leave it out"
                faults.add(f"{where}class '{name}' is not among the {len(self._classes)} classes{hint}")
            at.setdefault(name, column)
        for name in self._classes or ():
            if name not in at:
                faults.add(f"{where}class '{name}' has no column{did_you_mean(name, list(at))}")
        if not columns:
            faults.add(
                f"{where}no column is a class; expected a column a class, or label_column: one that lists labels"
            )
        return columns if self._classes is None or faults.count else [at[name] for name in self._classes]

    def _holds_text(self, rows: Sequence[Row], column: int) -> bool:
        return any(column < len(cells) and not self._spellings.reads(cells[column]) for _, cells in rows)


@dataclass(frozen=True)
class _Layout:
    """What the columns of a file are, by their positions."""

    line: int
    header: list[str]
    image: int
    group: int | None
    label: int | None
    class_columns: list[int]
    classes: tuple[str, ...]


class _Images:
    """The images of the rows, each once."""

    def __init__(self, path: Path, root: Path, layout: _Layout) -> None:
        self._path, self._layout, self._files = path, layout, ImageFiles(root)
        self._number: dict[str, int] = {}
        self._lines = array("q")
        self.groups: list[str] | None = None if layout.group is None else []

    @property
    def paths(self) -> list[str]:
        """The paths relative to the root, in the order in which they came."""
        return list(self._number)

    def check(self, rows: Iterable[Row], faults: Faults) -> Iterator[tuple[int, int, list[str]]]:
        """Yields the rows of the right width, each with its line and the number of its image, or -1 for a faulty one.

        Raises:
            LabelError: if there are no rows.
        """
        width, line = len(self._layout.header), 0
        for line, cells in rows:
            if len(cells) != width and not self._trim(cells, width):
                faults.add(f"{self._path}:{line}: {len(cells)} cells, but the header names {width} columns")
                continue
            try:
                image = self._image(line, cells, faults)
            except LabelError as error:
                faults.add(f"{self._path}:{line}: {error}")
                image = -1
            yield line, image, cells
        if not line:
            faults.raise_if_any()
            raise LabelError(f"{self._path}: no sample below the header; expected a row an image")

    def _trim(self, cells: list[str], width: int) -> bool:
        """Takes blank cells off the end that have no column; says whether that made the row fit."""
        if any(cell.strip() for cell in cells[width:]):
            return False
        del cells[width:]
        return len(cells) == width

    def _image(self, line: int, cells: list[str], faults: Faults) -> int:
        written = cells[self._layout.image].strip()
        if not written:
            raise LabelError(f"column '{self._layout.header[self._layout.image]}' is blank; expected an image")
        path = self._files.find(written)
        number = self._number.setdefault(path, len(self._number))
        if number == len(self._lines):
            self._lines.append(line)
            if self.groups is not None and self._layout.group is not None:
                self.groups.append(cells[self._layout.group].strip())
        elif self.groups is not None and self._layout.group is not None:
            here, there = cells[self._layout.group].strip(), self.groups[number]
            if here != there:
                faults.add(
                    f"{self._path}:{line}: image '{path}' is in group '{here}', but in '{there}' on line "
                    f"{self._lines[number]}; expected one group"
                )
        return number


def _rows(stream: Iterable[str], path: Path, faults: Faults) -> Iterator[Row]:
    """Yields the rows that are not blank, up to the first line that is no CSV, which it notes."""
    lines, before, header = iter(stream), 0, ""
    try:
        for header in lines:
            if header.strip():
                break
            before += 1
    except UnicodeDecodeError:
        faults.add(undecodable(path))
        return
    reader = csv.reader(chain([header], lines), delimiter=_separator(header), skipinitialspace=True, strict=True)
    while True:
        line = before + reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            faults.add(f"{path}:{line}: {error}; is a quotation mark left open?")
            return
        except UnicodeDecodeError:
            faults.add(undecodable(path))
            return
        if cells is None:
            return
        if len(cells) > 1 or (cells and cells[0].strip()):
            yield line, cells


def _separator(header: str) -> str:
    """Returns what separates the cells: whichever the header has most of."""
    bare = re.sub(r'"[^"]*"', "", header)
    return max(_SEPARATORS, key=bare.count)


def _is_blank(rows: Sequence[Row], column: int) -> bool:
    return all(column >= len(cells) or not cells[column].strip() for _, cells in rows)
