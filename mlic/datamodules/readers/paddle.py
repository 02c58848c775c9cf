"""`PaddleReader`: a list of images with a 0 or 1 for each class, or with the numbers of their classes."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mlic.datamodules.annotations.binarycells import add_rows, flags
from mlic.datamodules.annotations.columnnames import MOST_UNNAMED, USUAL_FILES, ColumnNames
from mlic.datamodules.annotations.imagefiles import ImageFiles
from mlic.datamodules.annotations.listlines import Form, first_lines, form_of, parsed, tokens
from mlic.datamodules.annotations.places import Places
from mlic.datamodules.annotations.text import text_lines
from mlic.datamodules.readers.base import LabelReader
from mlic.errors import LabelError
from mlic.labels import LabelTable
from mlic.suffixes import is_image

__all__ = ["PaddleReader"]

_GUESSES = ("images", "image", "imgs", "JPEGImages", "data", "..", "../images")
_OF_CSV = (".csv", ".tsv")
_BOX = 4  # so many numbers on each line may be the corners of a box


class _Line(NamedTuple):
    """A line of the list: where it is, the path of its image, and what stands behind it."""

    place: int
    image: str
    rest: str


class PaddleReader(LabelReader):
    r"""Reads a list of images with labels behind each, in one of two forms.

    A 0 or 1 for each class (`a.jpg<TAB>0,1,0`), as PaddleClas and PaddleX have it; a comma separates them, or white
    space. The numbers of the classes that are present, counted from 0 (`a.jpg 0 3`), as in `imagenet_txt` of Datumaro;
    what is not listed is absent, and a path alone is a labelled image without any class.

    Which form it is shows in the labels: commas, or rows of equal length in which a 0 or 1 repeats, are of the first.
    A file that may be either, since each line has just one of 0 and 1 or both, is refused until `form` says it.

    The columns are named by a file beside the list, in its order; without one they are called "0", "1" and so on. A
    value that is not 0 or 1, a row of another length, and the number of a class that is not there are errors with their
    lines. An image that has no line is not part of the table. Lines of one image must agree in the first form, and are
    united in the second.

    A path with spaces in it stands in quotation marks or before a tab, or ends with the suffix of an image.

    Args:
        path: the list, UTF-8.
        names: the file of the class names, a name a line, or a number and a name (`0 cat`); by default the first of
            labels.txt, label_list.txt, label.txt, classes.txt, class_names.txt and synsets.txt beside the list.
        form: `multi_hot` or `indices`; by default what the labels look like.
        root: the folder that paths start from; by default that of the list, or one that images usually are in, such as
            `images` beside it.
        classes: the classes of the table, in order, all of them; by default as the file has them. Without a file of
            names, these are the names.
        uri_prefix: what URIs of images begin with, to the local folder that holds the same.

    Raises:
        LabelError: by `read`, with all faults of the file, each with its line.
    """

    def __init__(
        self,
        path: Path,
        names: Path | None = None,
        form: Form | None = None,
        root: Path | None = None,
        classes: list[str] | None = None,
        uri_prefix: dict[str, Path] | None = None,
    ) -> None:
        self._path = Path(path)
        self._names = None if names is None else Path(names)
        self._root = None if root is None else Path(root)
        self._form, self._classes, self._uri_prefix = form, classes, uri_prefix

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Says whether `path` is a text file of images with labels, whose form is clear from its first lines."""
        if path.suffix.lower() in _OF_CSV or path.name in USUAL_FILES:
            return False
        lines = [parsed(line) for line in first_lines(path)]
        if not lines or not all(is_image(image) for image, _ in lines):
            return False
        rows = [tokens(rest) for _, rest in lines]
        lengths = {len(row) for row in rows}
        form = form_of(rest for _, rest in lines)
        if form == "multi_hot":
            return len(lengths) == 1 and all(token in ("0", "1") for row in rows for token in row)
        are_numbers = all(_number(token) < MOST_UNNAMED for row in rows for token in row)
        are_unique = all(len(set(row)) == len(row) for row in rows)
        return form == "indices" and are_numbers and are_unique and max(lengths) > 1 and lengths != {_BOX}

    def read(self) -> LabelTable:
        """Returns the table; images in the order of the list."""
        texts = text_lines(self._path)
        files = ImageFiles.locate(
            self._root,
            self._path.parent,
            (parsed(text)[0] for _, text in texts),
            guesses=_GUESSES,
            uri_prefix=self._uri_prefix,
        )
        places = Places("", str(self._path))
        places.open(str(self._path))
        lines = [_Line(places.at(number), *parsed(text)) for number, text in texts]
        form = self._form or self._clear_form(lines)
        named = ColumnNames.find(self._names, self._path.parent, self._classes, besides=[self._path])
        if form == "multi_hot":
            return self._read_multi_hot(lines, named, files, places)
        return self._read_indices(lines, named, files, places)

    def _clear_form(self, lines: Sequence[_Line]) -> Form:
        form = form_of(line.rest for line in lines)
        if form == "either":
            raise LabelError(
                f"{self._path}: each line has just one of 0 and 1, or both, which may be the numbers of classes or "
                "a 0 or 1 for each class; give form: indices, or form: multi_hot"
            )
        if form == "none" and lines:
            raise LabelError(
                f"{self._path}: no line has a label; expected lines such as 'a.jpg<TAB>0,1,0' or 'a.jpg 0 3', or give "
                "form: indices if no image has any class"
            )
        return "multi_hot" if form == "multi_hot" else "indices"

    def _read_multi_hot(
        self, lines: Sequence[_Line], named: ColumnNames | None, files: ImageFiles, places: Places
    ) -> LabelTable:
        rows = [_flags(line.rest) for line in lines]
        width = next((len(row) for row in rows if isinstance(row, str)), 0)
        names = named or ColumnNames.numbered(width, self._path)
        samples, columns = names.samples(self._path, files, places)
        expected = f"{names.width}, as on the first line" if named is None else f"one for each of the {names}"
        images, right, cells = [], [], []
        for line, row in zip(lines, rows, strict=True):
            image = samples.image(line.image, line.place)
            if isinstance(row, LabelError):
                samples.fault(line.place, str(row))
            elif len(row) != names.width:
                samples.fault(line.place, f"the number of values is {len(row)}; expected {expected}")
            else:
                images.append(image)
                right.append(line.place)
                cells.append(row)
        labels = np.frombuffer("".join(cells).encode(), np.int8).reshape(len(cells), names.width) - np.int8(ord("0"))
        add_rows(samples, np.array(images, np.int32), labels, columns, np.array(right, np.int32))
        return samples.table()

    def _read_indices(
        self, lines: Sequence[_Line], named: ColumnNames | None, files: ImageFiles, places: Places
    ) -> LabelTable:
        numbers = [[_number(token) for token in tokens(line.rest)] for line in lines]
        highest = max((number for row in numbers for number in row if number < MOST_UNNAMED), default=-1)
        names = named or ColumnNames.numbered(highest + 1, self._path)
        samples, columns = names.samples(self._path, files, places)
        for line, row in zip(lines, numbers, strict=True):
            image = samples.image(line.image, line.place)
            samples.labelled(image)
            if fault := _fault_of(tokens(line.rest), row, names):
                samples.fault(line.place, fault)
                continue
            for number in row:
                samples.add(image, int(columns[number]), line.place)
        # Another file of the data set may name more numbers: here they are absent.
        return samples.table(open_vocabulary=named is None)


def _flags(rest: str) -> str | LabelError:
    try:
        return flags(rest)
    except LabelError as error:
        return error


def _number(token: str) -> int:
    """Returns the number of a class; one that no class has, if it is none."""
    return int(token) if token.isascii() and token.isdigit() and len(token) < 10 else 10**10


def _fault_of(written: Sequence[str], numbers: Sequence[int], names: ColumnNames) -> str:
    """Returns what is wrong with the numbers of a line; "" if nothing is."""
    for token, number in zip(written, numbers, strict=True):
        if number < names.width:
            continue
        if not token.isdigit():
            return f"'{token[:40]}' is not the number of a class; expected lines such as 'a.jpg 0 3'"
        if names.path is None and names.classes is None:
            return f"class {token[:40]} is beyond {MOST_UNNAMED - 1}, the last that may go without a name; give names"
        return f"class {token[:40]} is not among the {names}, which are 0 to {names.width - 1}"
    if len(set(numbers)) < len(numbers):
        return "the number of a class is there twice; expected each once, or give form: multi_hot if each is a 0 or 1"
    return ""
