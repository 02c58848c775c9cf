"""`fit`, `validate` and `test`: LightningCLI with part names, run folders and checkpoints that describe themselves."""

import itertools
import json
import logging
import math
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, cast

import pytorch_lightning as pl
import torch
import yaml
from jsonargparse import Namespace
from lightning_fabric.utilities.exceptions import MisconfigurationException
from lightning_utilities.core.rank_zero import rank_zero_only
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from mlic.backbones.base import Backbone
from mlic.checkpoints import read_checkpoint
from mlic.classifier import MultiLabelClassifier
from mlic.configuration import expand_names, merge, settle
from mlic.curves import CurveBoard
from mlic.datamodules.base import MultiLabelDataModule
from mlic.datamodules.featurearrays import open_features
from mlic.datamodules.featurefiles import FeatureFileDataModule
from mlic.datamodules.features import FeatureData
from mlic.devices import forget_absent_gpus
from mlic.errors import CheckpointError, UsageError
from mlic.features import FeatureDtype, FeatureStore, StoredFeatures, StoreError
from mlic.frozen import Keeping, kept_features, steps_at_once, why_not
from mlic.heads.base import Head
from mlic.losses.base import Loss
from mlic.parts import class_of
from mlic.progress import hush, progress_callback, quietly
from mlic.runs import BestCheckpoint, LastCheckpoint, RunRecorder, new_run_folder
from mlic.threads import log_threads
from mlic.thresholds import DecisionRule

__all__ = ["TrainingCLI", "Verb"]

log = logging.getLogger(__name__)

Verb = Literal["fit", "extract", "validate", "calibrate", "test"]

_LEARNING = ("fit", "extract")
_OF_FEATURES = ("features", "feature_views", "feature_dtype")
_WORDS = {"extract": "features extract"}
_LIGHTNING = {"calibrate": "validate"}

_ASKED, _UNASKED = 0.5, 0.1  # of the free disk, for features
_NO_FOLDERS = ("", "auto", "off", "on", "no", "yes", "false", "true", "none", "null")

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
        verb: `fit`, `validate` or `test`; `extract` is `fit` without the training, `calibrate` a validation.
        arguments: the words after the verb.

    Attributes:
        folder: the run's folder; None unless the verb is `fit`, or with `trainer.fast_dev_run`.
        checkpoint_path: the checkpoint to resume or to evaluate.

    Raises:
        UsageError: if the configuration is wrong.
    """

    def __init__(self, verb: Verb, arguments: list[str]) -> None:
        hush()
        forget_absent_gpus()
        self.verb = verb
        self.folder: Path | None = None
        self.checkpoint_path: str | None = None
        self._card: Mapping[str, Any] | None = None
        self._config_name = _option(arguments, "--config", "-c")
        super().__init__(
            MultiLabelClassifier,
            MultiLabelDataModule,
            subclass_mode_data=True,
            save_config_callback=None,
            auto_configure_optimizers=False,
            seed_everything_default=0,
            trainer_defaults={"max_epochs": 20, "default_root_dir": "runs", "enable_model_summary": False},
            parser_kwargs={
                "prog": "mlic features extract" if verb == "extract" else f"mlic {verb}",
                "exit_on_error": False,
                "allow_abbrev": False,
            },
            run=False,
            args=arguments,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds what is not the trainer's, the model's or the data's, and gives the model the classes of the data."""
        resume = "a checkpoint to go on from" if self.verb in _LEARNING else "the checkpoint to evaluate"
        parser.add_argument("--ckpt_path", type=Path | None, default=None, help=resume)
        if self.verb in _LEARNING:
            parser.add_argument(
                "--features",
                type=Literal["auto", "off"] | Path,
                default="auto",
                help="where the features of a frozen backbone are kept, so that no image runs twice: auto (in the "
                "cache, where nothing random stands before the backbone), off, or a folder",
            )
            parser.add_argument(
                "--feature_views", type=int, default=0, help="augmented views of each training image that are kept"
            )
            parser.add_argument("--feature_dtype", type=FeatureDtype, default="float32", help="how they are kept")
        parser.add_argument("--name", type=str | None, default=None, help="of the run; by default the config's name")
        parser.link_arguments("data.classes", "model.classes", apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Brings defaults, checkpoint, files and words together, in this order, and parses the result.

        Raises:
            UsageError: if a part is not known, or no checkpoint is named where one is needed.
        """
        said, left = settle(args)
        self.checkpoint_path = _option(left, "--ckpt_path") or said.get("ckpt_path")
        if self.checkpoint_path in (None, "null"):
            self.checkpoint_path = None
            if self.verb not in _LEARNING and not any(word.startswith(("--print_config", "--help")) for word in left):
                raise UsageError(f"mlic {self.verb} needs a checkpoint: --ckpt_path runs/<name>/v<k>/best.ckpt")
        else:
            self._card = read_checkpoint(self.checkpoint_path)["mlic"]
            said = merge(expand_names(_described(self.verb, self._card)), said)
        # A default part counts only where nobody names another: its arguments are not defaults of the other's.
        if "class_path" not in said.setdefault("data", {}):
            said["data"] = merge({"class_path": _IMAGE}, said["data"])
        if self.verb not in _LEARNING:
            said = {key: value for key, value in said.items() if key not in _OF_FEATURES}  # of a run's config.yaml
        if said.get("features") is False:  # YAML's reading of `off`
            said["features"] = "off"
        model = said.setdefault("model", {})
        for part, default in _take_default_parts(parser).items():
            if "class_path" not in (model.get(part) or {}):
                model[part] = merge(default, model.get(part) or {})
        self.config = parser.parse_args(["--config", json.dumps(said), *left])
        if self.verb in ("validate", "test") and self._card is not None:
            _refuse_unfitted(self.verb, vars(self.config.model.decision), self._card["model"].get("decision"))

    def instantiate_classes(self) -> None:
        """Makes the datamodule, the model and the Trainer."""
        with quietly():
            super().instantiate_classes()

    def before_instantiate_classes(self) -> None:
        """Settles what one part of the configuration decides for another."""
        backbone, data = _init_args(self.config.model.backbone), _init_args(self.config.data)
        _agree_on_image_size(data, backbone)
        _agree_on_num_features(data, backbone)
        self.config.name = self.config.name or _run_name(self._config_name)
        # What is recorded still names the weights; what is made now takes the checkpoint's.
        self._recorded = self._plain_config()
        if self._card is not None:
            backbone_class = class_of({"class_path": self.config.model.backbone.class_path}, Backbone)
            backbone.update(backbone_class.without_weights(dict(backbone)))
            head = _init_args(self.config.model.head)
            head_class = class_of({"class_path": self.config.model.head.class_path}, Head)
            head.update(head_class.without_files(dict(head)))
            # A file may have changed since, and `min_support` would count again.
            if "classes" in data and (not isinstance(data["classes"], list) or data.get("min_support")):
                data["classes"] = list(self._card["classes"])

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Makes the Trainer: with a run's folder for `fit`, and leaving no files behind otherwise.

        Raises:
            UsageError: if Lightning refuses its options.
        """
        trainer = self.config_init.trainer
        callbacks = [progress_callback()] if trainer.enable_progress_bar is not False else []
        kwargs["enable_progress_bar"] = bool(callbacks) and sys.stderr.isatty()
        if self.verb != "fit" or trainer.fast_dev_run:
            kwargs |= {"logger": False, "enable_checkpointing": False}
        else:
            folder = self._new_folder(Path(trainer.default_root_dir))
            if trainer.enable_checkpointing is not False:
                callbacks.append(BestCheckpoint(folder, "val/mAP" if self.datamodule.validates else None))
                callbacks.append(LastCheckpoint(folder))  # after the best, whose score it has in it
            callbacks += [RunRecorder(folder, self._recorded), ReseedEpochs(torch.initial_seed() % 2**32), CurveBoard()]
            if trainer.logger is None or trainer.logger is True:
                kwargs["logger"] = [TensorBoardLogger(str(folder), "", ""), CSVLogger(str(folder), "", "")]
        try:
            return self._instantiate_trainer({**trainer, **kwargs}, callbacks)
        except (MisconfigurationException, ValueError) as error:
            raise UsageError(f"trainer: {str(error).strip().splitlines()[0]}") from error

    def run(self) -> None:
        """Does what the verb says.

        Raises:
            CheckpointError: if the checkpoint does not fit the model that the configuration describes.
        """
        run = getattr(self.trainer, _LIGHTNING.get(self.verb, self.verb))
        options = {} if self.verb == "fit" else {"verbose": False}
        try:
            with quietly():
                data = self._with_features() if self.verb == "fit" else self.datamodule
                if self.verb == "fit" and isinstance(data, FeatureData | FeatureFileDataModule):
                    data.steps = steps_at_once(self.trainer, 4 * data.batch_size * math.prod(data.row_shape))
                run(self.model, data, ckpt_path=self.checkpoint_path, weights_only=True, **options)
        except RuntimeError as error:
            if "loading state_dict" not in str(error):
                raise
            faults = [line.strip() for line in str(error).splitlines()[1:3]]
            raise CheckpointError(f"{self.checkpoint_path} does not fit the model: {' '.join(faults)}") from error

    def extract(self) -> list[Path]:
        """Computes the features that a training of this configuration needs, and returns the folders of their stores.

        Raises:
            UsageError: if they cannot be kept.
        """
        with quietly():
            data = self._with_features(required=True)
        views = [view for kept in cast(FeatureData, data).sides.values() for view in kept.views]
        return sorted({cast(StoredFeatures, view).folder for view in views})

    def log_plan(self) -> None:
        """Tells what is about to be trained, and where it goes."""
        weights = _init_args(self.config.model.backbone).get("weights")
        if self.model.backbone.frozen and weights == "none" and self._card is None:
            log.warning("the backbone is frozen with random weights: its features mean nothing, the head learns little")
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
        log_threads()
        if self.folder is not None:
            log.info("run: %s", self.folder)

    def _with_features(self, required: bool = False) -> MultiLabelDataModule:
        """Returns the data with features in place of images, where they can be kept; otherwise as it is.

        Raises:
            UsageError: if they are asked for, or `required`, and cannot be kept.
        """
        wanted, views = _checked_features(self.config_init.features), self.config_init.feature_views
        if views < 0:
            raise UsageError(f"feature_views is {views}; expected the number of views to keep of each image, such as 4")
        if isinstance(self.datamodule, FeatureFileDataModule):
            if required or views or wanted not in ("auto", "off"):
                raise UsageError(
                    "the data has features computed elsewhere, and there are no images to compute any of; leave out "
                    "--features and --feature_views"
                )
            return self.datamodule
        reason = why_not(self.model, self.datamodule, self.trainer, views)
        if self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            reason = "trainer.fast_dev_run shows a batch only"
        if required and wanted == "off":
            raise UsageError("features are off, and nothing else is to be done; leave out --features off")
        if not required and (wanted == "off" or (wanted == "auto" and reason)):
            if wanted == "auto" and self.model.backbone.frozen:
                log.info("features: not kept, since %s", reason)
            return cast(MultiLabelDataModule, self.datamodule)
        if reason:
            raise UsageError(f"features cannot be kept, since {reason}")
        if not self.datamodule.augmentation.is_random and views:
            raise UsageError(f"feature_views is {views}, and data.augmentation changes nothing; leave one of them out")
        return self._features_in(None if wanted == "auto" else wanted, views, required)

    def _features_in(self, named: Path | None, views: int, required: bool) -> MultiLabelDataModule:
        """Returns the data with features that are kept in a folder; where none is named, in the cache."""
        # Nobody has asked for a large part of the disk.
        unasked = named is None and not required
        try:
            root = FeatureStore.default_root() if named is None else named.expanduser()
            keeping = Keeping(root, self.config_init.feature_dtype, views, _UNASKED if unasked else _ASKED)
            precision = str(self.trainer.precision)
            return kept_features(self.model, self.datamodule, keeping, precision, self._extracting_trainer)
        except StoreError as error:
            if not unasked:
                raise
            log.warning("features: not kept: %s", error)
            return cast(MultiLabelDataModule, self.datamodule)

    def _extracting_trainer(self) -> pl.Trainer:
        """Makes a Trainer on the same devices that leaves nothing behind."""
        config = self.config_init.trainer
        same = {name: config[name] for name in ("accelerator", "devices", "num_nodes", "precision", "strategy")}
        if not isinstance(same["strategy"], str):
            same["strategy"] = "auto"  # an object belongs to the Trainer that trains
        return pl.Trainer(
            **same, logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False
        )

    def _new_folder(self, root: Path) -> Path:
        """Makes the run's folder; only the first process does, and Lightning tells the others of checkpoints."""
        if getattr(rank_zero_only, "rank", 0) != 0:
            return root / str(self.config.name)
        folder = self.folder = new_run_folder(root, self.config.name)
        return folder

    def _plain_config(self) -> dict[str, Any]:
        settled = self.config.clone()
        # Absolute, so that the saved configuration works from any folder.
        for key, value in list(settled.items()):
            if isinstance(value, Path):
                settled[key] = value.expanduser().absolute()
        config: dict[str, Any] = yaml.safe_load(self.parser.dump(settled, skip_unset=False, format="yaml"))
        return config


def _take_default_parts(parser: LightningArgumentParser) -> dict[str, dict[str, Any]]:
    """Takes the default parts of the model's signature out of the parser, where they would lend their arguments."""
    defaults = parser.get_defaults().model
    parts = {part: defaults[part] for part in ("backbone", "head", "loss", "optimizer")}
    parser.set_defaults({f"model.{part}": None for part in parts})
    return {part: default.as_dict() if isinstance(default, Namespace) else default for part, default in parts.items()}


def _described(verb: Verb, card: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the configuration that a checkpoint carries: for `fit` all of it, else what evaluation needs."""
    for part, base in (("backbone", Backbone), ("head", Head), ("loss", Loss)):
        class_of(card["model"][part], base)  # before anything that a file names is called
    config = dict(card.get("config") or {})
    config.pop("ckpt_path", None)
    if verb in _LEARNING:
        return {**config, "model": {**card["model"], **config.get("model", {})}}
    precision = config.get("trainer", {}).get("precision")
    data = {"data": config["data"]} if "data" in config else {}
    return {"model": card["model"], **data, **({"trainer": {"precision": precision}} if precision else {})}


def _refuse_unfitted(verb: Verb, asked: Mapping[str, Any], fitted: Mapping[str, Any] | None) -> None:
    """Refuses what would take fitting: the decisions that are judged are those of the checkpoint."""
    fitted = {**asdict(DecisionRule()), **(fitted or {})}
    other = [name for name in asked if name != "at_most" and asked[name] != fitted[name]]
    if other:
        raise UsageError(
            f"model.decision.{other[0]} is {asked[other[0]]}, and the checkpoint was fitted for {fitted[other[0]]}; "
            f"mlic {verb} judges its decisions as they are: fit them anew with mlic calibrate"
        )


def _option(arguments: list[str], *names: str) -> str | None:
    """Returns the last value of an option that is needed before the parser exists."""
    value = None
    for word, following in itertools.zip_longest(arguments, arguments[1:]):
        option, equals, attached = word.partition("=")
        if option in names:
            value = attached if equals else following
    return value


def _init_args(part: Any) -> MutableMapping[str, Any]:
    """Returns the arguments of a part in the configuration, to read and set; none where it takes none."""
    arguments = part.get("init_args") if isinstance(part, Namespace) else None
    return {} if arguments is None else vars(arguments)


def _run_name(config_path: str | None) -> str:
    return "run" if config_path is None else Path(config_path).stem


def _agree_on_image_size(data: MutableMapping[str, Any], backbone: MutableMapping[str, Any]) -> None:
    if "image_size" not in data or "image_size" not in backbone:
        return
    if data["image_size"] is None or data["image_size"] == backbone["image_size"]:
        return
    if backbone["image_size"] is not None:
        raise UsageError(
            f"data.image_size is {data['image_size']}, model.backbone.init_args.image_size {backbone['image_size']}; "
            "say it in one place, the other follows"
        )
    backbone["image_size"] = data["image_size"]


def _checked_features(wanted: Path | str | None) -> Any:
    """Returns where features are to be kept: `auto`, `off` or a folder.

    Raises:
        UsageError: if it is a word that was hardly meant for a folder.
    """
    if wanted in ("auto", "off"):
        return wanted
    word = "" if wanted == Path() else str(wanted)
    if word.lower() in _NO_FOLDERS:
        raise UsageError(f"--features is '{word}'; expected auto, off or a folder (one of this name is ./{word})")
    return wanted


def _agree_on_num_features(data: Mapping[str, Any], backbone: MutableMapping[str, Any]) -> None:
    """Gives a backbone that does not say how many features it has as many as a file of features holds."""
    if data.get("features") is not None and backbone.get("num_features", 0) is None:
        backbone["num_features"] = int(open_features(Path(data["features"])).shape[1])
