"""Open Images' image-level labels: says of each label whether it is present, absent or unknown."""

import csv
from pathlib import Path

import numpy as np

from mlic.datamodules.writers.base import Written, lost_groups, rows, stem, without_soft, without_unlabelled
from mlic.errors import LabelError
from mlic.labels import LabelTable

__all__ = ["write"]


def write(table: LabelTable, output: Path) -> Written:
    """Writes a row for each known label: the image without suffix, `verification`, the class, and 1 or 0.

    Raises:
        LabelError: if an image lies in a folder below the root or is no .jpg, which an ImageID cannot tell; or if no
            image is labelled.
    """
    for path in table.paths:
        if "/" in path or not path.endswith(".jpg"):
            raise LabelError(
                f"{table.source}: image '{path}' has no ImageID: Open Images has .jpg files in one folder; choose "
                "another format"
            )
    written = Written("openimages")
    table = without_soft(table, written)
    lost_groups(table, written)
    table = without_unlabelled(table, written)
    named = [name for name, known in zip(table.classes, table.support() + table.negatives(), strict=True) if known]
    if tuple(sorted(named)) != table.classes:
        written.init_args["classes"] = list(table.classes)
        written.lost.append("the order of the classes and those that are nowhere known, unless its reader is told")
    with output.open("w", encoding="utf-8", newline="") as stream:
        lines = csv.writer(stream, lineterminator="\n")
        lines.writerow(["ImageID", "Source", "LabelName", "Confidence"])
        for path, labels in rows(table):
            for column in np.flatnonzero(labels != -1):
                lines.writerow([stem(path), "verification", table.classes[column], int(labels[column])])
    return written
