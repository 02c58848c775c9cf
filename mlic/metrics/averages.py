"""Average precision, the area under a class's curve of precision against recall, and means over classes."""

import numpy as np
import torch
from jaxtyping import Float, Int8
from torch import Tensor

from mlic.ranks import Ranks, ranked

__all__ = ["average_precision", "mean_average_precision", "mean_of_defined"]


def average_precision(
    scores: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]
) -> Float[Tensor, " classes"]:
    """Returns the average precision of each class over its known cells, 0 to 1, as float64.

    Non-interpolated: the sum over distinct scores of (recall gained) x (precision down to that score), so that equal
    scores count as one step, whatever their order; scikit-learn's `average_precision_score`. NaN for a class without
    any known positive.

    Args:
        scores: anything that ranks; logits rather than their sigmoids, of which many round to the same number.
        labels: 1 present, 0 absent, -1 unknown.

    Raises:
        MlicError: if the score of a known cell is not a number.

    Example:
        Two positives, ranked first and third: (1/1 + 2/3) / 2.

        >>> scores, labels = torch.tensor([[0.9], [0.8], [0.7]]), torch.tensor([[1], [0], [1]], dtype=torch.int8)
        >>> average_precision(scores, labels)
        tensor([0.8333], dtype=torch.float64)
    """
    found = np.concatenate([_average_precision(ranks) for ranks in ranked(scores, labels)])
    return torch.from_numpy(found).to(scores.device)


def mean_of_defined(per_class: Float[Tensor, " classes"]) -> tuple[Float[Tensor, ""], int]:
    """Returns the mean over the classes where the value is defined (NaN if none is), and the number of these classes.

    Example:
        >>> mean_of_defined(torch.tensor([0.5, float("nan"), 1.0]))
        (tensor(0.7500), 2)
    """
    return per_class.nanmean(), int((~per_class.isnan()).sum())


def mean_average_precision(
    scores: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]
) -> Float[Tensor, ""]:
    """Returns mAP: the mean of `average_precision` over the classes with a known positive, as float64."""
    return mean_of_defined(average_precision(scores, labels))[0]


def _average_precision(ranks: Ranks) -> Float[np.ndarray, " classes"]:
    """Returns the mean precision down to each positive; equal scores share that of the lowest."""
    sums = np.bincount(ranks.column, ranks.hits / ranks.cells, minlength=len(ranks.support))
    defined = ranks.support > 0
    return np.where(defined, sums / np.where(defined, ranks.support, 1), np.nan)
