"""`mlic data convert`: the annotations of a data set in another format."""

import importlib
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

import yaml

from mlic.datamodules.writers.base import Written
from mlic.errors import UsageError, did_you_mean
from mlic.labels import LabelTable
from mlic.verbs.data.words import ActionParser, parse

__all__ = ["read_back", "run", "unused"]

log = logging.getLogger(__name__)

_FORMATS = ("csv", "coco", "jsonl", "datumaro", "cvat", "labelstudio", "fiftyone", "openimages", "openmmlab")


def run(arguments: list[str], as_json: bool) -> None:
    """Writes the file, says what its format cannot say, and how it is read back."""
    parser = ActionParser("convert")
    parser.add_argument("--to", required=True)
    parser.add_argument("--output", required=True, type=Path)
    options, reader = parse(parser, arguments)
    if options.to not in _FORMATS:
        hint = did_you_mean(options.to, _FORMATS)
        raise UsageError(f"--to is '{options.to}'{hint}; expected one of {', '.join(_FORMATS)}")
    output = unused(options.output)
    table = reader.read()
    writer = importlib.import_module(f"mlic.datamodules.writers.{options.to}")
    try:
        written: Written = writer.write(table, output)
    except OSError as error:
        raise UsageError(f"{output}: cannot be written ({error.strerror})") from error
    for lost in written.lost:
        log.warning("%s cannot say: %s", options.to, lost)
    source = read_back(table, output, written)
    if as_json:
        sys.stdout.write(json.dumps({"output": str(output), "lost": written.lost, "train": source}) + "\n")
        return
    sys.stdout.write(f"{output}: {len(table) - written.num_left_out} images, {table.num_classes} classes\n")
    sys.stdout.write(f"to read it:\n  train: {yaml.safe_dump(source, default_flow_style=True, width=10**6).strip()}\n")


def unused(output: Path) -> Path:
    """Returns a path that may be written.

    Raises:
        UsageError: if there is something already, or no folder to write into.
    """
    if output.exists():
        raise UsageError(f"{output} exists; annotations are not overwritten: remove it, or give another name")
    if not output.parent.is_dir():
        raise UsageError(f"{output}: there is no folder {output.parent}")
    return output


def read_back(table: LabelTable, output: Path, written: Written) -> dict[str, Any]:
    """Returns what a configuration says under `train:` to read a file that was written from `table`."""
    init_args: dict[str, Any] = {"path": str(output), **written.init_args}
    if os.path.realpath(table.root) != os.path.realpath(output.parent):
        init_args["root"] = str(table.root)
    return {"class_path": written.reader, "init_args": init_args}
