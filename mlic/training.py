"""`fit`, `validate` and `test`: LightningCLI with part names, run folders and checkpoints that describe themselves."""

import contextlib
import itertools
import json
import logging
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
import yaml
from jsonargparse import Namespace
from lightning_utilities.core.rank_zero import rank_zero_only
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from mlic.classifier import MultiLabelClassifier, read_checkpoint
from mlic.configuration import expand_arguments
from mlic.datamodules.base import MultiLabelDataModule
from mlic.errors import UsageError
from mlic.progress import progress_callback
from mlic.runs import BestCheckpoint, RunRecorder, new_run_folder

__all__ = ["TrainingCLI", "Verb", "quietly"]

log = logging.getLogger(__name__)

Verb = Literal["fit", "validate", "test"]

_IMAGE = "mlic.datamodules.image.ImageDataModule"


class ReseedEpochs(pl.Callback):
    """Seeds the global generator by seed, epoch and process, so that a resumed run draws what a whole one draws.

    Args:
        seed: the run's seed.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Seeds dropout and whatever else draws in the main process."""
        torch.manual_seed(self.seed + 1_000_003 * (1 + trainer.current_epoch) + trainer.global_rank)


class TrainingCLI(LightningCLI):
    """LightningCLI for a `MultiLabelClassifier` and any `MultiLabelDataModule`, one verb at a time.

    Everything is parsed, agreed on and instantiated by the constructor; nothing is run.

    Args:
        verb: `fit`, `validate` or `test`.
        arguments: the words after the verb.

    Attributes:
        folder: the run's folder; None unless the verb is `fit`, or with `trainer.fast_dev_run`.
        checkpoint_path: the checkpoint to resume or to evaluate.

    Raises:
        UsageError: if the configuration is wrong.
    """

    def __init__(self, verb: Verb, arguments: list[str]) -> None:
        _hush()
        self.verb = verb
        self.folder: Path | None = None
        expanded = expand_arguments(arguments)
        self.checkpoint_path = _checkpoint_path(expanded)
        self._card = None if self.checkpoint_path is None else read_checkpoint(self.checkpoint_path)["mlic"]
        self._config_name = _option(arguments, "--config", "-c")
        described = [] if self._card is None else ["--config", json.dumps(_described(verb, self._card))]
        super().__init__(
            MultiLabelClassifier,
            MultiLabelDataModule,
            subclass_mode_data=True,
            save_config_callback=None,
            auto_configure_optimizers=False,
            seed_everything_default=0,
            trainer_defaults={"max_epochs": 20, "default_root_dir": "runs", "enable_model_summary": False},
            parser_kwargs={"prog": f"mlic {verb}", "exit_on_error": False, "allow_abbrev": False},
            run=False,
            args=described + expanded,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds what is not the trainer's, the model's or the data's, and gives the model the classes of the data."""
        resume = "a checkpoint to go on from" if self.verb == "fit" else "the checkpoint to evaluate"
        parser.add_argument("--ckpt_path", type=Path | None, default=None, help=resume)
        if self.verb == "fit":
            parser.add_argument(
                "--name", type=str | None, default=None, help="of the run; by default the config's name"
            )
        parser.link_arguments("data.classes", "model.classes", apply_on="instantiate")
        parser.set_defaults({"data": {"class_path": _IMAGE}})

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parses without LightningCLI's warning about words that do not come from `sys.argv`."""
        self.config = parser.parse_args(args)

    def instantiate_classes(self) -> None:
        """Makes the datamodule, the model and the Trainer."""
        with quietly():
            super().instantiate_classes()

    def before_instantiate_classes(self) -> None:
        """Settles what one part of the configuration decides for another."""
        backbone, data = _init_args(self.config.model.backbone), _init_args(self.config.data)
        if self.verb == "fit":
            self.config.name = self.config.name or _run_name(self._config_name)
        if self._card is not None:
            if "weights" in backbone:
                backbone.weights = "none"  # the checkpoint's own weights follow; nothing is downloaded for them
            if "classes" in data and data.classes is None:
                data.classes = list(self._card["classes"])
        _agree_on_image_size(data, backbone)

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Makes the Trainer: with a run's folder for `fit`, and leaving no files behind otherwise."""
        trainer = self.config_init.trainer
        callbacks = [progress_callback()] if trainer.enable_progress_bar is not False else []
        kwargs["enable_progress_bar"] = bool(callbacks) and sys.stderr.isatty()
        if self.verb != "fit" or trainer.fast_dev_run:
            kwargs |= {"logger": False, "enable_checkpointing": False}
        else:
            self.folder = self._new_folder(Path(trainer.default_root_dir))
            if trainer.enable_checkpointing is not False:
                callbacks.append(BestCheckpoint(self.folder, "val/mAP" if self.datamodule.validates else None))
            callbacks += [RunRecorder(self.folder, self._plain_config()), ReseedEpochs(torch.initial_seed() % 2**32)]
            if trainer.logger is None or trainer.logger is True:
                folder = str(self.folder)
                kwargs["logger"] = [TensorBoardLogger(folder, "", ""), CSVLogger(folder, "", "")]
        return self._instantiate_trainer({**trainer, **kwargs}, callbacks)

    def log_plan(self) -> None:
        """Tells what is about to be trained, and where it goes."""
        backbone = type(self.model.backbone).__name__
        learning = sum(parameter.numel() for parameter in self.model.parameters() if parameter.requires_grad)
        everything = sum(parameter.numel() for parameter in self.model.parameters())
        log.info(
            "model: %s%s, %s, %s; %s of %s parameters learn",
            backbone,
            " (frozen)" if self.model.backbone.frozen else "",
            type(self.model.head).__name__,
            type(self.model.loss).__name__,
            f"{learning:,}",
            f"{everything:,}",
        )
        if self.folder is not None:
            log.info("run: %s", self.folder)

    def _new_folder(self, root: Path) -> Path:
        # Only the first process writes; Lightning tells the others where its checkpoints went.
        return (
            new_run_folder(root, self.config.name)
            if getattr(rank_zero_only, "rank", 0) == 0
            else root / self.config.name
        )

    def _plain_config(self) -> dict[str, Any]:
        settled = self.config.clone()
        # Absolute, so that the saved configuration works from any folder.
        for key, value in list(settled.items()):
            if isinstance(value, Path):
                settled[key] = value.expanduser().absolute()
        config: dict[str, Any] = yaml.safe_load(self.parser.dump(settled, skip_unset=False, format="yaml"))
        return config


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keeps stdout for results, whatever Lightning prints, and leaves out what it says beside the point."""
    advice = (
        ".*does not have many workers.*",  # the number is chosen from the machine's cores
        ".*is smaller than the logging interval.*",
        ".*directory .* exists and is not empty.*",  # the run's own folder, which the run has just made
        ".*callbacks used to create the checkpoint.*",  # those of `fit`, which evaluation does without
        ".*LeafSpec.*",  # raised inside torch 2.14 by Lightning 2.6
        ".*in eval mode at the start of training.*",  # a frozen backbone
        ".*across ranks is zero.*",  # no validation data
        ".*sync_dist=True.*",  # the metrics are computed from the rows of all processes, not averaged
    )
    _hush()
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        for pattern in advice:
            warnings.filterwarnings("ignore", message=pattern)
        yield


def _hush() -> None:
    for library in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(library).setLevel(logging.WARNING)  # importing them has set INFO


def _described(verb: Verb, card: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the configuration that a checkpoint carries: the parts always, the training's own for `fit`."""
    config = dict(card.get("config") or {})
    data = {"data": config["data"]} if "data" in config else {}
    if verb == "fit":
        config.pop("ckpt_path", None)
        return {**config, "model": {**config.get("model", {}), **card["model"]}}
    return {"model": card["model"], **data}


def _option(arguments: list[str], *names: str) -> str | None:
    """Returns the last value of an option that is needed before the parser exists."""
    value = None
    for word, following in itertools.zip_longest(arguments, arguments[1:]):
        option, equals, attached = word.partition("=")
        if option in names:
            value = attached if equals else following
    return value


def _checkpoint_path(expanded: list[str]) -> str | None:
    """Returns the checkpoint that the words name, or else the last configuration that names one."""
    on_the_line = _option(expanded, "--ckpt_path")
    if on_the_line is not None:
        return None if on_the_line == "null" else on_the_line
    configs = [following for word, following in itertools.pairwise(expanded) if word in ("-c", "--config")]
    named = [json.loads(config).get("ckpt_path") for config in configs]
    return next((path for path in reversed(named) if path), None)


def _init_args(part: Any) -> Namespace:
    """Returns the arguments of a part in the configuration; none where it is a function, or takes none."""
    arguments = part.get("init_args") if isinstance(part, Namespace) else None
    return Namespace() if arguments is None else arguments


def _run_name(config_path: str | None) -> str:
    return "run" if config_path is None else Path(config_path).stem


def _agree_on_image_size(data: Namespace, backbone: Namespace) -> None:
    if "image_size" not in data or "image_size" not in backbone:
        return
    if data.image_size is None or data.image_size == backbone.image_size:
        return
    if backbone.image_size is not None:
        raise UsageError(
            f"data.image_size is {data.image_size} and model.backbone.init_args.image_size is {backbone.image_size}; "
            "say it in one place, the other follows"
        )
    backbone.image_size = data.image_size
