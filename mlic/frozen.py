"""Training a head behind a frozen backbone: its features are computed once, and take the place of the images."""

import dataclasses
import hashlib
import importlib.metadata
import logging
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from jaxtyping import Int64
from pytorch_lightning.callbacks import BaseFinetuning
from pytorch_lightning.utilities.model_helpers import is_overridden

import mlic.headers
import mlic.heads.pooling
import mlic.images
import mlic.jpeg
import mlic.pixels
from mlic.classifier import MultiLabelClassifier
from mlic.datamodules.augmentation import Augmentation
from mlic.datamodules.base import MultiLabelDataModule
from mlic.datamodules.features import FeatureData, Kept, is_whole
from mlic.datamodules.image import ImageDataModule
from mlic.digests import ImageDigests, code_digest
from mlic.errors import ImageError, MlicError
from mlic.extraction import Pictures, extract, view_keys
from mlic.features import FeatureDtype, FeatureStore, StoreError
from mlic.images import read_image
from mlic.labels import LabelTable
from mlic.parts import spec

__all__ = ["Keeping", "kept_features", "steps_at_once", "why_not"]

log = logging.getLogger(__name__)

_STEPS = 200
_BYTES_AT_ONCE = 2**26
# Their code decides what features are.
_MODULES = (mlic.headers, mlic.heads.pooling, mlic.images, mlic.jpeg, mlic.pixels)
# What they do to the steps of a training shows in no hook of a batch.
_STEPWISE = (
    pl.callbacks.BatchSizeFinder,
    pl.callbacks.GradientAccumulationScheduler,
    pl.callbacks.LearningRateFinder,
    pl.callbacks.StochasticWeightAveraging,
)
_HOOKS = ("on_train_batch_start", "on_train_batch_end", "on_before_optimizer_step", "on_after_backward")


class Keeping(NamedTuple):
    """How features are kept.

    Attributes:
        root: the folder of stores.
        dtype: how numbers are kept; float16 takes half of the room.
        views: how many augmented views of each training image are kept; 0 keeps the image as it is.
        share_of_disk: of what is free there, how much may be taken.
    """

    root: Path
    dtype: FeatureDtype = "float32"
    views: int = 0
    share_of_disk: float = 0.5


def why_not(model: MultiLabelClassifier, data: MultiLabelDataModule, trainer: pl.Trainer, views: int) -> str:
    """Returns why features cannot take the place of the images; empty where they can."""
    if not model.backbone.frozen:
        return "the backbone learns (model.backbone.freeze is not true)"
    if type(data) is not ImageDataModule:
        return f"{type(data).__name__} does not say which images it shows"
    if data.mixing.is_on:
        return "data.mixing mixes images"
    if data.augmentation.is_random and not views:
        return (
            "training images are augmented at random; --data.augmentation.flip false turns the flip off, "
            "--feature_views 4 keeps four augmented views of each image"
        )
    unfreezing = [type(each).__name__ for each in trainer.callbacks if isinstance(each, BaseFinetuning)]  # type: ignore[attr-defined]
    if unfreezing:
        return f"{unfreezing[0]} lets the backbone learn"
    if model.tta != "none":
        return f"model.tta {model.tta} averages over views of an image"
    if trainer.overfit_batches:  # type: ignore[attr-defined]
        return "trainer.overfit_batches shows the images of a few batches"
    return ""


def kept_features(
    model: MultiLabelClassifier,
    data: ImageDataModule,
    keeping: Keeping,
    precision: str,
    make_trainer: Callable[[], pl.Trainer],
) -> FeatureData:
    """Returns the data with features in place of images; computes those that the store does not have.

    Args:
        model: its backbone is frozen.
        data: the images and labels.
        keeping: where and how.
        precision: of the Trainer that computes features.
        make_trainer: makes it, where there are features to compute.

    Raises:
        ImageError: if an image cannot be read, and `data.on_bad_image` is `error`; or if none of train can.
        MlicError: if an image has changed meanwhile.
        StoreError: if the folder cannot be written, or its disk has not enough room.
    """
    data.image_size = data.image_size or model.backbone.image_size
    data.setup("fit")
    memory = ImageDigests(keeping.root / "digests.sqlite")
    views = keeping.views if data.augmentation.is_random else 0
    train = _Side(data.table("train"), memory, views)
    sides: list[_Side] = [train, *([_Side(data.table("val"), memory)] if data.validates else [])]
    # Augmented images and whole ones do not share a store.
    groups = [([train], data.augmentation), (sides[1:], None)] if views else [(sides, None)]
    kept: dict[_Side, Kept] = {}
    for group, augmentation in groups:
        if not group:
            continue
        store = _store(model, keeping, augmentation, precision)
        missing = _missing(store, group, model.backbone.image_size, augmentation, keeping.share_of_disk)
        if missing is not None:
            extract(model, missing, store, make_trainer(), data.batch_size, data.num_workers)
            store.refresh()
        kept |= {side: _kept(data, store, side) for side in group}
    if not len(kept[train].rows):
        raise ImageError(f"{train.table.source}: none of the {len(train.table)} images of train can be read")
    names: tuple[Literal["train", "val"], ...] = ("train", "val")
    by_name = dict(zip(names, (kept[side] for side in sides), strict=False))
    return FeatureData(data, by_name, data.train_sampler, data.batch_size)


class _Side:
    """The samples of a side, the digests of their images, and the keys of each view of each of them."""

    def __init__(self, table: LabelTable, memory: ImageDigests, views: int = 0) -> None:
        self.table = table
        self.images = memory.of(table.path(row) for row in range(len(table)))
        self.keys = [view_keys(self.images, view) for view in range(views)] if views else [self.images]

    @property
    def known(self) -> Int64[np.ndarray, " samples"]:
        """The rows whose file could be read; the digests of the others say nothing."""
        return np.flatnonzero(self.images.any(axis=1))


def steps_at_once(trainer: pl.Trainer, batch_bytes: int) -> int:
    """Returns how many batches may come at a time: 1 where something has to be done between their steps.

    Args:
        trainer: of the training.
        batch_bytes: of the features of one batch.
    """
    plain = trainer.accumulate_grad_batches == 1 and not trainer.gradient_clip_val
    whole = is_whole(trainer.limit_train_batches) and is_whole(trainer.val_check_interval)
    between = any(_acts_between_steps(callback) for callback in trainer.callbacks)  # type: ignore[attr-defined]
    return max(1, min(_STEPS, _BYTES_AT_ONCE // max(1, batch_bytes))) if plain and whole and not between else 1


def _acts_between_steps(callback: pl.Callback) -> bool:
    if isinstance(callback, pl.callbacks.ModelCheckpoint):
        return not callback.every_n_epochs  # but steps or time
    if isinstance(callback, pl.callbacks.ProgressBar) or type(callback).__module__.startswith("mlic.progress"):
        return False
    return isinstance(callback, _STEPWISE) or any(is_overridden(hook, callback, pl.Callback) for hook in _HOOKS)


def _store(
    model: MultiLabelClassifier, keeping: Keeping, augmentation: Augmentation | None, precision: str
) -> FeatureStore:
    name = str(spec(model.backbone)["init_args"].get("name") or type(model.backbone).__name__)
    description = _description(model, keeping, augmentation, precision)
    return FeatureStore.described(
        keeping.root, name.replace("/", "-").lower(), description, lambda: _feature_shape(model)
    )


def _feature_shape(model: MultiLabelClassifier) -> tuple[int, ...]:
    """Returns the shape of what is kept of one image; found by running a black one."""
    side, training = model.backbone.image_size, model.training
    with torch.no_grad():
        features = model.eval().head.condense(model.feature_map(torch.zeros(1, 3, side, side, dtype=torch.uint8)))
    model.train(training)
    return tuple(features.shape[1:])


def _missing(
    store: FeatureStore, sides: Sequence[_Side], image_size: int, augmentation: Augmentation | None, share: float
) -> Pictures | None:
    """Returns the images that the store lacks; None if it lacks none."""
    views = [(number, side, keys) for number, side in enumerate(sides) for keys in side.keys]
    side_of = np.concatenate([np.full(len(side.known), number) for number, side, _ in views])
    rows = np.concatenate([side.known for _, side, _ in views])
    images = np.concatenate([side.images[side.known] for _, side, _ in views])
    keys = np.concatenate([keys[side.known] for _, side, keys in views])
    missing = store.missing(keys)
    what = "images" if augmentation is None else "augmented images"
    room = f"; the others take {_size(len(missing) * store.row_bytes)}" if len(missing) else ""
    total = sum(len(side.table) for _, side, _ in views)
    log.info("features: %d of %d %s are in %s%s", store.has(keys).sum(), total, what, store.folder, room)
    if not len(missing):
        return None
    _require_room(store, len(missing), share)
    tables = [side.table for side in sides]
    missed = (side_of[missing], rows[missing], images[missing], keys[missing])
    return Pictures(tables, *missed, image_size, augmentation)


def _kept(data: ImageDataModule, store: FeatureStore, side: _Side) -> Kept:
    there = np.logical_and.reduce([side.images.any(axis=1), *(store.has(keys) for keys in side.keys)])
    for row in np.flatnonzero(~there):
        path = side.table.path(row)
        try:
            read_image(path)
        except ImageError as error:
            data.deal_with_bad(str(error))
        else:
            raise MlicError(f"{path}: has changed, or come, while features were computed; run the same command again")
    rows = np.flatnonzero(there)
    return Kept(side.table, rows, [store.features(keys[rows]) for keys in side.keys])


def _description(
    model: MultiLabelClassifier, keeping: Keeping, augmentation: Augmentation | None, precision: str
) -> dict[str, Any]:
    """Returns all that features depend on besides the image."""
    backbone = spec(model.backbone)
    arguments = type(model.backbone).without_weights(backbone["init_args"])
    if "image_size" in arguments:  # the same network, whether somebody asks for its own size or not
        arguments["image_size"] = model.backbone.image_size
    # Those of torchvision are what colours are changed by.
    packages = ("pillow", "simplejpeg", "timm", "torch", *(() if augmentation is None else ("torchvision",)))
    modules = {sys.modules[type(model.backbone).__module__], *_MODULES}
    return {
        "backbone": {"class_path": backbone["class_path"], "init_args": arguments},
        "weights": _weights_digest(model.backbone),
        "preprocessing": {
            "resize": "squash",
            "image_size": model.backbone.image_size,
            "mean": list(model.backbone.mean),
            "std": list(model.backbone.std),
        },
        "condensed": model.head.condensed,
        "augmentation": None if augmentation is None else dataclasses.asdict(augmentation),
        "precision": precision,
        "dtype": keeping.dtype,
        "versions": {package: _version(package) for package in packages},
        "code": code_digest(modules if augmentation is None else {*modules, sys.modules[Augmentation.__module__]}),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _weights_digest(backbone: torch.nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in backbone.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:32]


def _require_room(store: FeatureStore, num_images: int, share: float) -> None:
    needed, free = num_images * store.row_bytes, shutil.disk_usage(store.folder).free
    if needed > share * free:
        raise StoreError(
            f"{store.folder}: the features of {num_images} images take {_size(needed)}, more than "
            f"{100 * share:.0f} % of the {_size(free)} that are free there; give another folder with "
            f"--features PATH, which may take half, half of the room with --feature_dtype float16, or --features off"
        )


def _size(count: int) -> str:
    return f"{count / 2**30:,.1f} GiB" if count >= 2**30 else f"{count / 2**20:,.1f} MiB"
