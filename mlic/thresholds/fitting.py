"""Thresholds: the score from which a class is said to be present, fitted on scores whose labels are known."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int8
from torch import Tensor

from mlic.ranks import Ranks, not_a_number, ranked, ranks
from mlic.thresholds.rules import DecisionRule

__all__ = ["Cuts", "between", "fit_cuts", "fit_thresholds"]

_UNFITTED = 0.5


class Cuts(NamedTuple):
    """Thresholds, and what became of the rule.

    Attributes:
        thresholds: of each class, of the type of the scores.
        shared: which classes have the threshold of all cells together.
        unreached: which have a threshold that does not reach the target, on the cells that it was fitted on.
    """

    thresholds: Float[Tensor, " classes"]
    shared: Bool[Tensor, " classes"]
    unreached: Bool[Tensor, " classes"]


def fit_thresholds(
    scores: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"], *, min_support: int = 10
) -> Float[Tensor, " classes"]:
    """Returns the threshold of each class that maximises its F1 over the known cells: `fit_cuts` by the default rule.

    Example:
        Down to 0.6 both positives are found with one mistake (F1 = 0.8); the unknown 0.5 is not there.

        >>> scores = torch.tensor([[0.9], [0.8], [0.6], [0.5], [0.2]])
        >>> labels = torch.tensor([[1], [0], [1], [-1], [0]], dtype=torch.int8)
        >>> fit_thresholds(scores, labels, min_support=1)
        tensor([0.4000])
    """
    return fit_cuts(DecisionRule(min_support=min_support), scores, labels).thresholds


def fit_cuts(
    rule: DecisionRule, scores: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]
) -> Cuts:
    """Returns the threshold of each class that is best by the objective `f1`, `precision` or `recall`, exactly.

    All cuts between distinct scores are tried; of equally good ones the highest is taken. The threshold lies halfway
    between the lowest score above the cut and the next known score below it, or 0 where nothing is below: the last
    bits of a score, which change with the size of a batch, then decide nothing. It is that lowest score where no
    number of the type lies between.

    `f1`: the highest F-beta. Such thresholds suit it and little else: a class whose scores tell nothing gets one so low
    that it is always predicted (Lipton et al. 2014, arXiv:1402.1892), and on few positives they fit chance. Therefore a
    class with fewer than `rule.min_support` known positives gets the one threshold that is best for all known cells
    together (micro F-beta), and all get it where the scope is `global`. It is 0.5 where no positive is known at all.

    `precision`: the most recall of all cuts whose precision is the target or more; where there is none, the highest
    precision, and of equal ones the one with the most recall. `recall`: the highest cut whose recall is the target or
    more. Both count known cells alone, and stand for unseen samples only as far as these are alike.

    Args:
        rule: its calibration and `at_most` have no influence here.
        scores: 0 to 1.
        labels: 1 present, 0 absent, -1 unknown; an unknown cell has no influence.

    Raises:
        MlicError: if the score of a known cell is not a number.

    Example:
        Of the two highest one is right, of the three highest two, and of all five two: a precision of 0.6 is to be had
        with all the recall there is, and of 0.9 not at all.

        >>> scores = torch.tensor([[0.9], [0.8], [0.6], [0.4], [0.2]])
        >>> labels = torch.tensor([[0], [1], [1], [0], [0]], dtype=torch.int8)
        >>> for target in (0.6, 0.9):
        ...     rule = DecisionRule(objective="precision", target=target, min_support=1)
        ...     fit_cuts(rule, scores, labels)[::2]
        (tensor([0.5000]), tensor([False]))
        (tensor([0.5000]), tensor([True]))
    """
    if rule.scope == "global":
        if (scores.isnan() & (labels >= 0)).any():
            raise not_a_number(scores, labels)
        enough = torch.zeros(scores.shape[1], dtype=torch.bool, device=scores.device)
        thresholds, unreached = torch.zeros_like(enough, dtype=scores.dtype), enough
    else:
        enough = (labels == 1).sum(dim=0) >= max(1, rule.min_support)
        own = [_best_cuts(rule, block, scores) for block in ranked(scores, labels)]
        thresholds, unreached = torch.cat([cuts for cuts, _ in own]), torch.cat([missed for _, missed in own])
    if enough.all():
        return Cuts(thresholds, ~enough, unreached)
    shared, missed = _best_cuts(rule, ranks(scores.reshape(-1, 1), labels.reshape(-1, 1)), scores)
    return Cuts(torch.where(enough, thresholds, shared), ~enough, torch.where(enough, unreached, missed))


def _best_cuts(
    rule: DecisionRule, found: Ranks, scores: Float[Tensor, "samples classes"]
) -> tuple[Float[Tensor, " ranked"], Bool[Tensor, " ranked"]]:
    """Returns the best threshold of each ranked class, of the type of the scores, and whether it misses the target.

    A best cut lies at a positive: from one down to the next, recall stays and precision falls. Without a positive it is
    0.5, and misses any target.
    """
    present = found.support > 0
    cuts = torch.full((len(present),), _UNFITTED, dtype=scores.dtype)
    unreached = torch.full((len(present),), rule.objective != "f1")
    if present.any():
        support = found.support[present]
        starts = support.cumsum() - support
        worth, reached = _worth(rule, found)
        best = worth == np.repeat(np.maximum.reduceat(worth, starts), support)
        # The last of the best has the highest score, the first the most recall.
        if rule.objective == "precision":
            cut = np.minimum.reduceat(np.where(best, np.arange(len(best)), len(best)), starts)
        else:
            cut = np.maximum.reduceat(np.where(best, np.arange(len(best)), -1), starts)
        ordered, place = found.ordered.ravel(), found.place[cut]
        below = np.where(found.cells[cut] < found.known[present], ordered[place - 1], 0.0)
        low, high = (torch.from_numpy(score).to(scores.dtype) for score in (below, ordered[place]))
        cuts[torch.from_numpy(present)] = between(low, high)
        unreached[torch.from_numpy(present)] = torch.from_numpy(~reached[cut])
    return cuts.to(scores.device), unreached.to(scores.device)


def _worth(
    rule: DecisionRule, found: Ranks
) -> tuple[Float64[np.ndarray, " positives"], Bool[np.ndarray, " positives"]]:
    """Returns how good the cut at each positive is, by a number of which only the order counts, and if it will do."""
    support = found.support[found.column]
    if rule.objective == "f1":
        square = rule.beta**2
        f_beta = (1 + square) * found.hits / (found.cells + square * support)
        return f_beta, np.full(len(f_beta), True)
    if rule.objective == "recall":
        reached = found.hits / support >= rule.level
        return reached.astype(np.float64), reached
    precision = found.hits / found.cells
    reached = precision >= rule.level
    return np.where(reached, 1.0 + found.hits, precision), reached


def between(low: Float[Tensor, " *cuts"], high: Float[Tensor, " *cuts"]) -> Float[Tensor, " *cuts"]:
    """Returns the number halfway, rounded up, which is `high` where no number lies between.

    Example:
        >>> between(torch.tensor([0.25]), torch.tensor([0.75]))
        tensor([0.5000])
    """
    middle = low / 2 + high / 2
    # Up, for a score that equals the threshold is above it.
    return torch.where(high - middle > middle - low, middle.nextafter(high), middle)
