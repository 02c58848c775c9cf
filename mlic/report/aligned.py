"""Two models on the same samples and classes, whatever order their files have."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Int64

from mlic.errors import Faults, UsageError, did_you_mean, shortened
from mlic.scored import Scored
from mlic.thresholds import Decisions

__all__ = ["Aligned", "align"]


@dataclass(frozen=True)
class Aligned:
    """Two models, row for row and column for column the same.

    Attributes:
        a: the first.
        b: the second, with the classes in the order of the first.
        only_a: how many samples the first has and the second has not.
        only_b: the other way round.
    """

    a: Scored
    b: Scored
    only_a: int
    only_b: int


def align(a: Scored, b: Scored) -> Aligned:
    """Matches samples by path and classes by name.

    Raises:
        UsageError: if one has a class that the other lacks, an image twice, or no image in common with the other.
        LabelError: with the cells whose labels differ: the two were judged by different annotations.
    """
    _check_classes(a, b)
    column_of = {name: column for column, name in enumerate(b.classes)}
    columns = np.array([column_of[name] for name in a.classes], np.int64)
    rows_a, rows_b = _row_of(a), _row_of(b)
    common = [path for path in rows_a if path in rows_b]
    if not common:
        first, other = shortened(a.paths[0], 80), shortened(b.paths[0], 80)
        raise UsageError(
            f"'{a.name}' and '{b.name}' have no image in common: the first ones are '{first}' and '{other}'; expected "
            "scores of the same images"
        )
    every = np.arange(len(a.classes))
    one = _taken(a, np.array([rows_a[path] for path in common]), every)
    other_one = _taken(b, np.array([rows_b[path] for path in common]), columns)
    _check_labels(one, other_one)
    return Aligned(one, other_one, len(rows_a) - len(common), len(rows_b) - len(common))


def _check_classes(a: Scored, b: Scored) -> None:
    faults = Faults()
    for has, lacks in ((a, b), (b, a)):
        for name in has.classes:
            if name not in lacks.classes:
                faults.add(
                    f"class '{name}' of '{has.name}' is not one of '{lacks.name}'{did_you_mean(name, lacks.classes)}"
                )
    if faults.count:
        faults.add("expected the same classes, in any order")
        faults.raise_if_any()


def _row_of(scored: Scored) -> dict[str, int]:
    rows: dict[str, int] = {}
    for row, path in enumerate(scored.paths):
        if rows.setdefault(path, row) != row:
            raise UsageError(
                f"'{scored.name}': image '{path}' is there twice; expected each once, to match them by path"
            )
    if not rows:
        raise UsageError(f"'{scored.name}' has no samples")
    return rows


def _taken(scored: Scored, rows: Int64[np.ndarray, " rows"], columns: Int64[np.ndarray, " columns"]) -> Scored:
    at = torch.from_numpy(columns)
    decisions = scored.decisions
    per_class = {
        one.name: getattr(decisions, one.name)[at]
        for one in fields(Decisions)
        if isinstance(getattr(decisions, one.name), torch.Tensor)
    }
    return replace(
        scored,
        classes=tuple(scored.classes[column] for column in columns),
        paths=scored.paths.take(rows),
        logits=scored.logits[torch.from_numpy(rows)][:, at],
        labels=scored.labels[torch.from_numpy(rows)][:, at],
        decisions=replace(decisions, **per_class),
    )


def _check_labels(a: Scored, b: Scored) -> None:
    differ = (a.labels != b.labels).nonzero().tolist()
    faults = Faults()
    for row, column in differ:
        if faults.is_full:
            break
        faults.add(
            f"image '{a.paths[row]}', class '{a.classes[column]}': {_said(a, row, column)} and {_said(b, row, column)}"
        )
    if differ:
        faults.add(f"{len(differ):,} labels differ in all; expected both to be judged by the same annotations")
        faults.raise_if_any()


def _said(scored: Scored, row: int, column: int) -> str:
    words: Sequence[str] = ("absent", "present", "unknown")
    return f"{words[int(scored.labels[row, column])]} in '{scored.name}'"
