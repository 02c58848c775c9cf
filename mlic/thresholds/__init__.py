"""From logits to decisions: calibration, and thresholds fitted on samples whose labels are known."""

from mlic.thresholds.crossfit import cross_fitted, cross_fitted_scores
from mlic.thresholds.decisions import Decisions, decide
from mlic.thresholds.fitted import Fitted, fit_decisions
from mlic.thresholds.fitting import fit_thresholds
from mlic.thresholds.rules import DecisionRule

__all__ = [
    "DecisionRule",
    "Decisions",
    "Fitted",
    "cross_fitted",
    "cross_fitted_scores",
    "decide",
    "fit_decisions",
    "fit_thresholds",
]
