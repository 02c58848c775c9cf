"""Average precision, AUROC and counts from histograms of logits: binned, and how far from exact they can be.

A histogram holds, for each class, the number of known cells in each bin of their logit: first the absent ones, then the
present ones, bins by ascending logit. What is in one bin is as good as equal.
"""

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int8, Int32, Int64
from torch import Tensor

from mlic.errors import UsageError
from mlic.metrics.counts import Counts
from mlic.ranks import not_a_number

__all__ = [
    "add_cells",
    "average_precision_bounds",
    "bin_edges",
    "binned_auroc",
    "binned_average_precision",
    "binned_counts",
    "bins_of",
]

# Bins are equally wide in x / (_SPREAD + |x|): narrow about 0, where most logits are, and wide enough for all.
_SPREAD = 8.0


def bin_edges(bins: int) -> Float32[Tensor, " edges"]:
    """Returns the logits that divide the bins, ascending, one less than bins; the one in the middle is 0.

    Raises:
        UsageError: if the number of bins is odd or less than 2.

    Example:
        >>> bin_edges(4)
        tensor([-8.,  0.,  8.])
    """
    if bins < 2 or bins % 2:
        raise UsageError(f"{bins} bins; expected an even number, so that a logit of 0 divides two of them")
    squashed = 2 * np.arange(1, bins) / bins - 1
    return torch.from_numpy(_SPREAD * squashed / (1 - np.abs(squashed))).float()


def bins_of(
    logits: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"], edges: Float32[Tensor, " edges"]
) -> Int32[Tensor, "samples classes"]:
    """Returns the bin of each cell, from 0; a bin holds its lower edge.

    Raises:
        MlicError: if the logit of a known cell is not a number.

    Example:
        >>> bins_of(torch.tensor([[-0.1, 0.0]]), torch.ones(1, 2, dtype=torch.int8), bin_edges(4))
        tensor([[1, 2]], dtype=torch.int32)
    """
    if (logits.isnan() & (labels >= 0)).any():
        raise not_a_number(logits, labels)
    return torch.bucketize(logits.detach().float(), edges, out_int32=True, right=True)


def add_cells(
    histogram: Int64[Tensor, "2 classes bins"],
    places: Int32[Tensor, "samples classes"],
    labels: Int8[Tensor, "samples classes"],
) -> None:
    """Counts cells in a histogram, in place.

    Example:
        >>> histogram = torch.zeros(2, 1, 4, dtype=torch.int64)
        >>> places, labels = torch.tensor([[0], [3], [3]], dtype=torch.int32), torch.tensor([[0], [1], [-1]])
        >>> add_cells(histogram, places, labels.to(torch.int8))
        >>> histogram.tolist()
        [[[1, 0, 0, 0]], [[0, 0, 0, 1]]]
    """
    _, classes, bins = histogram.shape
    known = labels >= 0
    columns = torch.arange(classes, device=labels.device).expand(labels.shape)[known]
    flat = (labels[known].long() * classes + columns) * bins + places[known]
    histogram.view(-1).index_add_(0, flat, torch.ones_like(flat))


def binned_average_precision(histogram: Int64[Tensor, "2 classes bins"]) -> Float64[Tensor, " classes"]:
    """Returns the average precision of each class, a bin being one step of equal scores; NaN without a positive.

    Example:
        A positive alone in the highest bin; in the lowest another one beside a negative: (1/1 + 2/3) / 2.

        >>> binned_average_precision(torch.tensor([[[1, 0]], [[1, 1]]]))
        tensor([0.8333], dtype=torch.float64)
    """
    gained, hits, cells = _reached(histogram)
    return (gained * hits / cells.clamp(min=1)).sum(dim=1) / hits[:, -1]


def average_precision_bounds(
    histogram: Int64[Tensor, "2 classes bins"],
) -> tuple[Float64[Tensor, " classes"], Float64[Tensor, " classes"]]:
    """Returns between which numbers the exact average precision of each class lies; NaN without a positive.

    Within a bin the positives may all rank below the negatives, each alone, or all above and equal among themselves:
    no order of the bin gives less or more.

    Example:
        A positive and a negative in one bin: the positive is first or second.

        >>> average_precision_bounds(torch.tensor([[[1, 0]], [[1, 0]]]))
        (tensor([0.5000], dtype=torch.float64), tensor([1.], dtype=torch.float64))
    """
    gained, hits, cells = _reached(histogram)
    above = hits - gained
    # The sum over j = 1 .. gained of (above + j) / (cells - gained + j), which is 1 - absent / (cells - gained + j).
    below = torch.digamma(cells + 1) - torch.digamma(cells - gained + 1)
    low = torch.where(gained > 0, gained - (cells - hits) * below, 0.0)
    absent_above = (cells - hits) - histogram[0].flip(-1)
    high = gained * hits / (hits + absent_above).clamp(min=1)
    support = (above + gained)[:, -1]
    return low.sum(dim=1) / support, high.sum(dim=1) / support


def binned_auroc(
    histogram: Int64[Tensor, "2 classes bins"],
) -> tuple[Float64[Tensor, " classes"], Float64[Tensor, " classes"]]:
    """Returns AUROC of each class, pairs in one bin counting half, and how far from exact it can be: half their share.

    Both are NaN for a class without a known positive or without a known negative.

    Example:
        One pair in the right order, one in one bin.

        >>> binned_auroc(torch.tensor([[[1, 1]], [[0, 1]]]))
        (tensor([0.7500], dtype=torch.float64), tensor([0.2500], dtype=torch.float64))
    """
    absent, present = histogram.double()
    pairs = absent.sum(dim=1) * present.sum(dim=1)
    below = absent.cumsum(dim=1) - absent
    half = (present * absent).sum(dim=1) / 2
    return ((present * below).sum(dim=1) + half) / pairs, half / pairs


def binned_counts(
    histogram: Int64[Tensor, "2 classes bins"], edges: Float32[Tensor, " edges"], thresholds: Float[Tensor, " classes"]
) -> Counts:
    """Returns the counts of each class, its threshold being lowered to the edge of a bin; 0.5 is one.

    Args:
        histogram: of all cells.
        edges: of its bins.
        thresholds: scores, 0 to 1; above 1 for a class that is never predicted.

    Example:
        >>> histogram = torch.tensor([[[1, 0, 0, 2]], [[0, 1, 4, 0]]])
        >>> [int(count) for count in binned_counts(histogram, bin_edges(4), torch.tensor([0.5]))]
        [4, 2, 1, 1]
    """
    thresholds = thresholds.to(histogram.device).double()
    first = torch.bucketize(thresholds.clamp(0, 1).logit().float(), edges, right=True)
    first = torch.where(thresholds > 1, histogram.shape[2], first)
    said = torch.arange(histogram.shape[2], device=histogram.device) >= first[:, None]
    (true_negatives, false_negatives), (false_positives, true_positives) = (
        (histogram * decided).sum(dim=2) for decided in (~said, said)
    )
    return Counts(true_positives, false_positives, false_negatives, true_negatives)


def _reached(
    histogram: Int64[Tensor, "2 classes bins"],
) -> tuple[Float64[Tensor, "classes bins"], Float64[Tensor, "classes bins"], Float64[Tensor, "classes bins"]]:
    """Returns the positives of each bin, those down to it, and the cells down to it; the highest bin first."""
    absent, present = histogram.flip(-1).double()
    hits = present.cumsum(dim=1)
    return present, hits, hits + absent.cumsum(dim=1)
