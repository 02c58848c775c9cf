"""`CsvReader`: labels in a table, with a column a class or a column that lists labels."""

import logging
import posixpath
from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from mlic.datamodules.annotations.imagefiles import ImageFiles
from mlic.datamodules.annotations.packing import Packer
from mlic.datamodules.annotations.rows import Row, Rows
from mlic.datamodules.annotations.spellings import CellValue, Spellings, Uncertain
from mlic.datamodules.annotations.text import open_text
from mlic.datamodules.readers.base import LabelReader
from mlic.datamodules.readers.csvcolumns import Columns, Layout
from mlic.datamodules.readers.csvforeign import is_foreign
from mlic.datamodules.readers.csvimages import RowImages
from mlic.datamodules.readers.csvlists import LabelLists
from mlic.datamodules.readers.csvonehot import OneHotCells
from mlic.datamodules.readers.csvpresets import Preset, preset_named, preset_of
from mlic.errors import Faults, LabelError
from mlic.labels import LabelTable

__all__ = ["CsvReader"]

log = logging.getLogger(__name__)

_LOOKED_AT = 1000  # rows that tell what the columns are
_FEW = 100  # rows that tell which words occur
_ROBOFLOW = "_classes.csv"


class CsvReader(LabelReader):
    r"""Reads a CSV file with a header and a row an image, in one of two forms.

    One column a class (`image,cat,dog` / `a.jpg,1,0`): 1, true and yes are present, 0, false and no absent; a blank,
    `?` and NaN unknown. An image whose cells are all unknown is unlabelled. `-1`, and a blank where no cell at all is
    absent, are refused until `uncertain`, `negative_value` or `unknown_value` says what they mean. Each column is a
    class, in the order of the header, except for the image's, the group's and those of `ignore_columns`. Rows of one
    image complete each other and must not contradict.

    One column that lists labels (`image,labels` / `a.jpg,"cat,dog"`, or a row for each label): what is not listed is
    absent, and so is a class that the training file names and this one never does; a blank cell and `No Finding` are a
    labelled image without any class, `?` and NaN an unlabelled one; None, null, N/A and -1 are refused until
    `negative_value` or `unknown_value` says what they mean. Classes are sorted by name. Rows of one image are united.
    Other columns are not read.

    Rows whose cells are all blank say nothing. A first column without a name, as pandas writes its index, is ignored.

    Names map to classes exactly, after spaces around them are stripped. A name that is not among `classes`, where they
    are given, is an error with its line. An image without a row is not part of the table.

    A preset is what is known of a public data set: its columns and classes, what separates its labels, what -1 means,
    what its groups are (patients; the versions of one photograph), where its images are. It applies by itself to a
    header that no other file has, which the log tells, and otherwise if it is named; what is given beside it wins.

    - `chestxray14`: the 14 classes of `Finding Labels`; `No Finding` is none of them.
    - `chexpert`: the 14 observations, `No Finding` among them; -1 (uncertain) and a blank (not mentioned) are unknown.
      The paper's baselines: `uncertain` for -1, `negative_value: ''` for a blank.
    - `celeba`: the 40 attributes of `list_attr_celeba.csv`, where -1 is absent.
    - `roboflow`: `_classes.csv`; `path` may be the folder that holds it.
    - `planet`: Kaggle's Planet, image names without `.jpg` and labels with spaces between them. To be named.

    Args:
        path: the file, UTF-8; cells are separated by `,`, `;` or a tab, or as a first line such as `sep=;` says.
        image_column: by default one called image, image_path, image_name, image_id, image index, img, img_path, path,
            filename, file_name or file, else the only one that names image files, else the first that has a name.
        label_column: the column that lists labels; by default one called label, labels, tags, Finding Labels or
            classes, if its cells are not 1 and 0.
        delimiter: between the labels of a cell, a space for any white space; by default `,`, `|` or `;`, whichever
            occurs, if only one does; a cell such as `['cat', 'dog']` is then a list in the notation of Python or JSON.
        ignore_columns: columns that are no classes, beside those that a preset knows.
        group_column: what a split must not tear apart, such as the patient.
        negative_value: another spelling of absent, such as -1; "" makes blank cells absent.
        unknown_value: another spelling of unknown, such as -1.
        uncertain: what -1 means: `ignore` (unknown), `positive` (present), `negative` (absent); or class -> one of
            these. In classes that are not named it means what `negative_value`, `unknown_value` or the preset says.
        soft: whether numbers between 0 and 1 are soft labels: how probable it is that the class is present.
        classes: the classes in order, all of them; by default those that the file names.
        preset: chestxray14, chexpert, celeba, roboflow or planet.
        only: a file with the names of the images that are wanted, one a line, as the table has them, such as
            `test_list.txt` of ChestX-ray14; rows of other images are left out, and counted in the log.
        root: the folder that image paths start from; by default the first of the folder of the file, `images` in it,
            the folder above and `images` in that, and one called as the file, that has most of the first images.
        uri_prefix: what URIs of images begin with, such as `s3://bucket/`, to the local folder that holds the same.

    Raises:
        LabelError: by `read`, with all faults of the file, each with its line, and the table of what is right.
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
        uncertain: dict[str, str] | str | None = None,
        soft: bool = False,
        classes: list[str] | None = None,
        preset: str | None = None,
        only: Path | None = None,
        root: Path | None = None,
        uri_prefix: dict[str, Path] | None = None,
    ) -> None:
        self._path = Path(path)
        self._image_column, self._label_column, self._group_column = image_column, label_column, group_column
        self._delimiter, self._ignored, self._classes = delimiter, ignore_columns or [], classes
        self._negative_value, self._unknown_value = negative_value, unknown_value
        self._spellings = Spellings(negative_value, unknown_value)
        self._uncertain, self._soft = uncertain, soft
        if isinstance(uncertain, str) and self._spellings.minus_one is not None:
            raise LabelError(f"uncertain is {uncertain!r}, and another option says what -1 means too; give one of them")
        Uncertain(uncertain)  # raises if it says something else
        self._preset = None if preset is None else preset_named(preset)
        self._root, self._uri_prefix = root, uri_prefix
        self._only = None if only is None else Path(only)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Says whether `path` is a `.csv` or `.tsv` file of no other format, or a folder with a `_classes.csv`."""
        if path.is_dir():
            return (path / _ROBOFLOW).is_file()
        return path.suffix.lower() in (".csv", ".tsv") and path.is_file() and not is_foreign(path)

    def read(self) -> LabelTable:
        """Returns the table; a row an image, in the order of the file."""
        path, faults = _file(self._path), Faults()
        with open_text(path) as stream:
            rows = Rows(stream, path, faults)
            if not rows.header:
                faults.raise_if_any()
                raise LabelError(f"{path}: the file is empty; expected a header and a row an image")
            preset = self._find_preset(path, rows)
            first = list(islice(rows, _LOOKED_AT))
            layout = self._columns(path, preset).layout(rows.header_line, rows.header, first)
            images = self._images(path, layout, preset, first)
            opened = _Opened(path, rows, first, layout, preset, images, faults)
            return self._read_one_hot(opened) if layout.label is None else self._read_lists(opened)

    def _find_preset(self, path: Path, rows: Rows) -> Preset:
        if self._preset is not None:
            return self._preset
        name = preset_of(path, rows.header)
        if name is None:
            return Preset()
        preset = preset_named(name)
        if self._image_column in (None, preset.image_column) and self._label_column in (None, preset.label_column):
            given = (self._uncertain, self._negative_value, self._unknown_value, self._group_column, self._classes)
            but = "" if given == (None,) * len(given) else ", as far as no option says otherwise"
            log.info("%s:%d: read with preset: %s: %s%s", path, rows.header_line, name, preset.summary, but)
            return preset
        return Preset()

    def _columns(self, path: Path, preset: Preset) -> Columns:
        classes: Sequence[str] | None = self._classes
        if classes is None and preset.classes is not None:
            classes = [name for name in preset.classes if name not in self._ignored]
        group = self._group_column or preset.group_column
        return Columns(
            path,
            self._image_column or preset.image_column,
            self._label_column or preset.label_column,
            group,
            self._ignored,
            [name for name in preset.ignore_columns if name != group],
            classes,
            self._spellings,
        )

    def _images(self, path: Path, layout: Layout, preset: Preset, first: Sequence[Row]) -> RowImages:
        beside = path.parent
        forms = preset.path_forms(beside if self._root is None else Path(self._root))
        # What leads out of the folder of the file says nothing about where the others start from.
        paths = [cells[layout.image].strip() for _, cells, _ in first if layout.image < len(cells)]
        paths = [form(written) for written in paths if not _leads_out(written) for form in forms]
        guesses = [*preset.guesses, "images", "../images", path.stem, f"{path.stem}_images"]
        if any("/" in written or "\\" in written for written in paths):
            guesses.append("..")
        files = ImageFiles.locate(self._root, beside, paths, guesses=guesses, uri_prefix=self._uri_prefix)
        return RowImages(path, layout, files, forms, preset.group, self._only)

    def _read_one_hot(self, file: "_Opened") -> LabelTable:
        path, _, first, layout, _, images, faults = file
        uncertain = self._meaning_of_minus_one(file.preset)
        faults.extend(f"{path}:{layout.line}: {text}" for text in uncertain.strangers(layout.classes))
        seen = (cells[at] for _, cells, _ in first[:_FEW] for at in layout.class_columns if at < len(cells))
        packer = Packer(file.rows.separator, len(layout.classes), self._spellings, seen)
        others = file.rows if layout.block is None else file.rows.packed(*layout.block, packer)
        cells = OneHotCells(path, layout, self._spellings, uncertain, self._soft, packer)
        for row in images.check(chain(first, others), faults):
            cells.add(*row)
        paths = images.paths
        table = LabelTable.from_blocks(
            paths,
            layout.classes,
            cells.labels(paths, faults),
            root=images.root,
            groups=images.groups,
            origins=dict.fromkeys(layout.classes, f"{path}:{layout.line}"),
            source=str(path),
        )
        faults.raise_if_any(table if paths else None)
        return table

    def _meaning_of_minus_one(self, preset: Preset) -> Uncertain:
        if self._spellings.minus_one is not None or isinstance(self._uncertain, str):
            return Uncertain(self._uncertain, self._spellings.minus_one)
        return Uncertain(self._uncertain, Uncertain(preset.uncertain).codes([""])[0])

    def _read_lists(self, file: "_Opened") -> LabelTable:
        path, _, first, layout, preset, images, faults = file
        column = layout.label or 0
        name = layout.header[column]
        for option, given in (("uncertain", self._uncertain is not None), ("soft", self._soft)):
            if given:
                faults.add(f"{path}:{layout.line}: {option} is about a column a class, but '{name}' lists labels")
        values = (None if value is None else str(value) for value in (self._negative_value, self._unknown_value))
        classes = self._classes or preset.classes
        cells = LabelLists(path, name, self._delimiter or preset.delimiter, classes, *values)
        for line, image, row, _ in images.check(chain(first, file.rows), faults):
            cells.add(line, image, row[column])
        paths = images.paths
        lists = cells.lists(len(paths), faults)
        if lists is None or not lists.classes or not paths:
            faults.raise_if_any()
            raise LabelError(f"{path}: column '{name}' names no class; expected some labels")
        table = LabelTable.from_cells(
            paths,
            lists.classes,
            lists.rows,
            lists.columns,
            lists.rows * 0 + 1,
            lists.fill,
            root=images.root,
            groups=images.groups,
            origins=lists.origins,
            source=str(path),
            open_vocabulary=True,
        )
        faults.raise_if_any(table)
        return table


class _Opened(NamedTuple):
    """A file whose columns are known."""

    path: Path
    rows: Rows
    first: list[Row]
    layout: Layout
    preset: Preset
    images: RowImages
    faults: Faults


def _file(path: Path) -> Path:
    """Returns the file that a path stands for: in a folder, Roboflow's.

    Raises:
        LabelError: if it is a folder without that file; with those in the folders in it, which are the sides of an
            export.
    """
    if not path.is_dir() or (path / _ROBOFLOW).is_file():
        return path / _ROBOFLOW if path.is_dir() else path
    inside = sorted(path.glob(f"*/{_ROBOFLOW}")) or sorted(path.glob("*.csv"))[:5]
    if not inside:
        return path  # which cannot be read
    raise LabelError(f"{path}: is a folder; name the annotation file in it: {' or '.join(map(str, inside))}")


def _leads_out(written: str) -> bool:
    """Says whether a path leads out of the folder it starts from, wherever that is."""
    return f"{posixpath.normpath(written.replace(chr(92), '/'))}/".startswith("../")
