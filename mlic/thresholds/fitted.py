"""`fit_decisions`: from logits and labels to what decides, as a rule asks for it."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int8
from torch import Tensor

from mlic.ranks import not_a_number
from mlic.thresholds.conformal import conformal_threshold
from mlic.thresholds.decisions import Decisions
from mlic.thresholds.fitting import Cuts, fit_cuts
from mlic.thresholds.rules import DecisionRule
from mlic.thresholds.scaling import platt_scaling, temperature_scaling

__all__ = ["Fitted", "calibrated", "fit_decisions"]


class Fitted(NamedTuple):
    """Decisions that were fitted, and where the samples did not give what was asked.

    Attributes:
        decisions: on the device of the logits.
        shared: which classes have the threshold of all cells together: for want of positives, or by the rule.
        unreached: which classes have a threshold that misses the target of the rule on the cells that it was fitted on,
            those of all classes where it is shared; all of them where there are too few images for `fnr`.
        pooled: which classes have, under Platt scaling, the slope and offset of all cells together.
    """

    decisions: Decisions
    shared: Bool[Tensor, " classes"]
    unreached: Bool[Tensor, " classes"]
    pooled: Bool[Tensor, " classes"]


def fit_decisions(
    rule: DecisionRule,
    logits: Float[Tensor, "samples classes"],
    labels: Int8[Tensor, "samples classes"],
    decides_at_zero: bool = False,
) -> Fitted:
    """Calibrates scores, then fits thresholds on what they are then, both on the known cells of these samples.

    What is fitted looks better on the samples that it was fitted on than on any others: `cross_fitted` judges it.

    Args:
        rule: what is asked.
        logits: of any size; not-a-number is as good as a number where the label is unknown.
        labels: 1 present, 0 absent, -1 unknown; an unknown cell has no influence.
        decides_at_zero: whether the loss says that a class is present where its logit is above 0. A rule that asks for
            plain F1 then has no thresholds fitted: that of a class is the calibrated score of a logit of 0. Any other
            rule (another objective, or another beta) is what somebody wants instead, and is followed.

    Raises:
        MlicError: if the logit of a known cell is not a number.

    Example:
        Down to the logit 1 all positives are found, with one mistake.

        >>> logits = torch.tensor([[3.0], [2.0], [1.0], [-2.0]])
        >>> labels = torch.tensor([[1], [0], [1], [0]], dtype=torch.int8)
        >>> rule = DecisionRule(min_support=1, calibration="none")
        >>> fit_decisions(rule, logits, labels).decisions.present(logits).flatten().tolist()
        [True, True, True, False]
        >>> fit_decisions(rule, logits, labels, decides_at_zero=True).decisions.thresholds
        tensor([0.5000])
    """
    plain, pooled = calibrated(rule, logits, labels)
    scores = plain.scores(logits)
    if decides_at_zero and rule.is_plain_f1:
        cuts = _unfitted(plain.scores(logits.new_zeros(1, logits.shape[1]))[0])
    elif rule.objective == "fixed":
        cuts = _unfitted(torch.full_like(plain.offset, rule.level))
    elif rule.objective == "fnr":
        cuts = _conformal(scores, labels, rule.level)
    else:
        cuts = fit_cuts(rule, scores, labels)
    decisions = Decisions(cuts.thresholds, plain.slope, plain.offset, rule.at_most)
    return Fitted(decisions, cuts.shared, cuts.unreached, pooled)


def calibrated(
    rule: DecisionRule, logits: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]
) -> tuple[Decisions, Bool[Tensor, " classes"]]:
    """Returns the calibration that a rule asks for, with thresholds of 0.5, and which classes have that of all cells.

    Raises:
        MlicError: if the logit of a known cell is not a number.
    """
    if (logits.isnan() & (labels >= 0)).any():
        raise not_a_number(logits, labels)
    dtype = logits.dtype if logits.dtype == torch.float64 else torch.float32
    one = torch.ones(logits.shape[1], dtype=dtype, device=logits.device)
    slope, offset, pooled = one, torch.zeros_like(one), torch.zeros_like(one, dtype=torch.bool)
    if rule.calibration == "temperature":
        slope = one * temperature_scaling(logits, labels).to(dtype)
    elif rule.calibration == "platt":
        scaling = platt_scaling(logits, labels, min_support=rule.min_support)
        slope, offset, pooled = scaling.slope.to(dtype), scaling.offset.to(dtype), scaling.pooled
    return Decisions(one / 2, slope, offset, rule.at_most), pooled


def _conformal(scores: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"], alpha: float) -> Cuts:
    """Returns the threshold of all classes; 0, by which every class is present, where none can be promised."""
    threshold = conformal_threshold(scores, labels, alpha)
    thresholds = scores.new_zeros(scores.shape[1])
    shared = torch.ones_like(thresholds, dtype=torch.bool)
    if threshold is None:
        return Cuts(thresholds, shared, shared)
    return Cuts(thresholds + threshold, shared, ~shared)


def _unfitted(thresholds: Float[Tensor, " classes"]) -> Cuts:
    none = torch.zeros_like(thresholds, dtype=torch.bool)
    return Cuts(thresholds, none, none)
