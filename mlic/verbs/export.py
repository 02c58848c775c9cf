"""`mlic export`: a checkpoint to one file with all in it, checked after it was written."""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int8

from mlic.checkpoints import read_checkpoint
from mlic.classifier import MultiLabelClassifier
from mlic.errors import MlicError, UsageError
from mlic.export.card import model_card
from mlic.export.checking import drawn_images, read_images, spread
from mlic.export.facts import describe
from mlic.export.quantizing import Cost
from mlic.export.writing import NAMES, Format, checked_formats, files_beside, write_checked, write_quantized
from mlic.hub import is_on_hub
from mlic.progress import quietly
from mlic.suffixes import is_image
from mlic.training import TrainingCLI
from mlic.views import TTA, check_tta

__all__ = ["run"]

log = logging.getLogger(__name__)

_CARD = "README.md"
_CHECKED, _CALIBRATED, _JUDGED = 16, 200, 2000  # images


class Validation(NamedTuple):
    """The validation samples of a checkpoint, as far as their files are there.

    Attributes:
        paths: of the images.
        labels: 1 present, 0 absent, -1 unknown.
    """

    paths: list[Path]
    labels: Int8[np.ndarray, "images classes"]


def run(arguments: list[str], as_json: bool) -> None:
    """Writes the files, checks them, and says how near they are."""
    said = _parser().parse_args(arguments)
    kinds = checked_formats(said.format)
    if said.quantize is not None and "onnx" not in kinds:
        raise UsageError(f"--quantize makes an ONNX file; add onnx to --format {said.format}")
    if said.calibrate is not None and said.quantize is None:
        raise UsageError("--calibrate names the images for --quantize int8; add that, or leave it out")
    if said.check is not None and said.quantize is not None and kinds == ("onnx",):
        raise UsageError("--check compares a file in float32; one in 8 bits is measured on the validation samples")
    checkpoint = read_checkpoint(said.ckpt_path)
    with quietly():
        classifier = MultiLabelClassifier.from_checkpoint(said.ckpt_path)
    if said.tta is not None:
        classifier.use_tta(said.tta)
    card = checkpoint["mlic"]
    facts = describe(classifier, card)
    files, folder = _targets(said.ckpt_path, kinds, said.output, said.quantize is not None)
    needs_data = said.check is None or said.quantize is not None
    validation = _validation(said.ckpt_path) if needs_data and "config" in card else None
    checked = _check_paths(said.check, validation)
    found: dict[str, Any] = {}
    cost = None
    for kind, path in files.items():
        if kind == "onnx" and said.quantize is not None:
            cost = _quantized(classifier, facts, path, said.calibrate, validation)
            found[kind] = {"path": str(path), "bytes": path.stat().st_size, **cost._asdict()}
            continue
        images = drawn_images() if checked is None else read_images(checked)
        agreement = write_checked(classifier, card, facts, kind, path, images)
        found[kind] = {"path": str(path), "bytes": path.stat().st_size, **agreement._asdict()}
    if folder is not None:
        text = model_card(_name(said.ckpt_path), facts, [path.name for path in files.values()], cost)
        (folder / _CARD).write_text(text, encoding="utf-8")
        found["card"] = {"path": str(folder / _CARD)}
    sys.stdout.write(json.dumps(found) + "\n" if as_json else _told(found, checked, validation, cost))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mlic export", add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--ckpt_path", required=True)
    parser.add_argument("--format", default="onnx")
    parser.add_argument("--output")
    parser.add_argument("--check", nargs="+")
    parser.add_argument("--quantize", choices=["int8"])
    parser.add_argument("--calibrate", nargs="+")
    parser.add_argument("--tta", type=_tta)
    return parser


def _tta(word: str) -> TTA:
    check_tta(word)
    return word  # type: ignore[return-value]


def _targets(
    checkpoint: str, kinds: Sequence[Format], output: str | None, quantized: bool
) -> tuple[dict[Format, Path], Path | None]:
    """Returns the file of each format, and the folder that a model card belongs into, if it is one.

    Raises:
        UsageError: if something is there already, or the name does not fit the format.
    """
    one = kinds[0] if len(kinds) == 1 and kinds[0] != "safetensors" else None
    beside = Path.cwd() / "model" if is_on_hub(checkpoint) else Path(checkpoint.rstrip("/"))
    mark = "-int8" if quantized else ""
    if output is None:
        target = beside.with_name(beside.stem + mark + (Path(NAMES[one]).suffix if one else "-export"))
    else:
        target = Path(output)
    suffix = Path(NAMES[one]).suffix if one else ""
    as_file = one is not None and target.suffix == suffix and not target.is_dir() and not str(output).endswith("/")
    if as_file and one is not None:
        files: dict[Format, Path] = {one: target}
        target.parent.mkdir(parents=True, exist_ok=True)
    else:
        if target.suffix in {Path(name).suffix for name in NAMES.values()}:
            raise UsageError(f"{target}: the name does not fit --format {','.join(kinds)}; name a folder, ending in /")
        files = {kind: target / NAMES[kind] for kind in kinds}
        if quantized:
            files["onnx"] = target / "model-int8.onnx"
        target.mkdir(parents=True, exist_ok=True)
    written = [one for kind, path in files.items() for one in files_beside(kind, path)]
    there = next((path for path in [*written, *([] if as_file else [target / _CARD])] if path.exists()), None)
    if there is not None:
        raise UsageError(f"{there} is there already; name another file or folder with --output")
    return files, None if as_file else target


def _validation(checkpoint: str) -> Validation | None:
    """Returns the validation samples that the checkpoint was chosen by; None if they are not here, which is told."""
    try:
        with quietly():
            data = TrainingCLI("validate", ["--ckpt_path", checkpoint, "--trainer.accelerator", "cpu"]).datamodule
            table = data.table("val")
    except (MlicError, AttributeError) as error:
        log.info("the data of the checkpoint are not here: %s", str(error).splitlines()[0])
        return None
    paths = [table.root / path for path in table.paths]
    there = [place for place, path in enumerate(paths) if path.is_file()]
    if not there:
        return None
    return Validation([paths[place] for place in there], table.dense(there))


def _check_paths(named: list[str] | None, validation: Validation | None) -> list[Path] | None:
    if named is not None:
        return spread(_found(named, "--check"), _CHECKED)
    return None if validation is None else spread(validation.paths, _CHECKED)


def _quantized(
    classifier: MultiLabelClassifier,
    facts: dict[str, Any],
    path: Path,
    calibrate: list[str] | None,
    validation: Validation | None,
) -> Cost:
    if calibrate is not None:
        named = _found(calibrate, "--calibrate")
    elif validation is not None:
        named = validation.paths
    else:
        raise UsageError("the validation images of the checkpoint are not here; name some with --calibrate FOLDER")
    log.info("calibrating on %d images", min(len(named), _CALIBRATED))
    if validation is None:
        return write_quantized(classifier, facts, path, spread(named, _CALIBRATED), spread(named, _JUDGED), None)
    judged = spread(validation.paths, _JUDGED)
    place = {path: number for number, path in enumerate(validation.paths)}
    labels = validation.labels[[place[one] for one in judged]]
    return write_quantized(classifier, facts, path, spread(named, _CALIBRATED), judged, labels)


def _found(names: list[str], option: str) -> list[Path]:
    """Returns the images that words mean: files, and all below folders."""
    paths: list[Path] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            paths += sorted(file for file in path.rglob("*") if is_image(file.name) and file.is_file())
        elif path.is_file():
            paths.append(path)
        else:
            raise UsageError(f"{option}: no such file or folder '{name}'")
    if not paths:
        raise UsageError(f"{option}: no image in {', '.join(names)}")
    return paths


def _name(checkpoint: str) -> str:
    """Returns what a model is called: the name of its run, where it lies in one."""
    path = Path(checkpoint).absolute()
    run = path.parent.resolve()
    is_run = path.stem in ("best", "last") and run.name.startswith("v") and run.name[1:].isdecimal()
    return run.parent.name if is_run else path.stem


def _told(found: dict[str, Any], checked: list[Path] | None, validation: Validation | None, cost: Cost | None) -> str:
    lines = []
    on = "drawn images" if checked is None else "images"
    for kind, facts in found.items():
        size = f"  {facts['bytes'] / 1e6:.1f} MB" if "bytes" in facts else ""
        lines.append(f"{kind:12}{facts['path']}{size}")
        if "decisions" in facts:
            lines.append(
                f"{'':12}the same scores as the checkpoint on {facts['images']} {on}: the largest difference is "
                f"{facts['difference']:.1e}; {facts['decisions']} decisions differ"
            )
    if cost is not None:
        lines.append(
            f"{'':12}8 bits against float32 on {cost.images} images: the largest difference of a score is "
            f"{cost.difference:.3f}, the mean {cost.mean:.4f}"
        )
        if cost.map_before is not None and cost.map_after is not None:
            drop = cost.map_before - cost.map_after
            lines.append(
                f"{'':12}mAP {cost.map_before:.4f} before, {cost.map_after:.4f} after: "
                f"{'a loss' if drop > 0 else 'a gain'} of {abs(drop):.4f}"
            )
    return "\n".join(lines) + "\n"
