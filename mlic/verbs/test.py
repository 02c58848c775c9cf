"""`mlic test`: the metrics of a checkpoint on samples it has not seen, and a report of them."""

import argparse
import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from mlic.errors import MlicError, UsageError, did_you_mean
from mlic.metrics import FIGURES
from mlic.report import write_report
from mlic.report.headline import measured
from mlic.report.words import meaning
from mlic.runs import new_run_folder
from mlic.scored import Scored
from mlic.verbs.evaluate import evaluated, scored, tables

__all__ = ["run"]

_NOWHERE = Path("none")


def run(arguments: list[str], as_json: bool) -> None:
    """Evaluates on the test samples, prints the metrics and writes the report.

    Raises:
        MlicError: if a figure falls short of what was asked, or the report cannot be written; the metrics are printed
            all the same.
    """
    words = _words(arguments)
    cli, found = evaluated("test", words.left)
    if not cli.trainer.is_global_zero or cli.checkpoint_path is None:
        return
    judged = scored(cli)
    if not as_json:
        sys.stdout.write(tables(cli, found))
        sys.stdout.flush()
    where, faults = {}, []
    try:
        if words.report != _NOWHERE:
            where = {"report": str(_reported(judged, words.report, Path(cli.checkpoint_path).parent))}
    except MlicError as error:
        faults.append(f"no report: {error}")
    if as_json:
        sys.stdout.write(json.dumps({**found, **where}) + "\n")
    else:
        sys.stdout.write("".join(f"\nreport     {path}\n" for path in where.values()))
    faults += _shortcomings(judged, words)
    if faults:
        raise MlicError("\n".join(faults))


class _Words(NamedTuple):
    report: Path | None
    below: Mapping[str, float]
    above: Mapping[str, float]
    left: list[str]


def _words(arguments: list[str]) -> _Words:
    parser = argparse.ArgumentParser(prog="mlic test", add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--report")
    for option in ("--fail-below", "--fail-above"):
        parser.add_argument(option, action="append", default=[])
    said, left = parser.parse_known_args(arguments)
    if said.report == "":
        raise UsageError("--report is ''; expected a folder, or none")
    report = None if said.report is None else Path(said.report)
    if report is not None and report.exists() and not report.is_dir():
        raise UsageError(f"--report is {report}, which is a file; expected a folder, or none")
    below, above = _limits("--fail-below", said.fail_below), _limits("--fail-above", said.fail_above)
    for option, other, limits in (("--fail-below", "--fail-above", below), ("--fail-above", "--fail-below", above)):
        better = "higher" if option == "--fail-below" else "lower"
        for name, limit in limits.items():
            if meaning(name).better != better:
                raise UsageError(f"of {name}, {meaning(name).better} is better; write {other} {name}={limit:g}")
    return _Words(report, below, above, left)


def _limits(option: str, words: list[str]) -> dict[str, float]:
    """Returns what `mAP=0.8,f1_macro=0.7` says."""
    limits: dict[str, float] = {}
    for word in ",".join(words).split(",") if words else []:
        name, _, text = word.strip().partition("=")
        name = name.removeprefix("test/")
        if name not in FIGURES:
            raise UsageError(
                f"{option}: '{name}' is no figure{did_you_mean(name, FIGURES)}\nfigures: {', '.join(FIGURES)}"
            )
        try:
            limit = float(text)
        except ValueError:
            limit = math.nan
        if math.isnan(limit):
            raise UsageError(f"{option}: '{word}'; expected a figure and a number, such as mAP=0.8")
        if limits.setdefault(name, limit) != limit:
            raise UsageError(f"{option}: {name} is given {limits[name]:g} and {limit:g}; expected one number")
    return limits


def _reported(judged: Scored, folder: Path | None, beside: Path) -> Path:
    """Writes the report and returns its page.

    Raises:
        MlicError: if it cannot be written.
    """
    try:
        folder = folder or new_run_folder(beside, "report")
    except OSError as error:
        raise MlicError(
            f"{beside / 'report'}: cannot be made ({error.strerror}); name a folder with --report, or none"
        ) from error
    return write_report(judged, folder).html


def _shortcomings(judged: Scored, words: _Words) -> list[str]:
    """Tells what falls short; a figure that is not defined does."""
    if not (words.below or words.above):
        return []
    found = measured(judged)
    short = [
        f"{name} is {_shown(found[name])}, and should be {where} {limit:g}"
        for limits, where in ((words.below, "at least"), (words.above, "at most"))
        for name, limit in limits.items()
        if not (found[name] >= limit if where == "at least" else found[name] <= limit)
    ]
    return ["the model falls short: " + "; ".join(short)] if short else []


def _shown(figure: float) -> str:
    return "n/a" if math.isnan(figure) else f"{figure:.6g}"
