"""Lists of paths, read a line at a time: text files, a column of a CSV, standard input."""

import csv
import os
import select
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mlic.errors import UsageError, did_you_mean
from mlic.predict.sources import Source

__all__ = ["Lines", "column_of", "in_column", "in_list"]

_LIKELY = ("path", "image", "image_path", "file", "file_name", "filename", "filepath")
_NOT_TEXT = "not a text of paths, since it has a byte 0; expected one a line, in UTF-8"
_CHUNK = 1 << 16


def in_list(path: str) -> Iterator[Source]:
    """Yields the images of a text file with a path a line; lines without any are left out.

    Raises:
        UsageError: if it is not a text.
    """
    # A file name need not be UTF-8.
    with Path(path).open(encoding="utf-8-sig", errors="surrogateescape", newline="\n") as stream:
        folder = str(Path(path).parent)
        for line in stream:
            if "\0" in line:
                raise UsageError(f"{path}: {_NOT_TEXT}")
            if name := _named(line, folder):
                yield Source(name, path=name, folder=folder)


class Column(NamedTuple):
    """Where in a CSV the paths are."""

    name: str
    place: int
    delimiter: str


def column_of(path: str, wanted: str | None) -> Column:
    """Returns the column with the paths.

    Args:
        path: a CSV with a header; commas, semicolons or tabs between cells.
        wanted: the name of the column; None for one of the usual names.

    Raises:
        UsageError: if there is none.
    """
    with Path(path).open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        head = stream.readline()
        if "\0" in head:
            raise UsageError(f"{path}: {_NOT_TEXT.replace('paths', 'CSV')}")
        delimiters = sorted(",;\t", key=head.count, reverse=True)
        headers = {}
        for delimiter in delimiters:
            stream.seek(0)
            headers[delimiter] = [name.strip() for name in next(csv.reader(stream, delimiter=delimiter), [])]
    # The name of another column may hold more semicolons than there are commas.
    delimiter = next((one for one in delimiters if _likely(headers[one], wanted)), delimiters[0])
    names = headers[delimiter]
    if wanted is None:
        wanted = _likely(names, None)
        if wanted is None:
            raise UsageError(
                f"{path}: which column has the paths? none is called {', '.join(_LIKELY)}; say --column NAME, "
                f"one of {', '.join(names) or 'none: there is no header'}"
            )
    if wanted not in names:
        raise UsageError(f"{path}: no column '{wanted}'{did_you_mean(wanted, names)}; it has {', '.join(names)}")
    return Column(wanted, names.index(wanted), delimiter)


def _likely(names: list[str], wanted: str | None) -> str | None:
    """Returns the column of that name, or that of a usual one; None if there is none."""
    if wanted is not None:
        return wanted if wanted in names else None
    lower = [name.lower() for name in names]
    return next((names[lower.index(name)] for name in _LIKELY if name in lower), None)


def in_column(path: str, column: Column) -> Iterator[Source]:
    """Yields the images that a column of a CSV names; a row without any is a source with an error.

    Raises:
        UsageError: if a row is no CSV.
    """
    folder = str(Path(path).parent)
    with Path(path).open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        rows = csv.reader(stream, delimiter=column.delimiter)
        try:
            next(rows, None)
            for row in rows:
                if not row:
                    continue
                name = row[column.place] if column.place < len(row) else ""
                if name:
                    yield Source(name, path=name, folder=folder)
                else:
                    where = f"{path}:{rows.line_num}"
                    yield Source(where, error=f"{where}: no path in the column '{column.name}'")
        except csv.Error as error:
            raise UsageError(f"{path}:{rows.line_num}: not a row of a CSV ({error})") from None


class Lines:
    """The paths that come through a pipe or from a terminal, as they come; each is given once.

    A line each; or each with a byte 0 after it, as `find -print0` writes, where a first look finds one.

    Args:
        descriptor: of the open file.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._names: list[str] = []
        self._rest = b""
        self._end: bytes | None = None
        self._is_over = False

    def __iter__(self) -> Iterator[Source]:
        for lot in self.lots(1):
            yield from lot

    def lots(self, size: int) -> Iterator[list[Source]]:
        """Yields so many at a time, or fewer where no more are there: nobody has to wait for a lot to fill."""
        while self._names or not self._is_over:
            if not self._names:
                self._look()
                continue
            taken, self._names = self._names[:size], self._names[size:]
            yield [Source(name, path=name) for name in taken]

    def num_known(self, enough: int) -> int | None:
        """Returns how many there are, if all have come already and they are fewer than `enough`; otherwise None."""
        while not self._is_over and len(self._names) < enough and _is_ready(self._descriptor):
            self._look()
        return len(self._names) if self._is_over and len(self._names) < enough else None

    def _look(self) -> None:
        chunk = os.read(self._descriptor, _CHUNK)
        self._is_over = not chunk
        data = self._rest + chunk
        if self._end is None and data:
            data = data.removeprefix(b"\xef\xbb\xbf")
            self._end = b"\0" if b"\0" in data else b"\n"
        if self._end is None:
            return
        *whole, self._rest = data.split(self._end)
        if self._is_over and self._rest:
            whole, self._rest = [*whole, self._rest], b""
        names = map(os.fsdecode, whole)
        self._names += filter(None, names if self._end == b"\0" else (_named(name, "") for name in names))


def _named(line: str, folder: str) -> str:
    """Returns the path of a line: without stray spaces, unless a file has them in its name."""
    exact = line.rstrip("\r\n")
    name = exact.strip()
    return exact if name != exact and any(_is_file(place, exact) for place in ("", folder)) else name


def _is_file(folder: str, name: str) -> bool:
    return os.path.isfile(Path(folder, name))  # noqa: PTH113, since Path.is_file raises where a name is too long


def _is_ready(descriptor: int) -> bool:
    try:
        return bool(select.select([descriptor], [], [], 0)[0])
    except OSError:  # what is no socket, on Windows
        return False
