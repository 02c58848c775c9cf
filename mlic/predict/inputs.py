"""`Inputs`: the images that command-line words mean, one after the other, however many there are."""

import glob
import itertools
import os
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence, Sized
from pathlib import Path
from typing import Protocol, runtime_checkable

from mlic.errors import UsageError, did_you_mean
from mlic.ordered import in_lots
from mlic.predict.lists import Lines, column_of, in_column, in_list
from mlic.predict.sources import Source
from mlic.predict.tars import images_in, is_compressed, is_tar
from mlic.suffixes import IMAGE_SUFFIXES, is_image

__all__ = ["Given", "Inputs", "Lots", "find_images", "without"]

_STDIN = "-"
_LOOKED_AT = 32  # paths of a generator that are looked at, to see whether they are few


@runtime_checkable
class Lots(Protocol):
    """Images in lots: what `Predictor.write` takes besides plain paths."""

    def lots(self, size: int) -> Iterator[list[Source]]:
        """Yields so many images at a time, or fewer."""
        ...

    def num_known(self, enough: int) -> int | None:
        """Returns how many there are, if that is known and fewer than `enough`."""
        ...


class Given:
    """Paths that a program gives.

    Args:
        paths: gone through once.
    """

    def __init__(self, paths: Iterable[str | Path | Source]) -> None:
        self._num_known = len(paths) if isinstance(paths, Sized) else None
        self._paths = iter(paths)

    def lots(self, size: int) -> Iterator[list[Source]]:
        """Yields so many images at a time; the last time as many as there are left."""
        return in_lots(map(Source.of, self._paths), size)

    def num_known(self, enough: int) -> int | None:
        """Returns how many there are, if they can be counted and are fewer than `enough`."""
        if self._num_known is None:
            first = list(itertools.islice(self._paths, _LOOKED_AT))
            self._paths = itertools.chain(first, self._paths)
            return len(first) if len(first) < _LOOKED_AT else None
        return self._num_known if self._num_known < enough else None


class Inputs:
    """The images that command-line words mean, in order; looked for while they are gone through.

    - a file: itself, whatever it is, so that it gets a row;
    - a folder: all images below, sorted by their paths, but for hidden files and folders;
    - a `.txt` file: a path a line; a `.csv` file: a path a row, in one column;
    - a `.tar` file, also a compressed one: the images in it, in its order, as WebDataset keeps them;
    - a pattern such as `photos/**/*.jpg`: what it matches, sorted, each as above; with `**` only files;
    - `-`: the paths that come through standard input, a line each.

    Args:
        words: what is meant.
        column: of `.csv` files, the column with the paths; None for one of the usual names.
        stdin: what `-` reads from, as an open file's number.

    Raises:
        UsageError: if a word means nothing, a folder holds no image, a CSV has no such column, there is a column and
            no CSV, or `-` is not alone.
    """

    def __init__(self, words: Iterable[str], *, column: str | None = None, stdin: int | None = None) -> None:
        self._words = list(words)
        self._column = column
        self._lines: Lines | None = None
        if _STDIN in self._words:
            if len(self._words) > 1:
                raise UsageError(
                    "- stands for the paths from standard input, and for all of them; leave out the others"
                )
            self._lines = Lines(sys.stdin.fileno() if stdin is None else stdin)
        self._files = [] if self._lines else [file for word in self._words for file in self._checked(word)]
        if column is not None and not any(file.lower().endswith(".csv") for file in self._files):
            raise UsageError(f"--column {column} is of a .csv file, and there is none among the paths")

    @property
    def files(self) -> Sequence[str]:
        """The files and folders that the words stand for; none of standard input."""
        return self._files

    @property
    def is_stream(self) -> bool:
        """Whether the images can be gone through only once."""
        return self._lines is not None

    @property
    def has_keys(self) -> bool:
        """Whether some of the images are in tar files, where they have keys."""
        return any(is_tar(file) for file in self._files)

    def __iter__(self) -> Iterator[Source]:
        if self._lines is not None:
            return iter(self._lines)
        return (source for file in self._files for source in self._meant(file))

    def lots(self, size: int) -> Iterator[list[Source]]:
        """Yields so many images at a time, or fewer: where they come through a pipe, as many as there are."""
        return in_lots(self, size) if self._lines is None else self._lines.lots(size)

    def num_known(self, enough: int) -> int | None:
        """Returns how many images there are, if they are fewer than `enough`; None if there are more."""
        if self._lines is not None:
            return self._lines.num_known(enough)
        if self._has_compressed:
            return None
        number = sum(1 for _ in itertools.islice(self, enough))
        return number if number < enough else None

    def count(self, given_up: threading.Event) -> int | None:
        """Returns how many images there are; None where only who goes through them can tell, or when it is given up."""
        if self._lines is not None or self._has_compressed:
            return None
        number = 0
        for lot in in_lots(self, 1000):
            if given_up.is_set():
                return None
            number += len(lot)
        return number

    @property
    def _has_compressed(self) -> bool:
        return any(is_tar(file) and is_compressed(file) for file in self._files)

    def _checked(self, word: str) -> Iterator[str]:
        """Yields the files and folders that a word stands for."""
        path = Path(word)
        # Path's own questions raise where a name is longer than the system has names.
        if os.path.isdir(word):  # noqa: PTH112
            if next(_images_below(word), None) is None:
                raise UsageError(f"{word}: no image below this folder; looked for {', '.join(sorted(IMAGE_SUFFIXES))}")
            yield word
        elif os.path.isfile(word):  # noqa: PTH113
            if path.suffix.lower() == ".csv":
                column_of(word, self._column)
            yield word
        elif os.path.islink(word):  # noqa: PTH114
            yield word  # it leads nowhere, as its row is to say
        elif os.path.exists(word):  # noqa: PTH110
            raise UsageError(f"{word}: neither a file nor a folder; - reads paths from standard input")
        else:
            matched = sorted(glob.iglob(word, recursive=True))  # noqa: PTH207, since Path.glob takes no absolute pattern
            if "**" in word:
                matched = [file for file in matched if not Path(file).is_dir()]  # what is below is matched too
            if not matched:
                near = did_you_mean(path.name, [file.name for file in path.parent.glob("*")])
                raise UsageError(f"{word}: no such file, folder or pattern{near}")
            for file in matched:
                yield from self._checked(file)

    def _meant(self, file: str) -> Iterator[Source]:
        if Path(file).is_dir():
            return _images_below(file)
        suffix = Path(file).suffix.lower()
        if suffix == ".txt":
            return in_list(file)
        if suffix == ".csv":
            return in_column(file, column_of(file, self._column))
        return images_in(file) if is_tar(file) else iter([Source.of(file)])


def find_images(paths: Iterable[str]) -> list[str]:
    """Returns the images that command-line words mean, as `Inputs` does, all at once.

    Raises:
        UsageError: if a word means nothing, or a folder holds no image.
    """
    return [source.name for source in Inputs(paths)]


def without(lots: Iterator[list[Source]], number: int) -> Iterator[list[Source]]:
    """Leaves out the first few images.

    Example:
        >>> lots = in_lots(map(Source.of, "abcde"), 2)
        >>> [[source.name for source in lot] for lot in without(lots, 3)]
        [['d'], ['e']]
    """
    for lot in lots:
        start = min(number, len(lot))
        number -= start
        if start < len(lot):
            yield lot[start:]


def _images_below(folder: str) -> Iterator[Source]:
    """Yields the images below a folder in the order of their paths; of each folder on the way, only the names are kept.

    A folder that cannot be read is a source with an error. Links to folders are not followed; one that leads nowhere
    is an image that cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            # With its slash, a folder stands where the paths below it do.
            names = sorted(
                f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name
                for entry in entries
                if not entry.name.startswith(".") and (entry.is_dir(follow_symlinks=False) or _is_shown(entry))
            )
    except OSError as error:
        yield Source(folder, error=f"{folder}: the folder cannot be read ({error.strerror or error})")
        return
    for name in names:
        path = str(Path(folder, name))
        if name.endswith("/"):
            yield from _images_below(path)
        else:
            yield Source(path, path=path)


def _is_shown(entry: "os.DirEntry[str]") -> bool:
    if not is_image(entry.name):
        return False
    return os.path.isfile(entry.path) or (entry.is_symlink() and not os.path.exists(entry.path))  # noqa: PTH110, PTH113
