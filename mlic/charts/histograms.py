"""How far apart the scores of what is present and of what is absent lie."""

import numpy as np
from jaxtyping import Float, Int8
from matplotlib.figure import Figure

from mlic.charts.style import BLUE, INK, ORANGE, empty, log_axis, panel, sheet, style, unit_axis
from mlic.charts.words import shorten

__all__ = ["score_histogram"]

_BINS = 50
_FLOOR = 0.7  # of a log axis on which 1 is to be seen


@style()
def score_histogram(
    name: str,
    scores: Float[np.ndarray, " cells"],
    labels: Int8[np.ndarray, " cells"],
    threshold: float | None = None,
) -> Figure:
    """Draws how many of the known labels have which score, those present and those absent apart.

    Args:
        name: of the class, or of all.
        scores: 0 to 1.
        labels: 1 present, 0 absent, -1 unknown.
        threshold: the chosen one; None if there is none.
    """
    kinds = [(word, scores[labels == label], colour)
             for word, label, colour in (("absent", 0, ORANGE), ("present", 1, BLUE))]  # fmt: skip
    figure = sheet(7.4, 3.1, f"Scores of {name}, where it is present and where it is absent.")
    axes = panel(figure, 0.75, 0.55, 4.95, 2.25)
    unit_axis(axes, "x")
    axes.set(xlabel="score", ylabel="labels")
    axes.set_title(shorten(name, 60), loc="left")
    counts = [np.histogram(values, bins=_BINS, range=(0, 1)) for _, values, _ in kinds]
    highest = max(int(found.max()) for found, _ in counts)
    if not highest:
        axes.set_yticks([])
        empty(axes, "n/a: no known labels")
        return figure
    log_axis(axes, "y", _FLOOR, highest * 1.6)
    for (word, values, colour), (found, edges) in zip(kinds, counts, strict=True):
        heights = np.where(found > 0, found, np.nan).astype(float)  # no bar is not a bar of height 0 on a log axis
        axes.stairs(heights, edges, baseline=_FLOOR, fill=True, alpha=0.35, color=colour, linewidth=0)
        label = f"{word} ({len(values):,})"
        axes.stairs(heights, edges, baseline=_FLOOR, color=colour, linewidth=1.2, label=label)
    if threshold is not None and np.isfinite(threshold):
        axes.axvline(threshold, color=INK, linewidth=1, linestyle=":", label=f"threshold\u2002{threshold:.3f}")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1))
    return figure
