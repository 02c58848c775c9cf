"""Samplers: which samples an epoch shows, in which order, and which of them to which process."""

import logging
import math
import os
from collections.abc import Iterator
from typing import NamedTuple, cast

import numpy as np
from jaxtyping import Float64, Int64
from torch.utils.data import Dataset, DistributedSampler

from mlic.errors import UsageError
from mlic.labels import LabelTable

__all__ = [
    "Draw",
    "EpochSampler",
    "RepeatSampler",
    "check_batches",
    "epoch_sampler",
    "repeat_factors",
    "run_seed",
    "showings",
    "tell_repeats",
]

log = logging.getLogger(__name__)


class Draw(NamedTuple):
    """Asks for a sample as a given epoch shows it: with that epoch's augmentation.

    Attributes:
        epoch: 0 or more.
        index: the row of the sample in its table.
        repeat: how many times the epoch has shown the sample otherwise; each time it is augmented in another way.
    """

    epoch: int
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody asks of it
    repeat: int = 0


class EpochSampler(DistributedSampler[Draw]):
    """Shuffles by seed and epoch alone, shares the samples out over the processes, and yields `Draw`s.

    Lightning leaves a DistributedSampler as it is and calls `set_epoch`; with one process it is a plain shuffle.
    """

    def __iter__(self) -> Iterator[Draw]:
        """Yields this process's share of the samples of the current epoch."""
        return (Draw(self.epoch, place) for place in self._places())

    def order(self) -> Int64[np.ndarray, " draws"]:
        """Returns the rows of all draws of the current epoch at once, for data that need no reading one by one."""
        return np.fromiter(self._places(), np.int64, len(self))

    def _places(self) -> Iterator[int]:
        """Yields this process's share of the shuffled numbers from 0 to the length of the epoch."""
        return cast(Iterator[int], super().__iter__())


class RepeatSampler(EpochSampler):
    """Shows each sample as often as its factor says, 1 or more (repeat-factor sampling, Gupta et al. 2019, LVIS).

    All epochs have the same number of samples, the sum of the factors, rounded: see `showings`. Every process draws the
    whole epoch alike, from seed and epoch, and takes its share.

    Args:
        factors: of each sample, as `repeat_factors` gives them.
        num_replicas: processes.
        rank: of this process.
        seed: 0 or more.

    Example:
        >>> sampler = RepeatSampler(np.array([1.0, 2.0]), num_replicas=1, rank=0, seed=0)
        >>> len(sampler), sorted(sampler)
        (3, [Draw(epoch=0, index=0, repeat=0), Draw(epoch=0, index=1, repeat=0), Draw(epoch=0, index=1, repeat=1)])
    """

    def __init__(self, factors: Float64[np.ndarray, " samples"], num_replicas: int, rank: int, seed: int) -> None:
        # DistributedSampler asks for nothing but the length of its data.
        places = cast(Dataset[Draw], range(_length(factors)))
        super().__init__(places, num_replicas, rank, seed=seed)
        self._factors = factors

    def __iter__(self) -> Iterator[Draw]:
        """Yields this process's share of the samples of the current epoch."""
        index, repeat = self._showings()
        return (Draw(self.epoch, int(index[place]), int(repeat[place])) for place in self._places())

    def order(self) -> Int64[np.ndarray, " draws"]:
        """Returns the rows of all draws of the current epoch at once, repeats among them."""
        rows: Int64[np.ndarray, " draws"] = self._showings()[0][super().order()]
        return rows

    def _showings(self) -> tuple[Int64[np.ndarray, " draws"], Int64[np.ndarray, " draws"]]:
        """Returns the row of each showing of the epoch, before the shuffle, and how often it was shown before."""
        times = showings(self._factors, self.seed, self.epoch)
        index = np.repeat(np.arange(len(times)), times)
        return index, np.arange(len(index)) - np.repeat(np.cumsum(times) - times, times)


def check_batches(batch_size: int, repeat_threshold: float | None) -> None:
    """Checks how samples are to be shown.

    Raises:
        UsageError: if `batch_size` is below 1, or `repeat_threshold` is no share.
    """
    if batch_size < 1:
        raise UsageError(f"batch_size is {batch_size}; expected at least 1")
    if repeat_threshold is not None and not 0 < repeat_threshold <= 1:
        expected = "a share of the training samples above 0 and at most 1, such as 0.01, or null for none"
        raise UsageError(f"repeat_threshold is {repeat_threshold}; expected {expected}")


def epoch_sampler(
    table: LabelTable,
    rows: Int64[np.ndarray, " samples"],
    repeat_threshold: float | None,
    seed: int,
    world: int = 1,
    rank: int = 0,
) -> EpochSampler:
    """Returns the order in which some rows of the training table are shown, as one of `world` processes sees it.

    Args:
        table: of train.
        rows: those that can be shown.
        repeat_threshold: as in `repeat_factors`; None: each sample once.
        seed: of the run.
        world: number of processes that share the samples out.
        rank: of this process.
    """
    seed %= 2**32
    if repeat_threshold is None:
        # DistributedSampler asks for nothing but the length of its data.
        return EpochSampler(cast(Dataset[Draw], rows), world, rank, seed=seed)
    factors = repeat_factors(table, repeat_threshold)[rows]
    tell_repeats(factors, repeat_threshold)
    return RepeatSampler(factors, world, rank, seed)


def run_seed() -> int:
    """Returns the seed of the run, which Lightning keeps in the environment; 0 if there is none."""
    return int(os.environ.get("PL_GLOBAL_SEED", "0"))


def repeat_factors(table: LabelTable, threshold: float) -> Float64[np.ndarray, " samples"]:
    """Returns how often to show each sample (Gupta et al. 2019, LVIS, arXiv:1908.03195).

    A class that is present in the share f of the labelled samples has the factor max(1, sqrt(threshold / f)), a sample
    the greatest factor of the classes that are present in it, or 1.

    A sample in which just this class is unknown counts in f as one without it, as in LVIS: it is shown, and shows
    nothing of the class. Samples of which nothing is known teach nothing, and count nowhere.

    Args:
        table: soft labels above 0.5 are present.
        threshold: a share of the labelled samples, above 0 and at most 1.

    Example:
        >>> from pathlib import Path
        >>> present = [["cat"], ["cat", "owl"], ["cat"], ["cat"], None]
        >>> table = LabelTable.from_present("abcde", ["cat", "owl"], present, root=Path())
        >>> repeat_factors(table, threshold=1.0).tolist()  # the owl is in 1 of 4
        [1.0, 2.0, 1.0, 1.0, 1.0]
    """
    # A class without positives is in no sample, and its factor is of no account.
    share = np.maximum(table.support(), 1) / max(table.num_labelled, 1)
    of_class = np.maximum(1.0, np.sqrt(threshold / share))
    rows = np.repeat(np.arange(len(table)), np.diff(table.indptr))
    present = table.values > 0.5
    factors: Float64[np.ndarray, " samples"] = np.ones(len(table))
    np.maximum.at(factors, rows[present], of_class[table.columns[present]])
    return factors


def showings(factors: Float64[np.ndarray, " samples"], seed: int, epoch: int) -> Int64[np.ndarray, " samples"]:
    """Draws how many times an epoch shows each sample: its factor, rounded up or down at random.

    What is rounded up is drawn systematically: the fractional parts are laid end to end in random order, and every
    point at distance 1 from the last hits the sample to be rounded up. So the sum never varies; Lightning and
    learning-rate schedules count on epochs of one length. The mean over the epochs is the factor, but for what it takes
    to make the sum of all an integer, which is at most half a sample.

    Args:
        factors: 0 or more.
        seed: 0 or more.
        epoch: 0 or more.

    Example:
        >>> showings(np.array([1.0, 2.5, 1.5, 3.0]), seed=0, epoch=0).sum()
        np.int64(8)
    """
    times: Int64[np.ndarray, " samples"] = np.floor(factors).astype(np.int64)
    uneven = np.flatnonzero(factors > times)
    spare = _length(factors) - int(times.sum())
    if spare == 0:
        return times
    random = np.random.default_rng((seed, epoch))
    random.shuffle(uneven)
    ends = np.cumsum(_summing_to(spare, factors[uneven] - times[uneven]))
    points = random.random() + np.arange(spare)
    # The last end may be less than `spare` by what cumsum rounds.
    up = uneven[np.minimum(np.searchsorted(ends, points, side="right"), len(uneven) - 1)]
    times += np.bincount(up, minlength=len(times))
    return times


def tell_repeats(factors: Float64[np.ndarray, " samples"], threshold: float) -> None:
    """Tells how long an epoch is, and how often it shows a sample at most."""
    log.info(
        "train: an epoch shows the %d images %d times in all, those with a class that is in less than %g %% of them up "
        "to %.1f times (repeat_threshold)",
        len(factors),
        _length(factors),
        100 * threshold,
        factors.max(initial=1.0),
    )


def _length(factors: Float64[np.ndarray, " samples"]) -> int:
    return round(math.fsum(factors))


def _summing_to(number: int, chances: Float64[np.ndarray, " cells"]) -> Float64[np.ndarray, " cells"]:
    """Brings chances nearer to 0 or to 1, all in proportion, so that `number` is their sum; at most their count."""
    total = float(chances.sum())
    nearer: Float64[np.ndarray, " cells"] = (
        chances * (number / total)
        if number <= total
        else 1 - (1 - chances) * ((len(chances) - number) / (len(chances) - total))
    )
    return nearer
