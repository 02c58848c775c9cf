"""Images through a classifier on whatever devices a Trainer has: each process takes its share, the first writes."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from mlic.classifier import MultiLabelClassifier
from mlic.errors import ImageError
from mlic.images import read_square
from mlic.predict.inputs import Lots, without
from mlic.predict.seen import Seen
from mlic.predict.sources import Source
from mlic.scorers.checkpoint import embedded

__all__ = ["Feed", "see_on_devices"]

_Read = tuple[Source, UInt8[Tensor, "3 size size"] | None, str]


def see_on_devices(
    classifier: MultiLabelClassifier,
    feed: "Feed",
    trainer: pl.Trainer,
    take: Callable[[Seen], None],
) -> None:
    """Hands what a classifier makes of images to `take`, in their order, as it goes; on the first process only.

    After each step the processes bring together what they have seen: no more than that is in memory.
    """
    trainer.predict(_Scoring(classifier, take), cast(Any, feed), return_predictions=False)


class Feed:
    """The batches of one process: of each round, in which all have as many steps, its own.

    Args:
        inputs: the images; each process goes through all of them.
        trainer: tells how many processes there are, and which this is.
        image_size: side of the squares in pixels.
        batch_size: images a step.
        num_workers: processes that decode.
        done: how many of the first images the first process knows to be done; a multiple of what a round has.
    """

    def __init__(
        self,
        inputs: Lots,
        trainer: pl.Trainer,
        image_size: int,
        batch_size: int,
        num_workers: int,
        done: int,
    ) -> None:
        self._inputs = inputs
        self._trainer = trainer
        self._image_size = image_size
        self._batch_size = batch_size
        self._num_workers = num_workers
        self._done = done

    def __iter__(self) -> "Iterator[_Lot]":
        # Which process this is, is not known before they have started.
        done = self._trainer.strategy.broadcast(self._done)
        mine = _Mine(self._inputs, self._batch_size, done, self._trainer.global_rank, self._trainer.world_size)
        loader = DataLoader(
            _Reading(self._image_size),
            batch_sampler=cast("Sampler[list[int]]", mine),
            num_workers=self._num_workers,
            collate_fn=_Lot,
            pin_memory=torch.cuda.is_available(),
        )
        return cast("Iterator[_Lot]", iter(loader))


class _Mine:
    """Of each round of lots, the one of this process; none, where the images are at an end."""

    def __init__(self, inputs: Lots, size: int, done: int, rank: int, world_size: int) -> None:
        self._inputs, self._size, self._done = inputs, size, done
        self._rank, self._world_size = rank, world_size

    def __iter__(self) -> Iterator[list[Source]]:
        lots = without(self._inputs.lots(self._size), self._done)
        while this_round := list(islice(lots, self._world_size)):
            yield this_round[self._rank] if self._rank < len(this_round) else []


class _Reading(Dataset[_Read]):
    """Reads the images that it is asked for: their sources take the place of numbers."""

    def __init__(self, image_size: int) -> None:
        self._image_size = image_size

    def __getitem__(self, source: Any) -> _Read:
        try:
            return source._replace(data=None), read_square(source.content(), self._image_size), ""
        except ImageError as error:
            return source._replace(data=None), None, source.told(error)


class _Lot:
    """Some images, as the loader gives them."""

    def __init__(self, samples: list[_Read]) -> None:
        self.sources = [source for source, _, _ in samples]
        self.errors = {place: error for place, (_, image, error) in enumerate(samples) if image is None}
        good = [image for _, image, _ in samples if image is not None]
        self.images = torch.stack(good) if good else torch.empty(0, 3, 1, 1, dtype=torch.uint8)

    def pin_memory(self) -> "_Lot":
        """Pins the images, which goes to a GPU faster."""
        self.images = self.images.pin_memory()
        return self

    def to(self, device: torch.device, **options: Any) -> "_Lot":
        """Moves the images."""
        self.images = self.images.to(device, **options)
        return self


class _Scoring(pl.LightningModule):
    """Runs a classifier in the steps of `Trainer.predict`."""

    def __init__(self, classifier: MultiLabelClassifier, take: Callable[[Seen], None]) -> None:
        super().__init__()
        self.classifier = classifier
        self._take = take

    def predict_step(self, lot: _Lot, batch_idx: int) -> None:
        """Scores some images, and hands on what all processes have."""
        seen = self._seen(lot)
        if self.trainer.world_size == 1:
            self._take(seen)
            return
        everyone: list[Any] = [None] * self.trainer.world_size
        torch.distributed.all_gather_object(everyone, seen)
        if self.trainer.is_global_zero:
            for one in everyone:
                self._take(one)

    def _seen(self, lot: _Lot) -> Seen:
        read = [place for place in range(len(lot.sources)) if place not in lot.errors]
        if not read:
            nothing = np.empty((0, len(self.classifier.classes)), np.float32)
            return Seen(lot.sources, [], nothing, None, lot.errors)
        scores, features = embedded(self.classifier, lot.images)
        return Seen(lot.sources, read, scores.float().cpu().numpy(), features.float().cpu().numpy(), lot.errors)
