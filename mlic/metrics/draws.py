"""Bootstrap resamples of samples: which are drawn, how often each, and what intervals the figures then have."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

__all__ = ["Interval", "bootstrap", "draws", "interval", "resampled_sums", "times"]

_DRAWN_CELLS = 1 << 23  # how many numbers of draws are held at a time
_SUMMED_CELLS = 1 << 20  # how many numbers are summed at a time


class Interval(NamedTuple):
    """Where a figure lies; both NaN where it is defined in no resample."""

    low: float
    high: float


def draws(num_samples: int, resamples: int, seed: int = 0) -> Iterator[Int64[np.ndarray, " samples"]]:
    """Yields the rows of each resample: as many as there are samples, drawn with replacement.

    All that is resampled in this package draws so: with the same number of samples and the same seed, the same rows.
    Figures of several models are then paired, and so are their differences.

    Example:
        >>> [len(rows) for rows in draws(4, resamples=2)]
        [4, 4]
    """
    rng = np.random.default_rng(seed)
    for _ in range(resamples):
        yield rng.integers(num_samples, size=num_samples)


def bootstrap(
    statistic: Callable[[Int64[Tensor, " samples"]], Any], num_samples: int, resamples: int = 200, seed: int = 0
) -> Float64[np.ndarray, "..."]:
    """Returns any figure on bootstrap resamples of the samples (Efron 1979, doi:10.1214/aos/1176344552).

    The resamples are the first axis; behind it come those of the figure, if it is an array.

    What `resampled_figures` gives it gives faster.

    Args:
        statistic: gives the figure, or several in an array, of the rows that it is told.
        num_samples: how many samples there are.
        resamples: how many are drawn.
        seed: of what is drawn.

    Example:
        >>> values = torch.tensor([1.0, 3.0])
        >>> drawn = bootstrap(lambda rows: values[rows].max(), num_samples=2, resamples=500)
        >>> interval(drawn)
        Interval(low=1.0, high=3.0)
    """
    found = [np.asarray(statistic(torch.from_numpy(rows)), np.float64) for rows in draws(num_samples, resamples, seed)]
    return np.stack(found) if found else np.empty(0)


def interval(drawn: Float[np.ndarray, " resamples"], level: float = 0.95) -> Interval:
    """Returns the percentile interval of a figure on resamples (Efron 1979), or of a difference of two figures.

    A resample in which it is not defined is left out.

    Args:
        drawn: the figure on each resample; for a difference, that of two figures with the same draws.
        level: the share of the resamples that lie within, 0 to 1.

    Example:
        >>> interval(np.arange(101.0), level=0.5)
        Interval(low=25.0, high=75.0)
    """
    defined = drawn[~np.isnan(drawn)]
    if not len(defined):
        return Interval(float("nan"), float("nan"))
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def times(num_samples: int, resamples: int, seed: int = 0) -> Iterator[Float64[Tensor, "some samples"]]:
    """Yields how often each sample is in each resample, a few resamples after the other."""
    height = max(1, _DRAWN_CELLS // max(1, num_samples))
    rows: list[np.ndarray] = []
    for number, drawn in enumerate(draws(num_samples, resamples, seed), start=1):
        rows.append(np.bincount(drawn, minlength=num_samples))
        if len(rows) == height or number == resamples:
            yield torch.from_numpy(np.stack(rows)).double()
            rows = []


def resampled_sums(
    columns: Callable[[slice], Float64[Tensor, "rows columns"]],
    num_samples: int,
    width: int,
    resamples: int,
    seed: int = 0,
) -> Float64[Tensor, "resamples columns"]:
    """Returns the sums of some numbers of each sample over each resample.

    Args:
        columns: gives the numbers of the samples of a slice; never of all at once, if there are many.
        num_samples: how many samples there are.
        width: how many numbers each has.
        resamples: how many are drawn.
        seed: of what is drawn.
    """
    height = max(1, _SUMMED_CELLS // max(1, width))
    found = []
    for counts in times(num_samples, resamples, seed):
        sums = torch.zeros(len(counts), width, dtype=torch.float64)
        for start in range(0, num_samples, height):
            rows = slice(start, start + height)
            sums += counts[:, rows] @ columns(rows)
        found.append(sums)
    return torch.cat(found) if found else torch.empty(0, width, dtype=torch.float64)
