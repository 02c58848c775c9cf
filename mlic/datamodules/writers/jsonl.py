"""JSON lines as Hugging Face's imagefolder has them."""

import json
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from mlic.datamodules.writers.base import Written, lost_classes, lost_groups, present, rows, shortest
from mlic.labels import LabelTable

__all__ = ["write"]


def write(table: LabelTable, output: Path) -> Written:
    """Writes `{"file_name": ..., "labels": [...]}`, null for an unlabelled image.

    If there are soft labels, or unknown ones of labelled images, `labels` is a mapping from a class to 1, 0 or a
    probability, and a class that it does not hold is unknown.
    """
    written = Written("imagefolder")
    unknown = table.num_unknown_cells - table.num_unlabelled * table.num_classes
    as_mapping = table.is_soft or unknown > 0
    if as_mapping:
        written.lost.append("a list of labels for each image, since some are unknown or soft: labels are mappings")
    lost_classes(table, written)
    lost_groups(table, written)
    known = table.is_labelled
    with output.open("w", encoding="utf-8") as stream:
        for row, (path, labels) in enumerate(rows(table)):
            said = None if not known[row] else _mapping(table, labels) if as_mapping else _names(table, labels)
            stream.write(json.dumps({"file_name": path, "labels": said}, ensure_ascii=False) + "\n")
    return written


def _names(table: LabelTable, labels: Shaped[np.ndarray, " classes"]) -> list[str]:
    return [table.classes[column] for column in present(labels)]


def _mapping(table: LabelTable, labels: Shaped[np.ndarray, " classes"]) -> dict[str, int | float]:
    values = labels.tolist()
    return {
        name: int(value) if value in (0, 1) else shortest(value)
        for name, value in zip(table.classes, values, strict=True)
        if value != -1
    }
