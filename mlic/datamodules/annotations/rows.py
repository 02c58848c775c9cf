"""`Rows`: the rows of a CSV file."""

import csv
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TypeVar

from mlic.datamodules.annotations.packing import Packer
from mlic.datamodules.annotations.text import undecodable
from mlic.errors import Faults

__all__ = ["Row", "Rows"]

Row = tuple[int, list[str], bytes]
"""The line a row starts on, its cells, and the codes of those cells that are left out of them, if some are."""

_SEPARATORS = ",;\t"
_LONGEST = 100_000  # characters; the csv module refuses a cell that is longer than 131,072
_Item = TypeVar("_Item")


class _Dialect(csv.excel):
    skipinitialspace = True
    strict = True


class Rows:
    """The rows of a CSV file that are not blank, up to the first line that is no CSV, which it notes.

    Args:
        lines: of the file, with their ends.
        path: the file, for messages.
        faults: where a line that is no CSV is noted.

    Attributes:
        header: the first row that is not blank; empty if there is none.
        header_line: its line.
        separator: between cells: what a first line such as `sep=;` says, else whichever the header has most of.
    """

    def __init__(self, lines: Iterable[str], path: Path, faults: Faults) -> None:
        self._lines, self._path, self._faults = iter(lines), path, faults
        self._line = 0  # how many lines were read
        first, told = self._first_line()
        self.header_line = self._line + 1
        self.separator = told or _separator(first)
        self._dialect = _Dialect()
        self._dialect.delimiter = self.separator
        self.header = (self._row(first) or []) if first else []

    def __iter__(self) -> Iterator[Row]:
        """Yields the rows below the header, with all their cells."""
        reader, before = csv.reader(self._lines, self._dialect), self._line
        while (cells := self._next(reader)) is not None:
            line, self._line = self._line + 1, before + reader.line_num
            if any(map(str.strip, cells)):
                yield line, cells, b""

    def packed(self, first: int, after: int, packer: Packer) -> Iterator[Row]:
        """Yields the rows that remain; where it can, with the cells that are packed left out.

        Args:
            first: the column of the first cell to pack.
            after: how many columns follow the last one.
            packer: of the cells in between.
        """
        while (text := self._next(self._lines)) is not None:
            line = self._line + 1
            row = self._split(text, first, after, packer)
            if row is not None:
                self._line = line
                yield line, *row
            elif (cells := self._row(text)) is None:
                return
            elif any(map(str.strip, cells)):
                yield line, cells, b""

    def _first_line(self) -> tuple[str, str]:
        """Returns the first line that is not blank, and what a line above it says that separates cells."""
        told = ""
        while (text := self._next(self._lines)) is not None:
            line_for_excel = None if told else re.fullmatch(r'"?sep=([,;\t|])"?\s*', text)
            if line_for_excel:
                told = line_for_excel[1]
            elif text.strip():
                return text, told
            self._line += 1
        return "", told

    def _row(self, text: str) -> list[str] | None:
        """Returns the row that begins with a line."""
        reader = csv.reader(chain([text], self._lines), self._dialect)
        cells = self._next(reader)
        self._line += reader.line_num
        return cells

    def _next(self, items: Iterator[_Item]) -> _Item | None:
        """Returns the next item; None at the end, and at a fault, which it notes and which ends the file."""
        try:
            return next(items, None)
        except csv.Error as error:
            self._faults.add(f"{self._path}:{self._line + 1}: {error}; is a quotation mark left open?")
        except UnicodeDecodeError:
            self._faults.add(undecodable(self._path))
        self._lines = iter(())
        return None

    def _split(self, text: str, first: int, after: int, packer: Packer) -> tuple[list[str], bytes] | None:
        """Splits a line without quotation marks behind the first cells; None where that is left to the csv module."""
        text = text.rstrip("\r\n")
        cells, rest = self._quoted(text) if '"' in text else ([], text)
        if len(cells) > first:
            return None
        *others, rest = rest.split(self.separator, first - len(cells))
        rest, *behind = rest.rsplit(self.separator, after) if after else [rest]
        cells += others + behind
        if len(cells) != first + after or len(text) - len(rest) > _LONGEST or not any(map(str.strip, cells)):
            return None
        codes = packer.codes(rest)
        return None if codes is None else (cells, codes)

    def _quoted(self, text: str) -> tuple[list[str], str]:
        """Returns the cells up to the last quotation mark, and the text behind them; none if no cell ends there."""
        at = text.rindex('"') + 1
        if text[at : at + 1] != self.separator:
            return [], ""
        try:
            return next(csv.reader([text[:at]], self._dialect)), text[at + 1 :]
        except csv.Error:  # the row goes on in the next line
            return [], ""


def _separator(header: str) -> str:
    """Returns what separates the cells: whichever the header has most of."""
    bare = re.sub(r'"[^"]*"', "", header)
    return max(_SEPARATORS, key=bare.count)
