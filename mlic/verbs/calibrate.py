"""`mlic calibrate`: fits scores and thresholds of a trained model anew, without training it."""

import argparse
import json
import logging
import math
import sys
from collections.abc import Mapping
from pathlib import Path

from jaxtyping import Bool
from torch import Tensor

from mlic.checkpoints import read_checkpoint, write_checkpoint
from mlic.classifier import MultiLabelClassifier
from mlic.errors import UsageError
from mlic.metrics import headline, per_class
from mlic.tables import text_table
from mlic.threads import log_threads
from mlic.thresholds import cross_fitted
from mlic.training import TrainingCLI

__all__ = ["run"]

log = logging.getLogger(__name__)


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
    if not rows.labels.eq(1).any():
        raise UsageError(
            f"none of the {len(rows.index):,} validation samples that could be read has a class known to be present; "
            "expected some, to fit scores and thresholds to"
        )
    if model.loss.decides_at_zero and model.decision.is_plain_f1:
        log.info(
            "%s decides where the logit is 0: only scores are calibrated; another --model.decision.objective, or a "
            "beta, has thresholds fitted",
            type(model.loss).__name__,
        )
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
        fitted = {name: model.fitted[name] for name in ("shared", "unreached")}
        sys.stdout.write(json.dumps({"checkpoint": str(output), **plain, "thresholds": thresholds, **fitted}) + "\n")
    else:
        sys.stdout.write(_page(model, before, present, plain) + f"\ncheckpoint {output}\n")


def _page(
    model: MultiLabelClassifier,
    before: list[float],
    present: Bool[Tensor, "samples classes"],
    figures: Mapping[str, float | None],
) -> str:
    rows = model.evaluated["val"]
    columns = per_class(rows.logits, rows.labels, present, model.thresholds.cpu())
    table = {
        "support": columns["support"].tolist(),
        "before": before,
        **{name: columns[name].tolist() for name in ("threshold", "precision", "recall", "f1")},
    }
    cells = [[name, *values] for name, *values in zip(model.classes, *table.values(), strict=True)]
    told = (("shared", "one threshold together"), ("unreached", f"not reached ({model.decision.goal})"))
    return "".join(
        [
            text_table(["class", *table], cells) + "\n",
            text_table(["metric", "value"], [[name, value] for name, value in figures.items()]),
            *(f"{said}: {', '.join(model.fitted[key])}\n" for key, said in told if model.fitted[key]),
            "Precision, recall and f1 are cross-fitted: each sample was decided by thresholds that the others gave.\n",
        ]
    )


def _beside(checkpoint: Path) -> Path:
    return checkpoint.with_name(f"{checkpoint.stem}-calibrated{checkpoint.suffix}")
