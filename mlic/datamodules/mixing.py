"""`Mixing`: mixup and cutmix, where labels and unknown labels are mixed as the images are."""

import logging
import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mlic.datamodules.base import Batch
from mlic.errors import UsageError
from mlic.labels import LabelTable

__all__ = ["Mixing", "mixed_labels", "tell_lost"]

log = logging.getLogger(__name__)

# torch.distributions.Beta underflows below about 0.003 and then gives 0.5 instead of 0 or 1 (torch 2.14.1).
_SMALLEST = 0.01
_VISIBLE = 0.5 / 255


@dataclass(frozen=True)
class Mixing:
    """Whether training images are mixed in pairs; off by default.

    Each image of a batch is mixed with the one before it, the first with the last; the batches are shuffled, so any two
    may meet. The share of an image in its mixture is drawn once for a batch and process, as timm and torchvision do by
    default, from the distribution Beta(alpha, alpha): the smaller alpha, the nearer to 0 or 1. Where both kinds are on,
    one of them is drawn for each batch, one in two.

    A label becomes the mixture of the two labels, so the loss has to take soft ones. Where either is unknown, so is the
    mixture: it lies between two numbers, and nobody knows where. With labels that are mostly unknown that leaves next
    to nothing to learn from; the log tells. An image that has no part in a mixture makes no label of it unknown, and a
    share that no pixel can show, less than half a grey level, is none.

    Args:
        mixup: alpha, 0.01 or more, of blending pixel by pixel (Zhang et al. 2018, arXiv:1710.09412); 0.2 is a usual
            value, 0 is off.
        cutmix: alpha, 0.01 or more, of pasting a window of the other image at its place (Yun et al. 2019,
            arXiv:1905.04899); 1.0 is the usual value, 0 is off. Labels are mixed by the area that is really pasted,
            which is less where the window reaches over the border.

    Raises:
        UsageError: if an alpha is outside its range.

    Example:
        >>> images = torch.full((2, 3, 4, 4), 200, dtype=torch.uint8)
        >>> batch = Batch(images, torch.tensor([[1, 1, -1], [1, -1, -1]], dtype=torch.int8), torch.tensor([0, 1]))
        >>> mixed = Mixing(mixup=0.2).mix(batch)
        >>> mixed.labels[:, 0].tolist(), mixed.labels[:, 2].tolist(), mixed.images.unique().tolist()
        ([1.0, 1.0], [-1.0, -1.0], [200])
    """

    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        for name, usual in (("mixup", 0.2), ("cutmix", 1.0)):
            alpha = getattr(self, name)
            if alpha != 0 and not _SMALLEST <= alpha < math.inf:
                expected = f"the alpha of a Beta distribution, {_SMALLEST} or more, such as {usual}, or 0 for none"
                raise UsageError(f"mixing: {name} is {alpha}; expected {expected}")

    @property
    def is_on(self) -> bool:
        """Whether anything is mixed."""
        return self.mixup > 0 or self.cutmix > 0

    def mix(self, batch: Batch) -> Batch:
        """Mixes a batch as torch's global generator on the CPU says, wherever the batch is.

        A single image stays as it is. Labels become float32 even so, that all batches may be alike.
        """
        if not self.is_on:
            return batch
        labels = batch.labels.float()
        if len(batch.index) < 2:
            return batch._replace(labels=labels)
        pastes = self.cutmix > 0 and (self.mixup == 0 or bool(torch.rand(()) < 0.5))
        images, share = _paste(batch.images, self.cutmix) if pastes else _blend(batch.images, self.mixup)
        return batch._replace(images=images, labels=mixed_labels(labels, labels.roll(1, 0), share))


def mixed_labels(
    labels: Float[Tensor, "batch classes"], others: Float[Tensor, "batch classes"], share: float
) -> Float[Tensor, "batch classes"]:
    """Mixes labels, 0 to 1, or -1 where they are unknown.

    Args:
        labels: those that have the share.
        others: those that have the rest.
        share: 0 to 1. At 0 or at 1 the labels of just one image count, unknown ones too.

    Example:
        >>> mixed_labels(torch.tensor([[1.0, 1.0, 0.0]]), torch.tensor([[0.0, -1.0, 0.5]]), 0.75)
        tensor([[ 0.7500, -1.0000,  0.1250]])
    """
    if share in (0, 1):
        return labels if share == 1 else others
    unknown = (labels < 0) | (others < 0)
    # lerp gives exactly 1 for two labels of 1, which a sum of products does not.
    return torch.lerp(others, labels, share).masked_fill(unknown, -1.0)


def tell_lost(table: LabelTable) -> None:
    """Warns where mixing makes most of the known positives unknown, since so many labels are."""
    positives = table.support()
    known = (positives + table.negatives()) / max(len(table), 1)
    kept = float((positives * known).sum() / max(positives.sum(), 1))
    if kept < 0.5:
        log.warning(
            "train: mixing leaves about %.0f %% of the known positives, since they are mixed with unknown labels; say "
            "with data.unknown what these stand for, or do without data.mixing",
            100 * kept,
        )


def _blend(
    images: UInt8[Tensor, "batch 3 height width"], alpha: float
) -> tuple[UInt8[Tensor, "batch 3 height width"], float]:
    """Blends each image with the one before it; returns the share of each in its mixture as well."""
    share = _share(alpha)
    if share < _VISIBLE or share > 1 - _VISIBLE:
        share = float(round(share))
    blended = images.roll(1, 0).float().lerp_(images.float(), share)
    return blended.round_().to(torch.uint8), share


def _paste(
    images: UInt8[Tensor, "batch 3 height width"], alpha: float
) -> tuple[UInt8[Tensor, "batch 3 height width"], float]:
    """Pastes a window of the image before each; returns the share of each in its mixture as well."""
    height, width = images.shape[2:]
    side = math.sqrt(1 - _share(alpha))
    rows, columns = _span(height, side), _span(width, side)
    pasted = images.clone()
    pasted[:, :, rows, columns] = images.roll(1, 0)[:, :, rows, columns]
    return pasted, 1 - (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)


def _share(alpha: float) -> float:
    at = torch.tensor(alpha, dtype=torch.float64)
    return float(torch.distributions.Beta(at, at).sample())


def _span(length: int, side: float) -> slice:
    """Returns a span of this share of a side around a random pixel, as far as it is inside."""
    span = round(length * side)
    start = int(torch.randint(length, ())) - span // 2
    return slice(max(start, 0), min(start + span, length))
