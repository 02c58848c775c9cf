"""What all charts share: the sheet, its colours, and how axes look."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from mlic.charts.words import length, plain

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "INK",
    "ORANGE",
    "VIOLET",
    "across",
    "empty",
    "log_axis",
    "note",
    "panel",
    "sheet",
    "style",
    "unit_axis",
]

# Each is seen on white and on black; INK becomes the colour of the text around the chart.
BLUE, ORANGE, GREEN, VIOLET, GREY = "#2f86bd", "#cf6f1b", "#3a9a5f", "#8f6bc1", "#80868c"
INK = "#010203"
_SIZE = 8.5  # points
_SMALL = 7.5
_FAINT = 0.13

_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": _SIZE,
    "text.color": INK,
    "text.parse_math": False,  # a class may be named $1 or x_2
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.labelsize": _SIZE,
    "axes.titlesize": _SIZE,
    "axes.titlecolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": _SMALL,
    "ytick.labelsize": _SMALL,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": _SMALL,
    "legend.handlelength": 1.6,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "none",
    "svg.hashsalt": "mlic",
}


@contextmanager
def style() -> Iterator[None]:
    """How charts look, whatever a user's matplotlibrc says."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def sheet(width: float, height: float, description: str) -> Figure:
    """Returns an empty figure without a background.

    Args:
        width: in inches.
        height: in inches.
        description: what a reader hears who cannot see the chart.
    """
    figure = Figure(figsize=(width, height))
    figure.patch.set_visible(False)
    figure.set_label(plain(description))
    return figure


def panel(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Returns axes at a place, in inches from the lower left corner of the sheet."""
    across_, up = figure.get_size_inches()
    axes = figure.add_axes((left / across_, bottom / up, width / across_, height / up))
    axes.patch.set_visible(False)
    axes.grid(color=INK, alpha=_FAINT, linewidth=0.6)
    return axes


def across(text: str, size: float) -> float:
    """Returns about how many inches a text takes; browsers differ, so it is a little more than most need."""
    return length(text) * size * 0.56 / 72


def note(figure: Figure, text: str) -> None:
    """Writes what a reader has to know besides in the lower left corner."""
    width, height = figure.get_size_inches()
    figure.text(0.08 / width, 0.07 / height, text, fontsize=_SMALL, alpha=0.75)


def empty(axes: Axes, text: str) -> None:
    """Writes in place of a chart why there is none."""
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes)


def unit_axis(axes: Axes, which: str) -> None:
    """Makes an axis go from 0 to 1, with equal marks.

    Args:
        axes: that the axis belongs to.
        which: "x" or "y".
    """
    ticks = [0, 0.2, 0.4, 0.6, 0.8, 1]
    axes.set(**{f"{which}lim": (0, 1), f"{which}ticks": ticks, f"{which}ticklabels": [f"{tick:g}" for tick in ticks]})


def log_axis(axes: Axes, which: str, low: float, high: float, most: int = 7) -> None:
    """Makes an axis logarithmic, with numbers such as 1,000 in place of powers.

    Args:
        axes: that the axis belongs to.
        which: "x" or "y".
        low: where it begins.
        high: where it ends.
        most: about how many marks there is room for.
    """
    axes.set(**{f"{which}scale": "log", f"{which}lim": (low, high)})
    axis = axes.xaxis if which == "x" else axes.yaxis
    subs = (1.0, 2.0, 5.0) if high / low < 10 ** (most / 3) else (1.0,)
    axis.set_major_locator(LogLocator(base=10, subs=subs, numticks=most))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: _count(value)))


def _count(value: float) -> str:
    if value < 1:  # no count
        return ""
    for unit, name in ((1e9, "G"), (1e6, "M")):
        if value >= unit:
            return f"{value / unit:g} {name}"
    return f"{value:,.0f}"
