"""CSV files as records: a dictionary a row, by the names of the header, as JSON lines are."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from mlic.datamodules.annotations.rows import Rows
from mlic.datamodules.annotations.text import open_text
from mlic.errors import Faults, LabelError

__all__ = ["read_csv_records"]


def read_csv_records(path: Path) -> Iterator[tuple[int, dict[str, str] | LabelError]]:
    """Yields the rows of a CSV file, each with the line it starts on; for a faulty one the error that tells the fault.

    Names and cells come without the spaces around them; rows whose cells are all blank are passed over, and so are
    columns without a name.

    Args:
        path: the file, UTF-8, with a header; cells are separated by `,`, `;` or a tab.

    Raises:
        LabelError: if the file cannot be read, is empty, or its header names a column twice.
    """
    faults = Faults()
    with open_text(path) as stream:
        rows = Rows(stream, path, faults)
        header = [name.strip() for name in rows.header]
        faults.raise_if_any()
        _check_header(header, rows.header_line, path)
        for line, row, _ in rows:
            cells = [cell.strip() for cell in row]
            if len(cells) < len(header) or any(cells[len(header) :]):
                wrong = f"{len(cells)} cells, but the header names {len(header)} columns"
                yield line, LabelError(f"{path}:{line}: {wrong}")
                continue
            record = dict(zip(header, cells, strict=False))
            record.pop("", None)
            yield line, record
        try:
            faults.raise_if_any()
        except LabelError as error:  # the line that ended the rows
            yield rows.header_line, error


def _check_header(header: list[str], line: int, path: Path) -> None:
    if not header:
        raise LabelError(f"{path}: the file is empty; expected a header and a row an image")
    twice = next((name for name, count in Counter(header).items() if name and count > 1), None)
    if twice is not None:
        raise LabelError(f"{path}:{line}: column '{twice}' is there twice; expected each name once")
