"""`Scorer`: from images to calibrated scores, whatever computes them; imports no torch."""

from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

__all__ = ["EngineChoice", "Scorer", "present"]

EngineChoice = Literal["auto", "plain", "torch", "onnxruntime"]
"""`plain`: a classifier as it is; `torch`, `onnxruntime`: as in `mlic.engines`; `auto`: the one that is done first."""


@runtime_checkable
class Scorer(Protocol):
    """A trained model as those who use it see it: numpy in, numpy out. May be called from several threads at once."""

    @property
    def name(self) -> str:
        """What people call the model: the name of its file."""
        ...

    @property
    def engine(self) -> str:
        """What computes, such as `torch` or `onnxruntime`."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes; their order is that of the scores."""
        ...

    @property
    def image_size(self) -> int:
        """Side of the square that the network sees, in pixels."""
        ...

    @property
    def thresholds(self) -> Float32[np.ndarray, " classes"]:
        """Of each class, the score from which on it is said to be present."""
        ...

    @property
    def at_most(self) -> int | None:
        """How many classes an image may have; None for any number."""
        ...

    def read(self, source: Path | bytes) -> UInt8[np.ndarray, "3 height width"]:
        """Reads an image, from a file or from what is in it, as `__call__` takes it: all of one size.

        Raises:
            ImageError: if it cannot be read.
        """
        ...

    def __call__(self, images: UInt8[np.ndarray, "batch 3 height width"]) -> Float32[np.ndarray, "batch classes"]:
        """Returns the calibrated scores, 0 to 1, of images of 0 to 255 that are not normalised."""
        ...


def present(
    scores: Float[np.ndarray, "samples classes"], thresholds: Float[np.ndarray, " classes"], at_most: int | None = None
) -> Bool[np.ndarray, "samples classes"]:
    """Returns which classes are said to be present: as `mlic.thresholds.decide`, without torch.

    Args:
        scores: 0 to 1.
        thresholds: of each class.
        at_most: how many classes an image may have: those with the highest scores, of equal ones those that come first;
            None for any number.

    Example:
        >>> present(np.array([[0.2, 0.7, 0.9]]), np.array([0.2, 0.8, 0.8])).tolist()
        [[True, False, True]]
        >>> present(np.array([[0.2, 0.7, 0.9]]), np.array([0.2, 0.8, 0.8]), at_most=1).tolist()
        [[False, False, True]]
    """
    reached: Bool[np.ndarray, "samples classes"] = scores >= thresholds
    if at_most is None or at_most >= scores.shape[1]:
        return reached
    highest = np.argsort(-scores, axis=1, kind="stable")[:, :at_most]
    among = np.zeros_like(reached)
    np.put_along_axis(among, highest, True, axis=1)
    chosen: Bool[np.ndarray, "samples classes"] = reached & among
    return chosen
