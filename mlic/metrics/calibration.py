"""How far scores can be read as probabilities."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int8, Int64
from torch import Tensor

from mlic.errors import UsageError

__all__ = ["BINS", "Reliability", "bin_of", "brier", "calibration_error", "reliability"]

BINS = 15
_BLOCK_CELLS = 1 << 20


class Reliability(NamedTuple):
    """What a reliability diagram shows, for each class and bin of its scores: columns are bins, by ascending score.

    Attributes:
        mean_score: of the known cells; NaN in an empty bin.
        share_present: of the known cells; NaN in an empty bin.
        cells: how many known cells the bin has.
    """

    mean_score: Float64[Tensor, "classes bins"]
    share_present: Float64[Tensor, "classes bins"]
    cells: Int64[Tensor, "classes bins"]


def reliability(
    scores: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"], bins: int = BINS
) -> Reliability:
    """Returns what was said and what is, in bins of equal width from 0 to 1 (DeGroot & Fienberg 1983).

    A bin holds its lower edge, the last one both. For a diagram of all classes together, give all cells as one class:
    `reliability(scores.reshape(-1, 1), labels.reshape(-1, 1))`.

    Args:
        scores: probabilities, 0 to 1.
        labels: 1 present, 0 absent, -1 unknown.
        bins: how many.

    Raises:
        UsageError: if the score of a known cell is not from 0 to 1.

    Example:
        >>> scores, labels = torch.tensor([[0.2], [0.9], [0.7]]), torch.tensor([[0], [1], [0]], dtype=torch.int8)
        >>> said, are, cells = reliability(scores, labels, bins=2)
        >>> cells.tolist(), are.tolist()
        ([[1, 2]], [[0.0, 0.5]])
    """
    classes = scores.shape[1]
    sums = np.zeros((3, classes * bins))
    for known, values, positives in _blocks(scores, labels):
        column = np.broadcast_to(np.arange(classes), values.shape)[known]
        place = column * bins + bin_of(values[known], bins)
        for total, weights in zip(sums, (None, values[known], positives[known]), strict=True):
            total += np.bincount(place, weights, minlength=classes * bins)
    cells, said, present = sums.reshape(3, classes, bins)
    with np.errstate(invalid="ignore"):
        found = said / cells, present / cells, cells.astype(np.int64)
    return Reliability(*(torch.from_numpy(each).to(scores.device) for each in found))


def calibration_error(
    scores: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"], bins: int = BINS
) -> Float64[Tensor, " classes"]:
    """Returns the expected calibration error of each class (Naeini et al. 2015, doi:10.1609/aaai.v29i1.9602).

    The mean, over the known cells, of the distance between the mean score and the share present in their bin; 0 to 1,
    lower is better; NaN without a known cell. Each class is a binary question of its own (Kumar et al. 2019,
    arXiv:1909.10155). With few cells it is above 0 even for perfect scores, and it says nothing of whether the scores
    tell images apart: beside `brier` it is to be read.

    Args:
        scores: probabilities, 0 to 1.
        labels: 1 present, 0 absent, -1 unknown.
        bins: how many, of equal width.

    Raises:
        UsageError: if the score of a known cell is not from 0 to 1.

    Example:
        One bin says 0.2 where none is, the other 0.8 on average where half are: 1/3 * 0.2 + 2/3 * 0.3.

        >>> scores, labels = torch.tensor([[0.2], [0.9], [0.7]]), torch.tensor([[0], [1], [0]], dtype=torch.int8)
        >>> calibration_error(scores, labels, bins=2)
        tensor([0.2667], dtype=torch.float64)
    """
    said, are, cells = reliability(scores, labels, bins)
    return ((said - are).abs().nan_to_num(0.0) * cells).sum(dim=1) / cells.sum(dim=1)


def brier(
    scores: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]
) -> Float64[Tensor, " classes"]:
    """Returns the mean squared distance of score and label of each class (Brier 1950), over its known cells.

    0 to 1, lower is better; always saying the prevalence p of the class has p (1 - p). NaN without a known cell.

    Args:
        scores: probabilities, 0 to 1.
        labels: 1 present, 0 absent, -1 unknown.

    Raises:
        UsageError: if the score of a known cell is not from 0 to 1.

    Example:
        (0.2 ** 2 + 0.1 ** 2) / 2

        >>> brier(torch.tensor([[0.2], [0.9]]), torch.tensor([[0], [1]], dtype=torch.int8))
        tensor([0.0250], dtype=torch.float64)
    """
    lost, cells = np.zeros(scores.shape[1]), np.zeros(scores.shape[1])
    for known, values, positives in _blocks(scores, labels):
        lost += ((values - positives) ** 2).sum(axis=0, where=known)
        cells += known.sum(axis=0)
    with np.errstate(invalid="ignore"):
        return torch.from_numpy(lost / cells).to(scores.device)


def bin_of(scores: Float64[np.ndarray, "*cells"], bins: int) -> Int64[np.ndarray, "*cells"]:
    """Returns the bin of each score, from 0."""
    return np.minimum((scores * bins).astype(np.int64), bins - 1)


def _blocks(
    scores: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]
) -> Iterator[
    tuple[Bool[np.ndarray, "rows classes"], Float64[np.ndarray, "rows classes"], Bool[np.ndarray, "rows classes"]]
]:
    """Yields which cells are known, the scores and which cells are present, some rows after the other."""
    height = max(1, _BLOCK_CELLS // max(1, scores.shape[1]))
    for start in range(0, len(scores), height):
        marks = labels[start : start + height].cpu().numpy()
        values = scores[start : start + height].detach().cpu().double().numpy()
        known = marks >= 0
        bad = known & ~((values >= 0) & (values <= 1))
        if bad.any():
            row, column = np.argwhere(bad)[0].tolist()
            raise UsageError(
                f"the score of row {start + row} for class {column} is {values[row, column]}; "
                "expected a probability, 0 to 1: the sigmoid of a logit"
            )
        yield known, values, marks == 1
