"""`mlic explain`: where in an image each class was seen, as pictures."""

import json
import logging
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from mlic.classifier import MultiLabelClassifier
from mlic.errors import ImageError, MlicError, UsageError
from mlic.explain import (
    MEANINGS,
    Asked,
    Explanation,
    FileNames,
    Seen,
    Tile,
    check_asked,
    contact_sheet,
    explain_seen,
    overlay,
    see,
)
from mlic.images import read_square
from mlic.pixels import read_pixels
from mlic.predict import Inputs, Source
from mlic.progress import quietly
from mlic.runs import new_run_folder
from mlic.scorers import is_exported
from mlic.verbs.data.words import ActionParser

__all__ = ["run"]

log = logging.getLogger(__name__)

_TOP = 3  # classes that are shown where none is said to be present
_SMALL = 640  # pixels of a heat map that waits for its contact sheet


class _Pictures(NamedTuple):
    """How pictures are made, and where they go."""

    folder: Path
    names: FileNames
    max_side: int


def run(arguments: list[str], as_json: bool) -> None:
    """Writes a heat map for each image and class, and a contact sheet for each image."""
    options = _options(arguments)
    inputs = Inputs(options.images)
    with quietly():
        classifier = MultiLabelClassifier.from_checkpoint(options.ckpt_path)
    check_asked(classifier, options.classes, options.method)
    pictures = _Pictures(_folder(options.output), FileNames(), options.max_side)
    told: list[dict[str, Any]] = []
    num_errors = 0
    method: str | None = None
    for source in inputs:
        try:
            found = _explained(source, classifier, options, pictures)
        except ImageError as error:
            log.warning("%s", error)
            found = {"path": source.name, "error": str(error)}
            num_errors += 1
        method = found.get("method", method)
        told.append(found)
        if not as_json:
            sys.stdout.write(_lines(found))
    if as_json:
        sys.stdout.write(json.dumps({"output": str(pictures.folder), "images": told}) + "\n")
    elif method is not None:
        sys.stdout.write(f"\n{MEANINGS[method]}\n")  # type: ignore[index]
    unread = f"; {num_errors:,} could not be read" if num_errors else ""
    log.info("%s images, in %s%s", f"{len(told) - num_errors:,}", pictures.folder, unread)


def _options(arguments: list[str]) -> Namespace:
    parser = ActionParser("explain", verb="")
    parser.add_argument("images", metavar="IMAGE", nargs="+")
    parser.add_argument("--ckpt_path", required=True)
    parser.add_argument("--class", dest="classes", metavar="NAME", action="append", default=[])
    parser.add_argument("--top", type=int)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--method", choices=get_args(Asked), default="auto")
    parser.add_argument("--max_side", type=int, default=2048)
    options = parser.parse_args(arguments)
    if options.classes and options.top is not None:
        parser.error("--class says which classes, --top how many of the highest scores; expected one of them")
    if options.top is not None and options.top < 1:
        parser.error(f"--top is {options.top}; expected a number of classes, 1 or more")
    if options.max_side < 16:
        parser.error(f"--max_side is {options.max_side}; expected 16 pixels or more")
    if is_exported(options.ckpt_path):
        parser.error(
            f"{options.ckpt_path} is an exported model, which gives scores and no feature map; "
            "expected the checkpoint that it was made from"
        )
    if options.output is not None:
        _require_free(options.output)
    return options


def _require_free(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists():
        kind = "is there already and holds files" if folder.is_dir() else "is a file"
        raise UsageError(f"--output: {folder} {kind}; name a new folder")


def _folder(asked: Path | None) -> Path:
    try:
        if asked is None:
            return new_run_folder(Path(), "explain")
        asked.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{asked or 'explain'}: the folder cannot be made ({error.strerror})") from error
    return asked


def _explained(
    source: Source, classifier: MultiLabelClassifier, options: Namespace, pictures: _Pictures
) -> dict[str, Any]:
    """Explains one image, and returns what is told of it.

    Raises:
        ImageError: if it cannot be read, or the model makes no number of it.
        MlicError: if a picture cannot be written.
    """
    content = source.content()
    seen = see(classifier, read_square(content, classifier.backbone.image_size)[None])
    if bool(seen.scores.isnan().any()):
        raise ImageError(f"{source.name}: the model gives no number: it has diverged")
    pixels = _shown(content, pictures.max_side)
    explanation = explain_seen(classifier, seen, _chosen(classifier, seen, options), options.method)
    name = pictures.names.image(source.name)
    tiles: list[Tile] = []
    classes: list[dict[str, Any]] = []
    for place, class_name in enumerate(explanation.classes):
        heat = explanation.stretched(place, *pixels.shape[:2]).numpy()
        picture = overlay(pixels, heat)
        file = pictures.folder / f"{pictures.names.overlay(name, class_name)}.png"
        _save(picture, file)
        picture.thumbnail((_SMALL, _SMALL))
        facts = _facts(explanation, place)
        classes.append({**facts, "file": str(file)})
        tiles.append(Tile(class_name, _words(facts), picture))
    sheet = pictures.folder / f"{name}.png"
    _save(contact_sheet(source.name, MEANINGS[explanation.method], pixels, tiles), sheet)
    return {"path": source.name, "sheet": str(sheet), "method": explanation.method, "classes": classes}


def _shown(content: Path | bytes, max_side: int) -> UInt8[np.ndarray, "height width 3"]:
    """Returns the image in its own shape, and smaller only where it is larger than is asked for."""
    image = Image.fromarray(read_pixels(content, max_side))
    image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    return np.array(image)


def _chosen(classifier: MultiLabelClassifier, seen: Seen, options: Namespace) -> Sequence[str]:
    """Returns the classes that are asked for; by default those present, the highest first."""
    if options.classes:
        return list(options.classes)
    ranked = seen.scores[0].argsort(descending=True, stable=True).tolist()
    present = [column for column in ranked if seen.present[0, column]]
    columns = ranked[: options.top or _TOP] if options.top or not present else present
    return [classifier.classes[column] for column in columns]


def _facts(explanation: Explanation, place: int) -> dict[str, Any]:
    return {
        "class": explanation.classes[place],
        "score": float(explanation.scores[0, place]),
        "threshold": float(explanation.thresholds[place]),
        "present": bool(explanation.present[0, place]),
        "lowest": float(explanation.lowest[0, place]),
        "highest": float(explanation.highest[0, place]),
    }


def _words(facts: dict[str, Any]) -> list[str]:
    state = "present" if facts["present"] else "not present"
    said = f"{facts['score']:.2f}, {state} (threshold {facts['threshold']:.2f})"
    return [said, f"highest {facts['highest']:.2g}" if facts["highest"] > 0 else "no place speaks for it"]


def _save(picture: Image.Image, file: Path) -> None:
    """Writes a picture where there is none.

    Raises:
        MlicError: if it cannot be written.
    """
    try:
        with file.open("xb") as stream:
            picture.save(stream, "PNG", compress_level=3)
    except OSError as error:
        raise MlicError(f"{file}: cannot be written ({error.strerror or error})") from error


def _lines(found: dict[str, Any]) -> str:
    if "error" in found:
        return ""
    lines = [f"{found['sheet']}  {found['path']}"]
    lines += [f"  {one['class']}: {', '.join(_words(one))}  {one['file']}" for one in found["classes"]]
    return "\n".join(lines) + "\n"
