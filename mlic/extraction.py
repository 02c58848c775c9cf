"""Extraction: a frozen backbone runs over images, and what it gives goes into a store."""

import logging
import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import pytorch_lightning as pl
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mlic.classifier import MultiLabelClassifier
from mlic.datamodules.augmentation import Augmentation
from mlic.datamodules.loading import default_num_workers
from mlic.digests import digest_of
from mlic.engines import Engine, make_engine
from mlic.errors import ImageError
from mlic.features import FeatureStore, Keys, SegmentWriter
from mlic.images import read_image, read_square
from mlic.labels import LabelTable
from mlic.lanes import run_lanes
from mlic.threads import choose_threads

__all__ = ["Pictures", "extract", "view_keys"]

log = logging.getLogger(__name__)

_LOT = 256  # images that lanes do at a time: enough that few lanes wait for the last of them
_TELL_EVERY = 10.0  # seconds


class Pictures(Dataset[tuple[int, UInt8[Tensor, "3 size size"] | None]]):
    """The images that are to be run, each with its place in a list; None for one that cannot be read.

    Args:
        tables: of the sides that the images are in.
        side_of: in which of them each image is.
        rows: its row there.
        digests: of its file; another content is refused, since its features would be kept as those of this one.
        keys: under which its features are kept.
        image_size: side of the squares in pixels.
        augmentation: what is done to each image, as its key alone decides; None leaves it as it is.
    """

    def __init__(
        self,
        tables: Sequence[LabelTable],
        side_of: Int64[np.ndarray, " images"],
        rows: Int64[np.ndarray, " images"],
        digests: Keys,
        keys: Keys,
        image_size: int,
        augmentation: Augmentation | None = None,
    ) -> None:
        self.keys = keys
        self._tables = tables
        self._side_of = side_of
        self._rows = rows
        self._digests = digests
        self._image_size = image_size
        self._augmentation = augmentation

    @property
    def is_augmented(self) -> bool:
        """Whether anything is done to the images."""
        return self._augmentation is not None

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: int) -> tuple[int, UInt8[Tensor, "3 size size"] | None]:
        try:
            return place, self.read(place)
        except ImageError:
            return place, None

    def read(self, place: int) -> UInt8[Tensor, "3 size size"]:
        """Returns one image.

        Raises:
            ImageError: if it cannot be read, or has changed.
        """
        path = self._tables[self._side_of[place]].path(int(self._rows[place]))
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ImageError(f"{path}: cannot be read ({error.strerror})") from error
        if digest_of(data) != self._digests[place].tobytes():
            raise ImageError(f"{path}: has changed")
        if self._augmentation is None:
            return read_square(data, self._image_size)
        seed = int.from_bytes(self.keys[place, :4].tobytes(), "big")
        # Decoded as in a training on images, with detail enough for the smallest window.
        image = read_image(data, math.ceil(self._image_size / self._augmentation.smallest_share))
        return self._augmentation.augment(image, self._image_size, seed)


def extract(
    classifier: MultiLabelClassifier,
    pictures: Pictures,
    store: FeatureStore,
    trainer: pl.Trainer,
    batch_size: int,
    num_workers: int | None = None,
) -> None:
    """Runs the classifier's backbone over images and keeps what its head needs to know of each.

    Through the Trainer, so that several devices share the images out. On a CPU, with numbers of 32 bits, each core
    decodes and runs images of its own (`mlic.lanes`). An image that cannot be read has no features afterwards. Every
    process returns when all have done their part.

    Args:
        classifier: its backbone and its head's `condense` are used.
        pictures: the images.
        store: where the features go.
        trainer: runs it.
        batch_size: images at a time on a device that is no CPU.
        num_workers: processes that decode for such a device.
    """
    on_cores = trainer.strategy.root_device.type == "cpu" and trainer.precision in ("32-true", "32")
    in_lanes = on_cores and not pictures.is_augmented
    lanes = max(1, choose_threads().lanes // max(1, trainer.num_devices))
    engine = _engine(classifier, -(-len(pictures) // trainer.world_size), lanes) if on_cores else None
    module = _Extraction(classifier, pictures, store, engine, lanes)
    if in_lanes:
        places = cast(Dataset[int], range(len(pictures)))
        loader: DataLoader[Any] = DataLoader(places, _LOT, collate_fn=_places)
    else:
        workers = default_num_workers() if num_workers is None else num_workers
        pinned = trainer.strategy.root_device.type == "cuda"
        loader = DataLoader(pictures, batch_size, collate_fn=_stacked, num_workers=workers, pin_memory=pinned)
    try:
        trainer.predict(module, loader, return_predictions=False)
    finally:
        module.on_predict_end()
    trainer.strategy.barrier()


def view_keys(keys: Keys, view: int) -> Keys:
    """Returns the keys of one augmented view of each image.

    Example:
        >>> keys = np.zeros((1, 16), np.uint8)
        >>> (view_keys(keys, 0) == view_keys(keys, 1)).all()
        np.False_
    """
    number = view.to_bytes(4, "big")
    digests = b"".join(digest_of(key.tobytes() + number) for key in keys)
    return np.frombuffer(digests, np.uint8).reshape(keys.shape)


class _Seen(NamedTuple):
    """Images that could be read, and their places in the list."""

    places: Int64[Tensor, " images"]
    images: UInt8[Tensor, "images 3 size size"]


class _Extraction(pl.LightningModule):
    """Runs the backbone in the steps of `Trainer.predict` and appends to a segment of this process's own."""

    def __init__(
        self,
        classifier: MultiLabelClassifier,
        pictures: Pictures,
        store: FeatureStore,
        engine: Engine | None,
        lanes: int,
    ) -> None:
        super().__init__()
        self.classifier = classifier
        self._pictures, self._store, self._engine, self._lanes = pictures, store, engine, lanes
        self._writer: SegmentWriter | None = None
        self._started = self._told = time.monotonic()
        self._done = 0

    def on_predict_start(self) -> None:
        """Opens a segment."""
        self._writer = self._store.writer().__enter__()
        self._started = self._told = time.monotonic()

    def on_predict_end(self) -> None:
        """Closes it, if it is open."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.__exit__()

    def predict_step(self, batch: Int64[Tensor, " places"] | _Seen, batch_idx: int) -> None:
        """Runs some images, and keeps their features."""
        if isinstance(batch, _Seen):
            if len(batch.places):
                self._keep(batch.places.cpu().numpy(), self._features(batch.images))
            self._progress(len(batch.places))
            return
        places = batch.tolist()
        engine = cast(Engine, self._engine)
        for lot in run_lanes(places, self._pictures.read, engine, num_lanes=self._lanes):
            if lot.positions:
                self._keep(np.array([places[position] for position in lot.positions]), lot.outputs)
            self._progress(len(lot.positions) + len(lot.errors))

    def _features(self, images: UInt8[Tensor, "images 3 size size"]) -> Tensor:
        if self._engine is not None:
            return self._engine(images)
        features: Tensor = self.classifier.head.condense(self.classifier.feature_map(images))
        return features

    def _keep(self, places: Int64[np.ndarray, " images"], features: Tensor) -> None:
        if self._writer is not None:
            self._writer.add(self._pictures.keys[places], features.float().cpu().numpy())

    def _progress(self, num_images: int) -> None:
        self._done += num_images
        now, total = time.monotonic(), -(-len(self._pictures) // self.trainer.world_size)
        if now - self._told < _TELL_EVERY or not self.trainer.is_global_zero:
            return
        self._told = now
        rate = self._done / (now - self._started)
        log.info(
            "features: %d of %d images, %.1f a second, %d s left", self._done, total, rate, (total - self._done) / rate
        )


def _engine(classifier: MultiLabelClassifier, num_images: int, num_lanes: int) -> Engine:
    backbone = classifier.backbone
    mean, std = (buffer.flatten().tolist() for buffer in (classifier._mean, classifier._std))
    return make_engine(
        backbone,
        mean,
        std,
        backbone.image_size,
        classifier.head.condense,
        num_images=num_images,
        num_lanes=num_lanes,
    )


def _places(places: Sequence[int]) -> Int64[Tensor, " places"]:
    return torch.tensor(places)


def _stacked(samples: Sequence[tuple[int, Tensor | None]]) -> _Seen:
    seen = [(place, image) for place, image in samples if image is not None]
    if not seen:
        return _Seen(torch.zeros(0, dtype=torch.int64), torch.zeros(0, 3, 1, 1, dtype=torch.uint8))
    return _Seen(torch.tensor([place for place, _ in seen]), torch.stack([image for _, image in seen]))
