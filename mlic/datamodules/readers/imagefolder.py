"""`ImageFolderReader`: the layout of Hugging Face's imagefolder with metadata."""

import logging
import posixpath
import re
from itertools import islice
from pathlib import Path
from typing import Any

from mlic.datamodules.annotations.imagefiles import ImageFiles
from mlic.datamodules.annotations.places import Places
from mlic.datamodules.annotations.samples import Samples
from mlic.datamodules.annotations.text import text_lines
from mlic.datamodules.readers.base import LabelReader
from mlic.datamodules.readers.hublabels import LabelValues
from mlic.datamodules.readers.hubmetadata import (
    FILES,
    Columns,
    MetadataFile,
    Row,
    is_metadata,
    lone_file,
    metadata_files,
    split_of,
)
from mlic.datamodules.readers.hubnames import names_beside, names_in_features
from mlic.datamodules.readers.hubparquet import features_of
from mlic.errors import LabelError
from mlic.labels import LabelTable

__all__ = ["ImageFolderReader"]

log = logging.getLogger(__name__)

_LOOKED_AT = 100  # rows that tell where the images are


class ImageFolderReader(LabelReader):
    """Reads a folder with `metadata.jsonl`, `.csv` or `.parquet` beside the images, as Hugging Face's `imagefolder`.

    Such a file lies in the folder itself, in one for each split (`train/metadata.jsonl`), or in `data/<split>/`; or
    `path` is one such file, or another of JSON lines or Parquet. A row has `file_name` (or another name that ends with
    `_file_name`), relative to the file, and `labels` (or `label`):

    - a list of names: those are present, all other classes are absent, and so is one that the training file names and
      this one never does; `[]` is a labelled image without any class;
    - a list of numbers, which stand for names by their positions;
    - a name or a number alone, as a list of one;
    - null or nothing: the image is unlabelled;
    - a mapping from names to 1 (present), 0 (absent), a probability between (a soft label) or null (unknown): a class
      that it does not name is unknown, and so is all where it is empty. This is an extension of the layout.

    In CSV a cell holds a list or a mapping as JSON or Python write it, or one name or number; a blank is unlabelled. An
    image without a row is not part of the table. Rows of one image are united and must not contradict. Other columns
    are not read; of images within Parquet files only the paths are.

    Names map to classes exactly, after spaces around them are stripped. Classes are those of `names`, in their order,
    or else all that are named, sorted. A name that is not among `classes` or `names`, where they are given, is an
    error.

    Args:
        path: the folder, or the file. Parquet needs `pip install "mlic[parquet]"`.
        root: the folder that stands for `path`, or for that of the file, if the images lie elsewhere.
        split: the one to read, such as `train`; `valid`, `val` and `dev` are other words for `validation`. By default
            all are read, as one table.
        names: of the classes, which numbers stand for, in order: a list, or a file with a name a line. By default those
            that a Parquet file, `dataset_infos.json` or the head of `README.md` tells, else `classes`.
        image_column: instead of `file_name`.
        label_column: instead of `labels`.
        classes: the classes in order, all of them.

    Raises:
        LabelError: by `read`, with all faults, each with its file and line, or row in Parquet.
    """

    def __init__(
        self,
        path: Path,
        root: Path | None = None,
        split: str | None = None,
        names: list[str] | Path | None = None,
        image_column: str | None = None,
        label_column: str | None = None,
        classes: list[str] | None = None,
    ) -> None:
        self._path, self._root, self._names, self._classes = Path(path), root, names, classes
        self._split = None if split is None else split_of(split) or split
        self._image_column, self._label_column = image_column, label_column

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Says whether `path` is a metadata file with images and labels, or a folder that holds one."""
        try:
            return any(is_metadata(file.path) for file in _files(path))
        except LabelError:
            return False

    def read(self) -> LabelTable:
        """Returns the table; images in the order of the rows, files in that of their paths."""
        found = _files(self._path)
        _check(found, self._path)
        files = [file for file in found if self._split is None or file.split in (self._split, None)]
        columns = Columns(self._image_column, self._label_column)
        names = self._find_names(files, columns)
        classes, places = self._classes or names, Places("", str(self._path))
        images = self._locate(files)
        samples = Samples(self._path, images, None if classes is None else dict.fromkeys(classes, 0), where=places)
        values = LabelValues(names or classes)
        splits = {file.split: None for file in found if file.split}
        for file in files:
            places.open(str(file.path))
            for line, row in columns.rows(file.path):
                if isinstance(row, LabelError):
                    samples.faults.add(str(row))
                elif self._is_wanted(file, row, splits):
                    self._add(file, row, places.at(line), samples, values)
        if not samples.num_images and not samples.faults.count and self._split is not None:
            there = f"; there are {', '.join(sorted(splits))}" if splits else ""
            raise LabelError(f"{self._path}: no split '{self._split}'{there}")
        self._judge(samples, values, columns, places)
        return samples.table(open_vocabulary=not values.has_mappings)

    def _find_names(self, files: list[MetadataFile], columns: Columns) -> list[str] | None:
        """Returns what numbers stand for, as far as that is told."""
        if isinstance(self._names, list):
            return self._names
        if self._names is not None:
            return _names_of(Path(self._names))
        for file in files:
            if file.path.suffix.lower() == ".parquet":
                features = features_of(file.path)
                column = columns.label_column(list(features) if isinstance(features, dict) else [])
                names = names_in_features(features, column)
                if names is not None:
                    return names
        folders = [self._path] if self._path.is_dir() else [self._path.parent, self._path.absolute().parent.parent]
        for folder in folders:
            for column in ("labels", "label") if self._label_column is None else (self._label_column,):
                told = names_beside(folder, column)
                if told is not None:
                    log.info("%s: the classes are those that %s tells", self._path, told[1])
                    return told[0]
        return None

    def _locate(self, files: list[MetadataFile]) -> ImageFiles:
        """Returns the files of the images.

        Raises:
            LabelError: if the images are inside a Parquet file.
        """
        root = self._root
        if root is None and self._path.is_dir():
            root = self._path
        sample = [(file, row.image) for file in files for row in self._first_rows(file)]
        written = [f"{file.below}{path}" for file, image in sample if (path := _path_of(image)) and not _refused(path)]
        guesses = ["images", self._path.stem]
        images = ImageFiles.locate(root, self._path.parent, written, guesses=guesses)
        for file in files:
            inside = [image for other, image in sample if other is file and isinstance(image, dict)]
            if inside and not any(images.has(f"{file.below}{_path_of(image) or ''}") for image in inside):
                raise LabelError(
                    f"{file.path}: its images are inside the file, which are not read; save them as files, and name "
                    "these in a column file_name"
                )
        return images

    def _first_rows(self, file: MetadataFile) -> list[Row]:
        rows = Columns(self._image_column, self._label_column).rows(file.path)
        return [row for _, row in islice(rows, _LOOKED_AT) if isinstance(row, Row)]

    def _is_wanted(self, file: MetadataFile, row: Row, splits: dict[str, None]) -> bool:
        if self._split is None or file.split is not None:
            return True
        path = posixpath.normpath((_path_of(row.image) or "").replace("\\", "/"))
        folder, slash, _ = path.partition("/")
        split = (split_of(folder) or folder) if slash else ""
        if split:
            splits[split] = None
        return split == self._split

    def _add(self, file: MetadataFile, row: Row, place: int, samples: Samples, values: LabelValues) -> None:
        path = _path_of(row.image)
        if path is None:
            samples.fault(place, "it has no 'file_name'; expected an image, or give image_column: what names it")
            at = -1
        elif refused := _refused(path):
            samples.fault(place, f"image '{path}' {refused}; expected a path relative to the metadata file")
            at = -1
        else:
            at = samples.image(f"{file.below}{path}" if path else path, place)
        is_cell = file.path.suffix.lower() == ".csv"
        try:
            said = values.read_cell(row.labels or "", place) if is_cell else values.read(row.labels, place)
        except LabelError as error:
            samples.fault(place, str(error))
            return
        if said is None:
            return
        if said.is_complete:
            samples.labelled(at)
        for name, label in said.labels.items():
            samples.add(at, samples.column(name, place), place, label)

    def _judge(self, samples: Samples, values: LabelValues, columns: Columns, places: Places) -> None:
        """Notes what only the whole tells."""
        if values.unnamed is not None:
            number, place = values.unnamed
            samples.fault(
                place,
                f"the labels are numbers, such as {number}; give names: those of the classes, in order, or a file with "
                "a name a line",
            )
        unclear = values.unclear_cell()
        if unclear is not None:
            cell, delimiter, place = unclear
            samples.fault(
                place,
                f'\'{cell}\' may be one label or several; write a list, such as ["cat", "dog"], or read the file with '
                f"class_path: csv and delimiter: '{delimiter}'",
            )
        if not columns.have_labels and samples.num_images and self._classes is None:
            samples.faults.add(str(columns.no_labels(self._path)))


def _files(path: Path) -> list[MetadataFile]:
    return metadata_files(path) if path.is_dir() else [lone_file(path)]


def _check(files: list[MetadataFile], path: Path) -> None:
    """Sees to it that there is one file in each folder.

    Raises:
        LabelError: if there are several, or there is none at all.
    """
    if not files:
        raise LabelError(f"{path}: there is no {', '.join(FILES[:-1])} or {FILES[-1]}, nor one in a folder in it")
    seen: dict[str, Path] = {}
    for file in files:
        if file.below in seen:
            raise LabelError(
                f"{file.path}: there is {seen[file.below].name}, too; expected one of them, or give one as path"
            )
        seen[file.below] = file.path


def _names_of(path: Path) -> list[str]:
    lines: dict[str, int] = {}
    for line, name in text_lines(path):
        if name in lines:
            raise LabelError(f"{path}:{line}: class '{name}' is there twice, first on line {lines[name]}")
        lines[name] = line
    if not lines:
        raise LabelError(f"{path}: no class; expected one a line")
    return list(lines)


def _path_of(image: Any) -> str | None:
    """Returns the path of an image, which Parquet may hold together with its bytes."""
    path = image.get("path") if isinstance(image, dict) else image
    return path if isinstance(path, str) else None


def _refused(written: str) -> str:
    """Returns what is wrong with a path that leads out of the folder; "" if it does not."""
    path = written.replace("\\", "/")
    if "://" in path:
        return "is a URL"
    if path.startswith("/") or re.match("[A-Za-z]:/", path):
        return "is an absolute path"
    return "leads out of the folder" if ".." in path.split("/") else ""
