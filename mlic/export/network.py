"""A classifier as a plain module that exporters take: pixels to logits, and pixels of any size to scores."""

import copy
from typing import cast

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from mlic.classifier import MultiLabelClassifier
from mlic.errors import UsageError
from mlic.thresholds import Decisions, decide
from mlic.views import TTA, views

__all__ = ["Logits", "Scoring"]

_EXPORTABLE: tuple[TTA, ...] = ("none", "flip")


class Logits(nn.Module):
    """From squares of pixels to logits, with the views that the classifier averages over; a copy on the CPU in float32.

    Args:
        classifier: as it is now; later changes of its weights do not reach the copy.

    Raises:
        UsageError: if it averages over views that an exported file cannot make.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, classifier: MultiLabelClassifier) -> None:
        super().__init__()
        if classifier.tta not in _EXPORTABLE:
            raise UsageError(
                f"the checkpoint averages over the views of tta {classifier.tta}, which an exported file cannot make; "
                "say --tta flip or --tta none"
            )
        self.tta = classifier.tta
        self.backbone = copy.deepcopy(classifier.backbone)
        self.head = copy.deepcopy(classifier.head)
        # Of a checkpoint, its own figures count, not those of the backbone (`MultiLabelClassifier.from_checkpoint`).
        self.register_buffer("mean", classifier._mean.detach().clone())
        self.register_buffer("std", classifier._std.detach().clone())
        self.to("cpu", torch.float32).to(memory_format=torch.contiguous_format).eval().requires_grad_(False)

    def forward(self, images: UInt8[Tensor, "batch 3 side side"]) -> Float[Tensor, "batch classes"]:
        """Returns the logits of images of 0 to 255 that are not normalised."""
        logits = [self._one_view(view) for view in views(images, self.tta)]
        return logits[0] if len(logits) == 1 else torch.stack(logits).mean(dim=0)

    def _one_view(self, images: UInt8[Tensor, "batch 3 side side"]) -> Float[Tensor, "batch classes"]:
        normalised = (images.to(torch.float32) / 255 - self.mean) / self.std
        return cast(Tensor, self.head(self.backbone(normalised))).float()


class Scoring(nn.Module):
    """From images of any size to calibrated scores, and which classes are present: all that a user needs.

    Args:
        classifier: as it is now.

    Raises:
        UsageError: as `Logits` does.
    """

    def __init__(self, classifier: MultiLabelClassifier) -> None:
        super().__init__()
        self.logits = Logits(classifier)
        self.image_size = classifier.backbone.image_size
        decisions = classifier.decisions.to("cpu")
        self.at_most = decisions.at_most
        for name in ("thresholds", "slope", "offset"):
            self.register_buffer(name, getattr(decisions, name).detach().clone())

    def forward(
        self, images: UInt8[Tensor, "batch 3 height width"]
    ) -> tuple[Float[Tensor, "batch classes"], Bool[Tensor, "batch classes"]]:
        """Returns `scores` and `present`."""
        # Channels last, as `mlic.images.squash` has it: torch's kernel fails on planes of one pixel.
        packed = images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
        size = (self.image_size, self.image_size)
        square = nn.functional.interpolate(packed, size=size, mode="bilinear", antialias=True).contiguous()
        decisions = Decisions(
            cast(Tensor, self.thresholds), cast(Tensor, self.slope), cast(Tensor, self.offset), self.at_most
        )
        scores = decisions.scores(self.logits(square))
        return scores, decide(scores, decisions.thresholds, self.at_most)
