"""From logits to decisions: calibration, and thresholds fitted on samples whose labels are known."""

from mlic.thresholds.decisions import Decisions, decide
from mlic.thresholds.fitting import fit_thresholds

__all__ = ["Decisions", "decide", "fit_thresholds"]
