"""COCO: presence as annotations without a box; unknown labels by LVIS's lists of absent classes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mlic.datamodules.writers.base import Written, lost_groups, present, rows, size_of, without_soft, write_list
from mlic.labels import LabelTable

__all__ = ["write"]


def write(table: LabelTable, output: Path) -> Written:
    """Writes `images`, `annotations` and `categories`, whose ids count from 1 in the order of the classes.

    If any label is unknown, each image gets LVIS's `neg_category_ids`: the absent classes; what is in neither is
    unknown. Programs that do not know LVIS take it for absent.
    """
    written = Written("coco")
    table = without_soft(table, written)
    has_unknown = table.num_unknown_cells > 0
    if has_unknown:
        written.lost.append("unknown labels, for programs that do not read LVIS's neg_category_ids")
    lost_groups(table, written)
    categories = [{"id": column + 1, "name": name} for column, name in enumerate(table.classes)]
    with output.open("w", encoding="utf-8") as stream:
        stream.write('{"categories": ' + json.dumps(categories, ensure_ascii=False) + ',\n"images": ')
        write_list(stream, _images(table, has_unknown))
        stream.write(',\n"annotations": ')
        write_list(stream, _annotations(table))
        stream.write("}\n")
    return written


def _images(table: LabelTable, has_unknown: bool) -> Iterator[dict[str, Any]]:
    for row, (path, labels) in enumerate(rows(table)):
        image: dict[str, Any] = {"id": row + 1, "file_name": path, **size_of(table, row)}
        if has_unknown:
            image["neg_category_ids"] = [int(column) + 1 for column in np.flatnonzero(labels == 0)]
            image["not_exhaustive_category_ids"] = []
        yield image


def _annotations(table: LabelTable) -> Iterator[dict[str, int]]:
    number = 0
    for row, (_, labels) in enumerate(rows(table)):
        for column in present(labels):
            number += 1
            yield {"id": number, "image_id": row + 1, "category_id": column + 1, "iscrowd": 0}
