"""Label Studio's JSON, to import as tasks with annotations."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlic.datamodules.writers.base import Written, lost_classes, present, rows, without_unknown, write_list
from mlic.labels import LabelTable

__all__ = ["write"]


def write(table: LabelTable, output: Path) -> Written:
    """Writes a task for each sample; an unlabelled one has no annotation, one without any class an empty one."""
    written = Written("labelstudio")
    table = without_unknown(table, written, can_be_unlabelled=True)
    lost_classes(table, written)
    with output.open("w", encoding="utf-8") as stream:
        write_list(stream, _tasks(table))
        stream.write("\n")
    return written


def _tasks(table: LabelTable) -> Iterator[dict[str, Any]]:
    known = table.is_labelled
    for row, (path, labels) in enumerate(rows(table)):
        choices = {"choices": [table.classes[column] for column in present(labels)]}
        result = {"from_name": "labels", "to_name": "image", "type": "choices", "value": choices}
        annotation = {"was_cancelled": False, "result": [result] if choices["choices"] else []}
        yield {"id": row + 1, "data": {"image": path}, "annotations": [annotation] if known[row] else []}
