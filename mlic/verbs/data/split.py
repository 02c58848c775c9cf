"""`mlic data split`: one data set to files for training, validation and testing."""

import json
import logging
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from mlic.datamodules.writers import csv
from mlic.errors import Faults, UsageError
from mlic.labels import LabelTable
from mlic.labels.splits import legacy_split, sides_without, stratified_split
from mlic.tables import text_table
from mlic.verbs.data.convert import read_back, unused
from mlic.verbs.data.words import ActionParser, parse

__all__ = ["run"]

log = logging.getLogger(__name__)

_WAYS = ("hash", "stratified", "group", "legacy")


def run(arguments: list[str], as_json: bool) -> None:
    """Prints the counts of each side, and writes a CSV file for each where a folder is given.

    Raises:
        LabelError: if a side has no positive of a class that has some, unless `--allow_missing` is given.
        UsageError: if a file cannot be written.
    """
    parser = ActionParser("split")
    parser.add_argument("--val", type=float, default=0.1)
    parser.add_argument("--test", type=float, default=0.1)
    parser.add_argument("--by", choices=_WAYS, default="hash")
    parser.add_argument("--salt", default="")
    parser.add_argument("--prefix", default="")
    parser.add_argument("--allow_missing", action="store_true")
    parser.add_argument("--output", type=Path)
    options, reader = parse(parser, arguments)
    shares = {side: share for side, share in (("val", options.val), ("test", options.test)) if share}
    if options.prefix and options.by != "legacy":
        raise UsageError(f"--prefix is for --by legacy; found --by {options.by}")
    files = {} if options.output is None else _files(options.output, ["train", *shares])
    table = reader.read()
    sides = _split(table, options.by, shares, options.salt, options.prefix)
    if as_json:
        counts = {side: {"images": len(part), "support": _support(part)} for side, part in sides.items()}
        sys.stdout.write(
            json.dumps({"sides": counts, "files": {side: str(file) for side, file in files.items()}}) + "\n"
        )
    else:
        sys.stdout.write(_counts(table, sides))
    if not options.allow_missing:
        _refuse_lacking(table, sides)
    sources = {}
    for side, file in files.items():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            sources[side] = read_back(table, file, csv.write(sides[side], file))
        except OSError as error:
            raise UsageError(f"{file}: cannot be written ({error.strerror})") from error
    if sources and not as_json:
        lines = yaml.safe_dump(sources, default_flow_style=None, sort_keys=False, width=10**6)
        sys.stdout.write("\nto read them:\n" + "".join(f"  {line}\n" for line in lines.splitlines()))
    if not sources:
        log.info("nothing is written; give --output FOLDER to write a file for each side")


def _files(folder: Path, sides: list[str]) -> dict[str, Path]:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--output is {folder}, a file; expected a folder")
    return {side: unused(folder / f"{side}.csv") if folder.is_dir() else folder / f"{side}.csv" for side in sides}


def _split(
    table: LabelTable, way: str, shares: Mapping[str, float], salt: str, prefix: str
) -> Mapping[str, LabelTable]:
    if way == "legacy":
        return legacy_split(table, shares, prefix)
    if way == "group" and table.groups is None:
        raise UsageError(
            f"{table.source}: there are no groups; name the column that holds them with --group_column, or split "
            "--by hash"
        )
    if table.groups is not None:
        log.info("groups are kept whole")
    return stratified_split(table, shares, salt) if way == "stratified" else table.split(shares, salt=salt)


def _support(table: LabelTable) -> dict[str, int]:
    return dict(zip(table.classes, map(int, table.support()), strict=True))


def _counts(table: LabelTable, sides: Mapping[str, LabelTable]) -> str:
    supports = [_support(part) for part in sides.values()]
    rows: list[list[str | int]] = [[name, *(support[name] for support in supports)] for name in table.classes]
    for what, numbers in (
        ("with no class", [part.num_all_negative for part in sides.values()]),
        ("unlabelled", [part.num_unlabelled for part in sides.values()]),
    ):
        if any(numbers):
            rows.append([f"({what})", *numbers])
    rows.append(["images", *map(len, sides.values())])
    return text_table(["class", *sides], rows)


def _refuse_lacking(table: LabelTable, sides: Mapping[str, LabelTable]) -> None:
    """Refuses sides that lack a class of which the table has positives."""
    there = {name for name, support in _support(table).items() if support}
    faults = Faults()
    for side, names in sides_without(sides).items():
        lacking = [f"'{name}'" for name in names if name in there]
        if lacking:
            shown = ", ".join([*lacking[:5], *["..."] * (len(lacking) > 5)])
            faults.add(
                f"{side} has no positive of {len(lacking)} of {len(table.classes)} classes: {shown}; take a larger "
                "share, --by stratified or another --salt, or give --allow_missing"
            )
    faults.raise_if_any()
