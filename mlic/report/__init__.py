"""What a model is good at and where it errs: a page for people, the same numbers for machines."""

from mlic.report.comparison import Comparison, compare_reports
from mlic.report.folder import Report, write_report
from mlic.report.predictions import read_predictions

__all__ = ["Comparison", "Report", "compare_reports", "read_predictions", "write_report"]
