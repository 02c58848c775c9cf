"""How much of a difference in mAP the choice of the samples explains: mAP on resamples of them."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32, Int8
from torch import Tensor

__all__ = ["resampled_map"]

_BLOCK_CELLS = 1 << 22


def resampled_map(
    tables: Sequence[Float32[Tensor, "samples classes"]],
    labels: Int8[Tensor, "samples classes"],
    resamples: int,
    seed: int = 0,
) -> Float[np.ndarray, "tables resamples"]:
    """Returns mAP on bootstrap resamples of the samples (Efron 1979, doi:10.1214/aos/1176344552).

    Each resample has as many samples, drawn with replacement, the same ones for all tables: their differences are
    paired. As in `mean_average_precision`, a class without a known positive, here in the resample, is left out.

    Args:
        tables: scores of several models, that rank.
        labels: 1 present, 0 absent, -1 unknown.
        resamples: how many.
        seed: of what is drawn.

    Example:
        All resamples of a perfect ranking are perfect, but for those without a positive.

        >>> import torch
        >>> scores, labels = torch.tensor([[2.0], [1.0]]), torch.tensor([[1], [0]], dtype=torch.int8)
        >>> np.unique(resampled_map([scores], labels, 20)).tolist()
        [1.0, nan]
    """
    samples, classes = labels.shape
    rng = np.random.default_rng(seed)
    marks = labels.cpu().numpy()
    scores = [table.detach().cpu().numpy() for table in tables]
    found = np.full((len(tables), resamples), np.nan)
    step = max(1, _BLOCK_CELLS // max(1, samples))
    for start in range(0, resamples, step):
        stop = min(start + step, resamples)
        times = np.stack(
            [np.bincount(rng.integers(samples, size=samples), minlength=samples) for _ in range(start, stop)]
        )
        for number, table in enumerate(scores):
            precisions = np.stack([_weighted(table[:, each], marks[:, each], times) for each in range(classes)])
            defined = ~np.isnan(precisions)
            sums = np.where(defined, precisions, 0.0).sum(axis=0)
            with np.errstate(invalid="ignore"):
                found[number, start:stop] = sums / defined.sum(axis=0)
    return found


def _weighted(
    scores: Float[np.ndarray, " samples"], marks: Int8[np.ndarray, " samples"], times: np.ndarray
) -> Float[np.ndarray, " resamples"]:
    """Returns the average precision of a class where each sample is there several times, for each row of times."""
    known = np.flatnonzero(marks >= 0)
    order = known[np.argsort(-scores[known], kind="stable")]
    ranked = scores[order]
    # Equal scores are one step.
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if len(order) else np.empty(0, np.int64)
    cells = times[:, order].cumsum(axis=1)[:, last]
    hits = (times[:, order] * (marks[order] == 1)).cumsum(axis=1)[:, last]
    gained = np.diff(hits, axis=1, prepend=0)
    total = hits[:, -1] if len(last) else np.zeros(len(times), np.int64)
    sums = (gained * hits / np.maximum(cells, 1)).sum(axis=1)
    return np.where(total > 0, sums / np.maximum(total, 1), np.nan)
