"""How good the scores are: exact metrics in which an unknown cell counts for nothing.

The functions are pure; `MultiLabelMetrics` collects rows over batches and processes and calls them. A cell is predicted
present when `score >= threshold`. What is undefined (0 / 0) is NaN, and is left out of means over classes.
"""

from typing import TYPE_CHECKING, Any

from mlic.metrics.averages import average_precision, mean_average_precision, mean_of_defined
from mlic.metrics.counts import Counts, count_cells, f1, precision, recall
from mlic.metrics.decisions import f1_macro, f1_micro, hamming, hamming_all_negative
from mlic.metrics.figures import headline, per_class

if TYPE_CHECKING:
    from mlic.metrics.collected import MultiLabelMetrics, Rows

__all__ = [
    "Counts",
    "MultiLabelMetrics",
    "Rows",
    "average_precision",
    "count_cells",
    "f1",
    "f1_macro",
    "f1_micro",
    "hamming",
    "hamming_all_negative",
    "headline",
    "mean_average_precision",
    "mean_of_defined",
    "per_class",
    "precision",
    "recall",
]


def __getattr__(name: str) -> Any:
    # Who needs arithmetic alone does not wait for torchmetrics.
    if name in ("MultiLabelMetrics", "Rows"):
        from mlic.metrics import collected

        return getattr(collected, name)
    raise AttributeError(f"module 'mlic.metrics' has no attribute '{name}'")
