"""Which files of a folder are a list of images and the 0/1 matrix of its labels, as their content says."""

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from mlic.datamodules.annotations.listing import entries
from mlic.datamodules.annotations.listlines import first_lines, parsed, tokens
from mlic.errors import LabelError
from mlic.suffixes import is_image

__all__ = ["find_pairs", "lists_images", "matrices_for"]

_LOOKED_AT = 200  # files of a folder
_CHUNK = 1 << 20


def find_pairs(folder: Path) -> list[tuple[Path, Path]]:
    """Returns each list of images in a folder with each matrix of as many lines."""
    files = list(_texts(folder))
    matrices = [(path, _num_lines(path)) for path in files if _is_matrix(path)]
    lists = [(path, _num_lines(path)) for path in files if lists_images(path)] if matrices else []
    return [(path, matrix) for path, count in lists for matrix, lines in matrices if lines == count]


def matrices_for(path: Path) -> list[Path]:
    """Returns the matrices beside a list that have as many lines."""
    matrices = [file for file in _texts(path.parent) if file.name != path.name and _is_matrix(file)]
    count = _num_lines(path) if matrices else 0
    return [matrix for matrix in matrices if _num_lines(matrix) == count]


def lists_images(path: Path) -> bool:
    """Says whether each of the first lines of a file is the path of an image, perhaps with a number behind it."""
    lines = [parsed(line) for line in first_lines(path)]
    counts = {rest.isdigit() for _, rest in lines}
    return len(counts) == 1 and all(is_image(image) and (not rest or rest.isdigit()) for image, rest in lines)


def _is_matrix(path: Path) -> bool:
    """Says whether the first lines of a file are of equal length, and all values 0 or 1 but for a count at one end."""
    rows = [tokens(line) for line in first_lines(path)]
    if len({len(row) for row in rows}) != 1 or len(rows[0]) < 2:
        return False
    without_count = ([row[1:] for row in rows], [row[:-1] for row in rows])
    are_numbers = all(re.fullmatch(r"[0-9.eE+]+", token) for row in rows for token in (row[0], row[-1]))
    return are_numbers and any(_is_binary(part) for part in without_count)


def _is_binary(rows: Iterable[Iterable[str]]) -> bool:
    return all(re.fullmatch(r"[01](\.0*(e[+-]?00)?)?", token) for row in rows for token in row)


def _texts(folder: Path) -> Iterator[Path]:
    """Yields the files of a folder that are no images, up to a certain number."""
    try:
        found = (entry for entry in entries(folder) if not is_image(entry.name) and entry.is_file())
        yield from (folder / entry.name for entry in islice(found, _LOOKED_AT))
    except (LabelError, OSError):
        return


def _num_lines(path: Path) -> int:
    """Returns the number of lines up to the last that is not blank; 0 if the file cannot be read."""
    lines = blank = 0
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                lines += chunk.count(b"\n")
                text = chunk.rstrip()
                blank = chunk.count(b"\n", len(text)) + (0 if text else blank)
    except OSError:
        return 0
    return lines - blank + 1
