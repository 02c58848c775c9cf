"""`MatrixReader`: a list of images and a matrix of 0 and 1, line by line."""

import logging
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mlic.datamodules.annotations.binarycells import add_rows
from mlic.datamodules.annotations.columnnames import ColumnNames
from mlic.datamodules.annotations.imagefiles import ImageFiles
from mlic.datamodules.annotations.listlines import all_lines, parsed
from mlic.datamodules.annotations.places import Places
from mlic.datamodules.annotations.samples import Samples
from mlic.datamodules.readers.base import LabelReader
from mlic.datamodules.readers.matrixfile import MatrixFile
from mlic.datamodules.readers.matrixpairs import find_pairs, lists_images, matrices_for
from mlic.errors import LabelError
from mlic.labels import LabelTable

__all__ = ["MatrixReader"]

log = logging.getLogger(__name__)

_GUESSES = ("images", "image", "imgs", "JPEGImages", "Flickr", "data", "..", "../images")
_OF_CSV = (".csv", ".tsv")


class MatrixReader(LabelReader):
    """Reads a file that lists images, one a line, and a file of 0 and 1 whose line `i` has the labels of image `i`.

    A value of 1 is present, 0 absent; nothing is unknown, and an image that is not listed is not part of the table. A
    line of zeros is a labelled image without any class. The two files must have equally many lines, but for blank ones
    at the end. Where an image is listed twice, its lines must agree.

    The columns are named by a file, in its order; without one they are called "0", "1" and so on. Values are separated
    by commas or white space, and `1.0` is 1.

    A count of the ones may stand behind each path of the list, and as the first or last value of each line of the
    matrix: there, where the lines have one value more than there are names; or without names, where it exceeds 1
    somewhere and most lines bear it out. Each line is checked against it.

    Args:
        path: the list, UTF-8; or a folder that holds exactly one list and one matrix of as many lines.
        matrix: the file of 0 and 1; by default the only one beside the list that has as many lines.
        names: the file of the class names, a name a line, or a number and a name (`0 cat`); by default the first of
            labels.txt, label_list.txt, label.txt, classes.txt, class_names.txt and synsets.txt beside the list.
        root: the folder that paths start from; by default that of the list, or one that images usually are in, such as
            `images` beside it.
        classes: the classes of the table, in order, all of them; by default as the file has them. Without a file of
            names, these are the names.
        uri_prefix: what URIs of images begin with, to the local folder that holds the same.

    Raises:
        LabelError: by `read`, with all faults of the files, each with its line.
    """

    def __init__(
        self,
        path: Path,
        matrix: Path | None = None,
        names: Path | None = None,
        root: Path | None = None,
        classes: list[str] | None = None,
        uri_prefix: dict[str, Path] | None = None,
    ) -> None:
        self._path = Path(path)
        self._matrix = None if matrix is None else Path(matrix)
        self._names = None if names is None else Path(names)
        self._root = None if root is None else Path(root)
        self._classes, self._uri_prefix = classes, uri_prefix

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Says whether `path` is a list of images with just one matrix beside it, or a folder with one such pair."""
        if path.is_dir():
            return len(find_pairs(path)) == 1
        return path.suffix.lower() not in _OF_CSV and lists_images(path) and len(matrices_for(path)) == 1

    def read(self) -> LabelTable:
        """Returns the table; images in the order of the list."""
        path, matrix_path = self._pair()
        texts = all_lines(path)
        matrix = MatrixFile(matrix_path)
        if len(texts) != matrix.num_lines:
            raise LabelError(
                f"{path} has {len(texts)} lines, but {matrix_path} has {matrix.num_lines}; expected a line an image in "
                "both"
            )
        listed = _split(texts)
        named = ColumnNames.find(self._names, path.parent, self._classes, besides=[path, matrix_path])
        lines, labels, faults = matrix.labels(None if named is None else named.width, str(named))
        names = named or ColumnNames.numbered(labels.shape[1], matrix_path)
        files = ImageFiles.locate(
            self._root, path.parent, (image for image, _ in listed), guesses=_GUESSES, uri_prefix=self._uri_prefix
        )
        places = Places("", str(path))
        samples, columns = names.samples(path, files, places)
        places.open(str(path))
        at = np.array([places.at(number) for number in range(1, len(listed) + 1)], np.int32)
        rows = np.array(
            [samples.image(image, place) for (image, _), place in zip(listed, at.tolist(), strict=True)], np.int32
        )
        samples.faults.extend(faults)
        add_rows(samples, rows[lines - 1], labels, columns, at[lines - 1])
        _check_counts(samples, listed, lines, labels, at, matrix_path)
        return samples.table()

    def _pair(self) -> tuple[Path, Path]:
        """Returns the list and the matrix.

        Raises:
            LabelError: if it is not clear which they are.
        """
        if self._path.is_dir():
            pairs = find_pairs(self._path)
            if self._matrix is not None:
                pairs = [pair for pair in pairs if pair[1].samefile(self._matrix)] if self._matrix.exists() else []
            what = "lists of images with a matrix of as many lines"
        else:
            if self._matrix is not None:
                return self._path, self._matrix
            pairs = [(self._path, matrix) for matrix in matrices_for(self._path)] if self._path.is_file() else []
            what = f"files of 0 and 1 beside it with as many lines as {self._path.name}"
        if len(pairs) == 1:
            log.info("the labels of %s are those of %s", *pairs[0])
            return pairs[0]
        found = ", ".join(" with ".join(path.name for path in pair) for pair in pairs[:5])
        raise LabelError(
            f"{self._path}: {len(pairs)} {what}{f' ({found})' if found else ''}; expected one, or give path: the list, "
            "and matrix: the file of 0 and 1"
        )


def _split(texts: list[str]) -> list[tuple[str, str | None]]:
    """Returns the path on each line, and what stands where its count is; None if the lines have no counts."""
    split = [parsed(text) for text in texts]
    are_counted = 2 * sum(rest.isdigit() for _, rest in split) > len(split)
    if are_counted:
        return [(image, rest) for image, rest in split]
    return [(text if rest else image, None) for text, (image, rest) in zip(texts, split, strict=True)]


def _check_counts(
    samples: Samples,
    listed: list[tuple[str, str | None]],
    lines: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int8],
    places: npt.NDArray[np.int32],
    matrix: Path,
) -> None:
    """Notes each count of the list that is not the number of ones of its line of the matrix."""
    ones = labels.sum(axis=1, dtype=np.int64)
    for line, number in zip(lines.tolist(), ones.tolist(), strict=True):
        count = listed[line - 1][1]
        if count is not None and (not count.isdigit() or count.lstrip("0") != str(number or "")):
            told = f"the count is '{count}', but {number} values are 1 at {matrix}:{line}"
            samples.fault(int(places[line - 1]), f"{told}; expected them to agree")
