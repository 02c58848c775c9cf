"""`mlic validate` and `mlic test`: the metrics of a checkpoint, and what a report is made from."""

import json
import math
import sys
from pathlib import Path
from typing import Literal

from mlic.metrics import Rows
from mlic.scored import Scored
from mlic.strings import Strings
from mlic.tables import text_table
from mlic.threads import log_threads
from mlic.training import TrainingCLI

__all__ = ["evaluate", "evaluated", "scored", "tables"]

Figures = dict[str, float | None]

_SIDES: dict[str, Literal["val", "test"]] = {"validate": "val", "test": "test"}


def evaluate(verb: Literal["validate", "test"], arguments: list[str], as_json: bool) -> TrainingCLI:
    """Evaluates and prints the metrics: a table of classes for people, one flat object for machines."""
    cli, figures = evaluated(verb, arguments)
    if cli.trainer.is_global_zero:
        sys.stdout.write(json.dumps(figures) + "\n" if as_json else tables(cli, figures))
    return cli


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


def scored(cli: TrainingCLI) -> Scored:
    """Returns the scores and labels of the samples that were evaluated."""
    side = _SIDES[cli.verb]
    model, rows = cli.model, cli.model.evaluated[side]
    (paths, root), left_out = _images(cli, side, rows), _left_out(cli, side, rows)
    checkpoint = Path(str(cli.checkpoint_path))
    return Scored(
        name=_name(checkpoint.absolute()),
        classes=model.classes,
        paths=paths,
        root=root,
        logits=rows.logits,
        labels=rows.labels,
        decisions=model.decisions.to("cpu"),
        about={
            "checkpoint": checkpoint.name,
            "samples": f"{side}, {len(rows.index):,} images",
            **({"left out": left_out} if left_out else {}),
            "backbone": str(cli.config.model.backbone.class_path).rpartition(".")[2],
            "head": type(model.head).__name__,
            "loss": type(model.loss).__name__,
            "decisions": _decided(cli),
        },
    )


def _name(checkpoint: Path) -> str:
    """Returns a run's name and number, such as `inception/v2`; otherwise the file's."""
    run = checkpoint.parent
    inside = run.name.startswith("v") and run.name[1:].isdecimal()
    return f"{run.parent.name}/{run.name}" if inside else checkpoint.stem


def _decided(cli: TrainingCLI) -> str:
    """Tells how the decisions were made."""
    rule, fitted = cli.model.decision, cli.model.fitted
    if not fitted:
        return "not fitted: 0.5 for each class" if cli.model.thresholds.eq(0.5).all() else "fitted"
    images = f"{fitted['samples']:,} validation images"
    if cli.model.loss.decides_at_zero and rule.is_plain_f1:
        return f"present where the logit is 0 or more, as the loss says; scores calibrated on {images}"
    words = [f"{rule.goal}, fitted on {images}"]
    for key, said in (("shared", "share a threshold"), ("unreached", "do not reach it")):
        if names := fitted[key]:
            shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
            words.append(f"{len(names)} of {len(cli.model.classes)} classes {said}: {shown}")
    return "; ".join(words)


def _images(cli: TrainingCLI, side: Literal["val", "test"], rows: Rows) -> tuple[Strings, Path]:
    """Returns where the images of the rows are; numbers where they are no files."""
    known = cli.datamodule.image_paths(side)
    if known is None:
        return Strings([f"sample {number}" for number in rows.index.tolist()]), Path()
    paths, root = known
    return paths.take(rows.index.numpy()), root.absolute()


def _left_out(cli: TrainingCLI, side: Literal["val", "test"], rows: Rows) -> str:
    """Tells how many images were not judged, as far as it is known how many there are."""
    known = cli.datamodule.image_paths(side)
    missing = 0 if known is None else len(known[0]) - len(rows.index)
    return f"{missing:,} images that were not read, or not asked for" if missing else ""


def _rows(classes: tuple[str, ...], columns: dict[str, list[int | float]]) -> list[list[str | int | float]]:
    return [[name, *values] for name, *values in zip(classes, *columns.values(), strict=True)]
