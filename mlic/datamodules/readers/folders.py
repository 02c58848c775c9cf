"""`FoldersReader`: a folder for each class; an image that is in several of them has several labels."""

import logging
import re
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mlic.datamodules.annotations.listing import entries, files_below, is_folder
from mlic.datamodules.readers.base import LabelReader
from mlic.datamodules.readers.foldersimages import first_of_same
from mlic.errors import Faults, LabelError
from mlic.labels import LabelTable
from mlic.labels.cells import unknown_class
from mlic.suffixes import is_image

__all__ = ["FoldersReader"]

log = logging.getLogger(__name__)

# What is in a folder of another format.
_ANNOTATIONS = re.compile(
    r"(?!(readme|licen[cs]e|copying|citation)\b).*\.(txt|csv|tsv|jsonl?|xml|ya?ml|parquet|arrow|mat|npy|npz|pkl|h5)",
    re.IGNORECASE,
)
_OF_OTHERS = frozenset(
    {"annotations", "groundtruth", "image_labels_dir", "imagelist", "imagesets", "jpegimages", "labels"}
)
_NO_CLASSES = re.compile(
    r"images?|imgs?|data|all|(?P<split>(train|trainval|training|val|valid|validation|dev|test|testing|unlabell?ed)\d*)"
)
_NO_NAME = re.compile("[\r\n\ud800-\udfff]")  # what ends a line, and bytes that are no UTF-8
_LOOKED_AT = 50  # folders, and files in each


class FoldersReader(LabelReader):
    """Reads images that lie in a folder for each class, `cat/1.jpg` and `dog/1.jpg`.

    An image is of the class whose folder it is in, at any depth; an image that is in several, by a link or as a copy,
    is one sample with all their classes, and its path is the first of its paths in sorted order. Copies are told by
    their content, whatever their names, in one folder too. A class in whose folder an image is not is absent from it,
    and so is a class for which there is no folder.

    The classes are the folders, sorted by name; one without any image is a class without positives, which is told. If
    no image has two labels, that is told as well. Files and folders whose name starts with a dot are no images and no
    classes; other files that are no images are counted and told. An image beside the folders is an error, for no folder
    says what is in it.

    Args:
        path: the folder that holds those of the classes; image paths are relative to it.
        classes: the classes in order, all of them: a folder that is none of them is an error.

    Raises:
        LabelError: by `read`, with all faults.
    """

    def __init__(self, path: Path, classes: list[str] | None = None) -> None:
        self._path, self._classes = Path(path), classes

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Says whether `path` is a folder with folders of images in it, and with nothing of another format."""
        try:
            found = entries(path)
        except LabelError:
            return False
        folders = [entry.name for entry in found if is_folder(entry)]
        files = [entry.name for entry in found if not is_folder(entry)]
        if any(_ANNOTATIONS.fullmatch(name) or is_image(name) for name in files):
            return False
        names = {name.casefold() for name in folders}
        unlikely = [match for match in map(_NO_CLASSES.fullmatch, names) if match]
        if names & _OF_OTHERS or len(unlikely) == len(names) or sum(bool(match["split"]) for match in unlikely) > 1:
            return False
        looked_at = [_kinds(path / folder) for folder in folders[:_LOOKED_AT]]
        num_with_images = sum(with_images for with_images, _ in looked_at)
        return num_with_images >= max(2, len(looked_at) / 2) and not any(annotated for _, annotated in looked_at)

    def read(self) -> LabelTable:
        """Returns the table; images in the order of their paths."""
        faults = Faults()
        folders = self._folders(faults)
        classes = folders if self._classes is None else self._classes
        files = sorted(self._images(folders, faults))
        first = first_of_same(self._path, files, faults)
        row_of = {at: row for row, at in enumerate(sorted(set(first)))}
        column_of = {name: column for column, name in enumerate(classes)}
        there = frozenset(folders)
        owners = (column_of.get(file.partition("/")[0], -1) for file in files)
        cells = sorted({(row_of[at], column) for at, column in zip(first, owners, strict=True) if column >= 0})
        rows, columns = np.array(cells, np.int64).reshape(-1, 2).T
        if files:
            self._tell(classes, rows, columns, len(files) - len(row_of))
        elif folders:
            faults.add(f"{self._path}: no image in the folders of the classes; expected at least one")
        table = LabelTable.from_cells(
            [files[at] for at in row_of],
            classes,
            rows,
            columns,
            np.ones(len(rows), np.int8),
            np.zeros(len(row_of), np.int8),
            root=self._path,
            origins={name: str(self._path / name) for name in classes if name in there},
            source=str(self._path),
            open_vocabulary=True,
        )
        faults.raise_if_any(table)
        return table

    def _folders(self, faults: Faults) -> list[str]:
        """Returns the folders of the classes, sorted by name."""
        found = entries(self._path)
        folders = [entry.name for entry in found if is_folder(entry)]
        beside = [entry.name for entry in found if not is_folder(entry) and is_image(entry.name)]
        if beside:
            expected = "expected each in the folder of a class"
            faults.add(f"{self._path / beside[0]}: {len(beside)} images are in no folder of a class; {expected}")
        if not folders:
            faults.add(f"{self._path}: no folder in it; expected one for each class")
        wanted = frozenset(self._classes or ())
        for name in folders:
            if _NO_NAME.search(name):
                faults.add(f"{self._path}: the name of the folder {name!r} is no text; rename it")
            elif self._classes is not None and name not in wanted:
                faults.add(f"{self._path / name}: {unknown_class(name, self._classes, faults)}")
        return [name for name in folders if not _NO_NAME.search(name)]

    def _images(self, folders: list[str], faults: Faults) -> list[str]:
        """Returns the paths of the images in the folders."""
        images: list[str] = []
        num_others = 0
        for folder in folders:
            try:
                for below, name in files_below(self._path / folder):
                    if is_image(name):
                        images.append(f"{folder}/{below}{name}")
                    else:
                        num_others += 1
            except LabelError as error:
                faults.add(str(error))
        if num_others:
            log.info("%s: %d files that are no images are not read", self._path, num_others)
        return images

    def _tell(
        self, classes: list[str], rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64], num_same: int
    ) -> None:
        """Logs what a user may not expect of the data."""
        support = np.bincount(columns, minlength=len(classes))
        if without := [name for name, count in zip(classes, support.tolist(), strict=True) if not count]:
            log.warning(
                "%s: no image is in the folders of %d classes: %s", self._path, len(without), ", ".join(without)
            )
        if num_same:
            log.info("%s: %d files are the same image as another, by a link or by content", self._path, num_same)
        if len(rows) == len(np.unique(rows)):
            log.warning("%s: no image is in the folders of two classes; is this single-label data?", self._path)


def _kinds(folder: Path) -> tuple[bool, bool]:
    """Says whether there are images among the first files of a folder, and files of labels."""
    try:
        names = [entry.name for entry in islice(entries(folder), _LOOKED_AT)]
    except LabelError:
        return False, False
    return any(map(is_image, names)), any(map(_ANNOTATIONS.fullmatch, names))
