"""How good the scores are: exact metrics in which an unknown cell counts for nothing.

The functions are pure: on scores and labels, on decisions (`present`) and labels, or on the `Counts` that these give.
`MultiLabelMetrics` collects rows over batches and processes; `BinnedMetrics` keeps histograms in their place, for
tables that no memory holds. What is undefined (0 / 0) is NaN, and is left out of means over classes or images.
"""

from typing import TYPE_CHECKING, Any

from mlic.metrics.averages import (
    average_precision,
    mean_average_precision,
    mean_of_defined,
    micro_average_precision,
)
from mlic.metrics.calibration import brier, calibration_error, reliability
from mlic.metrics.counts import Counts, count_cells, f1, jaccard, precision, recall
from mlic.metrics.curves import curve
from mlic.metrics.decisions import (
    f1_samples,
    hamming,
    hamming_all_negative,
    jaccard_macro,
    jaccard_samples,
    subset_accuracy,
    top_k,
)
from mlic.metrics.figures import headline, per_class
from mlic.metrics.judging import FIGURES, baselines, figures
from mlic.metrics.overall import (
    cf1,
    class_precision,
    class_recall,
    f1_macro,
    f1_micro,
    f1_weighted,
    overall_precision,
    overall_recall,
)
from mlic.metrics.ranking import coverage_error, lrap, one_error, ranking_loss
from mlic.metrics.separation import auroc

if TYPE_CHECKING:
    from mlic.metrics.binned import BinnedMetrics
    from mlic.metrics.collected import MultiLabelMetrics, Rows

__all__ = [
    "FIGURES",
    "BinnedMetrics",
    "Counts",
    "MultiLabelMetrics",
    "Rows",
    "auroc",
    "average_precision",
    "baselines",
    "brier",
    "calibration_error",
    "cf1",
    "class_precision",
    "class_recall",
    "count_cells",
    "coverage_error",
    "curve",
    "f1",
    "f1_macro",
    "f1_micro",
    "f1_samples",
    "f1_weighted",
    "figures",
    "hamming",
    "hamming_all_negative",
    "headline",
    "jaccard",
    "jaccard_macro",
    "jaccard_samples",
    "lrap",
    "mean_average_precision",
    "mean_of_defined",
    "micro_average_precision",
    "one_error",
    "overall_precision",
    "overall_recall",
    "per_class",
    "precision",
    "ranking_loss",
    "recall",
    "reliability",
    "subset_accuracy",
    "top_k",
]

# Who needs arithmetic alone does not wait for torchmetrics.
_LATER = {
    "BinnedMetrics": "mlic.metrics.binned",
    "MultiLabelMetrics": "mlic.metrics.collected",
    "Rows": "mlic.metrics.collected",
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        import importlib

        return getattr(importlib.import_module(_LATER[name]), name)
    raise AttributeError(f"module 'mlic.metrics' has no attribute '{name}'")
