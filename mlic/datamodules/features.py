"""`FeatureData`: the samples of an `ImageDataModule` with the features that a store keeps of them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import pytorch_lightning as pl
import torch
from jaxtyping import Float, Int64

from mlic.datamodules.base import FeatureBatch, MultiLabelDataModule, Side
from mlic.datamodules.sampling import EpochSampler
from mlic.labels import LabelTable
from mlic.labels.counts import ClassCounts

__all__ = [
    "FeatureData",
    "FeatureLoader",
    "FeatureRows",
    "Kept",
    "OfFeatures",
    "evaluation_loader",
    "is_whole",
    "training_loader",
]

_EVALUATED_BYTES = 2**26  # of features an evaluation handles at a time


@runtime_checkable
class FeatureRows(Protocol):
    """Features of some images, in order, of which a few are read at a time."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of images, then the shape of one's features."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, items: slice | Int64[np.ndarray, " items"]) -> Float[np.ndarray, "items ..."]:
        """Reads the features of some images."""
        ...


class Kept(NamedTuple):
    """The samples of one side of which there are features.

    Attributes:
        table: all samples of the side.
        rows: those of them whose image could be read.
        views: their features, once for each augmented view; evaluation has one.
    """

    table: LabelTable
    rows: Int64[np.ndarray, " samples"]
    views: Sequence[FeatureRows]

    def batch(self, at: Int64[np.ndarray, " batch"], view: int = 0, batch_size: int = 0) -> FeatureBatch:
        """Returns some of the samples, which `at` counts among `rows`."""
        features = torch.from_numpy(np.ascontiguousarray(self.views[view % len(self.views)][at]))
        rows = self.rows[at]
        return FeatureBatch(features, torch.from_numpy(self.table.dense(rows)), torch.from_numpy(rows), batch_size)


class FeatureLoader:
    """Yields the batches of an epoch, several at a time, without a worker and without a Python call a sample.

    Args:
        kept: the samples.
        batch_size: samples a step and device.
        sampler: in which order; None for the order of the rows, and for samples that no step learns from.
        steps: how many batches make one `FeatureBatch`.
        drop_last: whether to leave out a last batch that is not full.
        world: number of processes that share the samples out, where there is no sampler that does.
        rank: of this process.
    """

    batch_sampler: None = None  # Lightning looks here as well where there is a sampler

    def __init__(
        self,
        kept: Kept,
        batch_size: int,
        sampler: EpochSampler | None = None,
        steps: int = 1,
        *,
        drop_last: bool = False,
        world: int = 1,
        rank: int = 0,
    ) -> None:
        self.kept = kept
        self.batch_size = batch_size
        self.sampler = sampler  # Lightning finds it here and tells it the epoch
        self.steps = steps
        self.drop_last = drop_last
        # As many for each process, as DistributedSampler has it; metrics take each sample once.
        count = len(kept.rows)
        self._mine = np.arange(rank, -(-count // world) * world, world) % max(count, 1)

    def __len__(self) -> int:
        return -(-self._length // (self.batch_size * self.steps))

    def __iter__(self) -> Iterator[FeatureBatch]:
        epoch = 0 if self.sampler is None else self.sampler.epoch
        order = self._mine if self.sampler is None else self.sampler.order()
        size = self.batch_size * self.steps
        for start in range(0, self._length, size):
            yield self.kept.batch(order[start : min(start + size, self._length)], epoch, self.batch_size)

    @property
    def num_steps(self) -> int:
        """The number of batches of an epoch, each of which a step learns from."""
        return -(-self._length // self.batch_size)

    @property
    def _length(self) -> int:
        length = len(self._mine) if self.sampler is None else len(self.sampler)
        return length - length % self.batch_size if self.drop_last else length


def training_loader(kept: Kept, sampler: EpochSampler, batch_size: int, steps: int) -> FeatureLoader:
    """Returns shuffled batches.

    Args:
        kept: the samples.
        sampler: their order.
        batch_size: samples a step and device.
        steps: how many batches come at a time.
    """
    # As in training on images: a batch of one has no variance, which BatchNorm needs.
    one_left = len(sampler) > batch_size and len(sampler) % batch_size == 1
    return FeatureLoader(kept, batch_size, sampler, steps, drop_last=one_left)


def evaluation_loader(kept: Kept, world: int, rank: int, batch_size: int | None = None) -> FeatureLoader:
    """Returns the samples in order.

    Args:
        kept: the samples.
        world: number of processes that share the samples out.
        rank: of this process.
        batch_size: samples that come at a time; None: as many as fit well into memory with their labels and logits.
    """
    row_bytes = 4 * (int(np.prod(kept.views[0].shape[1:])) + len(kept.table.classes))
    return FeatureLoader(kept, batch_size or max(1, _EVALUATED_BYTES // row_bytes), world=world, rank=rank)


def is_whole(limit: int | float | None) -> bool:
    """Says whether a limit of the Trainer on the batches of an epoch leaves all; the whole number 1 is one batch.

    Example:
        >>> is_whole(1.0), is_whole(1), is_whole(None)
        (True, False, True)
    """
    return limit is None or (isinstance(limit, float) and limit == 1.0)


@runtime_checkable
class OfFeatures(Protocol):
    """A datamodule that yields `FeatureBatch`.

    Attributes:
        sides: the samples and their features.
        steps: how many training batches come at a time.
    """

    sides: Mapping[Side, Kept]
    steps: int


class FeatureData(MultiLabelDataModule):
    """What an `ImageDataModule` reads, with features in place of images; for a head that learns alone.

    Args:
        images: the datamodule that has the labels.
        sides: the features of train, and of val if there is one.
        sampler: makes the order of the training samples from their rows.
        steps: how many training batches come at a time.
    """

    def __init__(
        self,
        images: MultiLabelDataModule,
        sides: Mapping[Side, Kept],
        sampler: "SamplerFactory",
        batch_size: int,
        steps: int = 1,
    ) -> None:
        super().__init__()
        self.images = images
        self.sides: Mapping[Side, Kept] = sides
        self.batch_size = batch_size
        self.steps = steps
        self._sampler = sampler

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes in order."""
        return self.images.classes

    @property
    def validates(self) -> bool:
        """Whether there is validation data."""
        return self.images.validates

    @property
    def row_shape(self) -> tuple[int, ...]:
        """The shape of the features of one sample."""
        return self.sides["train"].views[0].shape[1:]

    @property
    def repeat_threshold(self) -> float | None:
        """Which classes are shown more often, as in `ImageDataModule`; None: each sample once an epoch."""
        return getattr(self.images, "repeat_threshold", None)

    @property
    def has_soft_labels(self) -> bool:
        """Whether training labels may lie between 0 and 1."""
        return self.images.has_soft_labels

    @property
    def class_counts(self) -> ClassCounts | None:
        """How often each class is present in the training samples."""
        return self.images.class_counts

    def train_dataloader(self) -> FeatureLoader:
        """Returns shuffled batches; the order depends on seed and epoch alone, and is that of the images."""
        kept = self.sides["train"]
        sampler = self._sampler(kept.rows, *self._place())
        return training_loader(kept, sampler, self.batch_size, self.steps)

    def val_dataloader(self) -> FeatureLoader | list[FeatureLoader]:
        """Returns the validation samples in order, or no loader where there is no validation data."""
        if not self.validates:
            return []
        limited = self.trainer is not None and not is_whole(self.trainer.limit_val_batches)
        return evaluation_loader(self.sides["val"], *self._place(), self.batch_size if limited else None)

    def teardown(self, stage: str) -> None:
        """Tells which images were skipped."""
        self.images.teardown(stage)

    def _place(self) -> tuple[int, int]:
        trainer: pl.Trainer | None = self.trainer
        return (1, 0) if trainer is None else (trainer.world_size, trainer.global_rank)


@runtime_checkable
class SamplerFactory(Protocol):
    """Makes the sampler of the training samples."""

    def __call__(self, rows: Int64[np.ndarray, " samples"], world: int, rank: int) -> EpochSampler:
        """Returns the order in which the rows are shown, as one of `world` processes sees it."""
        ...
