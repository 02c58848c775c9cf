"""Measures the memory and the speed of a large `LabelTable`.

python tools/measure_label_table.py --images 9000000 --classes 10000 --labels 3
"""

import argparse
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np

from mlic.labels import LabelTable, Strings

Result = TypeVar("Result")


def main() -> None:
    """Builds a table of random labels and prints its size and the time of each operation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=9_000_000)
    parser.add_argument("--classes", type=int, default=10_000)
    parser.add_argument("--labels", type=int, default=3, help="labels an image")
    sizes = parser.parse_args()

    paths = timed("paths", lambda: Strings(names(sizes.images)))
    table = timed("from_cells", lambda: build(paths, sizes.classes, sizes.labels))
    held = {
        "paths": paths.nbytes,
        "indptr": table.indptr.nbytes,
        "columns": table.columns.nbytes,
        "values": table.values.nbytes,
        "fill": table.fill.nbytes,
    }
    timed("support", table.support)
    timed("negatives", table.negatives)
    timed("counts", lambda: (table.num_all_negative, table.num_unlabelled, table.num_unknown_cells))
    timed("take a shuffled tenth", lambda: table.take(np.random.default_rng(1).permutation(len(table))[::10]))
    timed("split 0.1 and 0.1", lambda: table.split({"val": 0.1, "test": 0.1}))
    timed("align, reversed", lambda: table.align(table.classes[::-1]))
    timed("10,000 rows", lambda: [table.row(i) for i in range(0, len(table), max(1, len(table) // 10_000))])

    for part, size in held.items():
        print(f"{part:<24}{size / 1e6:10.1f} MB")
    print(f"{'the table':<24}{sum(held.values()) / 1e6:10.1f} MB")
    print(f"{'dense, as int8':<24}{len(table) * table.num_classes / 1e6:10.1f} MB")
    print(f"{'peak of the process':<24}{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6:10.1f} MB")


def names(count: int) -> Iterator[str]:
    """Yields paths like those of Open Images: a folder and 16 hexadecimal digits."""
    for start in range(0, count, 1 << 18):
        digits = np.random.default_rng(start).bytes(8 * min(1 << 18, count - start)).hex()
        yield from (f"train_{digits[i]}/{digits[i : i + 16]}.jpg" for i in range(0, len(digits), 16))


def build(paths: Strings, num_classes: int, labels: int) -> LabelTable:
    """Gives each image `labels` different classes."""
    first = np.random.default_rng(0).integers(0, num_classes, len(paths))
    columns = (first[:, None] + np.arange(labels) * (num_classes // (labels + 1))) % num_classes
    return LabelTable.from_cells(
        paths,
        [f"class {i}" for i in range(num_classes)],
        np.repeat(np.arange(len(paths)), labels),
        columns.ravel(),
        np.ones(columns.size, np.int8),
        np.zeros(len(paths), np.int8),
        root=Path("photos"),
    )


def timed(what: str, function: Callable[[], Result]) -> Result:
    """Calls `function` and prints how long it took."""
    start = time.perf_counter()
    result = function()
    print(f"{what:<24}{time.perf_counter() - start:10.2f} s", flush=True)
    return result


if __name__ == "__main__":
    main()
