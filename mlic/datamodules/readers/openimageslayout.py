"""What lies around a file of labels of Open Images: the images, and the display names of the classes."""

import csv
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from mlic.datamodules.annotations.imagefiles import ImageFiles
from mlic.datamodules.annotations.peek import entry_names
from mlic.datamodules.annotations.text import open_text
from mlic.errors import Faults

__all__ = ["display_names", "find_descriptions", "image_files"]

_LOOKED_AT = 100  # images that tell where the others are
_GUESSES = (".", "images", "data", "..", "../images", "../data")
_FOLDERS = {"train": ("train",), "validation": ("validation", "val"), "test": ("test",)}
_SPLITS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}
_DESCRIPTIONS = re.compile(r"(?:oidv(\d+)-)?class-descriptions(-boxable)?\.csv")


def image_files(path: Path, root: Path | None, images: Iterable[str]) -> tuple[ImageFiles, str]:
    """Returns the image files, and the pattern of their paths, such as `train/{0}.jpg`.

    Args:
        path: the annotation file, whose name (else one of the two folders it lies in) tells the split.
        root: the folder that the paths start from, if it is known.
        images: the names of the first images.
    """
    sample = list(islice(dict.fromkeys(image for image in images if image), _LOOKED_AT))
    roots = [Path(os.path.normpath(path.parent / guess)) for guess in _GUESSES] if root is None else [root]
    candidates = [(ImageFiles(start, path.parent), pattern) for pattern in _patterns(path) for start in roots]
    most, best = 0, None
    for files, pattern in candidates:
        number = sum(files.has(pattern.format(image)) for image in sample)
        if number > most:
            most, best = number, (files, pattern)
        if most == len(sample):
            break
    # Of many images only some may be there, and none of the first hundred among them.
    return best or next((found for found in candidates if _has_any(*found)), candidates[0])


def _patterns(path: Path) -> Iterator[str]:
    names = (path.stem, path.absolute().parent.name, path.absolute().parent.parent.name)
    told = (re.search(r"(?<![a-z])(train|validation|val|test)(?![a-z])", name.lower()) for name in names)
    split = next((_SPLITS[match[1]] for match in told if match), None)
    folders: Sequence[str] = _FOLDERS.get(split or "", ())
    yield from (f"{folder}/{{0}}.jpg" for folder in folders)
    yield from (f"{folder}_{{0[0]}}/{{0}}.jpg" for folder in folders)
    yield "{0}.jpg"


def _has_any(files: ImageFiles, pattern: str) -> bool:
    return next(files.root.glob(re.sub(r"{[^}]*}", "*", pattern)), None) is not None


def find_descriptions(path: Path) -> Path | None:
    """Returns the file of display names that goes with an annotation file; None if there is none."""
    for folder in (path.parent, Path(os.path.normpath(path.parent / ".."))):
        found = [match for name in entry_names(folder) if (match := _DESCRIPTIONS.fullmatch(name.lower()))]
        if found:
            # Those of the boxable classes are few; the newest come last.
            best = max(found, key=lambda match: (match[2] is None, int(match[1] or 0)))
            return next(folder / name for name in sorted(entry_names(folder)) if name.lower() == best[0])
    beside_labels = Path(os.path.normpath(path.parent / "../metadata/classes.csv"))  # as FiftyOne unpacks
    return beside_labels if beside_labels.is_file() else None


def display_names(path: Path) -> dict[str, str]:
    """Returns the display name of each MID that has one.

    Raises:
        LabelError: if the file cannot be read, or with all its faults.
    """
    names: dict[str, str] = {}
    faults = Faults()
    with open_text(path) as stream:
        rows = csv.reader(stream, skipinitialspace=True, strict=True)
        try:
            for number, row in enumerate(rows):
                cells = [cell.strip() for cell in row]
                is_header = number == 0 and cells[:1] and cells[0].casefold() == "labelname"
                if is_header or not any(cells):
                    continue
                if len(cells) != 2:
                    faults.add(f"{path}:{rows.line_num}: {len(cells)} cells; expected two, such as /m/0cmf2,Airplane")
                elif cells[1] and names.setdefault(cells[0], cells[1]) != cells[1]:
                    before = names[cells[0]]
                    faults.add(f"{path}:{rows.line_num}: '{cells[0]}' is '{cells[1]}', but before '{before}'")
        except csv.Error as error:
            faults.add(f"{path}:{rows.line_num}: {error}; is a quotation mark left open?")
    faults.raise_if_any()
    return names
