"""What a training makes of unknown labels: nothing, absent ones, or soft ones."""

from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Float32, Integer

from mlic.errors import Faults, UsageError
from mlic.labels.cells import prefix, smallest, unknown_class
from mlic.labels.listing import relisted, rows_of, unlisted_rows
from mlic.labels.table import LabelTable

__all__ = ["Unknown", "check_unknown", "resolved"]

_MOST_CELLS = 1 << 28  # some gigabytes while they are sorted


Unknown = str | dict[str, int | float]
"""`ignore` leaves unknown labels out of the loss, `negative` takes them as absent, `{"soft": v}` as present with
probability `v`."""


def check_unknown(policy: Unknown, where: str) -> None:
    """Checks a policy.

    Raises:
        UsageError: if it is none, or its probability is not one.
    """
    if policy in ("ignore", "negative"):
        return
    if not isinstance(policy, Mapping) or list(policy) != ["soft"]:
        raise UsageError(f"{where} is {policy!r}; expected ignore, negative or {{soft: 0.1}}")
    value = policy["soft"]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise UsageError(f"{where} is {{soft: {value}}}; expected a probability, 0 to 1")


def resolved(table: LabelTable, policy: Unknown, per_class: Mapping[str, Unknown] | None = None) -> LabelTable:
    """Returns the table with something else in place of the unknown labels of its labelled samples.

    A sample that nobody labelled stays unknown, whatever the policy: nobody looked at it, so nothing was left out.

    Args:
        table: of a training; what is evaluated on keeps its unknown cells.
        policy: for the classes that `per_class` does not name.
        per_class: class -> its own policy.

    Raises:
        UsageError: if a policy is none; or if a soft label for so many unlisted cells would not fit into memory.
        LabelError: with all names of `per_class` that are not classes.

    Example:
        >>> from pathlib import Path
        >>> labels = np.array([[1, -1], [-1, -1]], np.int8)
        >>> table = LabelTable.from_dense(["a.jpg", "b.jpg"], ["cat", "dog"], labels, root=Path())
        >>> resolved(table, "negative").dense().tolist()
        [[1, 0], [-1, -1]]
        >>> resolved(table, "ignore", {"dog": {"soft": 0.25}}).dense().tolist()
        [[1.0, 0.25], [-1.0, -1.0]]
    """
    instead = _instead(table, policy, per_class or {})
    if (instead == -1).all():
        return table
    labelled = table.is_labelled
    # The columns that are unknown for every sample stay so, or lose what marks them and follow the rows' fill.
    unknown_columns = table.unknown_columns & (instead == -1)
    usual = 0 if np.count_nonzero(instead == 0) > np.count_nonzero(instead == -1) else -1
    fill = np.where(~labelled, -1, np.where(table.fill == 0, 0, usual)).astype(np.int8)
    rows, columns = rows_of(table), table.columns
    kept = labelled[rows]
    rows, columns, values = rows[kept], columns[kept], table.values[kept]
    replaced = np.where(values == -1, instead[columns], values)
    more = list(_unlisted(table, instead, usual, rows, columns))
    parts = [(rows, columns, replaced), *more]
    all_rows, all_columns, all_values = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return relisted(table, all_rows, all_columns, all_values, fill=fill, unknown_columns=unknown_columns)


def _instead(table: LabelTable, policy: Unknown, per_class: Mapping[str, Unknown]) -> Float32[np.ndarray, " classes"]:
    """Returns per class what stands in place of an unknown label: -1, 0 or a probability."""
    check_unknown(policy, "unknown")
    instead = np.full(table.num_classes, _value(policy), np.float32)
    column = {name: place for place, name in enumerate(table.classes)}
    faults = Faults()
    for name, its_policy in per_class.items():
        check_unknown(its_policy, f"unknown_per_class: {name}")
        if name in column:
            instead[column[name]] = _value(its_policy)
        else:
            faults.add(f"{prefix(table.source)}unknown_per_class: {unknown_class(name, table.classes, faults)}")
    faults.raise_if_any()
    return instead


def _value(policy: Unknown) -> float:
    return float(policy["soft"]) if isinstance(policy, Mapping) else 0.0 if policy == "negative" else -1.0


def _unlisted(
    table: LabelTable,
    instead: Float32[np.ndarray, " classes"],
    usual: int,
    rows: Integer[np.ndarray, " cells"],
    columns: Integer[np.ndarray, " cells"],
) -> Iterator[tuple[Integer[np.ndarray, " more"], Integer[np.ndarray, " more"], Float32[np.ndarray, " more"]]]:
    """Yields, class by class, the unknown cells that are not listed and that the rows' new fill does not say.

    `usual` is the new fill of the labelled rows that were filled with unknown; the others stay filled with absent.
    """
    labelled = table.is_labelled
    were_unknown, were_absent = labelled & (table.fill == -1), labelled & (table.fill == 0)
    in_unknown = instead != usual
    in_absent = table.unknown_columns & (instead != 0)
    stay_unknown = table.unknown_columns & (instead == -1)
    in_unknown &= ~stay_unknown & were_unknown.any()
    in_absent &= ~stay_unknown & were_absent.any()
    number = int(in_unknown.sum()) * int(were_unknown.sum()) + int(in_absent.sum()) * int(were_absent.sum())
    if number > _MOST_CELLS:
        raise UsageError(
            f"{prefix(table.source)}{number:,} unknown cells would have to be held one by one; take negative for most "
            "classes or ignore for most, and name the others in unknown_per_class"
        )
    by_column = np.argsort(columns, kind="stable")
    edges = np.searchsorted(columns[by_column], np.arange(table.num_classes + 1))
    for column in map(int, np.flatnonzero(in_unknown | in_absent)):
        candidates = (were_unknown & in_unknown[column]) | (were_absent & in_absent[column])
        others = unlisted_rows(candidates, rows[by_column[edges[column] : edges[column + 1]]])
        yield (
            others.astype(smallest(len(table))),
            np.full(len(others), column, smallest(table.num_classes)),
            np.full(len(others), instead[column]),
        )
