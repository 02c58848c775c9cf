"""Conformal risk control: a threshold that keeps its promise on images that nobody has seen yet."""

import torch
from jaxtyping import Float, Float64, Int8
from torch import Tensor

from mlic.thresholds.fitting import between

__all__ = ["conformal_threshold"]

_ROUNDING = 1e-12


def conformal_threshold(
    scores: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"], alpha: float
) -> Float[Tensor, ""] | None:
    """Returns the highest threshold at which images miss at most a share `alpha` of their classes, expected (CRC).

    Conformal risk control (Angelopoulos et al. 2022, arXiv:2208.02814). The loss of an image is the share of its known
    positives whose score is below the threshold, and R its mean over the n images that have a known positive; the
    others take no part, neither here nor in what is promised. The threshold is the highest with
    `n / (n + 1) * R + 1 / (n + 1) <= alpha`. Then an n + 1st image misses at most `alpha` on average: over images, and
    over the samples that were fitted on. That needs nothing of the model, but that the images are exchangeable: drawn
    the same way, labelled the same way. Of an unknown label nothing is promised.

    It lies halfway between the lowest positive that has to be found and the next known score below, which only helps
    the promise, so that last bits decide nothing.

    Args:
        scores: 0 to 1; those of known cells are numbers.
        labels: 1 present, 0 absent, -1 unknown.
        alpha: above 0 and below 1.

    Returns:
        The threshold, or None where `1 / (n + 1)` is above `alpha`: too few images to promise it.

    Example:
        Of nine images with one class each, one may be missed if alpha is 0.2: (1 + 1) / (9 + 1).

        >>> scores = torch.arange(1, 10).unsqueeze(1) / 10
        >>> labels = torch.ones(9, 1, dtype=torch.int8)
        >>> conformal_threshold(scores, labels, 0.2)
        tensor(0.1500)
        >>> conformal_threshold(scores[:3], labels[:3], 0.2)
    """
    present = labels == 1
    counts = present.sum(dim=1)
    images = int((counts > 0).sum())
    allowed = alpha * (images + 1) - 1 + _ROUNDING * (images + 1)
    if images == 0 or allowed < 0:
        return None
    positives = scores[present]
    order = positives.argsort()
    positives = positives[order]
    shares: Float64[Tensor, " positives"] = (1 / counts.double()).repeat_interleave(counts)[order]
    # What is missed where the threshold is just above a positive; equal ones are missed together.
    missed = shares.cumsum(dim=0)
    kept = int((missed <= allowed).sum())
    high = positives[min(kept, len(positives) - 1)]
    known = scores[labels >= 0]
    below = known[known < high]
    low = below.max() if len(below) else torch.zeros_like(high)
    return between(low, high)
