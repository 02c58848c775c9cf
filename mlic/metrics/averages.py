"""Average precision, the area under a class's curve of precision against recall, and means over classes."""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int8
from torch import Tensor

from mlic.ranks import Ranks, not_a_number, ranked

__all__ = [
    "Interpolation",
    "average_precision",
    "average_precision_of",
    "mean_average_precision",
    "mean_of_defined",
    "micro_average_precision",
]

Interpolation = Literal["none", "voc07", "voc10"]

_POINTS = 11


def average_precision(
    scores: Float[Tensor, "samples classes"],
    labels: Int8[Tensor, "samples classes"],
    interpolation: Interpolation = "none",
) -> Float[Tensor, " classes"]:
    """Returns the average precision of each class over its known cells, 0 to 1, as float64.

    By default it is not interpolated: the sum over distinct scores of (recall gained) x (precision down to that score),
    so that equal scores count as one step, whatever their order; scikit-learn's `average_precision_score`. Pascal VOC
    (Everingham et al. 2010, doi:10.1007/s11263-009-0275-4) takes, in place of the precision at a recall, the best one
    at this recall or a higher one, which is never less. NaN for a class without any known positive.

    Args:
        scores: anything that ranks; logits rather than their sigmoids, of which many round to the same number.
        labels: 1 present, 0 absent, -1 unknown.
        interpolation: `none`; `voc10`, the area under the interpolated precision (VOC 2010 to 2012); `voc07`, its mean
            at the eleven recalls 0, 0.1, ... 1 (VOC 2007).

    Raises:
        MlicError: if the score of a known cell is not a number.

    Example:
        Two positives, ranked first and third: (1/1 + 2/3) / 2.

        >>> scores, labels = torch.tensor([[0.9], [0.8], [0.7]]), torch.tensor([[1], [0], [1]], dtype=torch.int8)
        >>> average_precision(scores, labels)
        tensor([0.8333], dtype=torch.float64)

        At recalls of 0 to 0.5 the precision is 1, at the other five of the eleven 2/3: (6 + 10/3) / 11.

        >>> average_precision(scores, labels, "voc07")
        tensor([0.8485], dtype=torch.float64)
    """
    found = np.concatenate([average_precision_of(ranks, interpolation) for ranks in ranked(scores, labels)])
    return torch.from_numpy(found).to(scores.device)


def micro_average_precision(
    scores: Float[Tensor, "samples classes"],
    labels: Int8[Tensor, "samples classes"],
) -> Float[Tensor, ""]:
    """Returns the average precision of all known cells in one ranking, as float64: frequent classes decide.

    It says something only where the scores of different classes can be compared.

    Raises:
        MlicError: if the score of a known cell is not a number.

    Example:
        Each class alone is ranked without a fault; together the positives are first and third.

        >>> scores, labels = torch.tensor([[0.9, 0.3], [0.6, 0.2]]), torch.tensor([[1, 1], [0, 0]], dtype=torch.int8)
        >>> micro_average_precision(scores, labels)
        tensor(0.8333, dtype=torch.float64)
    """
    if (scores.isnan() & (labels >= 0)).any():
        raise not_a_number(scores, labels)
    return average_precision(scores.reshape(-1, 1), labels.reshape(-1, 1))[0]


def mean_of_defined(per_class: Float[Tensor, " classes"]) -> tuple[Float[Tensor, ""], int]:
    """Returns the mean over the classes where the value is defined (NaN if none is), and the number of these classes.

    Example:
        >>> mean_of_defined(torch.tensor([0.5, float("nan"), 1.0]))
        (tensor(0.7500), 2)
    """
    return per_class.nanmean(), int((~per_class.isnan()).sum())


def mean_average_precision(
    scores: Float[Tensor, "samples classes"],
    labels: Int8[Tensor, "samples classes"],
    interpolation: Interpolation = "none",
    empty: Literal["skip", "zero"] = "skip",
) -> Float[Tensor, ""]:
    """Returns mAP: the mean of `average_precision` over the classes with a known positive, as float64.

    Args:
        scores: anything that ranks.
        labels: 1 present, 0 absent, -1 unknown.
        interpolation: as in `average_precision`.
        empty: what a class without a known positive counts: nothing (`skip`), or 0 (`zero`), as in the code of many
            papers and in torchmetrics; a perfect model then has less than 1.

    Raises:
        MlicError: if the score of a known cell is not a number.

    Example:
        >>> scores, labels = torch.tensor([[0.9, 0.3], [0.6, 0.2]]), torch.tensor([[1, 0], [0, 0]], dtype=torch.int8)
        >>> float(mean_average_precision(scores, labels)), float(mean_average_precision(scores, labels, empty="zero"))
        (1.0, 0.5)
    """
    found = average_precision(scores, labels, interpolation)
    return mean_of_defined(found.nan_to_num(0.0) if empty == "zero" else found)[0]


def average_precision_of(ranks: Ranks, interpolation: Interpolation = "none") -> Float[np.ndarray, " classes"]:
    """Returns the mean precision down to each positive; equal scores share that of the lowest."""
    defined = ranks.support > 0
    values = ranks.hits / ranks.cells
    if interpolation != "none":
        _raise_to_best(values, ranks)
    if interpolation == "voc07":
        return np.where(defined, _at_eleven(values, ranks), np.nan)
    sums = np.bincount(ranks.column, values, minlength=len(ranks.support))
    return np.where(defined, sums / np.where(defined, ranks.support, 1), np.nan)


def _raise_to_best(values: Float[np.ndarray, " positives"], ranks: Ranks) -> None:
    """Makes each precision the best at its recall or a higher one: that of the positives that rank lower."""
    ends = ranks.support.cumsum()
    for start, end in zip((ends - ranks.support).tolist(), ends.tolist(), strict=True):
        np.maximum.accumulate(values[start:end], out=values[start:end])


def _at_eleven(best: Float[np.ndarray, " positives"], ranks: Ranks) -> Float[np.ndarray, " classes"]:
    """Returns the mean of the best precisions at the recalls 0, 0.1, ... 1."""
    found = np.zeros(len(ranks.support))
    ends = ranks.support.cumsum()
    for column, (start, end) in enumerate(zip((ends - ranks.support).tolist(), ends.tolist(), strict=True)):
        if start < end:
            # The hits of each recall, rounded up: in whole numbers, which do not miss 0.3 by a last bit.
            needed = -(-np.arange(_POINTS) * (end - start) // (_POINTS - 1))
            # The hits descend; the last place with enough of them is where the recall is reached first.
            places = np.searchsorted(-ranks.hits[start:end], -needed, side="right") - 1
            found[column] = best[start:end][places].mean()
    return found
