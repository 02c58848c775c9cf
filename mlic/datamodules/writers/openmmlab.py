"""OpenMMLab's annotation file for multi-label classification."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlic.datamodules.writers.base import Written, present, rows, without_unknown, write_list
from mlic.labels import LabelTable

__all__ = ["write"]


def write(table: LabelTable, output: Path) -> Written:
    """Writes `metainfo` with the classes, and `data_list` with the positions of each image's classes."""
    written = Written("openmmlab")
    table = without_unknown(table, written, can_be_unlabelled=True)
    head = {"metainfo": {"classes": list(table.classes)}}
    with output.open("w", encoding="utf-8") as stream:
        stream.write(json.dumps(head, ensure_ascii=False).removesuffix("}") + ',\n"data_list": ')
        write_list(stream, _items(table))
        stream.write("}\n")
    return written


def _items(table: LabelTable) -> Iterator[dict[str, Any]]:
    known = table.is_labelled
    for row, (path, labels) in enumerate(rows(table)):
        yield {"img_path": path, **({"gt_label": present(labels)} if known[row] else {})}
