"""Which classes are learnt: the names of a file to those of a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlic.datamodules.annotations.text import text_lines
from mlic.errors import Faults, LabelError, UsageError
from mlic.labels import LabelTable
from mlic.labels.classes import Missing, dropped, merged, renamed

__all__ = ["ClassChanges", "check_keys", "read_classes"]


@dataclass(frozen=True)
class ClassChanges:
    """What is done to the classes of each file: they are renamed, then merged, then dropped.

    Args:
        rename: old name -> new name.
        merge: new name -> the names that it replaces.
        drop: names that are left out.
    """

    rename: Mapping[str, str]
    merge: Mapping[str, Sequence[str]]
    drop: Sequence[str]

    def apply(self, table: LabelTable, missing: Missing) -> LabelTable:
        """Returns the table with other classes.

        Raises:
            LabelError: with all names that cannot be changed so; those that the table does not have are among them if
                `missing` is `error`.
        """
        table = renamed(table, self.rename, missing=missing) if self.rename else table
        table = merged(table, self.merge, missing=missing) if self.merge else table
        return dropped(table, self.drop, missing=missing) if self.drop else table


def read_classes(classes: Sequence[str] | Path) -> tuple[str, ...]:
    """Returns classes in their order, from a list or from a text file with one a line.

    Blank lines and spaces around a name count for nothing.

    Raises:
        LabelError: with all classes that are there twice; if there is none, or the file cannot be read.
    """
    if isinstance(classes, Path):
        where, named = str(classes), [(f"{classes}:{line}", name) for line, name in text_lines(classes)]
    else:
        where, named = "classes", [(f"classes[{place}]", name) for place, name in enumerate(classes)]
    if not named:
        raise LabelError(f"{where}: no class; expected at least one")
    faults, first = Faults(), dict[str, str]()
    for place, name in named:
        if first.setdefault(name, place) != place:
            faults.add(f"{place}: class '{name}' is there twice, first in {first[name]}; expected it once")
    faults.raise_if_any()
    return tuple(first)


def check_keys(option: str, mapping: Mapping[Any, Any]) -> None:
    """Checks that the names of a mapping are text, which YAML makes of `1` and `no` only in quotation marks.

    Raises:
        UsageError: with the first that is not.
    """
    for key in mapping:
        if not isinstance(key, str):
            raise UsageError(f"{option}: the name {key!r} is no text; put it into quotation marks")
