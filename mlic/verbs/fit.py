"""`mlic fit`: trains and leaves a run's folder."""

import json
import sys
from pathlib import Path

from mlic.training import TrainingCLI

__all__ = ["fit", "run"]


def run(arguments: list[str], as_json: bool) -> None:
    """Trains and prints where the result is."""
    cli = fit(arguments)
    if not cli.trainer.is_global_zero or cli.folder is None:
        return
    written = cli.folder / "metrics.json"
    figures = json.loads(written.read_text(encoding="utf-8")) if written.exists() else {}
    if as_json:
        sys.stdout.write(json.dumps({"run": str(cli.folder), **figures}) + "\n")
        return
    best, last = cli.folder / "best.ckpt", cli.folder / "last.ckpt"
    lines = [f"run        {cli.folder}"]
    if best.exists():
        score = figures.get("val/mAP")
        words = "" if score is None else f", val/mAP {score:.4f}"
        lines += [
            f"best       after {figures['epochs']} epochs{words}",
            f"next       mlic test --ckpt_path {_quoted(best)}",
        ]
    elif last.exists():
        lines += ["best       not known, since no epoch was validated", f"last       {_quoted(last)}"]
    sys.stdout.write("\n".join(lines) + "\n")


def fit(arguments: list[str]) -> TrainingCLI:
    """Trains as the words after `mlic fit` say."""
    cli = TrainingCLI("fit", arguments)
    cli.log_plan()
    try:
        cli.run()
    except BaseException as stop:
        last = None if cli.folder is None else cli.folder / "last.ckpt"
        if last is not None and last.exists():
            stop.add_note(f"the last checkpoint is {last}; go on with: mlic fit --ckpt_path {_quoted(last)}")
        raise
    return cli


def _quoted(path: Path) -> str:
    return f'"{path}"' if " " in str(path) else str(path)
