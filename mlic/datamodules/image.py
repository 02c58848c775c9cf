"""`ImageDataModule`: photographs and an annotation file to batches."""

import logging
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from torch.utils.data import DataLoader

from mlic.datamodules.augmentation import Augmentation
from mlic.datamodules.base import Batch, MultiLabelDataModule
from mlic.datamodules.dataset import EpochSampler, ImageDataset, Sample, collate
from mlic.datamodules.readers.base import LabelReader
from mlic.datamodules.readers.recognise import recognise
from mlic.errors import Faults, ImageError, LabelError, PluginError, UsageError
from mlic.labels import LabelTable
from mlic.plugins import available, load

__all__ = ["ImageDataModule", "Source", "default_num_workers"]

log = logging.getLogger(__name__)

Source = LabelReader | float | Path
"""A reader, a path whose format is recognised, or (for val and test) a share of train."""

_FLIP_ONLY = Augmentation()


class ImageDataModule(MultiLabelDataModule):
    """Reads images and their labels for training and evaluation.

    Evaluation squashes the whole image to the square, since a label may be at the border. Paths are taken from the
    working directory.

    Args:
        train: a reader, or the path of an annotation file whose format is recognised.
        val: the same, or the share of train to keep for validation: a sample's side depends on its path below the data
            root alone, so moving the folder or adding images moves no other image.
        test: as val.
        classes: the classes to learn and their order; by default those of train. Another class in an annotation file is
            an error, one that a file lacks is unknown for its images.
        image_size: side of the square images in pixels; by default the backbone's.
        batch_size: samples a step and device.
        num_workers: processes that decode; by default half of the cores, at most 8.
        augmentation: what happens at random to training images; by default they are flipped left to right.
        on_bad_image: `error` stops at an unreadable image and names it; `skip` leaves it out, counts and lists it.
        split_salt: changes which samples a share takes.

    Raises:
        LabelError: with every fault of the annotation files, when they are read.
        UsageError: if shares are not between 0 and 1.
    """

    def __init__(
        self,
        train: LabelReader | Path,
        val: Source | None = 0.1,
        test: Source | None = None,
        classes: list[str] | None = None,
        image_size: int | None = None,
        batch_size: int = 32,
        num_workers: int | None = None,
        augmentation: Augmentation = _FLIP_ONLY,
        on_bad_image: Literal["error", "skip"] = "error",
        split_salt: str = "",
    ) -> None:
        super().__init__()
        self._sources: dict[str, Source | None] = {"train": train, "val": val, "test": test}
        self._shares = {side: source for side, source in self._sources.items() if isinstance(source, float | int)}
        _check_shares(self._shares)
        self._classes = None if classes is None else tuple(classes)
        self.image_size = image_size
        self.batch_size = batch_size
        self.num_workers = default_num_workers() if num_workers is None else num_workers
        self.augmentation = augmentation
        self.on_bad_image = on_bad_image
        self._split_salt = split_salt
        self._tables: dict[str, LabelTable] = {}
        self._skipped: dict[str, None] = {}

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes in order: as given, else those of the annotation file of train."""
        return self._classes if self._classes is not None else self._sides["train"].classes

    @property
    def validates(self) -> bool:
        """Whether `val` is given."""
        return self._sources["val"] is not None

    def table(self, side: Literal["train", "val", "test"]) -> LabelTable:
        """Returns the samples of one side, aligned to `classes`; reads files when first asked for.

        Raises:
            UsageError: if the side has no data.
            LabelError: with all faults of the file, or because a class of train has no positive.
        """
        if side not in self._tables:
            table = self._unaligned(side).align(self.classes)
            _check_samples(side, table, self._shares)
            if side == "train":
                _check_positives(table)
            log.info("%s: %s", side, _summary(table))
            self._tables[side] = table
        return self._tables[side]

    def setup(self, stage: str) -> None:
        """Reads what the stage needs, so that a fault is told before the model starts."""
        sides = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",)}.get(stage, ())
        for side in sides:
            if side != "val" or stage == "validate" or self.validates:
                self.table(side)  # type: ignore[arg-type]

    def train_dataloader(self) -> DataLoader[Sample]:
        """Returns shuffled, augmented batches; the order depends on seed and epoch alone."""
        seed = int(os.environ.get("PL_GLOBAL_SEED", "0"))
        dataset = ImageDataset(self.table("train"), self._side_in_pixels(), self.augmentation, seed)
        world, rank = (1, 0) if self.trainer is None else (self.trainer.world_size, self.trainer.global_rank)
        sampler = EpochSampler(dataset, num_replicas=world, rank=rank, shuffle=True, seed=seed % 2**32)
        return self._loader(dataset, sampler)

    def val_dataloader(self) -> DataLoader[Sample] | list[DataLoader[Sample]]:
        """Returns the validation samples in order, or no loader where there is no validation data."""
        return self._evaluation_loader("val") if self.validates else []

    def test_dataloader(self) -> DataLoader[Sample]:
        """Returns the test samples in order."""
        return self._evaluation_loader("test")

    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Deals with unreadable images as `on_bad_image` says.

        Raises:
            ImageError: naming the first unreadable image of the batch.
        """
        for _, message in batch.errors:
            if self.on_bad_image == "error":
                raise ImageError(f"{message}; mend or remove it, or set data.on_bad_image to skip")
            self._skipped[message] = None
        return batch

    def teardown(self, stage: str) -> None:
        """Tells which images were skipped."""
        if self._skipped:
            shown = list(self._skipped)[:20]
            more = f"\n... and {len(self._skipped) - 20} more" if len(self._skipped) > 20 else ""
            log.warning("%d unreadable images were skipped:\n%s%s", len(self._skipped), "\n".join(shown), more)
            self._skipped.clear()

    @cached_property
    def _sides(self) -> dict[str, LabelTable]:
        """The file of train, split into the sides that are a share of it."""
        source = self._sources["train"]
        return _read(source).split(self._shares, salt=self._split_salt)  # type: ignore[arg-type]

    def _unaligned(self, side: str) -> LabelTable:
        source = self._sources[side]
        if source is None:
            raise UsageError(
                f"there is no {side} data; give its annotation file with --data.{side} PATH, or a share of train"
            )
        if side == "train" or side in self._shares:
            return self._sides[side]
        return _read(source)  # type: ignore[arg-type]

    def _side_in_pixels(self) -> int:
        if self.image_size is None:
            raise UsageError("image_size is not known; give it to ImageDataModule, or use it with a classifier")
        return self.image_size

    def _evaluation_loader(self, side: Literal["val", "test"]) -> DataLoader[Sample]:
        return self._loader(ImageDataset(self.table(side), self._side_in_pixels()), None)

    def _loader(self, dataset: ImageDataset, sampler: EpochSampler | None) -> DataLoader[Sample]:
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            sampler=sampler,
            num_workers=self.num_workers,
            collate_fn=collate,
            pin_memory=torch.cuda.is_available(),
            persistent_workers=self.num_workers > 0,
        )


def default_num_workers() -> int:
    """Returns half of the cores this process may use, at most 8; the other half computes. 0 on one core."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, cores // 2)


def _read(source: LabelReader | Path) -> LabelTable:
    if isinstance(source, LabelReader):
        return source.read()
    readers: dict[str, type[LabelReader]] = {}
    for plugin in available("readers"):
        try:
            readers.setdefault(plugin.name, load(plugin))
        except PluginError as error:  # a broken plug-in hurts nobody who does not name it
            log.warning("%s", error)
    return recognise(source, readers).read()


def _check_shares(shares: dict[str, float]) -> None:
    for side, share in shares.items():
        if side == "train":
            raise UsageError(f"train is {share}; expected a reader or the path of an annotation file")
        if not 0 < share < 1:
            raise UsageError(f"{side} is {share}; a share of train lies between 0 and 1")
    if sum(shares.values()) >= 1:
        raise UsageError(f"val and test take {sum(shares.values()):g} of train together; nothing is left to learn from")


def _check_samples(side: str, table: LabelTable, shares: dict[str, float]) -> None:
    if len(table):
        return
    if side in shares:
        raise LabelError(
            f"{table.source}: a share of {shares[side]} leaves no sample for {side}; "
            f"take a larger one, or give {side} a file of its own"
        )
    raise LabelError(f"{table.source}: no sample; expected at least one image with its labels")


def _check_positives(table: LabelTable) -> None:
    faults = Faults()
    for name, support in zip(table.classes, table.support(), strict=True):
        if support == 0:
            where = table.origins.get(name, table.source)
            faults.add(
                f"{where}: class '{name}' has no positive among the {len(table)} training samples, "
                "so nothing can be learnt about it; add some, or take the class out (csv: ignore_columns)"
            )
    faults.raise_if_any()


def _summary(table: LabelTable) -> str:
    positives = int(table.support().sum())
    words = [
        f"{len(table)} images",
        f"{table.num_classes} classes",
        f"{positives / max(table.num_labelled, 1):.2f} labels an image",
    ]
    counts: Sequence[tuple[int, str]] = [
        (table.num_all_negative, "with none of the classes"),
        (table.num_unlabelled, "unlabelled"),
        (table.num_unknown_cells, "unknown cells"),
    ]
    return ", ".join(words + [f"{count} {what}" for count, what in counts if count])
