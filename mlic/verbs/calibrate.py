"""`mlic calibrate`: fits scores and thresholds of a trained model anew, without training it."""

import argparse
import json
import math
import sys
from pathlib import Path

from mlic.checkpoints import read_checkpoint, write_checkpoint
from mlic.errors import UsageError
from mlic.metrics import headline, per_class
from mlic.tables import text_table
from mlic.threads import log_threads
from mlic.thresholds import cross_fitted
from mlic.training import TrainingCLI

__all__ = ["run"]


def run(arguments: list[str], as_json: bool) -> None:
    """Fits on the validation samples, writes another checkpoint, and prints what the decisions are worth."""
    parser = argparse.ArgumentParser(prog="mlic calibrate", add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--output", type=Path)
    said, left = parser.parse_known_args(arguments)
    cli = TrainingCLI("calibrate", left)
    if cli.checkpoint_path is None:
        return
    output = said.output or _beside(Path(cli.checkpoint_path))
    if output.exists():
        raise UsageError(f"{output} is there already; name another file with --output")
    if not output.parent.is_dir():
        raise UsageError(f"{output}: there is no folder {output.parent}; name a file in one that is there")
    log_threads()
    cli.run()
    if not cli.trainer.is_global_zero:
        return
    _fit(cli, output, as_json)


def _fit(cli: TrainingCLI, output: Path, as_json: bool) -> None:
    model, rows = cli.model, cli.model.evaluated["val"]
    before = model.thresholds.tolist()
    model.fit_decisions(rows)
    present = cross_fitted(model.decision, rows.logits, rows.labels, model.loss.decides_at_zero)
    figures = {f"val/{name}": float(value) for name, value in headline(rows.logits, rows.labels, present).items()}
    plain = {name: None if math.isnan(value) else value for name, value in figures.items()}
    checkpoint = model.with_decisions(read_checkpoint(str(cli.checkpoint_path)))
    checkpoint["mlic"]["metrics"] = {**checkpoint["mlic"].get("metrics", {}), **plain}
    write_checkpoint(output, checkpoint)
    if as_json:
        thresholds = dict(zip(model.classes, model.thresholds.tolist(), strict=True))
        sys.stdout.write(json.dumps({"checkpoint": str(output), **plain, "thresholds": thresholds}) + "\n")
        return
    columns = per_class(rows.logits, rows.labels, present, model.thresholds.cpu())
    table = {
        "support": columns["support"].tolist(),
        "before": before,
        **{name: columns[name].tolist() for name in ("threshold", "precision", "recall", "f1")},
    }
    cells = [[name, *values] for name, *values in zip(model.classes, *table.values(), strict=True)]
    sys.stdout.write(text_table(["class", *table], cells) + "\n")
    sys.stdout.write(text_table(["metric", "value"], [[name, value] for name, value in plain.items()]))
    sys.stdout.write(
        "Precision, recall and f1 are cross-fitted: each sample was decided by thresholds that the others gave.\n\n"
        f"checkpoint {output}\n"
    )


def _beside(checkpoint: Path) -> Path:
    return checkpoint.with_name(f"{checkpoint.stem}-calibrated{checkpoint.suffix}")
