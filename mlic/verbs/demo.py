"""`mlic demo`: draws a data set, trains on it, tests, reports, and shows what to try next. No data, no network."""

import json
import logging
import sys
import time
from pathlib import Path

from jsonargparse import ArgumentParser

from mlic.predict import CsvWriter, Predictor
from mlic.progress import quietly
from mlic.report import write_report
from mlic.runs import new_run_folder
from mlic.scenes import write_scenes
from mlic.verbs.evaluate import evaluated, scored, tables
from mlic.verbs.fit import fit

__all__ = ["run", "training_arguments"]

log = logging.getLogger(__name__)

_SHOWN = 6


def run(arguments: list[str], as_json: bool) -> None:
    """Draws, trains, tests, reports, predicts."""
    config = _parser().parse_args(arguments)
    started = time.monotonic()
    log.info("drawing scenes into %s", config.folder)
    write_scenes(config.folder, num_images=config.num_images, seed=config.seed)
    cli = fit([*training_arguments(config.folder, config.max_epochs), "--seed_everything", str(config.seed)])
    if cli.folder is None:
        return
    best = cli.folder / "best.ckpt"
    log.info("testing on images that the training has not seen")
    tested, figures = evaluated("test", ["--ckpt_path", str(best)])
    report = write_report(scored(tested), new_run_folder(cli.folder, "report")).html
    validation = json.loads((cli.folder / "metrics.json").read_text(encoding="utf-8"))["val/mAP"]
    if as_json:
        said = {"run": str(cli.folder), "report": str(report), "val/mAP": validation, **figures}
        sys.stdout.write(json.dumps(said) + "\n")
        return
    sys.stdout.write(f"{tables(tested, figures)}\nvalidation mAP {validation:.4f}\n\n")
    _predict(best, config.folder, cli.folder / "predictions.csv")
    sys.stdout.write(f"what it finds and where it errs: {report}\n{_next_steps(cli.folder, config.folder)}")
    log.info("%.0f s in all", time.monotonic() - started)


def training_arguments(folder: Path, max_epochs: int = 8) -> list[str]:
    """Returns the words after `mlic fit`; those of `configs/demo.yaml`, for a folder of one's choice."""
    sides = [word for side in ("train", "val", "test") for word in (f"--data.{side}", str(folder / f"{side}.csv"))]
    return [
        *("--name", "demo"),
        *("--model.backbone", "efficientnet_lite0"),
        *("--model.backbone.freeze", "true"),
        *("--model.optimizer.lr", "0.01"),
        *("--data.augmentation.flip", "false"),
        *("--trainer.max_epochs", str(max_epochs)),
        *("--trainer.devices", "1"),
        *sides,
    ]


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="mlic demo",
        description="Draws a data set, trains on it and tests. Needs no data and no network.",
        exit_on_error=False,
    )
    parser.add_argument("--folder", type=Path, default=Path("mlic-demo"), help="where the images are drawn")
    parser.add_argument("--num_images", type=int, default=720, help="how many images are drawn")
    parser.add_argument("--max_epochs", type=int, default=8, help="how long the training is")
    parser.add_argument("--seed", type=int, default=0, help="another seed draws other images")
    return parser


def _predict(best: Path, folder: Path, output: Path) -> None:
    """Writes the predictions for a few test images, and shows their labels."""
    lines = (folder / "test.csv").read_text(encoding="utf-8").splitlines()[1 : 1 + _SHOWN]
    paths = [folder / line.split(",")[0] for line in lines]
    with quietly():
        predictor = Predictor(best, num_workers=0)
        predictions = predictor.predict(paths)
    with output.open("w", encoding="utf-8", newline="") as stream:
        write = CsvWriter(stream, predictor.classes)
        for prediction in predictions:
            write(prediction)
    for prediction in predictions:
        sys.stdout.write(f"{prediction.path}: {', '.join(prediction.labels) or 'none of the classes'}\n")
    sys.stdout.write(f"all scores: {output}\n")


def _next_steps(run: Path, folder: Path) -> str:
    frozen = "--model.backbone efficientnet_lite0 --model.backbone.freeze true"
    return (
        "\nTry next:\n"
        f"  mlic predict --ckpt_path {run}/best.ckpt {folder}/images --output labels.csv\n"
        f"  mlic fit --config {run}/config.yaml --model.loss asymmetric\n"
        f"  mlic fit {frozen} --data.train your-labels.csv\n"
    )
