"""Counts of a `LabelTable`: what a user wants to know about labels before a training."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from mlic.labels.table import LabelTable

__all__ = ["ClassCounts", "Counts", "class_counts", "count", "labels_per_image", "meetings"]

_BLOCK_PAIRS = 1 << 22


@dataclass(frozen=True)
class Counts:
    """What a table holds.

    Attributes:
        images: samples, whatever is known of them.
        classes: columns.
        labelled: samples with at least one known label.
        all_negative: labelled samples of which it is known that they have none of the classes.
        unlabelled: samples of which nothing is known.
        unknown_cells: unknown labels, those of unlabelled samples among them.
        cardinality: the mean number of classes of a labelled sample (Tsoumakas & Katakis 2007); 0 without any.
        support: class -> number of known positives.
        negatives: class -> number of known negatives.
        soft_cells: labels between 0 and 1.
    """

    images: int
    classes: int
    labelled: int
    all_negative: int
    unlabelled: int
    unknown_cells: int
    cardinality: float
    support: dict[str, int]
    negatives: dict[str, int]
    soft_cells: int


class ClassCounts(NamedTuple):
    """How often each class is known to be present and absent, in the order of the classes.

    Attributes:
        positives: known positives of each class.
        negatives: known negatives of each class.
        samples: samples with at least one known label.
    """

    positives: list[int]
    negatives: list[int]
    samples: int


def class_counts(table: LabelTable) -> ClassCounts:
    """Counts the labels of each class: what some losses weigh by.

    Example:
        >>> from pathlib import Path
        >>> class_counts(LabelTable.from_present(["a.jpg", "b.jpg"], ["cat", "dog"], [["cat"], None], root=Path()))
        ClassCounts(positives=[1, 0], negatives=[0, 1], samples=1)
    """
    return ClassCounts(table.support().tolist(), table.negatives().tolist(), table.num_labelled)


def count(table: LabelTable) -> Counts:
    """Counts what a table holds.

    Example:
        >>> from pathlib import Path
        >>> counts = count(LabelTable.from_present(["a.jpg", "b.jpg"], ["cat"], [["cat"], []], root=Path()))
        >>> counts.cardinality, counts.support, counts.all_negative
        (0.5, {'cat': 1}, 1)
    """
    support, labelled = table.support(), table.num_labelled
    return Counts(
        images=len(table),
        classes=table.num_classes,
        labelled=labelled,
        all_negative=table.num_all_negative,
        unlabelled=table.num_unlabelled,
        unknown_cells=table.num_unknown_cells,
        cardinality=float(support.sum()) / max(labelled, 1),
        support=dict(zip(table.classes, map(int, support), strict=True)),
        negatives=dict(zip(table.classes, map(int, table.negatives()), strict=True)),
        soft_cells=int(((table.values > 0) & (table.values < 1)).sum()) if table.is_soft else 0,
    )


def labels_per_image(table: LabelTable) -> dict[int, int]:
    """Returns how many labelled samples have how many classes, from 0 on, without gaps.

    Example:
        >>> from pathlib import Path
        >>> labels_per_image(LabelTable.from_present(["a.jpg", "b.jpg"], ["cat"], [["cat"], None], root=Path()))
        {0: 0, 1: 1}
    """
    rows, _ = _positives(table)
    numbers = np.bincount(rows, minlength=len(table))[table.is_labelled]
    return dict(enumerate(np.bincount(numbers).tolist())) if len(numbers) else {}


def meetings(table: LabelTable) -> list[tuple[int, int, int]]:
    """Returns which classes are present together: two columns, the first the smaller, and in how many samples.

    The most frequent pairs come first; pairs that never meet are left out. Memory grows with the number of different
    pairs, not with the square of the number of classes.
    """
    rows, columns = _positives(table)
    lengths = np.bincount(rows, minlength=len(table))
    starts = np.concatenate([[0], np.cumsum(lengths)])
    total: dict[int, int] = {}
    # Each positive is paired with those that come after it in its row; a block of them at a time.
    following = starts[rows + 1] - np.arange(len(rows)) - 1
    ends = np.searchsorted(np.cumsum(following), np.arange(_BLOCK_PAIRS, int(following.sum()), _BLOCK_PAIRS))
    for block in np.split(np.arange(len(rows)), ends):
        one = np.repeat(block, following[block])
        step = np.arange(len(one)) - np.repeat(np.cumsum(following[block]) - following[block], following[block]) + 1
        keys = columns[one].astype(np.int64) * table.num_classes + columns[one + step]
        for key, number in zip(*map(np.ndarray.tolist, np.unique(keys, return_counts=True)), strict=True):
            total[key] = total.get(key, 0) + number
    pairs = [(key // table.num_classes, key % table.num_classes, number) for key, number in total.items()]
    return sorted(pairs, key=lambda pair: (-pair[2], pair[0], pair[1]))


def _positives(table: LabelTable) -> tuple[Int64[np.ndarray, " cells"], Int64[np.ndarray, " cells"]]:
    """Returns the rows and columns of the cells that are present, sorted by both."""
    rows = np.repeat(np.arange(len(table)), np.diff(table.indptr))
    present = table.values > 0.5
    rows, columns = rows[present], table.columns[present].astype(np.int64)
    order = np.lexsort((columns, rows))
    return rows[order], columns[order]
