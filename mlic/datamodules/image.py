"""`ImageDataModule`: photographs and an annotation file to batches."""

import logging
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int64
from torch.utils.data import DataLoader

from mlic.datamodules.augmentation import Augmentation
from mlic.datamodules.base import Batch, MultiLabelDataModule
from mlic.datamodules.classes import ClassChanges, check_keys
from mlic.datamodules.dataset import ImageDataset, Sample
from mlic.datamodules.loading import batches, default_num_workers
from mlic.datamodules.mixing import Mixing, tell_lost
from mlic.datamodules.readers.base import LabelReader
from mlic.datamodules.sampling import EpochSampler, check_batches, epoch_sampler, run_seed
from mlic.datamodules.sides import Sides, Source
from mlic.datamodules.sidetables import Side, SideTables
from mlic.errors import ImageError, UsageError
from mlic.labels import LabelTable
from mlic.labels.counts import ClassCounts, class_counts
from mlic.labels.unknown import Unknown
from mlic.strings import Strings

__all__ = ["ImageDataModule"]

log = logging.getLogger(__name__)

_FLIP_ONLY = Augmentation()
_UNMIXED = Mixing()


class ImageDataModule(MultiLabelDataModule):
    """Reads images and their labels for training and evaluation.

    Evaluation squashes the whole image to the square, since a label may be at the border. Paths are taken from the
    working directory.

    The classes of every file are renamed, then merged, then dropped; then `min_support` drops rare ones, and `classes`
    settles set and order. A name of `rename`, `merge`, `drop` or `unknown_per_class` that the file of train does not
    have is an error; val and test may lack it.

    Labels may be soft, between 0 and 1. The loss takes those of train as they are; what is evaluated on is made hard:
    present above 0.5, absent below, unknown at 0.5.

    Args:
        train: a reader, or the path of an annotation file whose format is recognised. Evaluation does without, where
            `classes` are given.
        val: the same, where a path is read with the arguments of train's reader if that recognises it; or the share of
            train to keep for validation: a sample's side depends on its path below the data root alone, so moving the
            folder or adding images moves no other image.
        test: as val.
        classes: the classes to learn and their order, as a list or as a text file with one a line; by default those of
            train. Another class in an annotation file is an error, or is left out where `min_support` is given; one
            that a file lacks is unknown for its images, or absent where the file lists only what is present.
        image_size: side of the square images in pixels; by default the backbone's.
        batch_size: samples a step and device.
        num_workers: processes that decode; by default half of the cores, at most 8.
        augmentation: what happens at random to training images; by default they are flipped left to right.
        mixing: mixup and cutmix of the training batches; by default neither.
        repeat_threshold: a class that is present in less than this share of the labelled training samples is shown more
            often, such as 0.01 (repeat-factor sampling, Gupta et al. 2019, LVIS, arXiv:1908.03195): an image with a
            class that is present in the share f is shown sqrt(repeat_threshold / f) times an epoch, by the rarest of
            its classes, and each image at least once; what is not whole is rounded at random, so that all epochs are
            of one length. What losses weigh by are still the counts without repeats. None: each image once.
        on_bad_image: `error` stops at an unreadable image and names it; `skip` leaves it out, counts and lists it.
        split_salt: changes which samples a share takes.
        rename: old name of a class -> new name.
        merge: new name -> the classes that it replaces. It is present where any of them is, absent where all are, and
            otherwise unknown; of soft labels it takes the greatest if all are known.
        drop: classes that are left out.
        min_support: classes with fewer known positives in the training samples are left out, on all sides.
        unknown: what stands in place of an unknown label of a training image: `ignore` leaves it out of the loss,
            `negative` makes it absent, `{soft: v}` makes it a soft label. An image of which no label is known stays
            unknown as a whole, and what is evaluated on keeps its unknown labels out of every metric.
        unknown_per_class: the same for single classes, which `unknown` then does not concern.

    Raises:
        LabelError: with every fault of the annotation files, when they are read.
        UsageError: if shares or `repeat_threshold` are not between 0 and 1, `batch_size` is below 1, `num_workers` or
            `min_support` is below 0, or what stands in place of unknown labels is no label.
    """

    def __init__(
        self,
        train: LabelReader | Path | str | None = None,
        val: Source | None = 0.1,
        test: Source | None = None,
        classes: list[str] | Path | str | None = None,
        image_size: int | None = None,
        batch_size: int = 32,
        num_workers: int | None = None,
        augmentation: Augmentation = _FLIP_ONLY,
        mixing: Mixing = _UNMIXED,
        repeat_threshold: float | None = None,
        on_bad_image: Literal["error", "skip"] = "error",
        split_salt: str = "",
        rename: dict[str, str] | None = None,
        merge: dict[str, list[str]] | None = None,
        drop: list[str] | None = None,
        min_support: int = 0,
        unknown: Unknown = "ignore",
        unknown_per_class: dict[str, Unknown] | None = None,
    ) -> None:
        super().__init__()
        for option, mapping in (("rename", rename), ("merge", merge)):
            check_keys(option, mapping or {})
        changes = ClassChanges(rename or {}, merge or {}, drop or [])
        sides = Sides({"train": train, "val": val, "test": test}, changes, split_salt)
        check_batches(batch_size, repeat_threshold)
        if num_workers is not None and num_workers < 0:
            raise UsageError(f"num_workers is {num_workers}; expected 0 or more")
        self._tables = SideTables(sides, classes, min_support, unknown, unknown_per_class)
        self.image_size = image_size
        self.batch_size = batch_size
        self.num_workers = default_num_workers() if num_workers is None else num_workers
        self.augmentation = augmentation
        self.mixing = mixing
        self.repeat_threshold = repeat_threshold
        self.on_bad_image = on_bad_image
        self._skipped: dict[str, None] = {}

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes in order: as given, else those of the annotation file of train that are frequent enough."""
        return self._tables.classes

    @property
    def validates(self) -> bool:
        """Whether `val` is given."""
        return "val" in self._tables

    @property
    def has_soft_labels(self) -> bool:
        """Whether training labels are soft: in the annotation file, for unknown ones, or because they are mixed."""
        return self.mixing.is_on or self.table("train").is_soft

    @property
    def class_counts(self) -> ClassCounts:
        """How often each class is present in the training samples."""
        return class_counts(self.table("train"))

    def table(self, side: Side) -> LabelTable:
        """Returns the samples of one side, aligned to `classes`; reads files when first asked for.

        Of train, unknown labels are what `unknown` makes of them; of val and test, soft labels are made hard.

        Raises:
            UsageError: if the side has no data.
            LabelError: with all faults of the file, or because a class of train has no positive.
        """
        return self._tables[side]

    def image_paths(self, side: Side) -> tuple[Strings, Path]:
        """Returns the paths of the images of a side, and the folder that they start from."""
        table = self._tables[side]
        return table.paths, table.root

    def setup(self, stage: str) -> None:
        """Reads what the stage needs, so that a fault is told before the model starts."""
        self._tables.of_stage(stage)
        if stage == "fit" and self.mixing.is_on:
            tell_lost(self.table("train"))

    def train_dataloader(self) -> DataLoader[Sample]:
        """Returns shuffled, augmented batches; the order depends on seed and epoch alone.

        A single sample that is left over after the last full batch is not shown in that epoch.
        """
        dataset = ImageDataset(self.table("train"), self._side_in_pixels(), self.augmentation, self.seed)
        world, rank = (1, 0) if self.trainer is None else (self.trainer.world_size, self.trainer.global_rank)
        sampler = self.train_sampler(np.arange(len(dataset)), world, rank)
        # A batch of one has no variance, which BatchNorm needs. Shuffling leaves out another sample each epoch.
        one_left = len(sampler) > self.batch_size and len(sampler) % self.batch_size == 1
        return batches(dataset, sampler, self.batch_size, self.num_workers, drop_last=one_left)

    @property
    def seed(self) -> int:
        """What decides the order and the augmentation of the training samples: the seed of the run."""
        return run_seed()

    def train_sampler(self, rows: Int64[np.ndarray, " samples"], world: int, rank: int) -> EpochSampler:
        """Returns the order in which some rows of the training table are shown, as one of `world` processes sees it."""
        threshold = self.repeat_threshold
        # Lightning then takes the images in the order of the table, whatever the sampler (2.6.6).
        if threshold is not None and self.trainer is not None and self.trainer.overfit_batches > 0:  # type: ignore[attr-defined]
            log.warning("train: with trainer.overfit_batches nothing is repeated; data.repeat_threshold does nothing")
            threshold = None
        return epoch_sampler(self.table("train"), rows, threshold, self.seed, world, rank)

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
            self.deal_with_bad(message)
        return batch

    def deal_with_bad(self, message: str) -> None:
        """Deals with one unreadable image as `on_bad_image` says; `message` names it and says why.

        Raises:
            ImageError: if such an image is an error.
        """
        if self.on_bad_image == "error":
            raise ImageError(f"{message}; mend or remove it, or set data.on_bad_image to skip")
        self._skipped[message] = None

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Mixes training images, on the device that they are learnt from."""
        return self.mixing.mix(batch) if self.trainer is not None and self.trainer.training else batch

    def teardown(self, stage: str) -> None:
        """Tells which images were skipped."""
        if self._skipped:
            shown = list(self._skipped)[:20]
            more = f"\n... and {len(self._skipped) - 20} more" if len(self._skipped) > 20 else ""
            log.warning("%d unreadable images were skipped:\n%s%s", len(self._skipped), "\n".join(shown), more)
            self._skipped.clear()

    def _side_in_pixels(self) -> int:
        if self.image_size is None:
            raise UsageError("image_size is not known; give it to ImageDataModule, or use it with a classifier")
        return self.image_size

    def _evaluation_loader(self, side: Literal["val", "test"]) -> DataLoader[Sample]:
        dataset = ImageDataset(self.table(side), self._side_in_pixels())
        return batches(dataset, None, self.batch_size, self.num_workers, drop_last=False)
