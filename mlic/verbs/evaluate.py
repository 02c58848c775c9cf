"""`mlic validate` and `mlic test`: the metrics of a checkpoint."""

import json
import math
import sys
from typing import Literal

from mlic.tables import text_table
from mlic.threads import log_threads
from mlic.training import TrainingCLI

__all__ = ["evaluate", "evaluated", "tables"]

Figures = dict[str, float | None]

_SIDES = {"validate": "val", "test": "test"}


def evaluate(verb: Literal["validate", "test"], arguments: list[str], as_json: bool) -> None:
    """Evaluates and prints the metrics: a table of classes for people, one flat object for machines."""
    cli, figures = evaluated(verb, arguments)
    if not cli.trainer.is_global_zero:
        return
    if as_json:
        sys.stdout.write(json.dumps(figures) + "\n")
    else:
        sys.stdout.write(tables(cli, figures))


def evaluated(verb: Literal["validate", "test"], arguments: list[str]) -> tuple[TrainingCLI, Figures]:
    """Evaluates and returns the metrics, None where one is not defined."""
    cli = TrainingCLI(verb, arguments)
    log_threads()
    cli.run()
    numbers = {name: float(value) for name, value in cli.trainer.callback_metrics.items()}
    return cli, {name: number if math.isfinite(number) else None for name, number in numbers.items()}


def tables(cli: TrainingCLI, figures: Figures) -> str:
    """Returns a table of the classes and one of the metrics."""
    columns = cli.model.class_table(_SIDES[cli.verb])
    classes = text_table(["class", *columns], _rows(cli.model.classes, columns))
    return classes + "\n" + text_table(["metric", "value"], [[name, value] for name, value in figures.items()])


def _rows(classes: tuple[str, ...], columns: dict[str, list[int | float]]) -> list[list[str | int | float]]:
    return [[name, *values] for name, *values in zip(classes, *columns.values(), strict=True)]
