"""`CheckpointScorer`: a classifier from its checkpoint, run by the fastest engine there is for the number of images."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor, nn

from mlic.classifier import MultiLabelClassifier
from mlic.engines import make_engine, probe
from mlic.images import read_square
from mlic.scorers.base import EngineChoice
from mlic.views import views

__all__ = ["FEW", "CheckpointScorer", "embedded"]

FEW = 16  # images that are done before a copy with fused convolutions is made, compared and timed
_TOLERANCE = 2e-5  # in a score: a fifth of what all ways to the scores of an image agree to


class CheckpointScorer:
    """Scores images on the CPU with a classifier; later changes of its weights may not reach it.

    Args:
        classifier: is put into evaluation mode.
        name: of the model, for people.
        engine: what computes. `torch` and `onnxruntime` give way where they compute something else, as
            `mlic.engines.make_engine` tells, or where a score differs by more than 2e-5.
        num_images: how many images are to be done; not known means many.
        num_lanes: how many threads will call it at once.

    Attributes:
        name: of the model.
        engine: what computes.
        classes: the names of the classes, in order.
        image_size: side of the square that the network sees, in pixels.
        num_features: how many numbers `embed` gives for an image besides its scores.
    """

    def __init__(
        self,
        classifier: MultiLabelClassifier,
        *,
        name: str = "",
        engine: EngineChoice = "auto",
        num_images: int | None = None,
        num_lanes: int = 1,
    ) -> None:
        self._classifier = classifier.eval()
        self.name = name
        self.classes = classifier.classes
        self.image_size = classifier.backbone.image_size
        self.num_features = classifier.backbone.num_features
        self._outputs: Callable[[Tensor], Tensor] = partial(_plain, classifier)
        self.engine = "plain"
        few = num_images is not None and num_images <= FEW
        if engine != "plain" and not (engine == "auto" and few):
            self._hasten(engine, num_images, num_lanes)

    @property
    def thresholds(self) -> Float32[np.ndarray, " classes"]:
        """Of each class, the score from which on it is said to be present."""
        thresholds: Float32[np.ndarray, " classes"] = self._classifier.decisions.thresholds.float().cpu().numpy()
        return thresholds

    @property
    def at_most(self) -> int | None:
        """How many classes an image may have; None for any number."""
        return self._classifier.decisions.at_most

    def read(self, source: Path | bytes) -> UInt8[np.ndarray, "3 height width"]:
        """Reads an image, from a file or from what is in it, as the square that the network sees.

        Raises:
            ImageError: if it cannot be read.
        """
        pixels: UInt8[np.ndarray, "3 height width"] = read_square(source, self.image_size).numpy()
        return pixels

    def __call__(self, images: UInt8[np.ndarray, "batch 3 height width"]) -> Float32[np.ndarray, "batch classes"]:
        """Returns the calibrated scores, 0 to 1."""
        return self.embed(images)[0]

    def embed(
        self, images: UInt8[np.ndarray, "batch 3 height width"]
    ) -> tuple[Float32[np.ndarray, "batch classes"], Float32[np.ndarray, "batch features"]]:
        """Returns the scores, and the backbone's features: the mean over the places of the map, and over the views."""
        scores, features = embedded(self._classifier, torch.from_numpy(images), self._outputs)
        return scores.numpy(), features.numpy()

    def _hasten(self, engine: Literal["auto", "torch", "onnxruntime"], num_images: int | None, num_lanes: int) -> None:
        """Puts an engine in the place of the classifier, if its scores are the same."""
        classifier = self._classifier
        mean, std = (buffer.flatten().tolist() for buffer in (classifier._mean, classifier._std))
        made = make_engine(
            classifier.backbone,
            mean,
            std,
            self.image_size,
            _Both(classifier.head),
            # ONNX Runtime takes images of the one size that the export saw.
            engine="torch" if classifier.tta == "multi_scale" else engine,
            num_images=num_images,
            num_lanes=num_lanes,
        )
        images = probe(2, self.image_size).numpy()
        plain, expected = self._outputs, self(images)
        self._outputs = made
        if float(np.abs(self(images) - expected).max()) <= _TOLERANCE:
            self.engine = made.name
        else:
            self._outputs = plain


def embedded(
    classifier: MultiLabelClassifier,
    images: UInt8[Tensor, "batch 3 height width"],
    outputs: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Float32[Tensor, "batch classes"], Float32[Tensor, "batch features"]]:
    """Returns scores and features of images on the device of a classifier, averaged over its views.

    Args:
        classifier: in evaluation mode.
        images: of 0 to 255, not normalised.
        outputs: gives the logits of images, and beside them their features; by default the classifier.
    """
    run = partial(_plain, classifier) if outputs is None else outputs
    seen = [run(view) for view in views(images, classifier.tta)]
    averaged = seen[0] if len(seen) == 1 else torch.stack(seen).mean(dim=0)
    num_classes = len(classifier.classes)
    return classifier.decisions.scores(averaged[:, :num_classes]), averaged[:, num_classes:]


def _plain(classifier: MultiLabelClassifier, images: UInt8[Tensor, "batch 3 _ _"]) -> Float32[Tensor, "batch outputs"]:
    with torch.inference_mode():
        outputs: Tensor = _Both(classifier.head)(classifier.feature_map(images))
        return outputs


class _Both(nn.Module):
    """The logits of a head, and beside them the mean of the feature map over its places."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, feature_map: Tensor) -> Tensor:
        """Returns both in a row."""
        return torch.cat([self.head(feature_map).float(), feature_map.float().mean(dim=(2, 3))], dim=1)
