"""Checks of the label tables that are trained and evaluated on, and what the log says about them."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Int64

from mlic.errors import Faults, LabelError, UsageError
from mlic.labels import LabelTable
from mlic.labels.classes import rare

__all__ = [
    "check_positives",
    "check_samples",
    "check_shares",
    "check_support",
    "summary",
    "tell_hardened",
    "tell_images_of_both",
    "tell_left_out",
    "tell_never_absent",
    "tell_rare",
    "tell_resolved",
]

log = logging.getLogger(__name__)

_SHOWN = 100  # names in one line of the log


def check_shares(shares: Mapping[str, float]) -> None:
    """Checks that val and test take a share of train that leaves something.

    Raises:
        UsageError: if they do not, or train is a share.
    """
    for side, share in shares.items():
        if side == "train":
            raise UsageError(f"train is {share}; expected a reader or the path of an annotation file")
        if not 0 < share < 1:
            raise UsageError(f"{side} is {share}; a share of train lies between 0 and 1")
    if sum(shares.values()) >= 1:
        raise UsageError(f"val and test take {sum(shares.values()):g} of train together; nothing is left to learn from")


def check_samples(side: str, table: LabelTable, shares: Mapping[str, float]) -> None:
    """Checks that a side has a sample.

    Raises:
        LabelError: if it has none.
    """
    if len(table):
        return
    if side in shares:
        raise LabelError(
            f"{table.source}: a share of {shares[side]} leaves no sample for {side}; "
            f"take a larger one, or give {side} a file of its own"
        )
    raise LabelError(f"{table.source}: no sample; expected at least one image with its labels")


def check_positives(table: LabelTable, taken: Mapping[str, Int64[np.ndarray, " classes"]]) -> None:
    """Checks that each class of train has a positive.

    Args:
        table: of train.
        taken: the positives of each class in the other shares of the file, by their side.

    Raises:
        LabelError: with all classes that have none.
    """
    if not table.num_labelled:
        raise LabelError(f"{table.source}: none of the {len(table)} images has labels; expected some that are labelled")
    faults = Faults()
    for column in map(int, np.flatnonzero(table.support() == 0)):
        name = table.classes[column]
        where = f"{table.origins.get(name, table.source)}: class '{name}' has no positive among the {len(table)} "
        elsewhere = {side: int(support[column]) for side, support in taken.items() if support[column]}
        if elsewhere:
            sides, count = " and ".join(elsewhere), sum(elsewhere.values())
            faults.add(
                f"{where}training samples: its {count} positive{'s' * (count > 1)} fell into the {sides} share; "
                f"give {sides} a file of its own, or change split_salt"
            )
        else:
            faults.add(
                f"{where}training samples, so nothing can be learnt about it; "
                "add some, or leave the class out with data.drop or data.min_support"
            )
    faults.raise_if_any()


def check_support(table: LabelTable, min_support: int) -> None:
    """Checks that each class of train has as many known positives as are asked for, where `classes` names it.

    Raises:
        LabelError: with all classes that have fewer.
    """
    faults = Faults()
    for name, support in rare(table, min_support).items():
        faults.add(
            f"{table.origins.get(name, table.source)}: class '{name}' has {_positives(support)} among the {len(table)} "
            f"training samples, fewer than the min_support of {min_support}, and classes asks for it; take it out of "
            "classes, or lower min_support"
        )
    faults.raise_if_any()


def tell_rare(table: LabelTable, found: Mapping[str, int], min_support: int) -> None:
    """Tells which classes of train are left out because they are rare.

    Raises:
        LabelError: if no other is left.
    """
    if not found:
        return
    if len(found) == table.num_classes:
        raise LabelError(
            f"{table.source}: none of the {len(found)} classes has {_positives(min_support)} among the {len(table)} "
            f"training samples; the most frequent has {max(found.values())}, so lower min_support"
        )
    names = _listed([f"'{name}' ({support})" for name, support in found.items()])
    log.info(
        "train: %d of %d classes have fewer than %s and are left out: %s",
        len(found),
        table.num_classes,
        _positives(min_support),
        names,
    )


def tell_left_out(side: str, whole: LabelTable, table: LabelTable) -> None:
    """Tells which classes of a file are not among those that are learnt."""
    learnt = set(table.classes)
    names = [f"'{name}'" for name in whole.classes if name not in learnt]
    if names:
        log.info(
            "%s: %d classes of the file are not among the %d and are left out: %s",
            side,
            len(names),
            table.num_classes,
            _listed(names),
        )


def tell_resolved(table: LabelTable, learnt: LabelTable) -> None:
    """Tells what became of the unknown labels of train."""
    if learnt is table:
        return
    left, soft = learnt.num_unknown_cells, _num_soft(learnt) - _num_soft(table)
    log.info(
        "train: of %d unknown labels %d are taken as hard ones, %d as soft ones, and %d stay unknown",
        table.num_unknown_cells,
        table.num_unknown_cells - left - soft,
        soft,
        left,
    )


def tell_hardened(side: str, table: LabelTable) -> None:
    """Tells how many labels of a side are soft, since it is evaluated on hard ones."""
    if table.is_soft:
        log.info(
            "%s: %d soft labels are taken as present above 0.5, as absent below, and as unknown at 0.5",
            side,
            _num_soft(table),
        )


def tell_never_absent(table: LabelTable) -> None:
    """Warns of the classes that have positives, but no known negative."""
    names = [table.classes[column] for column in np.flatnonzero((table.negatives() == 0) & (table.support() > 0))]
    if names:
        log.warning(
            "%s: only ever present or unknown: %s; without images in which a class is known to be absent, a model "
            "learns to say that it is always there",
            table.source,
            ", ".join(f"'{name}'" for name in names),
        )


def tell_images_of_both(first: str, one: LabelTable, second: str, other: LabelTable) -> None:
    """Warns of the images that are on two sides."""
    files = set(_files(one))
    both = [file for file in _files(other) if file in files]
    if both:
        shown = ", ".join(both[:3] + ["..."] * (len(both) > 3))
        log.warning(
            "%d images are in both %s and %s: %s; what is measured on images that were trained on is too good",
            len(both),
            first,
            second,
            shown,
        )


def _num_soft(table: LabelTable) -> int:
    return int(np.count_nonzero((table.values > 0) & (table.values < 1)))


def _positives(number: int) -> str:
    return f"{number} positive{'s' * (number != 1)}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _files(table: LabelTable) -> Iterator[str]:
    root = os.path.abspath(table.root)  # noqa: PTH100 (it takes `..` out)
    return (f"{root}/{path}" for path in table.paths)


def summary(table: LabelTable) -> str:
    """Counts what a table holds, for the log.

    Example:
        >>> from pathlib import Path
        >>> summary(LabelTable.from_present(["a.jpg", "b.jpg"], ["cat"], [["cat"], []], root=Path()))
        '2 images, 1 classes, 0.50 labels an image, 1 with none of the classes'
    """
    positives = int(table.support().sum())
    words = [
        f"{len(table)} images",
        f"{table.num_classes} classes",
        f"{positives / max(table.num_labelled, 1):.2f} labels an image",
    ]
    counts: Sequence[tuple[int, str]] = [
        (table.num_all_negative, "with none of the classes"),
        (table.num_unlabelled, "unlabelled"),
        (table.num_unknown_cells, "unknown cells"),
    ]
    return ", ".join(words + [f"{count} {what}" for count, what in counts if count])
