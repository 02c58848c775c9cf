"""CSV with a column a class: says all that a table says."""

import csv
from itertools import count
from pathlib import Path

from mlic.datamodules.writers.base import Written, rows, shortest
from mlic.labels import LabelTable

__all__ = ["write"]


def write(table: LabelTable, output: Path) -> Written:
    """Writes 1 present, 0 absent, a blank for unknown, and soft labels as numbers; groups have a column of their own.

    Where perhaps no cell at all is 0, a blank could be taken for it, so unknown is then written as `?`.
    """
    written = Written("csv")
    header = [_unused("image", table), *table.classes]
    if header[0] != "image":
        written.init_args["image_column"] = header[0]
    if table.groups is not None:
        header.append(_unused("group", table))
        written.init_args["group_column"] = header[-1]
    if table.is_soft:
        written.init_args["soft"] = True
    unknown = "" if table.negatives().any() and not table.is_soft else "?"
    words = {-1.0: unknown, 0.0: "0", 1.0: "1"}
    with output.open("w", encoding="utf-8", newline="") as stream:
        # What separates the cells is found out from the header, where a name may hold another separator; and Python
        # leaves a carriage return as it is, which ends a row when it is read.
        torn = any(mark in name for name in header for mark in ";\t\r")
        csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL if torn else csv.QUOTE_MINIMAL).writerow(header)
        lines = csv.writer(stream, lineterminator="\n")
        for row, (path, labels) in enumerate(rows(table)):
            cells = [words[value] if value in words else str(shortest(value)) for value in labels.tolist()]
            groups = [] if table.groups is None else [table.groups[row]]
            lines.writerow([path, *cells, *groups])
    return written


def _unused(name: str, table: LabelTable) -> str:
    """Returns a column name that no class has."""
    names = (name if number == 0 else f"{name}_{number}" for number in count())
    return next(candidate for candidate in names if candidate not in table.classes)
