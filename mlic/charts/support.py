"""Which classes are learned, and whether it is for want of examples."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int64
from matplotlib.figure import Figure

from mlic.charts.placing import alternate, label_points
from mlic.charts.style import BLUE, empty, log_axis, note, panel, sheet, style, unit_axis
from mlic.charts.words import plain, tips

__all__ = ["precision_by_support"]

_LABELS = 24
_MARKS = 1000  # as elements of their own


@style()
def precision_by_support(
    classes: Sequence[str],
    average_precision: Float[np.ndarray, " classes"],
    support: Int64[np.ndarray, " classes"],
) -> Figure:
    """Draws the average precision of each class against its support, and names the extremes.

    Args:
        classes: their names.
        average_precision: of each class; NaN where undefined, which is left out.
        support: known positives of each class.
    """
    figure = sheet(7.4, 3.9, f"Average precision against support of {len(classes):,} classes.")
    axes = panel(figure, 0.6, 0.72, 6.6, 3.0)
    unit_axis(axes, "y")
    axes.set(xlabel="support (known positives)", ylabel="average precision")
    defined = np.flatnonzero(np.isfinite(average_precision) & (support > 0)).tolist()
    missing = len(classes) - len(defined)
    note(figure, f"{missing:,} of {len(classes):,} classes without known positives: n/a." if missing else "")
    if not len(defined):
        axes.set_xticks([])
        empty(axes, "n/a: no class has known positives")
        return figure
    x, y = support[defined].astype(float), average_precision[defined]
    names = [plain(classes[one]) for one in defined]
    log_axis(axes, "x", x.min() / 1.3, x.max() * 1.3, most=9)
    many = len(defined) > _MARKS
    said = None if many else tips([f"{name}: {a:.3f}, {s:,.0f}" for name, a, s in zip(names, y, x, strict=True)])
    axes.scatter(x, y, s=18, color=BLUE, alpha=0.75, linewidths=0, clip_on=False, rasterized=many, gid=said)
    far = np.argsort(-np.abs(y - np.median(y)), kind="stable")
    orders = np.argsort(y, kind="stable"), np.argsort(-y, kind="stable"), np.argsort(-x, kind="stable"), far
    label_points(axes, x, y, names, alternate(*orders, limit=_LABELS))
    return figure
