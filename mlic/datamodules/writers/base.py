"""`Written`: what became of a table in a file; and what most formats need for writing one."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, TextIO

import numpy as np
from jaxtyping import Shaped

from mlic.errors import ImageError, LabelError
from mlic.headers import image_size
from mlic.labels import LabelTable

__all__ = [
    "Written",
    "lost_classes",
    "lost_groups",
    "present",
    "rows",
    "shortest",
    "size_of",
    "stem",
    "without_soft",
    "without_unknown",
    "without_unlabelled",
    "write_list",
]

_BLOCK_CELLS = 1 << 22


@dataclass
class Written:
    """What became of a table.

    Attributes:
        reader: the name of the reader that reads the file back.
        init_args: what that reader has to be told, beside the path and the root.
        lost: what the format cannot say, a sentence each.
        num_left_out: images that are not in the file.
    """

    reader: str
    init_args: dict[str, Any] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    num_left_out: int = 0


def rows(table: LabelTable) -> Iterator[tuple[str, Shaped[np.ndarray, " classes"]]]:
    """Yields the path and the labels of each sample, without making all of the table dense at once."""
    step = max(1, _BLOCK_CELLS // max(1, table.num_classes))
    for start in range(0, len(table), step):
        block = np.arange(start, min(start + step, len(table)))
        yield from zip(table.paths[start : start + step], table.dense(block), strict=True)


def present(labels: Shaped[np.ndarray, " classes"]) -> list[int]:
    """Returns the columns of the classes that are present."""
    return [int(column) for column in np.flatnonzero(labels == 1)]


def shortest(value: float) -> float:
    """Returns a soft label with no more digits than it takes to tell it from other float32 numbers.

    Example:
        >>> shortest(float(np.float32(0.9)))
        0.9
    """
    return float(str(np.float32(value)))


def stem(path: str) -> str:
    """Returns a path without its suffix.

    Example:
        >>> stem("sub/a.v2.jpg")
        'sub/a.v2'
    """
    return str(PurePosixPath(path).with_suffix(""))


def without_unknown(table: LabelTable, written: Written, *, can_be_unlabelled: bool) -> LabelTable:
    """Returns what a format that lists the classes of each image can say of a table, and notes the rest.

    Args:
        table: any.
        written: is told what is lost.
        can_be_unlabelled: whether the format tells an image without annotation from one without any class; otherwise
            unlabelled samples are left out, which is better than calling their classes absent.

    Raises:
        LabelError: if all samples would be left out.
    """
    table = without_soft(table, written)
    if not can_be_unlabelled:
        table = without_unlabelled(table, written)
    num_unknown = table.num_unknown_cells - table.num_unlabelled * table.num_classes
    if num_unknown:
        written.lost.append(f"{num_unknown} unknown labels of labelled images are written as absent")
    lost_groups(table, written)
    return table


def without_soft(table: LabelTable, written: Written) -> LabelTable:
    """Returns the table without soft labels, and notes that it had some."""
    if table.is_soft:
        written.lost.append("soft labels are written as present above 0.5, as absent below, as unknown at 0.5")
    return table.hardened()


def without_unlabelled(table: LabelTable, written: Written) -> LabelTable:
    """Returns the labelled samples, and notes how many others are left out.

    Raises:
        LabelError: if that leaves none, which no reader would take for a data set.
    """
    if not table.num_unlabelled:
        return table
    if not table.num_labelled:
        raise LabelError(
            f"{table.source}: none of the {len(table)} images has labels, and {written.reader} has no word for "
            "unlabelled ones; choose another format, such as csv"
        )
    written.num_left_out = table.num_unlabelled
    written.lost.append(f"{table.num_unlabelled} unlabelled images are left out: it has no word for them")
    return table.take(np.flatnonzero(table.is_labelled))


def lost_groups(table: LabelTable, written: Written) -> None:
    """Notes that the format has no place for groups, if there are any."""
    if table.groups is not None:
        written.lost.append("the groups")


def lost_classes(table: LabelTable, written: Written) -> None:
    """Notes what a format loses that lists no classes: their order, and those without positives.

    The reader is told the classes, so that nothing is lost that way.
    """
    named = [name for name, support in zip(table.classes, table.support(), strict=True) if support]
    if tuple(sorted(named)) != table.classes:
        written.init_args["classes"] = list(table.classes)
        written.lost.append("the order of the classes and those without positives, unless its reader is told: classes")


def write_list(stream: TextIO, items: Iterable[Any]) -> None:
    """Writes a JSON list with an item a line, for lists that are longer than memory should hold."""
    stream.write("[")
    for number, item in enumerate(items):
        stream.write(("," if number else "") + "\n" + json.dumps(item, ensure_ascii=False))
    stream.write("\n]")


def size_of(table: LabelTable, row: int) -> dict[str, int]:
    """Returns the `width` and `height` of an image in pixels; nothing if it cannot be read."""
    try:
        width, height = image_size(table.path(row))
    except ImageError:
        return {}
    return {"width": width, "height": height}
