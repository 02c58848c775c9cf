"""Datumaro's JSON."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlic.datamodules.writers.base import Written, present, rows, stem, without_unknown, write_list
from mlic.labels import LabelTable

__all__ = ["write"]


def write(table: LabelTable, output: Path) -> Written:
    """Writes an item for each labelled image, with an annotation of the type `label` for each class it has."""
    written = Written("datumaro")
    table = without_unknown(table, written, can_be_unlabelled=False)
    labels = [{"name": name, "parent": "", "attributes": []} for name in table.classes]
    head = {
        "dm_format_version": "1.0",
        "media_type": 2,
        "infos": {},
        "categories": {"label": {"label_groups": [], "labels": labels, "attributes": []}},
    }
    with output.open("w", encoding="utf-8") as stream:
        stream.write(json.dumps(head, ensure_ascii=False).removesuffix("}") + ',\n"items": ')
        write_list(stream, _items(table))
        stream.write("}\n")
    return written


def _items(table: LabelTable) -> Iterator[dict[str, Any]]:
    for path, labels in rows(table):
        annotations = [
            {"id": number, "type": "label", "attributes": {}, "group": 0, "label_id": column}
            for number, column in enumerate(present(labels))
        ]
        yield {"id": stem(path), "annotations": annotations, "image": {"path": path}}
