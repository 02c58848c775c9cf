"""`MultiLabelDataModule`, `Batch` and `FeatureBatch`: what the classifier asks of any data."""

import abc
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import pytorch_lightning as pl
import torch
from jaxtyping import Float, Int64, Shaped, UInt8
from torch import Tensor

from mlic.labels.counts import ClassCounts
from mlic.strings import Strings

__all__ = ["Batch", "FeatureBatch", "MultiLabelDataModule", "Side"]

Side = Literal["train", "val", "test"]
"""The samples that are learnt from, those that choose, and those that judge."""


class Batch(NamedTuple):
    """Some samples, as a loader yields them.

    Attributes:
        images: red, green, blue, 0 to 255, not normalised: that is the classifier's work.
        labels: 1 present, 0 absent, -1 unknown; int8, or float32 where training labels are soft and may lie between.
        index: the row of each sample in its table; metrics keep one row for each, whatever a sampler repeats.
        errors: `(index, message)` of samples whose image could not be read; they have no row above.
    """

    images: UInt8[Tensor, "batch 3 height width"]
    labels: Shaped[Tensor, "batch classes"]
    index: Int64[Tensor, " batch"]  # type: ignore[assignment]  # hides tuple.index, which nobody asks of a batch
    errors: tuple[tuple[int, str], ...] = ()


class FeatureBatch(NamedTuple):
    """Some samples of which the feature maps are known, so that only the head has to run.

    Attributes:
        features: what the backbone gave, or what the head's `condense` made of it.
        labels: as in `Batch`.
        index: as in `Batch`.
        batch_size: how many of the samples a step learns from, in their order; all where it is 0.
    """

    features: Float[Tensor, "batch features h w"]
    labels: Shaped[Tensor, "batch classes"]
    index: Int64[Tensor, " batch"]  # type: ignore[assignment]  # hides tuple.index, which nobody asks of a batch
    batch_size: int = 0

    def parts(self) -> "Iterator[FeatureBatch]":
        """Yields the batches that a step each learns from."""
        size = self.batch_size or max(1, len(self.index))
        columns = (torch.split(column, size) for column in (self.features, self.labels, self.index))
        for features, labels, index in zip(*columns, strict=True):
            yield FeatureBatch(features, labels, index)


class MultiLabelDataModule(pl.LightningDataModule, abc.ABC):
    """Data for a `MultiLabelClassifier`. A subclass gives `classes` and loaders that yield `Batch`.

    Attributes:
        image_size: side of the square images in pixels; the classifier fills in its backbone's where it is None.
    """

    image_size: int | None = None

    @property
    def validates(self) -> bool:
        """Whether there is validation data; without it the newest checkpoint is the best."""
        return type(self).val_dataloader is not pl.LightningDataModule.val_dataloader

    @property
    def has_soft_labels(self) -> bool:
        """Whether labels that are trained on may lie between 0 and 1, which not every loss takes."""
        return False

    @property
    def class_counts(self) -> ClassCounts | None:
        """How often each class is present in the training data, which some losses weigh by; None if not known."""
        return None

    def image_paths(self, side: Side) -> tuple[Strings, Path] | None:
        """Returns the paths of the images of a side, by `Batch.index`, and the folder that they start from.

        None where the samples are no files: a report then shows numbers in place of pictures.
        """
        return None

    @property
    @abc.abstractmethod
    def classes(self) -> tuple[str, ...]:
        """The names of the columns of `Batch.labels`, in order; known without a Trainer."""
