"""`mlic predict`: labels images with a checkpoint."""

import contextlib
import io
import json
import logging
import sys
from pathlib import Path

import pytorch_lightning as pl
from jsonargparse import ArgumentParser

from mlic.configuration import read_yaml
from mlic.errors import UsageError
from mlic.predict import CsvWriter, JsonlWriter, Predictor, Writable, find_images
from mlic.progress import quietly
from mlic.threads import log_threads
from mlic.views import TTA

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(arguments: list[str], as_json: bool) -> None:
    """Writes a row for each image."""
    parser = _parser()
    config = parser.parse_args(_with_training_options(arguments))
    output: Path | None = config.output
    if output is not None and output.suffix.lower() not in (".csv", ".jsonl"):
        raise UsageError(f"{output}: the name tells the format; expected one that ends in .csv or .jsonl")
    lines = as_json if output is None else output.suffix.lower() == ".jsonl"
    paths = find_images(config.paths)
    stdout = sys.stdout
    with quietly():
        trainer: pl.Trainer = parser.instantiate(config).trainer
        predictor = Predictor(
            config.ckpt_path,
            batch_size=config.batch_size,
            num_workers=config.num_workers,
            tta=config.tta,
            trainer=trainer,
        )
        log_threads()
        # Only the first process writes; the others must not even open the file.
        with _opened(output, stdout) if trainer.is_global_zero else contextlib.nullcontext(io.StringIO()) as stream:
            write = JsonlWriter(stream) if lines else CsvWriter(stream, predictor.classes)
            num_written, num_errors = predictor.write(paths, write)
    if trainer.is_global_zero:
        left = f" of {len(paths)}" if num_written != len(paths) else ""
        unread = f"; {num_errors} of them have no labels, see their error" if num_errors else ""
        log.info("%d%s images%s", num_written, left, unread)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="mlic predict", description="Labels images: a row for each, in order.", exit_on_error=False
    )
    parser.add_argument("-c", "--config", action="config", help="a file with these options, or that of a training")
    parser.add_argument("paths", nargs="+", type=str, help="images, folders, patterns, or .txt lists of paths")
    parser.add_argument("--ckpt_path", type=Path, required=True, help="the checkpoint to predict with")
    parser.add_argument("--output", type=Path | None, help="a .csv or .jsonl file; by default CSV to stdout")
    parser.add_argument("--batch_size", type=int, default=32, help="images a step and device")
    parser.add_argument("--num_workers", type=int | None, help="processes that decode; by default half of the cores")
    parser.add_argument("--tta", type=TTA | None, help="views to average over; by default the checkpoint's")
    parser.add_class_arguments(pl.Trainer, "trainer", instantiate=True)
    quiet = ("logger", "enable_checkpointing", "enable_model_summary")
    parser.set_defaults({f"trainer.{name}": False for name in quiet})
    parser.set_defaults({"trainer.devices": 1, "trainer.enable_progress_bar": sys.stderr.isatty()})
    return parser


def _with_training_options(arguments: list[str]) -> list[str]:
    """Takes from a training's configuration what matters here: how to compute, not what."""
    words = list(arguments)
    for place, word in enumerate(words[:-1]):
        if word not in ("-c", "--config"):
            continue
        config = read_yaml(words[place + 1])
        if "model" not in config and "data" not in config:
            continue
        data = (config.get("data") or {}).get("init_args") or {}
        trainer = config.get("trainer") or {}
        taken = {name: data[name] for name in ("batch_size", "num_workers") if data.get(name) is not None}
        computing = ("accelerator", "devices", "num_nodes", "strategy", "precision")
        taken["trainer"] = {name: trainer[name] for name in computing if trainer.get(name) is not None}
        log.info("of %s, %s count here", words[place + 1], ", ".join([*taken]))
        words[place + 1] = json.dumps(taken)
    return words


def _opened(output: Path | None, stdout: Writable) -> contextlib.AbstractContextManager[Writable]:
    if output is None:
        return contextlib.nullcontext(stdout)
    try:
        # A file name need not be UTF-8; its bytes are written as they are.
        return output.open("w", encoding="utf-8", errors="surrogateescape", newline="")
    except OSError as error:
        raise UsageError(f"{output}: cannot be written ({error.strerror})") from None
