"""Measures how long mlic takes to read large annotation files, and how much memory, beside the bare parse of the same.

python tools/benchmark_readers.py [FOLDER] [--only coco|openimages|csv] [--scale 0.1] [--rounds 3]

It makes the files and their (empty) images in a folder below FOLDER, by default below the system's folder for temporary
files, and removes it. Each measurement has a process of its own, in turn; of the rounds, the shortest time and the
largest peak are shown. A time is the processor's, of the program and of the system on its behalf: nothing here waits or
has threads, and what else the machine does disturbs it less than the clock on the wall. A peak is what the process
holds at most, beyond what it held after its imports. The table is Markdown.
"""

import argparse
import csv
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np


class Annotation(msgspec.Struct, gc=False):
    """What the presence of a class takes."""

    image_id: int
    category_id: int


class Image(msgspec.Struct, gc=False):
    """An image."""

    id: int
    file_name: str


class Category(msgspec.Struct, gc=False):
    """A class."""

    id: int
    name: str


class Coco(msgspec.Struct):
    """A COCO file, as far as mlic reads it."""

    images: list[Image]
    annotations: list[Annotation]
    categories: list[Category]


class Measured(NamedTuple):
    """The processor's time for one reading, in seconds, and the peak of its memory, in bytes."""

    seconds: float
    peak: int


def make_coco(folder: Path, scale: float) -> Path:
    """Writes 100,000 images and 1,000,000 annotations of 80 classes."""
    rng = np.random.default_rng(0)
    count = max(1, int(100_000 * scale))
    ids = np.sort(rng.choice(6 * count, count, replace=False)).tolist()
    names = [f"{one:012}.jpg" for one in ids]
    touch(folder / "train2017", names)
    categories = np.sort(rng.choice(90, 80, replace=False)) + 1
    path = folder / "annotations" / "instances_train2017.json"
    path.parent.mkdir()
    with path.open("w", encoding="utf-8") as stream:
        stream.write('{"info": {"year": 2017}, "licenses": [], "images": [')
        images = (
            f'{{"license": 3, "file_name": "{name}", "height": 480, "width": 640, "id": {one}}}'
            for one, name in zip(ids, names, strict=True)
        )
        stream.write(", ".join(images))
        stream.write('], "annotations": [')
        of = zip(
            rng.choice(ids, 10 * count).tolist(),
            rng.choice(categories, 10 * count).tolist(),
            (rng.random((10 * count, 4)) * 300).round(1).tolist(),
            strict=True,
        )
        stream.write(", ".join(annotation(number, *one) for number, one in enumerate(of, 100_000)))
        stream.write('], "categories": ')
        json.dump([{"supercategory": "thing", "id": int(one), "name": f"class {one}"} for one in categories], stream)
        stream.write("}")
    return path


def annotation(number: int, image: int, category: int, box: list[float]) -> str:
    """Returns the text of an annotation, with the keys of COCO except for its mask."""
    area = round(box[2] * box[3])
    return (
        f'{{"area": {area}, "iscrowd": 0, "image_id": {image}, "bbox": {box}, "category_id": {category}, '
        f'"id": {number}}}'
    )


def make_openimages(folder: Path, scale: float) -> Path:
    """Writes 5,000,000 rows of 500,000 images and 600 classes."""
    rng = np.random.default_rng(0)
    count, num_classes, each = max(1, int(500_000 * scale)), 600, 10
    ids = sorted({f"{one:016x}" for one in rng.integers(0, 2**63, count).tolist()})
    touch(folder / "train", (f"{one}.jpg" for one in ids))
    labels = [f"/m/0{one:05x}" for one in rng.choice(1 << 20, num_classes, replace=False).tolist()]
    with (folder / "class-descriptions.csv").open("w", encoding="utf-8") as stream:
        stream.writelines(f"{label},Class {number}\n" for number, label in enumerate(labels))
    path = folder / "train-annotations-human-imagelabels.csv"
    # No class is there twice: each is some steps of a random width after another.
    first, step = rng.integers(0, num_classes, len(ids)), rng.integers(1, num_classes // each, len(ids))
    columns = (first[:, None] + step[:, None] * np.arange(each)) % num_classes
    present = np.asarray(rng.random(columns.shape) < 0.5).astype(int)
    with path.open("w", encoding="utf-8") as stream:
        stream.write("ImageID,Source,LabelName,Confidence\n")
        for one, row, confidences in zip(ids, columns.tolist(), present.tolist(), strict=True):
            stream.writelines(
                f"{one},verification,{labels[column]},{confidence}\n"
                for column, confidence in zip(row, confidences, strict=True)
            )
    return path


def make_csv(folder: Path, scale: float) -> Path:
    """Writes 200,000 rows of 500 classes, of which one in fifty is present."""
    rng = np.random.default_rng(0)
    count, num_classes = max(1, int(200_000 * scale)), 500
    names = [f"{number:06}.jpg" for number in range(count)]
    touch(folder / "images", names)
    path = folder / "labels.csv"
    with path.open("w", encoding="utf-8") as stream:
        stream.write(",".join(["image", *(f"class {number}" for number in range(num_classes))]) + "\n")
        for name in names:
            cells = np.where(rng.random(num_classes) < 0.02, "1", "0").tolist()
            stream.write(f"images/{name},{','.join(cells)}\n")
    return path


def touch(folder: Path, names: Iterable[str]) -> None:
    """Makes a folder of empty files."""
    folder.mkdir()
    for name in names:
        (folder / name).touch()


def parse_with_json(path: Path) -> object:
    """Parses a JSON file with Python's own parser."""
    with path.open("rb") as stream:
        return json.load(stream)


def parse_with_msgspec(path: Path) -> object:
    """Parses a JSON file with msgspec, into what Python's own parser would make of it."""
    return msgspec.json.decode(path.read_bytes())


def parse_in_part(path: Path) -> object:
    """Parses a COCO file with msgspec, into no more than what mlic reads of it: the least that a reader can take."""
    return msgspec.json.decode(path.read_bytes(), type=Coco)


def parse_with_csv(path: Path) -> object:
    """Goes through the rows of a CSV file with Python's own parser."""
    with path.open(encoding="utf-8", newline="") as stream:
        return sum(1 for _ in csv.reader(stream))


def reading(name: str) -> Callable[[Path], object]:
    """Returns what reads a file with the reader of that name, by nothing but its path; imports what it takes."""
    from mlic.plugins import find, load

    reader = load(find("readers", name))
    return lambda path: reader(path=path).read()


PARSERS: dict[str, Callable[[Path], object]] = {
    "json.load": parse_with_json,
    "msgspec": parse_with_msgspec,
    "msgspec, typed": parse_in_part,
    "csv.reader": parse_with_csv,
}

FILES: dict[str, tuple[Callable[[Path, float], Path], list[str]]] = {
    "coco": (make_coco, ["json.load", "msgspec", "msgspec, typed"]),
    "openimages": (make_openimages, ["csv.reader"]),
    "csv": (make_csv, ["csv.reader"]),
}


def memory() -> tuple[int, int]:
    """Returns what this process holds and what it held at most, in bytes."""
    status = Path("/proc/self/status")
    if not status.exists():
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return most, most
    # Not ru_maxrss, which a process begins with as its parent had it.
    text = status.read_text()
    now, most = (int(re.findall(rf"{key}:\s*(\d+) kB", text)[0]) * 1024 for key in ("VmRSS", "VmHWM"))
    return now, most


def measure(name: str, how: str, path: Path) -> Measured:
    """Reads a file once, in this process."""
    function = reading(name) if how == "mlic" else PARSERS[how]
    before, _ = memory()
    start = time.process_time()
    result = function(path)
    seconds = time.process_time() - start
    peak = memory()[1] - before
    del result
    return Measured(seconds, peak)


def measured_apart(name: str, how: str, path: Path) -> Measured:
    """Reads a file once, in a process of its own."""
    command = [sys.executable, __file__, "--measure", name, how, str(path)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Measured(*json.loads(ended.stdout))


def benchmark(name: str, folder: Path, scale: float, rounds: int) -> None:
    """Makes a file, measures, and prints a row of the table for each way of reading it."""
    make, parsers = FILES[name]
    path = make(folder, scale)
    size = path.stat().st_size
    found: dict[str, list[Measured]] = {how: [] for how in [*parsers, "mlic"]}
    for number in range(rounds):
        for how, times in found.items():
            print(f"{name}, {how}: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            times.append(measured_apart(name, how, path))
    ours = min(one.seconds for one in found["mlic"])
    for how, times in found.items():
        seconds, peak = min(one.seconds for one in times), max(one.peak for one in times)
        print(
            f"| {name} | {size / 1e6:.0f} | {how} | {seconds:.2f} | {ours / seconds:.2f} | {peak / 1e6:.0f} "
            f"| {peak / size:.2f} |",
            flush=True,
        )


def main() -> None:
    """Prints the table, or measures once where the first word is `--measure`."""
    if sys.argv[1:2] == ["--measure"]:
        name, how, path = sys.argv[2:]
        print(json.dumps(measure(name, how, Path(path))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="where the files are made")
    parser.add_argument("--only", choices=list(FILES))
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of images and rows")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print("| file | MB | read by | seconds | mlic takes, times that | peak, MB | peak, times the file |")
    print("|---|---:|---|---:|---:|---:|---:|", flush=True)
    for name in FILES if options.only is None else [options.only]:
        with tempfile.TemporaryDirectory(prefix="benchmark_readers-", dir=options.folder) as folder:
            print(f"{name}: making the file and its images", file=sys.stderr, flush=True)
            benchmark(name, Path(folder), options.scale, options.rounds)


if __name__ == "__main__":
    main()
