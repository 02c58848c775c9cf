"""FiftyOne's image classification data set, several labels an image."""

import json
from collections.abc import Iterator
from pathlib import Path

from mlic.datamodules.writers.base import Written, present, rows, stem, without_unknown
from mlic.errors import LabelError
from mlic.labels import LabelTable

__all__ = ["write"]


def write(table: LabelTable, output: Path) -> Written:
    """Writes `classes` and `labels`: from a path without suffix to the positions of its classes, null if unlabelled.

    Raises:
        LabelError: if two images differ in their suffix only, which the format does not tell apart.
    """
    written = Written("fiftyone")
    table = without_unknown(table, written, can_be_unlabelled=True)
    _check_stems(table)
    with output.open("w", encoding="utf-8") as stream:
        stream.write('{"classes": ' + json.dumps(list(table.classes), ensure_ascii=False) + ',\n"labels": {')
        for number, line in enumerate(_lines(table)):
            stream.write(("," if number else "") + "\n" + line)
        stream.write("\n}}\n")
    return written


def _lines(table: LabelTable) -> Iterator[str]:
    known = table.is_labelled
    for row, (path, labels) in enumerate(rows(table)):
        said = present(labels) if known[row] else None
        yield f"{json.dumps(stem(path), ensure_ascii=False)}: {json.dumps(said)}"


def _check_stems(table: LabelTable) -> None:
    seen: dict[str, str] = {}
    for path in table.paths:
        other = seen.setdefault(stem(path), path)
        if other != path:
            raise LabelError(
                f"{table.source}: '{other}' and '{path}' differ in their suffix only, which FiftyOne's labels.json "
                "does not tell apart; rename one, or choose another format"
            )
