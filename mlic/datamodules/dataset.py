"""`ImageDataset`: a `LabelTable` to samples, and samples to a `Batch`."""

import hashlib
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Shaped, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from mlic.datamodules.augmentation import Augmentation
from mlic.datamodules.base import Batch
from mlic.datamodules.sampling import Draw
from mlic.errors import ImageError
from mlic.images import read_image, read_square
from mlic.labels import LabelTable

__all__ = ["ImageDataset", "Sample", "collate"]


class Sample(NamedTuple):
    """One image with its labels, or the reason why it cannot be read."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody asks of it
    labels: Shaped[Tensor, " classes"]
    image: UInt8[Tensor, "3 size size"] | None
    error: str = ""


class ImageDataset(Dataset[Sample]):
    """Reads, squashes or augments the images of a table.

    An unreadable image is a sample with an `error`, not an exception: what to do about it is decided in one place, in
    the main process.

    Args:
        table: paths and labels.
        image_size: side of the square output in pixels.
        augmentation: applied to a `Draw`; None for evaluation.
        seed: with the `Draw` it decides all that is random, so a sample does not depend on the number of workers, on
            what was drawn before it, or on whether the run was interrupted.
    """

    def __init__(
        self, table: LabelTable, image_size: int, augmentation: Augmentation | None = None, seed: int = 0
    ) -> None:
        self.table = table
        self.image_size = image_size
        self.augmentation = augmentation
        self.seed = seed

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, key: int | Draw) -> Sample:
        draw = key if isinstance(key, Draw) else Draw(0, key)
        labels = torch.from_numpy(self.table.row(draw.index))
        path = self.table.path(draw.index)
        try:
            if self.augmentation is None:
                return Sample(draw.index, labels, read_square(path, self.image_size))
            # Detail enough for the smallest window, whatever the draw: an image is decoded in one way in all epochs.
            image = read_image(path, math.ceil(self.image_size / self.augmentation.smallest_share))
        except ImageError as error:
            return Sample(draw.index, labels, None, str(error))
        return Sample(draw.index, labels, self.augmentation.augment(image, self.image_size, self._seed(draw)))

    def _seed(self, draw: Draw) -> int:
        # The first time is seeded as it was before samples could be repeated.
        again = f"/{draw.repeat}" if draw.repeat else ""
        digest = hashlib.blake2b(f"{self.seed}/{draw.epoch}/{draw.index}{again}".encode(), digest_size=4).digest()
        return int.from_bytes(digest, "big")


def collate(samples: Sequence[Sample]) -> Batch:
    """Stacks what could be read, and lists what could not."""
    good = [sample for sample in samples if sample.image is not None]
    errors = tuple((sample.index, sample.error) for sample in samples if sample.image is None)
    index = torch.tensor([sample.index for sample in good], dtype=torch.int64)
    if not good:
        labels = samples[0].labels
        return Batch(torch.empty(0, 3, 1, 1, dtype=torch.uint8), labels.new_empty(0, len(labels)), index, errors)
    images = torch.stack([sample.image for sample in good if sample.image is not None])
    return Batch(images, torch.stack([sample.labels for sample in good]), index, errors)
