"""From logits to decisions: calibration, thresholds fitted on samples whose labels are known, and what they are worth."""

from mlic.thresholds.decisions import Decisions, decide
from mlic.thresholds.fitting import fit_thresholds

__all__ = ["Decisions", "decide", "fit_thresholds"]
