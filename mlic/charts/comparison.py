"""Two models, class by class."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int64
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlic.charts.placing import alternate, label_points
from mlic.charts.style import BLUE, GREY, INK, ORANGE, across, empty, note, panel, sheet, style, unit_axis
from mlic.charts.words import plain, shorten, tips

__all__ = ["compare"]

_ROWS = 40
_LABELS = 12
_MARKS = 1000
_NAME = 24


@style()
def compare(
    names: tuple[str, str],
    classes: Sequence[str],
    first: Float[np.ndarray, " classes"],
    second: Float[np.ndarray, " classes"],
    low: Float[np.ndarray, " classes"],
    high: Float[np.ndarray, " classes"],
) -> Figure:
    """Draws the average precision of two models on the same samples, and their difference with its interval.

    Args:
        names: of the models.
        classes: their names.
        first: average precision of the first model; NaN where undefined, which is left out.
        second: of the second model.
        low: end of the interval of second - first; NaN where it is not known.
        high: the other end.
    """
    defined = np.flatnonzero(np.isfinite(first) & np.isfinite(second))
    difference = second[defined] - first[defined]
    by_size = np.argsort(-np.abs(difference), kind="stable")[:_ROWS]
    rows = defined[by_size[np.argsort(-difference[by_size], kind="stable")]]
    height = max(4.6, 0.155 * len(rows) + 1.1)
    words = [shorten(name, 28) for name in names]
    figure = sheet(9.4, height, f"Average precision of {words[1]} against {words[0]}, of {len(defined):,} classes.")
    axes = panel(figure, 0.6, height - 3.82, 3.4, 3.4)
    unit_axis(axes, "x")
    unit_axis(axes, "y")
    axes.set(xlabel=f"average precision of {words[0]}", ylabel=f"average precision of {words[1]}")
    note(figure, _note(len(classes), len(defined), len(rows)))
    if not len(defined):
        empty(axes, "n/a: no class has known positives")
        return figure
    _draw_scatter(axes, classes, first, second, low, high, defined)
    margin = max(across(shorten(classes[one], _NAME), 7.0) for one in rows) + 0.1
    left = 4.5 + margin
    beside = panel(figure, left, 0.62, 9.2 - left, height - 1.07)
    _draw_differences(beside, words, classes, first, second, low, high, rows)
    return figure


def _draw_scatter(
    axes: Axes,
    classes: Sequence[str],
    first: Float[np.ndarray, " classes"],
    second: Float[np.ndarray, " classes"],
    low: Float[np.ndarray, " classes"],
    high: Float[np.ndarray, " classes"],
    defined: Int64[np.ndarray, " defined"],
) -> None:
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
    x, y, names = first[defined], second[defined], [plain(classes[one]) for one in defined]
    many = len(defined) > _MARKS
    said = [f"{name}: {a:.3f}, {b:.3f}" for name, a, b in zip(names, x, y, strict=True)]
    # A colour each: a group for each, so that the pointer finds the class.
    colours = [_colour(float(low[one]), float(high[one])) for one in defined]
    axes.scatter(x, y, s=14, c=colours, alpha=0.75, linewidths=0, clip_on=False, rasterized=many,
                 gid=None if many else tips(said))  # fmt: skip
    far = np.argsort(-np.abs(y - x), kind="stable")
    label_points(axes, x, y, names, alternate(far, limit=_LABELS))


def _draw_differences(
    axes: Axes,
    names: Sequence[str],
    classes: Sequence[str],
    first: Float[np.ndarray, " classes"],
    second: Float[np.ndarray, " classes"],
    low: Float[np.ndarray, " classes"],
    high: Float[np.ndarray, " classes"],
    rows: Int64[np.ndarray, " rows"],
) -> None:
    difference = second[rows] - first[rows]
    places = np.arange(len(rows))
    colours = [_colour(float(low[one]), float(high[one])) for one in rows]
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.hlines(places, low[rows], high[rows], colors=colours, linewidth=1.6)
    axes.scatter(difference, places, s=16, c=colours, linewidths=0, zorder=3, clip_on=False)
    axes.set_yticks(places, [shorten(classes[one], _NAME) for one in rows], fontsize=7)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    ends = np.concatenate([difference, low[rows], high[rows]])
    farthest = max(0.01, float(np.abs(ends[np.isfinite(ends)]).max())) * 1.05
    axes.set_xlim(-farthest, farthest)
    axes.set_xlabel("difference of average precision")
    axes.set_title(f"← {shorten(names[0], 18)} better", loc="left", color=ORANGE, fontsize=7.5)
    axes.set_title(f"{shorten(names[1], 18)} better →", loc="right", color=BLUE, fontsize=7.5)


def _colour(low: float, high: float) -> str:
    """Returns the colour of the better model; a neutral one where the interval holds 0 or is not known."""
    return BLUE if low > 0 else ORANGE if high < 0 else GREY


def _note(classes: int, defined: int, rows: int) -> str:
    parts = ["Coloured where the interval leaves out 0."]
    if rows < defined:
        parts.append(f"On the right the {rows} of {defined:,} classes that differ most.")
    if defined < classes:
        parts.append(f"{classes - defined:,} of {classes:,} classes without known positives: n/a.")
    return "  ".join(parts)
