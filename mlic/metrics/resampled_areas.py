"""Average precision and the area under the ROC curve on resamples, without sorting each of them."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int8, Int64, Shaped
from torch import Tensor
from torch.nn.functional import embedding_bag

from mlic.metrics.draws import times
from mlic.ranks import not_a_number

__all__ = ["ResampledAreas", "resampled_areas"]

_EXACT_FLOAT32 = 1 << 24  # up to which whole numbers are exact


class ResampledAreas(NamedTuple):
    """Both figures of each class on each resample; NaN where the class has no positive, or no negative, in it."""

    average_precision: Float64[Tensor, "resamples classes"]
    auroc: Float64[Tensor, "resamples classes"]


class _Steps(NamedTuple):
    """The distinct scores of a class's positives, from the highest down: a step each.

    Attributes:
        cells: the rows of the known cells, by descending score.
        cuts: where in `cells` what lies between two steps and each step begin, in turn; last, what lies below all.
        positives: the rows of the known positives, by descending score.
        starts: where in `positives` each step begins.
    """

    cells: Int64[Tensor, " known"]
    cuts: Int64[Tensor, " cuts"]
    positives: Int64[Tensor, " positives"]
    starts: Int64[Tensor, " steps"]


def resampled_areas(
    scores: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"], resamples: int, seed: int = 0
) -> ResampledAreas:
    """Returns average precision and AUROC of each class on bootstrap resamples of the samples.

    A resample changes how often a cell counts, not the order: one sort of the scores serves all.

    Args:
        scores: anything that ranks.
        labels: 1 present, 0 absent, -1 unknown.
        resamples: how many are drawn, as by `mlic.metrics.draws.draws`.
        seed: of what is drawn.

    Raises:
        MlicError: if the score of a known cell is not a number.

    Example:
        All resamples of a perfect ranking are perfect, but for those without a positive.

        >>> scores, labels = torch.tensor([[2.0], [1.0]]), torch.tensor([[1], [0]], dtype=torch.int8)
        >>> found = resampled_areas(scores, labels, 20)
        >>> found.average_precision.unique().nan_to_num(-1).unique().tolist()
        [-1.0, 1.0]
    """
    if (scores.isnan() & (labels >= 0)).any():
        raise not_a_number(scores, labels)
    marks, values = labels.cpu().numpy(), scores.detach().cpu().float().numpy()
    if scores.dtype == torch.float64:
        values = scores.detach().cpu().numpy()
    samples, classes = labels.shape
    dtype = torch.float32 if samples < _EXACT_FLOAT32 else torch.float64
    found = []
    for drawn in times(samples, resamples, seed):
        weights = drawn.T.to(dtype).contiguous()
        block = torch.full((2, len(drawn), classes), torch.nan, dtype=torch.float64)
        for column in range(classes):
            positives = marks[:, column] == 1
            if positives.any():
                steps = _steps(values[:, column], marks[:, column] >= 0, positives)
                block[:, :, column] = _areas(steps, weights)
        found.append(block)
    empty = torch.empty(2, 0, classes, dtype=torch.float64)
    return ResampledAreas(*torch.cat([empty, *found], dim=1))


def _steps(
    scores: Shaped[np.ndarray, " samples"], known: Bool[np.ndarray, " samples"], positives: Bool[np.ndarray, " samples"]
) -> _Steps:
    rows = np.flatnonzero(known)
    cells = rows[np.argsort(-scores[rows])]
    ordered, present = scores[cells], positives[cells]
    begins = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    hits = np.add.reduceat(present, begins, dtype=np.int64)
    with_hits = hits > 0
    ends = np.append(begins[1:], len(cells))
    cuts = np.zeros(2 * int(with_hits.sum()) + 1, np.int64)
    cuts[1::2], cuts[2::2] = begins[with_hits], ends[with_hits]
    hits = hits[with_hits]
    return _Steps(*(torch.from_numpy(each) for each in (cells, cuts, cells[present], hits.cumsum() - hits)))


def _areas(steps: _Steps, weights: Float[Tensor, "samples some"]) -> Float64[Tensor, "2 some"]:
    """Returns both figures of a class, where each sample counts several times, for each column of weights."""
    # Sums of the rows of `weights`, a bag of rows each.
    reached = embedding_bag(steps.cells, weights, steps.cuts, mode="sum").cumsum(dim=0)
    gained = embedding_bag(steps.positives, weights, steps.starts, mode="sum")
    hits = gained.cumsum(dim=0)
    above, cells, known = reached[:-1:2], reached[1::2], reached[-1].double()
    support = hits[-1].double()
    precision = hits.double().div_(cells.clamp(min=1)).mul_(gained).sum(dim=0)
    # Twice the negatives above each step, those beside it counted once.
    wrong = above.double().add_(cells).sub_(hits, alpha=2).add_(gained).mul_(gained).sum(dim=0)
    pairs = support * (known - support)
    area = torch.where(pairs > 0, 1 - wrong / (2 * pairs), torch.nan)
    return torch.stack([precision / support, area])
