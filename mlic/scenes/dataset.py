"""`write_scenes`: scenes as files, laid out as a user's own data; `contact_sheet`: some of them at one glance."""

import csv
import json
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random

from PIL import Image, ImageDraw, ImageFont

from mlic.errors import UsageError
from mlic.scenes.plan import CLASSES
from mlic.scenes.scene import draw_scene

__all__ = ["contact_sheet", "split_sizes", "write_scenes"]

VERSION = 1
"""Goes up when the same seed gives other scenes."""

_MARKER = ".scenes.json"
_SCRATCH = ".drawing-"

_README = """\
Scenes drawn by `mlic demo`, labelled with what can be seen in them. Your own data may look just like this:
  images/             the pictures, in any folders, of any size, JPEG, PNG or another common format
  train.csv           one row an image: its path relative to this folder, then 1 (present) or 0 (absent) for each class
  val.csv, test.csv   the same columns for other images: the first to choose the best model, the second to judge it
A row of zeros is an image that somebody looked at and found no class in. Leave a cell empty where nobody knows.
The class names are the header of train.csv, and yours are whatever you write there.
"""


def write_scenes(folder: Path, *, num_images: int = 720, seed: int = 0, size: int = 192) -> Path:
    """Draws the data set into a folder, or finds it there.

    The folder then holds `images/0001.jpg` and so on, `train.csv`, `val.csv` and `test.csv` (70, 15 and 15 % of the
    images; one column a class) and a README.txt. They appear once all is drawn: what an interrupted call leaves behind
    is never taken for the data set. Nothing that is there already is changed or deleted.

    Args:
        folder: where to write; it may be missing or empty.
        num_images: how many scenes, at least 10.
        seed: equal seeds give equal scenes with one version of Pillow.
        size: side of the square pictures in pixels, 64 to 1024.

    Returns:
        The folder.

    Raises:
        UsageError: if the folder holds anything else than exactly this data set, or a number is out of its range.
    """
    if num_images < 10:
        raise UsageError(f"num_images is {num_images}; at least 10 scenes are needed for three splits")
    if not 64 <= size <= 1024:
        raise UsageError(f"size is {size}; a scene is 64 to 1024 pixels wide")
    made = {"version": VERSION, "seed": seed, "num_images": num_images, "size": size}
    if _is_there(folder, made):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=_SCRATCH) as scratch:
        drawn = Path(scratch)
        _draw_all(drawn, num_images, seed, size)
        if _is_there(folder, made):  # another process was faster
            return folder
        for path in sorted(drawn.iterdir()):
            path.rename(folder / path.name)
        # Last, since it says that the rest is complete.
        (folder / _MARKER).write_text(json.dumps(made) + "\n", encoding="utf-8")
    return folder


def split_sizes(num_images: int) -> dict[str, int]:
    """Returns how many images each split has.

    Example:
        >>> split_sizes(720)
        {'train': 504, 'val': 108, 'test': 108}
    """
    held_out = max(1, round(num_images * 0.15))
    return {"train": num_images - 2 * held_out, "val": held_out, "test": held_out}


def contact_sheet(numbers: Sequence[int], *, columns: int = 6, seed: int = 0, size: int = 192) -> Image.Image:
    """Draws scenes of a data set side by side, each over the names of its classes.

    Args:
        numbers: which scenes; 1 is `images/0001.jpg`.
        columns: how many stand side by side.
        seed: as for `write_scenes`.
        size: side of one scene in pixels.

    Returns:
        The RGB sheet, scenes on white.

    Example:
        >>> contact_sheet([1, 2, 3], columns=2, size=64).size
        (140, 176)
    """
    gap, caption = max(4, size // 24), round(size / 5.5) + 10
    font = ImageFont.load_default(size / 13)
    rows = math.ceil(len(numbers) / columns)
    sheet = Image.new("RGB", (columns * (size + gap) + gap, rows * (size + caption) + gap), (255, 255, 255))
    draw = ImageDraw.Draw(sheet)
    for k, number in enumerate(numbers):
        image, classes = draw_scene(_chance(seed, number), size)
        x, y = gap + k % columns * (size + gap), gap + k // columns * (size + caption)
        sheet.paste(image, (x, y))
        names = [name for name in CLASSES if name in classes] or ["(none)"]
        text = ", ".join(names)
        if draw.textlength(text, font) > size:
            half = math.ceil(len(names) / 2)
            text = ", ".join(names[:half]) + ",\n" + ", ".join(names[half:])
        middle = (x + size / 2, y + size + size / 40)
        draw.text(middle, text, (70, 74, 84), font, anchor="ma", align="center", spacing=size / 60)
    return sheet


def _chance(seed: int, number: int) -> Random:
    """The source of chance for one image: it does not depend on how many others are drawn."""
    return Random(f"{seed}/{number}")


def _draw_all(folder: Path, num_images: int, seed: int, size: int) -> None:
    (folder / "images").mkdir()
    (folder / "README.txt").write_text(_README, encoding="utf-8")
    number = 0
    for split, count in split_sizes(num_images).items():
        with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["image", *CLASSES])
            for _ in range(count):
                number += 1
                image, classes = draw_scene(_chance(seed, number), size)
                path = f"images/{number:04d}.jpg"
                image.save(folder / path, quality=90)
                writer.writerow([path, *(int(name in classes) for name in CLASSES)])


def _is_there(folder: Path, made: dict[str, int]) -> bool:
    """Says whether the folder holds this data set (True) or nothing (False).

    Raises:
        UsageError: if it holds anything else.
    """
    if not folder.exists():
        return False
    # A process that was killed may have left its scratch folder behind.
    if folder.is_dir() and all(path.name.startswith(_SCRATCH) for path in folder.iterdir()):
        return False
    marker = folder / _MARKER
    if not marker.is_file():
        raise UsageError(f"'{folder}' exists and is not a folder of drawn scenes; name a folder that is new or empty")
    try:
        found = json.loads(marker.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"'{marker}' is damaged ({error}); delete the folder '{folder}' or name another") from error
    if found != made:
        raise UsageError(
            f"'{folder}' holds scenes drawn with {found}, not with {made}; delete the folder or name another"
        )
    present = sum(1 for path in (folder / "images").glob("*.jpg") if path.is_file())
    missing = [f"{split}.csv" for split in split_sizes(made["num_images"]) if not (folder / f"{split}.csv").is_file()]
    if present < made["num_images"] or missing:
        also = f" and no {', '.join(missing)}" if missing else ""
        raise UsageError(
            f"'{folder}' has {present} of {made['num_images']} scenes{also}; delete the folder to have them drawn again"
        )
    return True
