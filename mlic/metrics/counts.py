"""How many cells are decided rightly and wrongly, and what is made of these numbers for each class."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int8, Int64
from torch import Tensor

__all__ = ["Counts", "count_cells", "f1", "jaccard", "precision", "recall", "support"]


class Counts(NamedTuple):
    """The known cells of each class, by what they are and what was predicted: four numbers of cells, per class.

    Resamples, if there are any, come first: all that is made of counts runs over the last axis.
    """

    true_positives: Int64[Tensor, "*resamples classes"]
    false_positives: Int64[Tensor, "*resamples classes"]
    false_negatives: Int64[Tensor, "*resamples classes"]
    true_negatives: Int64[Tensor, "*resamples classes"]


def count_cells(present: Bool[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]) -> Counts:
    """Counts the known cells of each class, by what they are and what was predicted.

    Args:
        present: which classes are said to be present.
        labels: 1 present, 0 absent, -1 unknown.

    Example:
        >>> present = torch.tensor([[True], [True], [False]])
        >>> counts = count_cells(present, torch.tensor([[1], [0], [-1]], dtype=torch.int8))
        >>> [int(count) for count in counts]
        [1, 1, 0, 0]
    """
    # numpy counts over the first axis three times as fast as torch sums.
    predicted = present.cpu().numpy()
    positives, negatives = (labels == 1).cpu().numpy(), (labels == 0).cpu().numpy()
    true_positives, false_positives = _counted(predicted & positives), _counted(predicted & negatives)
    counts = (
        true_positives,
        false_positives,
        _counted(positives) - true_positives,
        _counted(negatives) - false_positives,
    )
    return Counts(*(torch.from_numpy(count).to(labels.device) for count in counts))


def support(counts: Counts) -> Int64[Tensor, "*classes"]:
    """Returns the number of known positives."""
    return counts.true_positives + counts.false_negatives


def precision(counts: Counts) -> Float[Tensor, "*classes"]:
    """Returns the share of the cells predicted present that are, per class; NaN where none is predicted."""
    return counts.true_positives.double() / (counts.true_positives + counts.false_positives)


def recall(counts: Counts) -> Float[Tensor, "*classes"]:
    """Returns the share of the present cells that are predicted, per class; NaN where none is present."""
    return counts.true_positives.double() / support(counts)


def f1(counts: Counts) -> Float[Tensor, "*classes"]:
    """Returns F1 = 2 TP / (2 TP + FP + FN) per class; NaN where nothing is present and nothing predicted."""
    doubled = 2 * counts.true_positives
    return doubled.double() / (doubled + counts.false_positives + counts.false_negatives)


def jaccard(counts: Counts) -> Float[Tensor, "*classes"]:
    """Returns TP / (TP + FP + FN) per class (Jaccard 1901); NaN where nothing is present and nothing predicted."""
    return counts.true_positives.double() / (counts.true_positives + counts.false_positives + counts.false_negatives)


def _counted(cells: Bool[np.ndarray, "samples classes"]) -> Int64[np.ndarray, " classes"]:
    return np.asarray(np.count_nonzero(cells, axis=0), dtype=np.int64)
