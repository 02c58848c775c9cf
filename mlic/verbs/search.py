"""`mlic search`: tries heads, losses and settings on kept features, and writes the best configuration."""

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from mlic.errors import MlicError, UsageError
from mlic.runs import new_run_folder
from mlic.search.configured import SearchCLI
from mlic.search.ranking import Standing, standings
from mlic.search.space import Space
from mlic.search.study import Study, Trial, constant, in_words, load_optuna
from mlic.tables import text_table

__all__ = ["run"]


class _Words(NamedTuple):
    space: Path
    trials: int
    output: Path | None
    left: list[str]


def run(arguments: list[str], as_json: bool) -> None:
    """Searches, and prints the best trials; what was found before Ctrl-C is written all the same."""
    if {"--help", "-h"} & set(arguments) or any(word.startswith("--print_config") for word in arguments):
        SearchCLI(arguments)
    words = _words(arguments)
    load_optuna()
    space = Space(words.space)
    if words.output is not None and words.output.exists():
        raise UsageError(f"{words.output} is there already; name another file with --output")
    cli = SearchCLI(words.left)
    space.check_arguments(cli.base)
    training = cli.training(space)
    best, rows = _files(words.output, cli)
    with rows.open("x", encoding="utf-8") as stream:
        study = Study(space, cli.base, training, training.seed, _writer(stream))
        try:
            study.run(words.trials)
        except BaseException as stop:
            if study.best():
                _finish(study, training.labels, best, rows, as_json)
                stop.add_note(f"stopped after {len(study.trials)} of {words.trials} trials; they are in {rows}")
            raise
    if not study.best():
        first = study.trials[0].error or "no class has a known positive among the validation samples"
        raise MlicError(f"none of {len(study.trials)} trials has a mAP; the first: {first}\nall are in {rows}")
    _finish(study, training.labels, best, rows, as_json)


def _words(arguments: list[str]) -> _Words:
    parser = argparse.ArgumentParser(prog="mlic search", add_help=False, allow_abbrev=False, exit_on_error=False)
    for option in ("--space", "--trials", "--output"):
        parser.add_argument(option)
    said, left = parser.parse_known_args(arguments)
    if said.space is None:
        raise UsageError("mlic search needs a space: --space configs/search.yaml")
    trials = "100" if said.trials is None else said.trials
    if not trials.isdecimal() or int(trials) < 1:
        raise UsageError(f"--trials is '{trials}'; expected a number, 1 or more")
    return _Words(Path(said.space), int(trials), None if said.output is None else Path(said.output), left)


def _files(output: Path | None, cli: SearchCLI) -> tuple[Path, Path]:
    """Returns where the best configuration and the trials are written; in a folder of its own by default."""
    if output is None:
        folder = new_run_folder(Path(cli.base["trainer"]["default_root_dir"]), f"{cli.base['name']}-search")
        return folder / "best.yaml", folder / "trials.jsonl"
    output.parent.mkdir(parents=True, exist_ok=True)
    rows = output.with_name(f"{output.stem}.trials.jsonl")
    if rows.exists():
        raise UsageError(f"{rows} is there already; name another file with --output")
    return output, rows


def _writer(stream: Any) -> Callable[[Trial], None]:
    def write(trial: Trial) -> None:
        stream.write(json.dumps(trial.row(), ensure_ascii=False) + "\n")
        stream.flush()  # whatever happens next

    return write


def _finish(study: Study, labels: Any, best: Path, rows: Path, as_json: bool) -> None:
    shown = study.best()
    logits = [trial.logits for trial in shown if trial.logits is not None]
    found = standings([trial.mean_ap or 0.0 for trial in shown], logits, labels)
    winner = shown[0]
    said = f"# Trial {winner.number} of a search: val/mAP {winner.mean_ap:.4f}, {in_words(winner)}\n"
    best.write_text(said + yaml.safe_dump(winner.config, sort_keys=False, allow_unicode=True), encoding="utf-8")
    if as_json:
        ranking = [{**trial.row(), **_plain(standing)} for trial, standing in zip(shown, found, strict=True)]
        result = {"best": str(best), "trials": str(rows), "val/mAP": winner.mean_ap, "ranking": ranking}
        sys.stdout.write(json.dumps(result) + "\n")
        return
    states = [trial.state for trial in study.trials]
    left = f"{states.count('pruned')} left early, {states.count('failed')} failed"
    sys.stdout.write(
        f"{_table(study.trials, shown, found)}\n"
        f"{_verdict(shown, found)}\n"
        f"trials     {len(states)}, {left}: {rows}\n"
        f"best       val/mAP {winner.mean_ap:.4f}; the best of many is better on these samples than on others\n"
        f"next       mlic fit --config {best}\n"
    )


def _plain(standing: Standing) -> dict[str, Any]:
    figures = standing._asdict()
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in figures.items()}


def _table(trials: Sequence[Trial], shown: Sequence[Trial], found: Sequence[Standing]) -> str:
    same = constant(trials)
    cells: list[list[str | int | float | None]] = []
    for trial, standing in zip(shown, found, strict=True):
        compared = [standing.behind, standing.behind_spread, "yes" if standing.clearly else "no"]
        words = in_words(trial, same)
        cells.append([trial.number, trial.mean_ap, standing.spread, *(compared if cells else [None, None, ""]), words])
    return text_table(["trial", "val/mAP", "spread", "behind", "spread of it", "clearly", "choices"], cells)


def _verdict(shown: Sequence[Trial], found: Sequence[Standing]) -> str:
    if len(shown) == 1:
        return "no other trial to compare with"
    winner = f"trial {shown[0].number}"
    equal = [str(trial.number) for trial, standing in zip(shown[1:], found[1:], strict=True) if not standing.clearly]
    if not equal:
        return f"{winner} is clearly better than the others that are shown"
    return f"{winner} is not clearly better than {', '.join(equal)}: on other samples they may change places"
