"""`mlic data stats`: what a data set holds."""

import dataclasses
import json
import logging
import sys
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from mlic.errors import ImageError
from mlic.headers import image_size
from mlic.labels import LabelTable
from mlic.labels.counts import Counts, count, labels_per_image, meetings
from mlic.tables import text_table
from mlic.tracking import track
from mlic.verbs.data.words import ActionParser, parse

__all__ = ["run"]

log = logging.getLogger(__name__)

_MEASURED = 5_000  # images whose header is read, spread evenly over all
_PAIRS = 10


def run(arguments: list[str], as_json: bool) -> None:
    """Prints counts, and draws them where a picture is asked for."""
    parser = ActionParser("stats")
    parser.add_argument("--picture", type=Path)
    options, reader = parse(parser, arguments)
    table = reader.read()
    counts = count(table)
    sizes, num_unreadable = _sizes(table)
    if as_json:
        sys.stdout.write(json.dumps(_document(table, counts, sizes, num_unreadable)) + "\n")
    else:
        sys.stdout.write(_page(table, counts, sizes, num_unreadable))
    if options.picture is not None:
        from mlic.plots import plot_statistics, save  # matplotlib takes a while

        figure = plot_statistics(
            table.source,
            table.classes,
            table.support(),
            table.negatives(),
            len(table),
            labels_per_image(table),
            meetings(table),
            sizes,
        )
        save(figure, options.picture)
        log.info("picture: %s", options.picture)


def _sizes(table: LabelTable) -> tuple[Int64[np.ndarray, "images 2"], int]:
    """Returns the width and height of some images, and how many others have none that can be read."""
    chosen = np.unique(np.linspace(0, max(0, len(table) - 1), min(len(table), _MEASURED)).astype(np.int64))
    sizes, num_unreadable = [], 0
    for row in track(chosen, len(chosen), "reading the sizes of images"):
        try:
            sizes.append(image_size(table.path(row)))
        except ImageError:
            num_unreadable += 1
    return np.array(sizes, np.int64).reshape(-1, 2), num_unreadable


def _document(
    table: LabelTable, counts: Counts, sizes: Int64[np.ndarray, "images 2"], num_unreadable: int
) -> dict[str, object]:
    pairs = meetings(table)[:_PAIRS]
    return {
        **dataclasses.asdict(counts),
        "labels_per_image": labels_per_image(table),
        "together": [[table.classes[one], table.classes[other], number] for one, other, number in pairs],
        "sizes": {"measured": len(sizes), "unreadable": num_unreadable, **_extent(sizes)},
    }


def _extent(sizes: Int64[np.ndarray, "images 2"]) -> dict[str, list[int]]:
    """The least, the median and the largest width and height."""
    if not len(sizes):
        return {}
    rows = [sizes.min(axis=0), np.median(sizes, axis=0), sizes.max(axis=0)]
    return {name: [int(row[axis]) for row in rows] for axis, name in enumerate(("width", "height"))}


def _page(table: LabelTable, counts: Counts, sizes: Int64[np.ndarray, "images 2"], num_unreadable: int) -> str:
    rows: list[list[str | int | float]] = [
        ["images", counts.images],
        ["classes", counts.classes],
        ["labelled", counts.labelled],
        ["of them with no class", counts.all_negative],
        ["unlabelled", counts.unlabelled],
        ["unknown labels", counts.unknown_cells],
    ]
    if counts.soft_cells:
        rows.append(["soft labels", counts.soft_cells])
    if table.groups is not None:
        rows.append(["groups", len({group or path for group, path in zip(table.groups, table.paths, strict=True)})])
    parts = [
        f"{table.source}\n",
        text_table(["", ""], rows).partition("\n")[2],
        f"\n{counts.cardinality:.2f} labels an image: {_histogram(labels_per_image(table))}\n",
        "\n" + text_table(["class", "present", "absent", "unknown", "share"], _classes(counts)),
    ]
    pairs = meetings(table)
    if pairs:
        shown: list[list[str | int]] = [
            [table.classes[one], table.classes[other], number] for one, other, number in pairs[:_PAIRS]
        ]
        parts.append("\n" + text_table(["most often together", "", "images"], shown))
    parts.append(f"\n{_told(sizes, num_unreadable, len(table))}\n")
    return "".join(parts)


def _classes(counts: Counts) -> list[list[str | int | float | None]]:
    rows: list[list[str | int | float | None]] = []
    for name, present in counts.support.items():
        known = present + counts.negatives[name]
        share = present / known if known else None
        rows.append([name, present, counts.negatives[name], counts.images - known, share])
    return rows


def _histogram(numbers: dict[int, int]) -> str:
    words = [f"{number} with {size}" for size, number in list(numbers.items())[:12]]
    rest = sum(list(numbers.values())[12:])
    return ", ".join([*words, f"{rest} with more"] if rest else words)


def _told(sizes: Int64[np.ndarray, "images 2"], num_unreadable: int, num_images: int) -> str:
    measured = len(sizes) + num_unreadable
    of_all = f"{len(sizes):,} images" if measured == num_images else f"{len(sizes):,} of {num_images:,} images"
    words = [f"{name} {low} to {high} (median {middle})" for name, (low, middle, high) in _extent(sizes).items()]
    unreadable = [f"{num_unreadable} more cannot be read: see mlic data validate"] if num_unreadable else []
    return "; ".join(
        [f"sizes of {of_all} in pixels: {', '.join(words)}" if words else "sizes: none can be read", *unreadable]
    )
