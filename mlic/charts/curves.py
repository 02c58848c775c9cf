"""Precision, recall and F1 over all thresholds."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mlic.charts.style import BLUE, GREEN, INK, ORANGE, VIOLET, empty, note, panel, sheet, style, unit_axis
from mlic.charts.thinning import steps
from mlic.charts.words import plain, shorten, tips

__all__ = ["Curve", "precision_recall", "precision_recall_of_classes", "threshold_curves"]

_POINTS = 150  # of a line
_FAINT_POINTS = 60
_FAINT_LINES = 80
_PANELS = 40
_RECALLS = np.linspace(0, 1, 201)
_UNDEFINED = "n/a: no class has known positives"


class Curve(NamedTuple):
    """What a class, or all cells, would get with each threshold, from the highest threshold to the lowest.

    Attributes:
        precision: of the cells whose score is the threshold or more.
        recall: of the same, rising; NaN without known positives.
        thresholds: falling.
    """

    precision: Float[np.ndarray, " points"]
    recall: Float[np.ndarray, " points"]
    thresholds: Float[np.ndarray, " points"]


@style()
def precision_recall(
    classes: Sequence[str],
    curves: Sequence[Curve],
    average_precision: Float[np.ndarray, " classes"],
    micro: Curve,
    micro_average_precision: float,
) -> Figure:
    """Draws precision against recall: of all cells and the mean of classes in bold, all classes faint.

    The mean has at each recall the mean precision of the classes at their first threshold with that recall or more, so
    that the area below it is the mean average precision. A class without known positives has no curve.

    Args:
        classes: their names.
        curves: one a class; an empty one, or one with NaN, where it is undefined.
        average_precision: of each class; NaN where undefined. The best, the median and the worst class are named.
        micro: of all cells.
        micro_average_precision: of all cells.
    """
    order = [int(one) for one in np.argsort(average_precision, kind="stable") if _is_defined(curves[one])]
    order = [one for one in order if np.isfinite(average_precision[one])]
    mean = float(np.mean(average_precision[order])) if order else float("nan")
    figure = sheet(
        7.4, 4.3, f"Precision against recall of {len(classes):,} classes. Mean average precision {_figure(mean)}, "
        f"of all cells {_figure(micro_average_precision)}."
    )  # fmt: skip
    axes = panel(figure, 0.6, 0.62, 3.95, 3.55)
    _unit_axes(axes, "recall", "precision")
    if not order:
        empty(axes, _UNDEFINED)
        return figure
    shown = [order[one] for one in np.unique(np.linspace(0, len(order) - 1, min(len(order), _FAINT_LINES)).astype(int))]
    for one in shown:
        said = tips([f"{plain(classes[one])}: {average_precision[one]:.3f}"])
        _draw_curve(axes, curves[one], _FAINT_POINTS, color=INK, alpha=0.2, linewidth=0.6, gid=said)
    named = []
    for colour, (word, one) in zip((GREEN, VIOLET, ORANGE), _extremes(order), strict=False):
        label = f"{word}{shorten(classes[one], 26)}\u2002{average_precision[one]:.3f}"
        named.append(_draw_curve(axes, curves[one], _POINTS, color=colour, linewidth=1.1, label=label))
    bold = []
    if len(classes) > 1:  # of one class they are its curve
        label = f"all cells (micro)\u2002{_figure(micro_average_precision)}"
        bold.append(_draw_curve(axes, micro, _POINTS, color=BLUE, linewidth=2, label=label))
        bold.append(_draw_mean(axes, [curves[one] for one in order], f"mean of classes\u2002{mean:.3f}"))
        note(figure, _count_note(len(shown), len(order), len(classes)))
    axes.legend(handles=bold + named, loc="upper left", bbox_to_anchor=(1.02, 1), title="average precision",
                title_fontsize=7.5, alignment="left", labelspacing=0.8)  # fmt: skip
    return figure


@style()
def precision_recall_of_classes(
    classes: Sequence[str],
    curves: Sequence[Curve],
    average_precision: Float[np.ndarray, " classes"],
    thresholds: Float[np.ndarray, " classes"] | None = None,
) -> Figure:
    """Draws precision against recall in a small panel for each class.

    Args:
        classes: those to draw, at most 40 of them.
        curves: one a class.
        average_precision: of each class; NaN where undefined.
        thresholds: of each class, marked on its curve; None for no marks.
    """
    shown = min(len(classes), _PANELS)
    rows = max(1, -(-shown // 4))
    height = 0.62 + 1.75 * rows + 0.05
    figure = sheet(7.4, height, f"Precision against recall of {shown} classes, one panel each.")
    for one in range(shown):
        row, column = divmod(one, 4)
        axes = panel(figure, 0.5 + 1.72 * column, height - 1.75 * (row + 1) + 0.1, 1.45, 1.35)
        below = one + 4 >= shown
        axes.set(xlim=(0, 1), ylim=(0, 1), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
        axes.set_xticklabels(["0", "0.5", "1"] if below else [])
        axes.set_yticklabels([] if column else ["0", "0.5", "1"])
        axes.set_xlabel("recall" if below else "")
        axes.set_ylabel("" if column else "precision")
        axes.set_title(shorten(classes[one], 18), fontsize=8, loc="left", pad=4)
        axes.set_title(_figure(float(average_precision[one])), fontsize=7.5, loc="right", pad=4)
        if not _is_defined(curves[one]):
            empty(axes, "n/a")
            continue
        _draw_curve(axes, curves[one], 100, color=BLUE)
        at = -1 if thresholds is None else int((curves[one].thresholds >= thresholds[one]).sum()) - 1
        if at >= 0:
            place = curves[one].recall[at : at + 1], curves[one].precision[at : at + 1]
            axes.plot(*place, "o", color=ORANGE, markersize=5, clip_on=False)
    marks = "" if thresholds is None else "● at the class's threshold.  "
    left_out = f"{shown} of {len(classes):,} classes." if shown < len(classes) else ""
    note(figure, f"Right of each name: average precision.  {marks}{left_out}")
    return figure


@style()
def threshold_curves(name: str, curve: Curve, threshold: float | None = None) -> Figure:
    """Draws precision, recall and F1 against the threshold.

    Args:
        name: of the class, or of all.
        curve: of the class, or of all cells.
        threshold: the chosen one; None if there is none.
    """
    figure = sheet(7.4, 3.3, f"Precision, recall and F1 of {name} against the threshold.")
    axes = panel(figure, 0.6, 0.62, 5.1, 2.3)
    _unit_axes(axes, "threshold", "")
    axes.set_title(shorten(name, 60), loc="left")
    if not _is_defined(curve):
        empty(axes, "n/a: no known positives")
        return figure
    both = curve.precision + curve.recall
    f1 = np.divide(2 * curve.precision * curve.recall, both, out=np.zeros_like(both), where=both > 0)
    x = np.concatenate([[0.0], curve.thresholds[::-1]])
    lines = (("precision", curve.precision, BLUE, "-"), ("recall", curve.recall, ORANGE, "--"), ("F1", f1, GREEN, "-"))
    chosen = float("nan") if threshold is None else threshold
    at = int((curve.thresholds >= chosen).sum()) - 1
    for word, values, colour, dashes in lines:
        y = np.concatenate([values[-1:], values[::-1]])
        label = f"{word}\u2002{values[at]:.3f}" if at >= 0 else word
        width = 2 if word == "F1" else 1.4
        _draw_steps(axes, x, y, _POINTS, linestyle=dashes, color=colour, linewidth=width, label=label)
    if np.isfinite(chosen):
        axes.axvline(chosen, color=INK, linewidth=1, linestyle=":", label=f"threshold\u2002{chosen:.3f}")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1))
    return figure


def _unit_axes(axes: Axes, x: str, y: str) -> None:
    unit_axis(axes, "x")
    unit_axis(axes, "y")
    axes.set(xlabel=x, ylabel=y)


def _draw_curve(axes: Axes, curve: Curve, limit: int, **look: object) -> Line2D:
    """Draws steps, below which the area is the average precision: lines from point to point would promise more."""
    x, y = curve.recall, curve.precision
    if x[0] > 0:
        x, y = np.concatenate([[0.0], x]), np.concatenate([y[:1], y])
    return _draw_steps(axes, x, y, limit, **look)


def _draw_steps(
    axes: Axes, x: Float[np.ndarray, " points"], y: Float[np.ndarray, " points"], limit: int, **look: object
) -> Line2D:
    corners = steps(x, y, limit)
    line: Line2D = axes.plot(*corners, clip_on=False, **look)[0]  # type: ignore[arg-type]
    return line


def _draw_mean(axes: Axes, curves: Sequence[Curve], label: str) -> Line2D:
    places = [np.searchsorted(curve.recall, np.maximum(_RECALLS - 1e-9, 1e-9)) for curve in curves]
    of_each = [
        curve.precision[np.minimum(place, len(curve.recall) - 1)] for curve, place in zip(curves, places, strict=True)
    ]
    return axes.plot(_RECALLS, np.mean(of_each, axis=0), color=INK, linewidth=2, clip_on=False, label=label)[0]


def _is_defined(curve: Curve) -> bool:
    return len(curve.recall) > 0 and _all_finite(curve.recall) and _all_finite(curve.precision)


def _all_finite(values: Float[np.ndarray, " points"]) -> bool:
    finite: Bool[np.ndarray, " points"] = np.isfinite(values)
    return bool(finite.all())


def _extremes(order: Sequence[int]) -> list[tuple[str, int]]:
    """Returns the best, the median and the worst of classes in rising order; of fewer than three, all."""
    if len(order) < 3:
        return [("", one) for one in reversed(order)]
    return [("best: ", order[-1]), ("median: ", order[len(order) // 2]), ("worst: ", order[0])]


def _figure(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "n/a"


def _count_note(shown: int, defined: int, classes: int) -> str:
    many = f"{shown:,} of {defined:,} classes" if shown < defined else f"{defined:,} of {classes:,} classes"
    missing = f"; {classes - defined:,} without known positives: n/a" if defined < classes else ""
    return f"Thin lines: {many}{missing}."
