"""Other classes for a table: renamed, merged, dropped, or the frequent ones alone.

Where the names come from a user, one that the table does not have is a fault; `missing="ignore"` is for the tables that
merely follow, such as those of validation.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int64, Integer, Shaped

from mlic.errors import Faults, LabelError
from mlic.labels.cells import prefix, unknown_class
from mlic.labels.listing import relisted, rows_of, unlisted_rows
from mlic.labels.table import LabelTable

__all__ = ["Missing", "dropped", "merged", "rare", "renamed"]

Missing = Literal["error", "ignore"]
"""Whether a class that the table does not have is a fault."""


def renamed(table: LabelTable, names: Mapping[str, str], *, missing: Missing = "error") -> LabelTable:
    """Returns the table with other names for some of its classes; their order stays.

    Args:
        table: whose classes are renamed.
        names: old name -> new name.
        missing: as `Missing`.

    Raises:
        LabelError: with all old names that the table does not have, and all new ones that another class has.

    Example:
        >>> from pathlib import Path
        >>> table = LabelTable.from_present(["a.jpg"], ["cat", "dgo"], [["dgo"]], root=Path())
        >>> renamed(table, {"dgo": "dog"}).classes
        ('cat', 'dog')
    """
    faults = Faults()
    _check_missing("rename", table, names, missing, faults)
    old_of: dict[str, str] = {}
    for old in table.classes:
        new = names.get(old, old)
        if new in old_of:
            faults.add(
                f"{_at(table, old)}rename: '{old_of[new]}' and '{old}' would both be '{new}'; to unite them, use merge "
                f"instead: {{{new}: [{old_of[new]}, {old}]}}"
            )
        old_of[new] = old
    faults.raise_if_any()
    origins = {names.get(old, old): where for old, where in table.origins.items()}
    return replace(table, classes=tuple(old_of), origins=origins)


def merged(table: LabelTable, merges: Mapping[str, Sequence[str]], *, missing: Missing = "error") -> LabelTable:
    """Returns the table with some classes united.

    A united class is present where any of its members is, absent where all are, and otherwise unknown. Of soft labels
    it takes the greatest if all members are known. It stands where the first of its members stood.

    Args:
        table: whose classes are united.
        merges: new name -> the old names that it replaces, which may include itself.
        missing: as `Missing`; a member that is ignored counts as `LabelTable.align` fills it: unknown, or absent where
            the vocabulary is open.

    Raises:
        LabelError: with all members that the table does not have or that have two new names, all new names that another
            class has, and all that have no member.

    Example:
        >>> from pathlib import Path
        >>> table = LabelTable.from_present(["a.jpg"], ["car", "cat", "truck"], [["truck"]], root=Path())
        >>> merged(table, {"vehicle": ["car", "truck"]}).classes
        ('vehicle', 'cat')
    """
    _check_merges(table, merges, missing)
    known = set(table.classes)
    merges = {new: tuple(dict.fromkeys(members)) for new, members in merges.items() if not known.isdisjoint(members)}
    if not merges:
        return table
    plan = _plan(table, merges)
    rows, columns = rows_of(table), plan.target[table.columns]
    united = plan.is_united[columns]
    joined = _joined(table, plan, rows[united], columns[united], table.values[united])
    more = [(rows[~united], columns[~united], table.values[~united]), joined]
    unknown = plan.unknown & (plan.sizes == 0)
    for column in map(int, np.flatnonzero(plan.unknown & ~unknown)):
        # One member is unknown everywhere, another is not: absent nowhere.
        present = joined[0][(joined[1] == column) & (joined[2] == 1)]
        others = unlisted_rows(table.fill == 0, joined[0][joined[1] == column])
        if len(present):
            more.append((others, np.full(len(others), column), np.full(len(others), -1, np.int8)))
        else:
            unknown[column] = True
    all_rows, all_columns, values = (np.concatenate(parts) for parts in zip(*more, strict=True))
    kept = ~unknown[all_columns]
    return relisted(
        table,
        all_rows[kept],
        all_columns[kept],
        values[kept],
        classes=plan.names,
        unknown_columns=unknown,
        origins=plan.origins,
    )


def dropped(table: LabelTable, names: Iterable[str], *, missing: Missing = "error") -> LabelTable:
    """Returns the table without some of its classes.

    Raises:
        LabelError: with all names that the table does not have; or if no class is left.
    """
    names = list(names)
    faults = Faults()
    _check_missing("drop", table, names, missing, faults)
    faults.raise_if_any()
    kept = [name for name in table.classes if name not in set(names)]
    if table.classes and not kept:
        raise LabelError(f"{prefix(table.source)}drop: no class is left of the {table.num_classes}; keep at least one")
    return table.align(kept, extra="drop")


def rare(table: LabelTable, min_support: int) -> dict[str, int]:
    """Returns the classes with fewer known positives than `min_support`, and how many they have.

    Example:
        >>> from pathlib import Path
        >>> rare(LabelTable.from_present(["a.jpg"], ["cat", "dog"], [["dog"]], root=Path()), 1)
        {'cat': 0}
    """
    pairs = zip(table.classes, map(int, table.support()), strict=True)
    return {name: support for name, support in pairs if support < min_support}


@dataclass(frozen=True)
class _Plan:
    """Where the columns of a table go.

    `target` says it for each old column. The others are per new column: its name, whether it unites several, how many
    of them follow the fill of a row that does not list them, and whether one of them is unknown everywhere.
    """

    target: Int64[np.ndarray, " classes"]
    names: tuple[str, ...]
    origins: Mapping[str, str]
    is_united: Bool[np.ndarray, " new_classes"]
    sizes: Int64[np.ndarray, " new_classes"]
    unknown: Bool[np.ndarray, " new_classes"]


def _plan(table: LabelTable, merges: Mapping[str, Sequence[str]]) -> _Plan:
    new_of = {member: new for new, members in merges.items() for member in members}
    place: dict[str, int] = {}
    target, origins = np.empty(table.num_classes, np.int64), dict[str, str]()
    for column, name in enumerate(table.classes):
        new = new_of.get(name, name)
        target[column] = place.setdefault(new, len(place))
        if name in table.origins:
            origins.setdefault(new, table.origins[name])
    is_united = np.zeros(len(place), np.bool_)
    is_united[[place[new] for new in merges]] = True
    sizes = np.bincount(target[~table.unknown_columns], minlength=len(place))
    unknown = np.zeros(len(place), np.bool_)
    unknown[target[table.unknown_columns]] = True
    for new, members in merges.items():
        lacking = len(set(members) - set(table.classes))
        if table.open_vocabulary:
            sizes[place[new]] += lacking
        elif lacking:
            unknown[place[new]] = True
    return _Plan(target, tuple(place), origins, is_united, sizes, unknown)


def _joined(
    table: LabelTable,
    plan: _Plan,
    rows: Integer[np.ndarray, " cells"],
    columns: Int64[np.ndarray, " cells"],
    values: Shaped[np.ndarray, " cells"],
) -> tuple[Integer[np.ndarray, " united"], Int64[np.ndarray, " united"], Shaped[np.ndarray, " united"]]:
    """Unites the cells of each row and new column."""
    key = rows.astype(np.int64) * len(plan.names) + columns
    order = np.argsort(key, kind="stable")
    rows, columns, values, key = rows[order], columns[order], values[order], key[order]
    first = np.flatnonzero(np.diff(key, prepend=-1))
    if not len(first):
        return rows, columns, values
    highest, lowest = np.maximum.reduceat(values, first), np.minimum.reduceat(values, first)
    rows, columns = rows[first], columns[first]
    listed = np.diff(np.append(first, len(key)))
    unlisted_is_unknown = (listed < plan.sizes[columns]) & (table.fill[rows] == -1)
    unknown = (lowest == -1) | plan.unknown[columns] | unlisted_is_unknown
    return rows, columns, np.where(unknown & (highest != 1), -1, highest).astype(values.dtype)


def _check_merges(table: LabelTable, merges: Mapping[str, Sequence[str]], missing: Missing) -> None:
    faults, new_of = Faults(), dict[str, str]()
    for new, members in merges.items():
        if not members:
            faults.add(f"merge: '{new}' has no members; expected the classes that it replaces")
        _check_missing("merge", table, members, missing, faults)
        for member in dict.fromkeys(members):
            if member in new_of:
                faults.add(f"merge: class '{member}' becomes '{new_of[member]}' and '{new}'; expected one of them")
            new_of[member] = new
    classes = set(table.classes)
    for new, members in merges.items():
        if new in classes and new not in new_of and (missing == "error" or not classes.isdisjoint(members)):
            faults.add(
                f"{_at(table, new)}merge: '{new}' is a class already; to unite it with the others, list it too: "
                f"{{{new}: [{', '.join([new, *members])}]}}"
            )
    faults.raise_if_any()


def _check_missing(what: str, table: LabelTable, names: Iterable[str], missing: Missing, faults: Faults) -> None:
    if missing == "error":
        known = set(table.classes)
        for name in names:
            if name not in known:
                faults.add(f"{prefix(table.source)}{what}: {unknown_class(name, table.classes, faults)}")


def _at(table: LabelTable, name: str) -> str:
    return prefix(table.origins.get(name, table.source))
