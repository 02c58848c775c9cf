"""CSV files as records: a dictionary a row, by the names of the header, as JSON lines are."""

import csv
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from mlic.datamodules.readers.text import open_text, undecodable
from mlic.errors import LabelError

__all__ = ["read_csv_records"]

_SEPARATORS = ",;\t"


def read_csv_records(path: Path) -> Iterator[tuple[int, dict[str, str] | LabelError]]:
    """Yields the rows of a CSV file, each with the line it starts on; for a faulty one the error that tells the fault.

    Names and cells come without the spaces around them; rows whose cells are all blank are passed over, and so are
    columns without a name.

    Args:
        path: the file, UTF-8, with a header; cells are separated by `,`, `;` or a tab.

    Raises:
        LabelError: if the file cannot be read, is empty, or its header names a column twice.
    """
    with open_text(path) as stream:
        rows = _rows(stream, path)
        line, header = next(rows, (1, []))
        if isinstance(header, LabelError):
            raise header
        _check_header(header, line, path)
        for line, cells in rows:
            if isinstance(cells, LabelError):
                yield line, cells
                continue
            if len(cells) < len(header) or any(cells[len(header) :]):
                wrong = f"{len(cells)} cells, but the header names {len(header)} columns"
                yield line, LabelError(f"{path}:{line}: {wrong}")
                continue
            record = dict(zip(header, cells, strict=False))
            record.pop("", None)
            yield line, record


def _check_header(header: list[str], line: int, path: Path) -> None:
    if not header:
        raise LabelError(f"{path}: the file is empty; expected a header and a row an image")
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice is not None:
        raise LabelError(f"{path}:{line}: column '{twice}' is there twice; expected each name once")


def _rows(stream: Iterator[str], path: Path) -> Iterator[tuple[int, list[str] | LabelError]]:
    """Yields the rows that are not blank, up to the first line that is no CSV, which comes as an error."""
    before, first = 0, ""
    try:
        for first in stream:
            if first.strip():
                break
            before += 1
    except UnicodeDecodeError:
        yield 1, LabelError(undecodable(path))
        return
    reader = csv.reader(chain([first], stream), delimiter=_separator(first), skipinitialspace=True, strict=True)
    while True:
        line = before + reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield line, LabelError(f"{path}:{line}: {error}; is a quotation mark left open?")
            return
        except UnicodeDecodeError:
            yield line, LabelError(undecodable(path))
            return
        if cells is None:
            return
        stripped = [cell.strip() for cell in cells]
        if any(stripped):
            yield line, stripped


def _separator(header: str) -> str:
    """Returns what separates the cells: whichever the header has most of."""
    return max(_SEPARATORS, key=re.sub(r'"[^"]*"', "", header).count)
