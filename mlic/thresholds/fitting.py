"""Thresholds: the score from which a class is said to be present, fitted on scores whose labels are known."""

import numpy as np
import torch
from jaxtyping import Float, Int8
from torch import Tensor

from mlic.ranks import Ranks, ranked, ranks

__all__ = ["fit_thresholds"]

_UNFITTED = 0.5


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
    support = (labels == 1).sum(dim=0)
    enough = support >= max(1, min_support)
    own = torch.cat([_best_cuts(block, scores) for block in ranked(scores, labels)])
    if enough.all():
        return own
    shared = _best_cuts(ranks(scores.reshape(-1, 1), labels.reshape(-1, 1)), scores)
    return torch.where(enough, own, shared)


def _best_cuts(found: Ranks, scores: Float[Tensor, "samples classes"]) -> Float[Tensor, " ranked"]:
    """Returns the threshold of each ranked class that maximises F1, of the type of the scores; 0.5 without a positive.

    A best cut lies at a positive: down from one to the next, F1 only falls.
    """
    present = found.support > 0
    cuts = torch.full((len(present),), _UNFITTED, dtype=scores.dtype)
    if present.any():
        support = found.support[present]
        starts = support.cumsum() - support
        f1 = 2.0 * found.hits / (found.cells + found.support[found.column])
        best = f1 == np.repeat(np.maximum.reduceat(f1, starts), support)
        # The last of the best has the highest score.
        cut = np.maximum.reduceat(np.where(best, np.arange(len(f1)), -1), starts)
        ordered, place = found.ordered.ravel(), found.place[cut]
        below = np.where(found.cells[cut] < found.known[present], ordered[place - 1], 0.0)
        low, high = (torch.from_numpy(score).to(scores.dtype) for score in (below, ordered[place]))
        cuts[torch.from_numpy(present)] = _between(low, high)
    return cuts.to(scores.device)


def _between(low: Float[Tensor, " classes"], high: Float[Tensor, " classes"]) -> Float[Tensor, " classes"]:
    """Returns the number halfway, rounded up, which is `high` where no number lies between."""
    middle = low / 2 + high / 2
    # Up, for a score that equals the threshold is above it.
    return torch.where(high - middle > middle - low, middle.nextafter(high), middle)
