"""Whether a score of 0.7 is right seven times out of ten."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int64
from matplotlib.figure import Figure

from mlic.charts.style import BLUE, INK, ORANGE, empty, log_axis, panel, sheet, style, unit_axis

__all__ = ["Bins", "reliability"]


class Bins(NamedTuple):
    """Cells by their score, in bins of equal width from 0 to 1.

    Attributes:
        mean_score: of the cells of each bin; NaN where there is none.
        share_present: how many of them are present; NaN where there is none.
        cells: how many there are.
    """

    mean_score: Float[np.ndarray, " bins"]
    share_present: Float[np.ndarray, " bins"]
    cells: Int64[np.ndarray, " bins"]


@style()
def reliability(before: Bins, after: Bins | None = None) -> Figure:
    """Draws a reliability diagram (Niculescu-Mizil & Caruana 2005, doi:10.1145/1102351.1102430).

    Args:
        before: of the scores as the network gives them.
        after: of the calibrated scores; None if there are none.
    """
    kinds = [("scores", before, BLUE, "o-")]
    if after is not None:
        kinds = [("before calibration", before, ORANGE, "s--"), ("after calibration", after, BLUE, "o-")]
    cells = int(before.cells.sum())
    figure = sheet(4.6, 5.4, f"Share of labels that are present against the mean score, of {cells:,} cells in bins.")
    axes = panel(figure, 0.7, 1.75, 3.5, 3.5)
    unit_axis(axes, "x")
    unit_axis(axes, "y")
    axes.set_xticklabels([])
    axes.set_ylabel("share present")
    for name, bins, colour, look in kinds:
        some = bins.cells > 0
        axes.plot(bins.mean_score[some], bins.share_present[some], look, color=colour, label=name, markersize=4,
                  linewidth=1.3, clip_on=False)  # fmt: skip
    below = panel(figure, 0.7, 0.55, 3.5, 1.0)
    unit_axis(below, "x")
    below.set(xlabel="mean score", ylabel="cells")
    if not cells:
        empty(axes, "n/a: no known labels")
        below.set_yticks([])
        return figure
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
    axes.legend(loc="upper left")
    log_axis(below, "y", 0.7, max(float(bins.cells.max()) for _, bins, _, _ in kinds) * 2, most=4)
    for at, (_, bins, colour, _) in enumerate(kinds):
        width = 0.8 / len(kinds) / len(bins.cells)
        middles = (np.arange(len(bins.cells)) + 0.5) / len(bins.cells) + (at - (len(kinds) - 1) / 2) * width
        some = bins.cells > 0
        below.bar(middles[some], bins.cells[some], width, color=colour)
    return figure
