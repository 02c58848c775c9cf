"""Whether an exported file computes what the checkpoint computes: on photographs, each as large as it is."""

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, UInt8

from mlic.classifier import MultiLabelClassifier
from mlic.errors import ImageError
from mlic.images import squash
from mlic.pixels import read_pixels
from mlic.scenes.scene import draw_scene

__all__ = ["TOLERANCE", "Agreement", "Outputs", "compare", "drawn_images", "read_images", "spread"]

log = logging.getLogger(__name__)

TOLERANCE = 1e-4
"""How far a score may be from the checkpoint's."""

Images = UInt8[np.ndarray, "batch 3 height width"]
Outputs = Callable[[Images], tuple[Float32[np.ndarray, "batch classes"], Bool[np.ndarray, "batch classes"]]]
"""What a file makes of images: scores, and which classes are present."""

_AT_ONCE = 8
_SIZES = ((192, 192), (192, 128), (150, 192), (40, 30), (320, 211), (97, 320), (1, 64), (512, 384))


class Agreement(NamedTuple):
    """How near a file comes to the checkpoint.

    Attributes:
        images: how many were compared.
        difference: the largest between two scores.
        mean: the mean difference.
        decisions: in how many cells one says present and the other does not.
    """

    images: int
    difference: float
    mean: float
    decisions: int

    @property
    def holds(self) -> bool:
        """Whether no score is further away than the tolerance; not if one is no number."""
        return self.difference <= TOLERANCE


def compare(
    classifier: MultiLabelClassifier, outputs: Outputs, images: Iterable[UInt8[np.ndarray, "height width 3"]]
) -> Agreement:
    """Compares what a file makes of images with what the classifier makes of them.

    Each image goes in as it is, alone; and once more as a square, with others: so the squash within the file is
    compared, and any number of images.

    Args:
        classifier: in evaluation mode.
        outputs: what the file computes.
        images: of any sizes.
    """
    side = classifier.backbone.image_size
    looks: list[tuple[np.ndarray, int]] = []
    squares: list[np.ndarray] = []
    count = 0
    for image in images:
        planes = np.ascontiguousarray(image.transpose(2, 0, 1))
        squares.append(squash(torch.from_numpy(planes), side).numpy())
        looks.append(_look(classifier, outputs, planes[None], squares[-1][None]))
        count += 1
        if len(squares) == _AT_ONCE:
            looks.append(_look(classifier, outputs, np.stack(squares), np.stack(squares)))
            squares = []
    if squares:
        looks.append(_look(classifier, outputs, np.stack(squares), np.stack(squares)))
    every = np.concatenate([differences.ravel() for differences, _ in looks]) if looks else np.zeros(1)
    return Agreement(count, float(every.max()), float(every.mean()), sum(decisions for _, decisions in looks))


def _look(
    classifier: MultiLabelClassifier,
    outputs: Outputs,
    given: Images,
    squares: UInt8[np.ndarray, "batch 3 side side"],
) -> tuple[Float64[np.ndarray, "batch classes"], int]:
    """Returns how far scores are from the classifier's, and how many decisions are other ones."""
    scores, present = outputs(given)
    with torch.inference_mode():
        logits = classifier.averaged(torch.from_numpy(squares))
    expected = classifier.decisions.scores(logits).numpy()
    differ = int((classifier.decisions.present(logits).numpy() != present).sum())
    return np.abs(expected.astype(np.float64) - scores), differ


def read_images(paths: Sequence[Path]) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Yields the images of files; one that cannot be read is told, and left out."""
    for path in paths:
        try:
            yield read_pixels(path)
        except ImageError as error:
            log.warning("left out: %s", error)


def drawn_images() -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Yields a few scenes of several sizes, for who has no photographs at hand."""
    for number, (width, height) in enumerate(_SIZES):
        scene, _ = draw_scene(Random(number), 192)
        yield np.asarray(scene.convert("RGB").resize((width, height)))


def spread(paths: Sequence[Path], most: int) -> list[Path]:
    """Returns at most so many of the paths, evenly spread.

    Example:
        >>> [path.name for path in spread([Path(name) for name in "abcdef"], 3)]
        ['a', 'c', 'e']
    """
    if len(paths) <= most:
        return list(paths)
    return [paths[math.floor(number * len(paths) / most)] for number in range(most)]
