"""`CsvReader`: labels in a table, with a column a class or a column that lists labels."""

import csv
import re
from array import array
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

from mlic.datamodules.readers.base import LabelReader
from mlic.datamodules.readers.columns import Columns, Layout, Row
from mlic.datamodules.readers.imagefiles import ImageFiles
from mlic.datamodules.readers.labellists import LabelLists
from mlic.datamodules.readers.onehot import CellValue, OneHotCells, Spellings
from mlic.datamodules.readers.text import open_text, undecodable
from mlic.errors import Faults, LabelError
from mlic.labels import LabelTable

__all__ = ["CsvReader"]

_SEPARATORS = ",;\t"
_LOOKED_AT = 1000  # rows that tell what the columns are


class CsvReader(LabelReader):
    r"""Reads a CSV file with a header and a row an image, in one of two forms.

    One column a class (`image,cat,dog` / `a.jpg,1,0`): 1, true and yes are present, 0, false and no absent; a blank,
    `?` and NaN unknown. An image whose cells are all unknown is unlabelled. `-1`, and a blank where no cell at all is
    absent, are refused until `negative_value` or `unknown_value` says what they mean. Each column is a class, in the
    order of the header, except for the image's, the group's and those of `ignore_columns`. Rows of one image complete
    each other and must not contradict.

    One column that lists labels (`image,labels` / `a.jpg,"cat,dog"`): what is not listed is absent, and so is a class
    that the training file names and this one never does; a blank cell and `No Finding` are a labelled image without
    any class, `?` and NaN an unlabelled one, and None, null and N/A are refused until `negative_value` or
    `unknown_value` says what they mean. Classes are sorted by name. Rows of one image are united. Other columns are not
    read.

    Rows whose cells are all blank say nothing. A first column without a name, as pandas writes its index, is ignored.

    Names map to classes exactly, after spaces around them are stripped. A name that is not among `classes`, where they
    are given, is an error with its line. An image without a row is not part of the table.

    Args:
        path: the file, UTF-8; cells are separated by `,`, `;` or a tab, or as a first line such as `sep=;` says.
        image_column: by default one called image, image_path, image_name, image_id, image index, img, img_path, path,
            filename, file_name or file, else the only one that names image files, else the first that has a name.
        label_column: the column that lists labels; by default one called label, labels, tags, Finding Labels or
            classes, if its cells are not 1 and 0.
        delimiter: between the labels of a cell, a space for any white space; by default `,`, `|` or `;`, whichever
            occurs, if only one does; a cell such as `['cat', 'dog']` is then a list in the notation of Python or JSON.
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
        self._delimiter = delimiter
        self._negative_value, self._unknown_value = negative_value, unknown_value
        self._spellings = Spellings(negative_value, unknown_value)
        self._columns = Columns(
            self._path, image_column, label_column, group_column, ignore_columns or [], classes, self._spellings
        )
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
            rows = ((line, cells) for line, cells in rows if any(map(str.strip, cells)))
            first = list(islice(rows, _LOOKED_AT))
            layout = self._columns.layout(header_line, header, first)
            images = _Images(self._path, self._root, layout)
            body = images.check(chain(first, rows), faults)
            if layout.label is None:
                return self._read_one_hot(body, layout, images, faults)
            return self._read_lists(body, layout, images, faults)

    def _read_one_hot(
        self, rows: Iterable[tuple[int, int, list[str]]], layout: Layout, images: "_Images", faults: Faults
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
        self, rows: Iterable[tuple[int, int, list[str]]], layout: Layout, images: "_Images", faults: Faults
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
        return LabelTable.from_cells(
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
            open_vocabulary=True,
        )


class _Images:
    """The images of the rows, each once."""

    def __init__(self, path: Path, root: Path, layout: Layout) -> None:
        self._path, self._layout, self._files = path, layout, ImageFiles(root, path.parent)
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
        try:
            path = self._files.find(written)
        except LabelError as error:
            raise LabelError(f"{error}{self._layout.image_hint}") from error
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
    lines, before, header, told = iter(stream), 0, "", ""
    try:
        for header in lines:
            line_for_excel = None if told else re.fullmatch(r'"?sep=([,;\t|])"?\s*', header)
            if line_for_excel:
                told = line_for_excel[1]
            elif header.strip():
                break
            before += 1
    except UnicodeDecodeError:
        faults.add(undecodable(path))
        return
    reader = csv.reader(
        chain([header], lines), delimiter=told or _separator(header), skipinitialspace=True, strict=True
    )
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
