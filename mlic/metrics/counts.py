"""How many cells are predicted rightly and wrongly, and what is made of these numbers."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int8, Int64
from torch import Tensor

from mlic.metrics.averages import mean_of_defined

__all__ = ["Counts", "count_cells", "f1", "mean_f1", "pooled_f1", "precision", "recall", "share_present", "share_wrong"]


class Counts(NamedTuple):
    """The known cells of each class, by what they are and what was predicted: four numbers of cells, per class."""

    true_positives: Int64[Tensor, " classes"]
    false_positives: Int64[Tensor, " classes"]
    false_negatives: Int64[Tensor, " classes"]
    true_negatives: Int64[Tensor, " classes"]


def count_cells(
    scores: Float[Tensor, "samples classes"],
    labels: Int8[Tensor, "samples classes"],
    thresholds: Float[Tensor, " classes"],
) -> Counts:
    """Counts the known cells of each class, by what they are and what was predicted.

    Example:
        >>> scores, labels = torch.tensor([[0.9], [0.8], [0.7]]), torch.tensor([[1], [0], [-1]], dtype=torch.int8)
        >>> counts = count_cells(scores, labels, torch.tensor([0.5]))
        >>> [int(count) for count in counts]
        [1, 1, 0, 0]
    """
    # numpy counts over the first axis three times as fast as torch sums.
    predicted = (scores >= thresholds).cpu().numpy()
    present, absent = (labels == 1).cpu().numpy(), (labels == 0).cpu().numpy()
    true_positives, false_positives = _counted(predicted & present), _counted(predicted & absent)
    counts = (
        true_positives,
        false_positives,
        _counted(present) - true_positives,
        _counted(absent) - false_positives,
    )
    return Counts(*(torch.from_numpy(count).to(scores.device) for count in counts))


def precision(counts: Counts) -> Float[Tensor, "*classes"]:
    """Returns the share of the cells predicted present that are, per class; NaN where none is predicted."""
    return counts.true_positives.double() / (counts.true_positives + counts.false_positives)


def recall(counts: Counts) -> Float[Tensor, "*classes"]:
    """Returns the share of the present cells that are predicted, per class; NaN where none is present."""
    return counts.true_positives.double() / (counts.true_positives + counts.false_negatives)


def f1(counts: Counts) -> Float[Tensor, "*classes"]:
    """Returns F1 = 2 TP / (2 TP + FP + FN) per class; NaN where nothing is present and nothing predicted."""
    doubled = 2 * counts.true_positives
    return doubled.double() / (doubled + counts.false_positives + counts.false_negatives)


def pooled_f1(counts: Counts) -> Float[Tensor, ""]:
    """Returns F1 of the cells of all classes together."""
    return f1(Counts(*(count.sum() for count in counts)))


def mean_f1(counts: Counts) -> Float[Tensor, ""]:
    """Returns the mean F1 of the classes that have a known positive."""
    present = counts.true_positives + counts.false_negatives > 0
    return mean_of_defined(torch.where(present, f1(counts), torch.nan))[0]


def share_wrong(counts: Counts) -> Float[Tensor, ""]:
    """Returns the share of the known cells that are predicted wrongly."""
    return (counts.false_positives + counts.false_negatives).sum().double() / _known(counts)


def share_present(counts: Counts) -> Float[Tensor, ""]:
    """Returns the share of the known cells that are present."""
    return (counts.true_positives + counts.false_negatives).sum().double() / _known(counts)


def _known(counts: Counts) -> Int64[Tensor, ""]:
    return torch.stack([count.sum() for count in counts]).sum()


def _counted(cells: Bool[np.ndarray, "samples classes"]) -> Int64[np.ndarray, " classes"]:
    return np.asarray(np.count_nonzero(cells, axis=0), dtype=np.int64)
