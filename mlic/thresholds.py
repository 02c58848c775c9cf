"""Thresholds: the score from which a class is said to be present, fitted on scores whose labels are known."""

import torch
from jaxtyping import Bool, Float, Int8
from torch import Tensor

from mlic.errors import MlicError

__all__ = ["decide", "fit_thresholds"]

_UNFITTED = 0.5
_BLOCK_CELLS = 2**20  # the classes that are sorted at a time; some 60 bytes a cell while they are


def decide(
    scores: Float[Tensor, "samples classes"], thresholds: Float[Tensor, " classes"]
) -> Bool[Tensor, "samples classes"]:
    """Returns which classes are said to be present: those whose score is the threshold or more.

    Example:
        >>> decide(torch.tensor([[0.2, 0.7]]), torch.tensor([0.2, 0.8]))
        tensor([[ True, False]])
    """
    return scores >= thresholds


def fit_thresholds(
    scores: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"], *, min_support: int = 10
) -> Float[Tensor, " classes"]:
    """Returns the threshold of each class that maximises its F1 over the known cells, of the type of the scores.

    All cuts between distinct scores are tried; of equally good ones the highest is taken. The threshold lies halfway
    between the lowest score above the cut and the next known score below it, or 0 where nothing is below: the last
    bits of a score, which change with the size of a batch, then decide nothing. It is that lowest score where no
    number of the type lies between. Such thresholds suit F1 and little else: a class whose scores tell
    nothing gets one so low that it is always predicted (Lipton et al. 2014, arXiv:1402.1892), and on few positives
    they fit chance. A class with fewer than `min_support` known positives therefore gets the one threshold that
    maximises F1 over all known cells together (micro F1), and that is 0.5 where no positive is known at all.

    Args:
        scores: 0 to 1.
        labels: 1 present, 0 absent, -1 unknown; an unknown cell has no influence.
        min_support: number of known positives from which a class has a threshold of its own.

    Raises:
        MlicError: if the score of a known cell is not a number.

    Example:
        Down to 0.6 both positives are found with one mistake (F1 = 0.8); the unknown 0.5 is not there.

        >>> scores = torch.tensor([[0.9], [0.8], [0.6], [0.5], [0.2]])
        >>> labels = torch.tensor([[1], [0], [1], [-1], [0]], dtype=torch.int8)
        >>> fit_thresholds(scores, labels, min_support=1)
        tensor([0.4000])
    """
    if (scores.isnan() & (labels >= 0)).any():
        raise MlicError("a score of a known cell is not a number: no threshold can be fitted to it")
    support = (labels == 1).sum(dim=0)
    width = max(1, _BLOCK_CELLS // max(1, len(scores)))
    blocks = zip(torch.split(scores, width, dim=1), torch.split(labels, width, dim=1), strict=True)
    own = torch.cat([_best_cuts(block.t(), known.t()) for block, known in blocks])
    shared = _best_cuts(scores.reshape(1, -1), labels.reshape(1, -1))
    return torch.where(support >= max(1, min_support), own, shared)


def _best_cuts(
    scores: Float[Tensor, "classes samples"], labels: Int8[Tensor, "classes samples"]
) -> Float[Tensor, " classes"]:
    """Returns the threshold of each row that maximises F1; 0.5 for a row without a known positive."""
    known = (labels >= 0).sum(dim=1, keepdim=True)
    support = (labels == 1).sum(dim=1, keepdim=True)
    if not support.any():
        return scores.new_full((len(scores),), _UNFITTED)
    # Ascending, unknown cells last: not-a-number is sorted as the greatest.
    ordered, order = torch.where(labels >= 0, scores, torch.nan).sort(dim=1)
    positive = labels.gather(1, order) == 1
    position = torch.arange(scores.shape[1], device=scores.device)
    # Cut at i: what is at i or after it is predicted. Not inside a group of equal scores.
    hits = support - positive.cumsum(dim=1) + positive.long()
    f1 = 2.0 * hits.double() / (known - position + support)
    possible = position < known
    possible[:, 1:] &= ordered[:, 1:] != ordered[:, :-1]
    # The last of the best: `argmax` gives the first.
    cut = len(position) - 1 - torch.where(possible, f1, -1.0).flip(1).argmax(dim=1, keepdim=True)
    below = torch.where(cut > 0, ordered.gather(1, (cut - 1).clamp(min=0)), 0.0)
    threshold = _between(below, ordered.gather(1, cut))
    return torch.where(support > 0, threshold, _UNFITTED).squeeze(1)


def _between(low: Float[Tensor, "classes 1"], high: Float[Tensor, "classes 1"]) -> Float[Tensor, "classes 1"]:
    """Returns the number halfway, rounded up, which is `high` where no number lies between."""
    middle = low / 2 + high / 2
    # Up, for a score that equals the threshold is above it.
    return torch.where(high - middle > middle - low, middle.nextafter(high), middle)
