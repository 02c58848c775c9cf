"""`CelebaReader`: the attributes of CelebA, in the text files that its authors publish."""

import os
from array import array
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from mlic.datamodules.annotations.imagefiles import ImageFiles
from mlic.datamodules.annotations.peek import head
from mlic.datamodules.annotations.samples import Samples
from mlic.datamodules.annotations.text import open_text, text_lines
from mlic.datamodules.readers.base import LabelReader
from mlic.errors import Faults, LabelError, did_you_mean, shortened
from mlic.labels import LabelTable

__all__ = ["CelebaReader"]

_NAME = "list_attr_celeba.txt"
_PARTITION = "list_eval_partition.txt"
_CODES = {"1": 1, "-1": 0}
_SPLITS = {"0": "train", "1": "val", "2": "test"}
_HINTS = 20  # as many faults are shown; to look for a name like another takes time
_GUESSES = (
    *("img_align_celeba", "../img_align_celeba", "Img/img_align_celeba", "../Img/img_align_celeba"),
    *("img_align_celeba/img_align_celeba", "../img_align_celeba/img_align_celeba"),  # as Kaggle packs them
    *("img_celeba", "../img_celeba", "Img/img_celeba", "../Img/img_celeba", "images", "../images"),
)


class CelebaReader(LabelReader):
    """Reads `list_attr_celeba.txt`: a line with the number of images, one with the names of the classes, one an image.

    `000001.jpg -1  1 -1`: 1 is present and -1 absent, by the definition of the format; nothing is unknown, and no image
    is unlabelled. An image without a line is not part of the table. The classes are the names on the second line, in
    its order and exactly as they are there; spaces separate them. Lines of one image must agree.

    The images are looked for in `img_align_celeba` and the like, beside the file or one folder up, and in `Img` there,
    as the archive unpacks.

    Args:
        path: the file, or the folder that holds it, itself or in `Anno`.
        root: the folder of the images; by default it is looked for.
        classes: the classes in order, all of them; by default those of the file. A name of either that the other has
            not is an error.
        split: `train`, `val` or `test`: only the images that `list_eval_partition.txt` (beside the file, one folder up
            or in `Eval` there) puts there; an image that it does not list is an error. By default all images.

    Raises:
        LabelError: by `read`, with all faults of the file, each with its line.
    """

    def __init__(
        self,
        path: Path,
        root: Path | None = None,
        classes: list[str] | None = None,
        split: Literal["train", "val", "test"] | None = None,
    ) -> None:
        self._path, self._root, self._classes, self._split = Path(path), root, classes, split

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Says whether `path` is a file of this form, or a folder that holds one called `list_attr_celeba.txt`."""
        lines = (line.split() for line in head(_file(path)).splitlines())
        first = list(islice(filter(None, lines), 3))
        if len(first) < 3 or len(first[0]) != 1 or not first[0][0].isdecimal():
            return False
        labels = first[2][1:]
        return len(labels) == len(first[1]) and all(label in _CODES for label in labels)

    def read(self) -> LabelTable:
        """Returns the table; images in the order of the file."""
        attributes = _Attributes(_file(self._path))
        partition = None if self._split is None else _read_partition(attributes.file)
        # An image that the partition does not list is kept up to the fault about it.
        images = [
            (at, image)
            for at, image in enumerate(attributes.images)
            if partition is None or partition.get(image, self._split) == self._split
        ]
        written = (image for _, image in images)
        files = ImageFiles.locate(self._root, attributes.file.parent, written, guesses=_GUESSES)
        samples = Samples(attributes.file, files, attributes.arranged(self._classes))
        if attributes.images and not images:
            there = ", ".join(sorted(set((partition or {}).values())))
            samples.faults.add(f"{attributes.file}: no image is in the split {self._split}; expected one of {there}")
        for line, message in sorted(attributes.wrong):
            samples.fault(line, message)
        rows = np.full(len(attributes.images), -1)
        for at, image in images:
            line = attributes.lines[at]
            if partition is not None and image not in partition:
                samples.fault(line, f"image '{image}' is not in {_PARTITION}; expected a line for it")
            else:
                rows[at] = samples.image(image, line)
                samples.labelled(int(rows[at]))
        attributes.add_cells(samples, rows)
        return samples.table()


class _Attributes:
    """What the file says, as far as it is right.

    Attributes:
        images: as they are written.
        lines: of each image.
        wrong: the faults, each with its line.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.images: list[str] = []
        self.lines = array("i")
        self.wrong: list[tuple[int, str]] = []
        self._codes = bytearray()
        self._names: list[str] = []
        with open_text(file) as stream:
            rows = ((line, cells) for line, text in enumerate(stream, 1) if (cells := text.split()))
            first_line, first = next(rows, (1, []))
            self._names_line, self._names = next(rows, (2, []))
            if not self._names:
                expected = "expected the number of images, a line of names, and a line an image"
                raise LabelError(f"{file}: {'no names' if first else 'the file is empty'}; {expected}")
            self._num_lines = 0
            for line, cells in rows:
                self._num_lines += 1
                self._add(line, cells)
        self._check_number(first_line, " ".join(first))

    def _check_number(self, line: int, written: str) -> None:
        if not (written.isdecimal() and len(written) < 19):
            self.wrong.append((line, f"'{shortened(written)}' is no number; expected the number of images"))
        elif int(written) != self._num_lines:
            hint = "; is the file cut short?" if int(written) > self._num_lines else ""
            self.wrong.append((line, f"the file says that it has {written} images, but has {self._num_lines}{hint}"))

    def _add(self, line: int, cells: Sequence[str]) -> None:
        try:
            codes = bytes(map(_CODES.__getitem__, cells[1:]))
        except KeyError as error:
            name = self._names[min(cells.index(error.args[0], 1), len(self._names)) - 1]
            self.wrong.append(
                (line, f"class '{name}' is '{shortened(error.args[0])}'; expected 1 (present) or -1 (absent)")
            )
            return
        if len(codes) != len(self._names):
            expected = f"expected {len(self._names)}, one for each name on line {self._names_line}"
            self.wrong.append((line, f"{len(codes)} labels; {expected}"))
            return
        self.images.append(cells[0])
        self.lines.append(line)
        self._codes += codes

    def arranged(self, wanted: Sequence[str] | None) -> dict[str, int]:
        """Returns the classes in order, each with its line, and notes what is wrong with them."""
        names = dict.fromkeys(self._names, self._names_line)
        for name, number in Counter(self._names).items():
            if number > 1:
                self.wrong.append((self._names_line, f"class '{name}' is there twice; expected each class once"))
        if wanted is None:
            return names
        for number, name in enumerate(name for name in wanted if name not in names):
            hint = did_you_mean(name, self._names) if number < _HINTS else ""
            self.wrong.append((self._names_line, f"class '{name}' is not among the names{hint}"))
        return dict.fromkeys(wanted, self._names_line)

    def add_cells(self, samples: Samples, rows: npt.NDArray[np.int64]) -> None:
        """Adds the labels of images, of which it is given the rows."""
        columns = np.array([samples.column(name, self._names_line) for name in self._names])
        codes = np.frombuffer(self._codes, np.int8).reshape(-1, len(self._names))
        # The absent ones of a labelled image need not be listed, unless another line might contradict.
        is_repeated = np.bincount(rows[rows >= 0], minlength=1)[rows] > 1
        at, position = np.nonzero(codes | (is_repeated & (rows >= 0))[:, None])
        samples.extend(rows[at], columns[position], codes[at, position], np.frombuffer(self.lines, np.int32)[at])


def _file(path: Path) -> Path:
    """Returns the file that a path stands for, which may be the folder of it."""
    if not path.is_dir():
        return path
    found = (path / folder / _NAME for folder in (".", "Anno"))
    return next((file for file in found if file.is_file()), path / _NAME)


def _read_partition(file: Path) -> dict[str, str]:
    """Returns the split of each image.

    Raises:
        LabelError: if there is no such file beside the attributes, or with all its faults.
    """
    places = [os.path.normpath(file.parent / folder / _PARTITION) for folder in (".", "..", "Eval", "../Eval")]
    path = next((Path(place) for place in places if Path(place).is_file()), None)
    if path is None:
        raise LabelError(f"{places[0]}: there is no such file, nor one above it or in Eval there, but split is given")
    faults, splits = Faults(), dict[str, str]()
    for line, text in text_lines(path):
        image, *codes = text.split()
        split = _SPLITS.get(codes[0]) if len(codes) == 1 else None
        if split is None:
            faults.add(f"{path}:{line}: '{shortened(text)}'; expected an image and 0 (train), 1 (val) or 2 (test)")
        elif splits.setdefault(image, split) != split:
            faults.add(f"{path}:{line}: image '{image}' is in {split}, but before in {splits[image]}; expected one")
    faults.raise_if_any()
    return splits
