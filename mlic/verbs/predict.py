"""`mlic predict`: labels images with a checkpoint, or with an exported model, which needs no torch."""

import contextlib
import hashlib
import json
import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentParser, Namespace

from mlic.configuration import read_yaml
from mlic.errors import CheckpointError, UsageError
from mlic.hub import files_of, is_on_hub
from mlic.predict import Inputs, Prediction, Predictor, Shown
from mlic.predict.counting import counted
from mlic.predict.inputs import Lots
from mlic.predict.outputs import Outputs, Stream
from mlic.predict.rowfile import Verified
from mlic.predict.sharing import Shard, Share, find_shard, processes_around
from mlic.scorers import EngineChoice, is_exported
from mlic.threads import log_threads
from mlic.tracking import Progress

__all__ = ["run"]

log = logging.getLogger(__name__)

_Views = Literal["none", "flip", "multi_scale", "ten_crop"]  # those of mlic.views, which imports torch
_MANY = 20_000  # images that are worth any engine
_CHANGES_ROWS = ("tta", "threshold", "top", "only_positive", "shard")


def run(arguments: list[str], as_json: bool) -> None:
    """Writes a row for each image."""
    parser = _parser(_asks_for_a_trainer(arguments))
    config = parser.parse_args(_with_training_options(arguments))
    shard = None if config.shard is None else find_shard(config.shard)
    config.shard = None if shard is None else f"{shard.place}/{shard.number}"
    outputs = _outputs(config, shard, as_json)
    inputs = Inputs(config.paths, column=config.column)
    _check_apart(outputs, inputs, config.ckpt_path)
    if inputs.has_keys:
        outputs = replace(outputs, first=("path", "key"))
    stdout = sys.stdout
    with _quiet(config.ckpt_path):
        trainer = parser.instantiate(config).trainer if "trainer" in config else None
        _check_processes(trainer, shard, inputs)
        predictor = Predictor(
            config.ckpt_path,
            batch_size=config.batch_size,
            num_workers=config.num_workers,
            tta=config.tta,
            threshold=config.threshold,
            engine=config.engine,
            trainer=trainer,
        )
        log_threads()
        images: Lots = inputs if shard is None else Share(inputs, shard)
        if trainer is None or trainer.is_global_zero:
            with counted(inputs, shard) as total:
                _write(config, outputs, predictor, images, Progress("predicting", "images", total), stdout)
        else:
            # Only the first process writes; the others must not even open the file.
            predictor.write(images, lambda prediction: None)


def _write(
    config: Namespace, outputs: Outputs, predictor: Predictor, images: Lots, progress: Progress, stdout: Stream
) -> None:
    """Writes the rows, and tells how many they were."""
    classes = predictor.classes
    outputs.check_classes(classes)
    num_features = 0 if outputs.features is None else predictor.num_features
    facts = {} if outputs.rows is None else _facts(config, outputs)
    left = outputs.left(outputs.form(classes), facts, num_features) if config.resume else None
    if left is not None:
        images = Verified(images, left, outputs.form(classes))
        predictor.go_on_with(left.engine)
        if left.num_rows and not left.is_noted:
            log.warning("%s: nothing tells what its rows were made with, as they were finished once", left.path)
    predictor.prepare(images.num_known(_MANY))
    note = {"facts": facts, "engine": predictor.engine_name}
    done = 0 if left is None else left.num_rows
    progress.start(done)
    with outputs.opened(classes, stdout, note, left, num_features) as (sink, features):

        def write(prediction: Prediction) -> None:
            sink(prediction)
            progress.add()

        try:
            num_written, num_errors = predictor.write(
                images, write, write_features=None if features is None else features.add, done=done
            )
        except BaseException as error:
            _tell_how_to_go_on(error, outputs)
            raise
        finally:
            progress.close()
    images_there = f", after {done:,} that were there" if done else ""
    unread = f"; {num_errors:,} of them have no labels, see their error" if num_errors else ""
    things = "image" if num_written == 1 else "images"
    log.info("%s %s%s, %.1f a second%s", f"{num_written:,}", things, images_there, progress.rate, unread)


def _tell_how_to_go_on(error: BaseException, outputs: Outputs) -> None:
    """Adds to what ended the work, where it was no wrong word, that its rows are not lost."""
    try:
        outputs.check_resumable()
    except UsageError:
        return
    if not isinstance(error, UsageError):
        error.add_note(f"{outputs.rows} has the rows so far; the same command with --resume goes on")


def _outputs(config: Namespace, shard: Shard | None, as_json: bool) -> Outputs:
    """Returns where rows and features go; of several processes each has files of its own."""
    rows, features = (
        path if path is None or shard is None else shard.named(path) for path in (config.output, config.features)
    )
    outputs = Outputs(
        rows,
        features,
        Shown(config.top, "present" if config.only_positive else "all"),
        sort_by=config.sort_by,
        suffix=".jsonl" if as_json else ".csv",
    )
    if config.resume:
        outputs.check_resumable()
    if shard is not None:
        log.info("process %d of %d%s", shard.place, shard.number, "" if rows is None else f": {rows}")
    return outputs


def _check_apart(outputs: Outputs, inputs: Inputs, checkpoint: Path) -> None:
    """Checks that nothing is written over what is read."""
    model = [] if is_on_hub(checkpoint) else files_of(checkpoint)
    read = [(path, "the images are") for path in map(Path, inputs.files)] + [(path, "the model is") for path in model]
    for path in filter(None, (outputs.rows, outputs.features)):
        if not path.exists():
            continue
        for other, what in read:
            if os.path.exists(other) and path.samefile(other):  # noqa: PTH110, as in mlic.predict.inputs
                raise UsageError(f"{path}: {what} read from there; choose another file to write")


def _facts(config: Namespace, outputs: Outputs) -> dict[str, Any]:
    """Returns what rows depend on, for whoever goes on with them."""
    digest = hashlib.sha256()
    try:
        for path in files_of(config.ckpt_path):
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    except OSError as error:
        raise CheckpointError(f"{config.ckpt_path}: cannot be read ({error.strerror})") from error
    chosen = {name: config[name] for name in _CHANGES_ROWS}
    features = None if outputs.features is None else str(outputs.features)
    return {"checkpoint": digest.hexdigest()[:32], **chosen, "features": features}


def _check_processes(trainer: Any, shard: Shard | None, inputs: Inputs) -> None:
    number = 1 if trainer is None else trainer.world_size
    around = processes_around()
    if number == 1 and around > 1 and shard is None:
        raise UsageError(
            f"{around} processes were started, and each would do all of the work; say --shard auto, and each does its "
            "share; or let a Trainer share it out: --trainer.devices N"
        )
    if number > 1 and shard is not None:
        raise UsageError("--shard shares the images out among processes, as --trainer.devices does; leave out one")
    if number > 1 and inputs.is_stream:
        raise UsageError("standard input can be read once, not by several processes; write the paths into a .txt file")


def _parser(has_trainer: bool) -> ArgumentParser:
    parser = ArgumentParser(
        prog="mlic predict", description="Labels images: a row for each, in order.", exit_on_error=False
    )
    parser.add_argument("-c", "--config", action="config", help="a file with these options, or that of a training")
    parser.add_argument("paths", nargs="+", type=str, help="images, folders, patterns, .txt, .csv or .tar files, or -")
    parser.add_argument("--ckpt_path", type=Path, required=True, help="the checkpoint, or an exported .onnx file")
    parser.add_argument("--output", type=Path | None, help="a .csv, .jsonl, .parquet or .txt file; else CSV to stdout")
    parser.add_argument("--features", type=Path | None, help="a .npy, .safetensors or .parquet file for embeddings")
    parser.add_argument("--column", type=str | None, help="of a .csv among the paths, the column with paths")
    parser.add_argument("--top", type=int | None, help="write the scores of so many classes, the highest, alone")
    parser.add_argument("--threshold", type=float | None, help="the score from which on any class is present")
    parser.add_argument("--only-positive", action="store_true", help="write the scores of the labels alone")
    parser.add_argument("--sort-by", type=str | None, help="path or a class; all rows are kept in memory")
    parser.add_argument("--resume", action="store_true", help="go on with an output that a run has left unfinished")
    parser.add_argument("--shard", type=str | None, help="I/N, the share of one of N processes, from 0; or auto")
    parser.add_argument("--batch_size", type=int, default=32, help="images a step and device; a core takes at most 4")
    parser.add_argument("--num_workers", type=int | None, help="processes that decode for a device that is no CPU")
    parser.add_argument("--tta", type=_Views | None, help="views to average over; by default the checkpoint's")
    parser.add_argument("--engine", type=EngineChoice, default="auto", help="what computes on a CPU")
    if has_trainer:
        import pytorch_lightning as pl

        parser.add_class_arguments(pl.Trainer, "trainer", instantiate=True)
        quiet = ("logger", "enable_checkpointing", "enable_model_summary", "enable_progress_bar")
        parser.set_defaults({f"trainer.{name}": False for name in quiet})
        parser.set_defaults({"trainer.devices": 1})
    return parser


def _asks_for_a_trainer(arguments: list[str]) -> bool:
    """Says whether the options of a Trainer are needed, which take seconds to import."""
    asking = ("--trainer", "-c", "--config", "--help", "--print_config")
    return any(word.startswith(asking) for word in arguments)


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


@contextlib.contextmanager
def _quiet(checkpoint: Path) -> Iterator[None]:
    """Keeps stdout for results, whatever Lightning prints; which an exported model does without."""
    if is_exported(checkpoint):
        yield
        return
    from mlic.progress import quietly

    with quietly():
        yield
