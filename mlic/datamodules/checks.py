"""Checks of the label tables that are trained and evaluated on, and what the log says about them."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Int64

from mlic.errors import Faults, LabelError, UsageError
from mlic.labels import LabelTable

__all__ = [
    "check_positives",
    "check_samples",
    "check_shares",
    "summary",
    "tell_images_of_both",
    "tell_never_absent",
]

log = logging.getLogger(__name__)


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
                "add some, or take the class out of the file"
            )
    faults.raise_if_any()


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
