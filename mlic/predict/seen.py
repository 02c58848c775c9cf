"""What a model made of a few images, and the rows that come of it: the same whatever computed it."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from mlic.predict.prediction import Prediction
from mlic.predict.sources import Source
from mlic.scorers.base import present

__all__ = ["Rows", "Seen", "WriteFeatures"]

_DIVERGED = "the model gives no number: it has diverged"

WriteFeatures = Callable[[list[str], Float32[np.ndarray, "images features"]], None]
"""Takes the names of images and the features of each, not numbers where it could not be read."""


class Seen(NamedTuple):
    """What a model made of a few images in a row.

    Attributes:
        sources: the images.
        read: which of them could be read, by their places, ascending.
        scores: a row for each of these.
        features: likewise; None where nobody wants them.
        errors: why each of the others could not.
    """

    sources: list[Source]
    read: list[int]
    scores: Float32[np.ndarray, "read classes"]
    features: Float32[np.ndarray, "read features"] | None
    errors: dict[int, str]


class Rows:
    """Makes rows of what was seen, and hands them on, but for the first few.

    Args:
        classes: the names of the classes, in order.
        thresholds: of each.
        at_most: how many classes an image may have.
        write: takes each row.
        write_features: takes the features of each row, before the rows.
        num_features: how many there are of an image.
        left_out: how many of the first rows are there already.

    Attributes:
        num_written: rows that were handed on.
        num_errors: those of them that have an error.
    """

    def __init__(
        self,
        classes: Sequence[str],
        thresholds: Float32[np.ndarray, " classes"],
        at_most: int | None,
        write: Callable[[Prediction], None],
        write_features: WriteFeatures | None = None,
        num_features: int = 0,
        left_out: int = 0,
    ) -> None:
        self.num_written = 0
        self.num_errors = 0
        self._classes = classes
        self._thresholds = thresholds
        self._at_most = at_most
        self._write = write
        self._write_features = write_features
        self._num_features = num_features
        self._left_out = left_out

    def __call__(self, seen: Seen) -> None:
        """Hands on the rows of a few images."""
        start = min(self._left_out, len(seen.sources))
        self._left_out -= start
        if self._write_features is not None and start < len(seen.sources):
            rows = np.full((len(seen.sources), self._num_features), np.nan, np.float32)
            if seen.features is not None:
                rows[seen.read] = seen.features
            self._write_features([source.name for source in seen.sources[start:]], rows[start:])
        for prediction in self._predictions(seen)[start:]:
            self.num_written += 1
            self.num_errors += bool(prediction.error)
            self._write(prediction)

    def _predictions(self, seen: Seen) -> list[Prediction]:
        chosen = present(seen.scores, self._thresholds, self._at_most).tolist() if seen.read else []
        scored = dict(zip(seen.read, zip(seen.scores.tolist(), chosen, strict=True), strict=True)) if seen.read else {}
        return [
            self._failed(source, seen.errors[place])
            if place in seen.errors
            else self._prediction(source, *scored[place])
            for place, source in enumerate(seen.sources)
        ]

    def _prediction(self, source: Source, scores: list[float], chosen: list[bool]) -> Prediction:
        if any(map(math.isnan, scores)):
            return self._failed(source, _DIVERGED)
        labels = tuple(name for name, says in zip(self._classes, chosen, strict=True) if says)
        return Prediction(source.name, labels, dict(zip(self._classes, scores, strict=True)), key=source.key)

    @staticmethod
    def _failed(source: Source, error: str) -> Prediction:
        return Prediction(source.name, (), {}, error, source.key)
