"""`NusWideReader`: the official tree of NUS-WIDE, with a file of labels for each of its 81 concepts."""

import logging
import ntpath
from array import array
from itertools import chain, islice
from pathlib import Path

import numpy as np

from mlic.datamodules.annotations.binarycells import add_rows
from mlic.datamodules.annotations.columnnames import ColumnNames
from mlic.datamodules.annotations.imagefiles import ImageFiles
from mlic.datamodules.annotations.listing import entries
from mlic.datamodules.annotations.listlines import all_lines
from mlic.datamodules.annotations.peek import entry_names
from mlic.datamodules.annotations.places import Places
from mlic.datamodules.readers.base import LabelReader
from mlic.datamodules.readers.nuswidelabels import LabelFiles, Side
from mlic.errors import LabelError
from mlic.labels import LabelTable

__all__ = ["NusWideReader"]

log = logging.getLogger(__name__)

_LISTS, _TRUTH, _CONCEPTS = "ImageList", "Groundtruth", "Concepts81.txt"
_SIDES = {"train": ("TrainImagelist.txt", "_Train"), "test": ("TestImagelist.txt", "_Test")}
_GUESSES = ("Flickr", "images", "image", "Images", "../Flickr", "../images")
_LOOKED_AT = 100  # images, or folders in a folder


class NusWideReader(LabelReader):
    r"""Reads the official tree of NUS-WIDE: `ImageList/`, `Concepts81.txt` (or in `ConceptsList/`), `Groundtruth/`.

    The files of labels hold a line for each of the image list: 1 is present, 0 absent, so an image without any 1 (22 of
    100) is a labelled one without any class. Any other number makes the cell unknown, which is told: the official
    `Labels_lake_Train.txt` has -1130179 on line 78372. Only -1, which may mean absent or unknown, and more than a slip
    in a hundred values are errors. An image that is not listed is not part of the table.

    The classes are those of `Concepts81.txt`, in its order; each must have a file of labels, and others are not read.
    Images are found by their paths (`actor\0001_2124494179.jpg`), or by their names alone where all lie in one folder.

    Args:
        path: the folder that holds the tree, or the one around it.
        split: `train` or `test`, as `ImageList` and `Groundtruth/TrainTestLabels` have them; None: all images, by
            `Groundtruth/AllLabels`, or where this is missing, those of train and test, whichever are there.
        root: the folder that image paths start from; by default the tree's, or `Flickr` or `images` in it or beside it.
        classes: the classes in order, all of them; by default as `Concepts81.txt` has them.

    Raises:
        LabelError: if `split` is another; by `read`, with all faults, each with its file and line.
    """

    def __init__(
        self,
        path: Path,
        split: str | None = None,
        root: Path | None = None,
        classes: list[str] | None = None,
    ) -> None:
        if split is not None and split not in _SIDES:
            raise LabelError(f"split is '{split}'; expected train or test, or none for all images")
        self._path, self._root = Path(path), None if root is None else Path(root)
        self._split, self._classes = split, classes

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Says whether `path` is a folder with `ImageList` and `Groundtruth`, or holds one that has them."""
        return _home(path) is not None

    def read(self) -> LabelTable:
        """Returns the table; images in the order of the lists."""
        home = _home(self._path)
        if home is None:
            expected = "expected the official tree of NUS-WIDE"
            raise LabelError(f"{self._path}: there are no folders {_LISTS} and {_TRUTH} in it; {expected}")
        names = ColumnNames.of_file(_concepts(home), self._classes)
        sides = self._sides(home)
        files, lists = self._locate(home, [all_lines(side.images) for side in sides])
        places = Places("", str(self._path))
        samples, columns = names.samples(self._path, files, places)
        at, matrices = array("i"), []
        for side, images in zip(sides, lists, strict=True):
            places.open(str(side.images))
            at.extend(places.at(line + 1) for line in range(len(images)))
            labels = LabelFiles(side, len(images), samples.faults)
            matrices.append(labels.matrix(list(names.lines)))
            labels.tell(list(names.lines))
        rows = [samples.image(image, place) for image, place in zip(chain.from_iterable(lists), at, strict=True)]
        add_rows(samples, np.array(rows, np.int32), np.concatenate(matrices), columns, np.frombuffer(at, np.int32))
        return samples.table()

    def _sides(self, home: Path) -> list[Side]:
        lists, truth = _entry(home, _LISTS), _entry(home, _TRUTH)
        whole = Side(_entry(lists, "Imagelist.txt"), _entry(truth, "AllLabels"), "")
        if self._split is None and whole.images.is_file() and whole.labels.is_dir():
            return [whole]
        labels = _entry(truth, "TrainTestLabels")
        chosen = list(_SIDES) if self._split is None else [self._split]
        sides = [Side(_entry(lists, file), labels, suffix) for file, suffix in (_SIDES[side] for side in chosen)]
        there = [side for side in sides if side.images.is_file()]
        if 0 < len(there) < len(sides):
            log.warning("%s: only the images of %s are there", lists, there[0].images.name)
        return there or sides

    def _locate(self, home: Path, lists: list[list[str]]) -> tuple[ImageFiles, list[list[str]]]:
        """Returns the images, and the lists with the paths or the names by which these are found."""
        found = []
        for written in (lists, [[ntpath.basename(image) for image in images] for images in lists]):
            files = ImageFiles.locate(self._root, home, chain.from_iterable(written), guesses=_GUESSES)
            first = islice(chain.from_iterable(written), _LOOKED_AT)
            found.append((sum(map(files.has, first)), files, written))
        _, files, written = max(found, key=lambda choice: choice[0])  # the paths, where both are as good
        return files, written


def _home(path: Path) -> Path | None:
    """Returns the folder that holds the tree: `path`, or the only one in it that does."""
    if _is_home(path):
        return path
    try:
        inner = [path / entry.name for entry in islice(entries(path), _LOOKED_AT) if entry.is_dir()]
    except (LabelError, OSError):
        return None
    homes = [folder for folder in inner if _is_home(folder)]
    return homes[0] if len(homes) == 1 else None


def _is_home(folder: Path) -> bool:
    return {_LISTS.casefold(), _TRUTH.casefold()} <= {name.casefold() for name in entry_names(folder)}


def _entry(folder: Path, name: str) -> Path:
    """Returns a file or folder whose name may be written in another case."""
    alike = sorted(found for found in entry_names(folder) if found.casefold() == name.casefold())
    return folder / (name if name in alike or not alike else alike[0])


def _concepts(home: Path) -> Path:
    """Returns the file that names the concepts."""
    places = [_entry(folder, _CONCEPTS) for folder in (home, _entry(home, "ConceptsList"), _entry(home, _TRUTH))]
    return next((path for path in places if path.is_file()), places[0])
