"""`Places`: numbers for the lines of many files, so that `Samples` can say where something stands."""

from array import array
from bisect import bisect_right

__all__ = ["Places"]

_MOST = 2**31 - 1  # what `Samples` holds


class Places:
    """Numbers the lines of one file after those of the other; a number is turned back into `file:line`.

    Args:
        start: what the names of the files begin with, such as their folder.
        whole: what place 0 stands for.

    Example:
        >>> places = Places("notes/", whole="notes")
        >>> places.open("a.txt"), places.at(3)
        (1, 4)
        >>> places.open("b.txt"), places.at(2)
        (5, 7)
        >>> places(4), places(5), places(7), places(0)
        ('notes/a.txt:3', 'notes/b.txt', 'notes/b.txt:2', 'notes')
    """

    def __init__(self, start: str, whole: str) -> None:
        self._start, self._whole = start, whole
        self._files: list[str] = []
        self._firsts = array("q")
        self._first = self._last = 0

    def open(self, file: str) -> int:
        """Goes on to the next file; returns the place that stands for the whole of it."""
        self._first = self._last = min(self._last + 1, _MOST)
        self._files.append(file)
        self._firsts.append(self._first)
        return self._first

    def at(self, line: int) -> int:
        """Returns the place of a line of the current file; lines count from 1."""
        place = min(self._first + line, _MOST)
        self._last = max(self._last, place)
        return place

    def __call__(self, place: int) -> str:
        """Returns the words for a place."""
        if not place:
            return self._whole
        index = bisect_right(self._firsts, place) - 1
        line = place - self._firsts[index]
        return f"{self._start}{self._files[index]}" + (f":{line}" if line else "")
