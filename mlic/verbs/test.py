"""`mlic test`: the metrics of a checkpoint on samples it has not seen, and a report of them."""

import argparse
import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from mlic.errors import MlicError, UsageError, did_you_mean
from mlic.metrics import FIGURES, figures
from mlic.report import write_report
from mlic.report.words import meaning
from mlic.runs import new_run_folder
from mlic.scored import Scored
from mlic.verbs.evaluate import evaluated, scored, tables

__all__ = ["run"]


def run(arguments: list[str], as_json: bool) -> None:
    """Evaluates on the test samples, writes the report and prints the metrics.

    Raises:
        MlicError: if a figure falls short of what was asked.
    """
    words = _words(arguments)
    cli, found = evaluated("test", words.left)
    if not cli.trainer.is_global_zero or cli.checkpoint_path is None:
        return
    judged = scored(cli)
    where = {}
    if words.report != Path("none"):
        folder = words.report or new_run_folder(Path(cli.checkpoint_path).parent, "report")
        where = {"report": str(write_report(judged, folder).html)}
    if as_json:
        sys.stdout.write(json.dumps({**found, **where}) + "\n")
    else:
        sys.stdout.write(tables(cli, found) + "".join(f"\nreport     {path}\n" for path in where.values()))
    _judge(judged, words)


class _Words(NamedTuple):
    report: Path | None
    below: Mapping[str, float]
    above: Mapping[str, float]
    left: list[str]


def _words(arguments: list[str]) -> _Words:
    parser = argparse.ArgumentParser(prog="mlic test", add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--report", type=Path)
    for option in ("--fail-below", "--fail-above"):
        parser.add_argument(option, action="append", default=[])
    said, left = parser.parse_known_args(arguments)
    below, above = _limits("--fail-below", said.fail_below), _limits("--fail-above", said.fail_above)
    for option, other, limits in (("--fail-below", "--fail-above", below), ("--fail-above", "--fail-below", above)):
        better = "higher" if option == "--fail-below" else "lower"
        for name, limit in limits.items():
            if meaning(name).better != better:
                raise UsageError(f"of {name}, {meaning(name).better} is better; write {other} {name}={limit:g}")
    return _Words(said.report, below, above, left)


def _limits(option: str, words: list[str]) -> dict[str, float]:
    """Returns what `mAP=0.8,f1_macro=0.7` says."""
    limits = {}
    for word in ",".join(words).split(",") if words else []:
        name, _, text = word.strip().partition("=")
        name = name.removeprefix("test/")
        if name not in FIGURES:
            raise UsageError(
                f"{option}: '{name}' is no figure{did_you_mean(name, FIGURES)}\nfigures: {', '.join(FIGURES)}"
            )
        try:
            limits[name] = float(text)
        except ValueError:
            raise UsageError(f"{option}: '{word}'; expected a figure and a number, such as mAP=0.8") from None
    return limits


def _judge(judged: Scored, words: _Words) -> None:
    """Ends with an error if a figure falls short; one that is not defined does."""
    if not (words.below or words.above):
        return
    found = figures(judged.logits, judged.scores, judged.present, judged.labels)
    short = [
        f"{name} is {_shown(found[name])}, and should be {where} {limit:g}"
        for limits, where in ((words.below, "at least"), (words.above, "at most"))
        for name, limit in limits.items()
        if not (found[name] >= limit if where == "at least" else found[name] <= limit)
    ]
    if short:
        raise MlicError("the model falls short: " + "; ".join(short))


def _shown(figure: float) -> str:
    return "n/a" if math.isnan(figure) else f"{figure:.4f}"
