"""The listed cells of a table, taken out as rows, columns and values, and put back."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Int8, Integer, Shaped

from mlic.labels.cells import smallest, stored
from mlic.labels.table import LabelTable
from mlic.strings import offsets_of

__all__ = ["relisted", "rows_of", "unlisted_rows"]


def rows_of(table: LabelTable) -> Integer[np.ndarray, " cells"]:
    """Returns the row of each listed cell, as small integers."""
    rows: npt.NDArray[Any] = np.repeat(np.arange(len(table), dtype=smallest(len(table))), np.diff(table.indptr))
    return rows


def unlisted_rows(
    candidates: Bool[np.ndarray, " samples"], rows: Integer[np.ndarray, " cells"]
) -> Integer[np.ndarray, " others"]:
    """Returns those of the candidates that are not among `rows`."""
    others = candidates.copy()
    others[rows] = False
    return np.flatnonzero(others)


def relisted(
    table: LabelTable,
    rows: Integer[np.ndarray, " cells"],
    columns: Integer[np.ndarray, " cells"],
    values: Shaped[np.ndarray, " cells"],
    *,
    classes: tuple[str, ...] | None = None,
    fill: Int8[np.ndarray, " samples"] | None = None,
    unknown_columns: Bool[np.ndarray, " classes"],
    origins: Mapping[str, str] | None = None,
) -> LabelTable:
    """Returns the table with these cells in place of its own; those that say what their row's fill says are left out.

    No cell may be given twice or be in an unknown column. What is None stays as it is.
    """
    classes = table.classes if classes is None else classes
    fill = table.fill if fill is None else fill
    told = values != fill[rows]
    rows, columns, values = rows[told], columns[told], values[told]
    order = np.argsort(rows, kind="stable")
    return replace(
        table,
        classes=classes,
        indptr=offsets_of(np.bincount(rows, minlength=len(table))),
        columns=columns[order].astype(smallest(len(classes)), copy=False),
        values=stored(values[order]),
        fill=fill,
        unknown_columns=unknown_columns,
        origins=table.origins if origins is None else origins,
    )
