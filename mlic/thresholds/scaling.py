"""Calibration: what is done to logits before the sigmoid, so that a score of 0.8 is right 8 times in 10."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Float64, Int8
from torch import Tensor

__all__ = ["Scaling", "platt_scaling", "temperature_scaling"]

_STEEPEST, _FLATTEST = 20.0, 1 / 20
_FARTHEST = 1e4  # of this logit the flattest slope makes 0 or 1 already: one that is infinite is as good
_CELLS_AT_A_TIME = 2**16  # what is computed of them stays in the cache
_STEPS = 100
_CLOSE = 1e-5  # Newton's steps square what is missing: after one this small, some 1e-10 is
_ROUNDING = 1e-12


class Scaling(NamedTuple):
    """The score of a logit is `sigmoid(slope * logit + offset)`.

    Attributes:
        slope: of each class, above 0.
        offset: of each class.
        pooled: which classes have the slope and the offset of all cells together although each could have its own.
    """

    slope: Float64[Tensor, " classes"]
    offset: Float64[Tensor, " classes"]
    pooled: Bool[Tensor, " classes"]


def temperature_scaling(
    logits: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]
) -> Float64[Tensor, ""]:
    """Returns the slope, 1 / temperature, that makes the known cells likeliest (Guo et al. 2017, arXiv:1706.04599).

    It is one number for all cells: it changes no order, and hardly anything can be over-fitted. It minimises the binary
    cross-entropy of the known cells between 1/20 and 20, with the targets of Platt (1999), as `platt_scaling`:
    `(p + 1) / (p + 2)` for the p known positives and `1 / (n + 2)` for the n known others. Of many cells these are 1
    and 0. Without them what few cells separate perfectly would have the slope grow without end, and any new score be
    0 or 1; with them scores are as sure as the cells are many. What ranks the wrong way would have the slope fall below
    0. It is 1 where no known cell is present or none absent.

    Args:
        logits: numbers, at known cells; infinite ones count as 10,000.
        labels: 1 present, 0 absent, -1 unknown; an unknown cell has no influence.

    Example:
        Each label has two cells, all right, with the targets 3/4 and 1/4: at a logit of 2 the slope is log(3) / 2.

        >>> logits = torch.tensor([[2.0], [2.0], [-2.0], [-2.0]])
        >>> labels = torch.tensor([[1], [1], [0], [0]], dtype=torch.int8)
        >>> round(temperature_scaling(logits, labels).item(), 4)
        0.5493
    """
    present, absent = labels == 1, labels == 0
    one = torch.ones((), dtype=torch.float64, device=logits.device)
    if not present.any() or not absent.any():
        return one
    # How far a logit is on the right side; 0 pulls nowhere.
    logits = _finite(logits)
    of_present, of_absent = torch.where(present, logits, 0.0), torch.where(absent, -logits, 0.0)
    doubt = _missing(of_present, present) + _missing(of_absent, absent)
    margins = (of_present + of_absent).reshape(-1)
    return one * _root(margins, doubt) if margins.any() else one


def _missing(margins: Float[Tensor, "samples classes"], cells: Bool[Tensor, "samples classes"]) -> float:
    """Returns the summed margins of the cells of one label, times what their target lacks of certainty."""
    return margins.sum(dtype=torch.float64).item() / (int(cells.sum()) + 2)


def _root(margins: Float[Tensor, " cells"], doubt: float) -> float:
    """Returns where the cross-entropy, convex in the slope, stops falling, by Newton's steps within a bracket."""
    low, high = _FLATTEST, _STEEPEST
    if _derivatives(margins, doubt, low)[0] >= 0:
        return low
    if _derivatives(margins, doubt, high)[0] <= 0:
        return high
    slope, last = 1.0, high - low
    for _ in range(_STEPS):
        first, second = _derivatives(margins, doubt, slope)
        low, high = (low, slope) if first > 0 else (slope, high)
        step = -first / second if second > 0 else 0.0
        if abs(step) <= _CLOSE * slope and second > 0:
            return min(max(slope + step, _FLATTEST), _STEEPEST)
        # On the way from afar Newton's steps are short, or lead out: the bracket is halved then.
        if not low < slope + step < high or abs(step) > last / 2 or second <= 0:
            step = (low * high) ** 0.5 - slope
        slope, last = slope + step, abs(step)
    return slope


def _derivatives(margins: Float[Tensor, " cells"], doubt: float, slope: float) -> tuple[float, float]:
    """Returns the first and the second derivative of the summed cross-entropy for the slope.

    `doubt` is what targets that are not quite 0 and 1 add to the first: the margins times what is missing.
    """
    first = second = torch.zeros((), dtype=torch.float64, device=margins.device)
    for some in torch.split(margins, _CELLS_AT_A_TIME):
        margin = some.double()
        pull = torch.mul(margin, -slope).sigmoid_().mul_(margin)
        first = first - pull.sum()
        second = second + pull @ (margin - pull)
    return first.item() + doubt, second.item()


def platt_scaling(
    logits: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"], *, min_support: int = 10
) -> Scaling:
    """Returns a slope and an offset of each class: logistic regression on its own logit (Platt 1999).

    J. Platt, "Probabilistic outputs for support vector machines and comparisons to regularized likelihood methods".
    His targets are `(p + 1) / (p + 2)` for the p known positives of a class and `1 / (n + 2)` for the n known others,
    by which a class that is separated perfectly has an optimum too.

    A class with too few known positives or negatives gets what all known cells together give. So does one whose slope
    would be below 1/20, since its logits rank the wrong way or say nothing: a slope must not turn the order round, for
    then a class would be judged by another order than it is reported with. Where even all cells together give no such
    slope, these classes have that of `temperature_scaling` and no offset.

    Args:
        logits: numbers, at known cells; infinite ones count as 10,000.
        labels: 1 present, 0 absent, -1 unknown; an unknown cell has no influence.
        min_support: number of known positives, and of known negatives, from which a class has its own.

    Example:
        Of each logit one in four is wrong. The targets are 5/6 and 1/6, and their mean is 2/3 at a logit of 1.

        >>> logits = torch.tensor([[1.0], [1.0], [1.0], [1.0], [-1.0], [-1.0], [-1.0], [-1.0]])
        >>> labels = torch.tensor([[1], [1], [1], [0], [0], [0], [0], [1]], dtype=torch.int8)
        >>> slope, offset, pooled = platt_scaling(logits, labels, min_support=1)
        >>> round(slope.exp().item(), 6), round(offset.abs().item(), 6)
        (2.0, 0.0)
    """
    known = labels >= 0
    present = (labels == 1).sum(dim=0)
    absent = known.sum(dim=0) - present
    enough = (present >= max(1, min_support)) & (absent >= max(1, min_support))
    slope, offset = torch.zeros(2, len(enough), dtype=torch.float64, device=logits.device)
    slope[enough], offset[enough] = _regression(logits[:, enough], labels[:, enough])
    own = enough & (slope >= _FLATTEST)
    if own.all():
        return Scaling(slope, offset, ~own)
    all_slope, all_offset = _regression(logits.reshape(-1, 1), labels.reshape(-1, 1))
    if not all_slope.item() >= _FLATTEST:
        all_slope, all_offset = temperature_scaling(logits, labels).reshape(1), torch.zeros_like(all_offset)
    return Scaling(slope.where(own, all_slope), offset.where(own, all_offset), ~own)


def _regression(
    logits: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]
) -> tuple[Float64[Tensor, " classes"], Float64[Tensor, " classes"]]:
    """Returns slope and offset of each class; a slope of 0 where its known logits are all equal.

    Newton's steps, of all classes at once; one that does not bring the gradient of a class nearer to 0 is halved.
    """
    cells = _Cells.of(logits, labels)
    kept = torch.stack([torch.zeros_like(cells.mean), cells.log_odds])
    step, nearest = torch.zeros_like(kept), torch.full_like(cells.mean, torch.inf)
    for _ in range(_STEPS):
        trial = kept + step
        distance, newton = cells.newton(trial)
        worse = distance > nearest
        kept, nearest = kept.where(worse, trial), nearest.where(worse, distance)
        step = torch.where(worse, step / 2, newton)
        if not (step.abs() > _CLOSE).any():
            break
    slope, offset = torch.where(step.abs() > _CLOSE, kept, kept + step)
    slope = slope / cells.spread
    return slope, offset - slope * cells.mean


class _Cells(NamedTuple):
    """What logistic regression needs of the cells.

    Attributes:
        logits: those of each class with a mean of 0 and a spread of 1, so that slope and offset are of one size.
        known: 1, or 0 for an unknown cell; None where all are known.
        mean: of the known logits.
        spread: their standard deviation, infinite where it is 0.
        log_odds: of the mean target.
        pulls: the sums over the known cells of target times logit, and of the targets.
    """

    logits: Float64[Tensor, "samples classes"]
    known: Float64[Tensor, "samples classes"] | None
    mean: Float64[Tensor, " classes"]
    spread: Float64[Tensor, " classes"]
    log_odds: Float64[Tensor, " classes"]
    pulls: Float64[Tensor, "2 classes"]

    @classmethod
    def of(cls, logits: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]) -> "_Cells":
        present, unknown = labels == 1, labels < 0
        positives, count = present.sum(dim=0).double(), len(labels) - unknown.sum(dim=0).double()
        numbers = _finite(logits).double().masked_fill_(unknown, 0.0)
        mean = numbers.sum(dim=0) / count.clamp(min=1)
        numbers.sub_(mean).masked_fill_(unknown, 0.0)
        spread = (numbers.square().sum(dim=0) / count.clamp(min=1)).sqrt()
        spread = spread.where(spread > _ROUNDING * mean.abs(), torch.inf)
        numbers.div_(spread)
        high, low = (positives + 1) / (positives + 2), 1 / (count - positives + 2)
        total = positives * high + (count - positives) * low
        # Standardised logits sum to 0, so that those of the absent are what those of the present are not.
        along = (high - low) * torch.where(present, numbers, 0.0).sum(dim=0)
        known = None if not unknown.any() else (~unknown).double()
        log_odds = (total / count).nan_to_num(0.5).logit()
        return cls(numbers, known, mean, spread, log_odds, torch.stack([along, total]))

    def newton(
        self, weights: Float64[Tensor, "2 classes"]
    ) -> tuple[Float64[Tensor, " classes"], Float64[Tensor, "2 classes"]]:
        """Returns how far the gradient of each class is from 0, squared, and Newton's step to where it is 0."""
        sums = torch.zeros(5, weights.shape[1], dtype=torch.float64, device=weights.device)
        rows = max(1, _CELLS_AT_A_TIME // max(1, weights.shape[1]))
        known = [None] * len(self.logits) if self.known is None else torch.split(self.known, rows)
        for x, mask in zip(torch.split(self.logits, rows), known, strict=False):
            score = torch.addcmul(weights[1], x, weights[0]).sigmoid_()
            if mask is not None:
                score.mul_(mask)
            bend = torch.addcmul(score, score, score, value=-1)
            bent = bend * x
            total, bends, bents = score.sum(dim=0), bend.sum(dim=0), bent.sum(dim=0)
            sums += torch.stack([score.mul_(x).sum(dim=0), total, bent.mul_(x).sum(dim=0), bents, bends])
        along, across = sums[:2] - self.pulls
        a, b, d = sums[2:]
        determinant = a * d - b.square()
        step = torch.stack([b * across - d * along, b * along - a * across]) / determinant
        return along.square() + across.square(), step.where(determinant > 0, 0.0)


def _finite(logits: Float[Tensor, "samples classes"]) -> Float[Tensor, "samples classes"]:
    return logits.detach().clamp(-_FARTHEST, _FARTHEST)
