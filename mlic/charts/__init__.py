"""Charts of a report: numbers to matplotlib figures, and figures to SVG that may stand within a page.

The functions take arrays and give a `Figure`; `svg` makes of it text for an HTML page. Undefined numbers (NaN) are
never drawn as 0: they are left out, and the chart says how many.
"""

from mlic.charts.calibration import Bins, reliability
from mlic.charts.comparison import compare
from mlic.charts.curves import Curve, precision_recall, precision_recall_of_classes, threshold_curves
from mlic.charts.histograms import score_histogram
from mlic.charts.inline import svg
from mlic.charts.support import precision_by_support
from mlic.charts.together import Pair, cooccurrence, differing_pairs, draw_cooccurrence

__all__ = [
    "Bins",
    "Curve",
    "Pair",
    "compare",
    "cooccurrence",
    "differing_pairs",
    "draw_cooccurrence",
    "precision_by_support",
    "precision_recall",
    "precision_recall_of_classes",
    "reliability",
    "score_histogram",
    "svg",
    "threshold_curves",
]
