"""Which classes come together, in what is true and in what a model says."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize, PowerNorm
from matplotlib.figure import Figure

from mlic.charts.style import BLUE, across, empty, note, panel, sheet, style
from mlic.charts.words import shorten

__all__ = ["Pair", "cooccurrence", "differing_pairs", "draw_cooccurrence"]

_SHOWN = 40
_NAME = 20
_CELLS = 1 << 24  # of a block
_SPARSE = 0.1  # share of present cells below which the sparse product is the faster


class Pair(NamedTuple):
    """Two classes that the model puts together more often, or less often, than they are.

    Attributes:
        given: column of the class that is present.
        other: column of the class that may come with it.
        true: share of the samples with `given` that have `other`, by the labels.
        predicted: the same by what the model says.
    """

    given: int
    other: int
    true: float
    predicted: float


def cooccurrence(
    present: Bool[np.ndarray, "samples classes"], known: Bool[np.ndarray, "samples classes"]
) -> Float32[np.ndarray, "classes classes"]:
    """Returns of the samples with the row's class the share that has the column's class.

    Only samples count in which both labels are known. NaN where there is none, and 1 on the diagonal else.

    Args:
        present: by the labels, or by what a model says.
        known: of which cells the label is known.

    Example:
        >>> present = np.array([[True, True], [True, False], [True, False]])
        >>> known = np.array([[True, True], [True, True], [True, False]])
        >>> cooccurrence(present, known).tolist()
        [[1.0, 0.5], [1.0, 1.0]]
    """
    classes = present.shape[1]
    together = torch.zeros(classes, classes)
    seen = torch.zeros(classes, classes)
    rows = max(1, _CELLS // max(1, classes))
    for start in range(0, len(present), rows):
        known_here = torch.tensor(known[start : start + rows])
        given = (torch.tensor(present[start : start + rows]) & known_here).float()
        left = given.T.to_sparse() if given.mean() < _SPARSE else given.T
        together += left @ given
        seen += given.sum(0)[:, None] if known_here.all() else left @ known_here.float()
    share: Float32[np.ndarray, "classes classes"] = together.div_(seen).numpy()  # 0 / 0 is NaN
    return share


def differing_pairs(
    true: Float[np.ndarray, "classes classes"],
    predicted: Float[np.ndarray, "classes classes"],
    true_counts: Int64[np.ndarray, " classes"],
    predicted_counts: Int64[np.ndarray, " classes"],
    least: int = 10,
    at_most: int = 20,
) -> list[Pair]:
    """Returns the pairs of classes whose share differs most, the largest difference first.

    Args:
        true: `cooccurrence` of the labels.
        predicted: `cooccurrence` of what the model says.
        true_counts: how many samples have each class by the labels.
        predicted_counts: how many samples have each class by what the model says.
        least: how many samples a class must have by both, so that a share means something.
        at_most: how many pairs.

    Example:
        >>> true = np.array([[1.0, 0.2], [0.4, 1.0]])
        >>> predicted = np.array([[1.0, 0.25], [0.9, 1.0]])
        >>> differing_pairs(true, predicted, np.array([20, 10]), np.array([36, 10]), at_most=1)
        [Pair(given=1, other=0, true=0.4, predicted=0.9)]
    """
    rare = (true_counts < least) | (predicted_counts < least)
    rows = max(1, _CELLS // max(1, len(true)))
    best: list[tuple[float, int, int]] = []
    for start in range(0, len(true), rows):
        apart = np.abs(predicted[start : start + rows] - true[start : start + rows])
        apart[rare[start : start + rows]] = 0
        apart[np.arange(len(apart)), np.arange(start, start + len(apart))] = 0  # a class comes with itself
        apart = np.nan_to_num(apart, copy=False, nan=0).ravel()
        highest = np.argpartition(-apart, at_most)[:at_most] if at_most < len(apart) else np.arange(len(apart))
        found = [(-float(apart[cell]), *divmod(int(cell), len(true))) for cell in highest if apart[cell] > 0]
        best = sorted(best + [(size, start + given, other) for size, given, other in found])[:at_most]
    return [Pair(given, other, float(true[given, other]), float(predicted[given, other])) for _, given, other in best]


@style()
def draw_cooccurrence(
    classes: Sequence[str],
    true: Float[np.ndarray, "classes classes"],
    predicted: Float[np.ndarray, "classes classes"],
    support: Int64[np.ndarray, " classes"],
) -> Figure:
    """Draws which classes come together, by the labels and by what the model says, of the 40 most frequent classes.

    Args:
        classes: their names.
        true: `cooccurrence` of the labels.
        predicted: `cooccurrence` of what the model says.
        support: known positives of each class, which tell the most frequent ones.
    """
    order = np.argsort(-support, kind="stable")[:_SHOWN]
    names = [shorten(classes[one], _NAME) for one in order]
    margin = max((across(name, 6.5) for name in names), default=0.5) + 0.12
    side = min(3.75, max(1.6, 0.3 * len(order)))
    width, height = max(7.4, margin + 2 * side + 0.95), margin + side + 0.55
    figure = sheet(width, height, f"Classes that come together, of {len(order)} classes: by the labels, and predicted.")
    blocks = [share[np.ix_(order, order)].astype(float) for share in (true, predicted)]
    for block in blocks:
        np.fill_diagonal(block, np.nan)
    highest = max([0.01, *(float(np.nanmax(block, initial=0)) for block in blocks)])
    scale = PowerNorm(0.5, 0, highest)  # most shares are small
    for at, (title, block) in enumerate(zip(("by the labels", "predicted"), blocks, strict=True)):
        axes = panel(figure, margin + at * (side + 0.15), margin + 0.28, side, side)
        _draw_block(axes, title, names, block, scale)
        if at:
            axes.set_yticklabels([])
    bar = panel(figure, margin + 2 * side + 0.3, margin + 0.28, 0.12, side)
    bar.grid(visible=False)
    figure.colorbar(ScalarMappable(scale, _colours()), cax=bar).outline.set_visible(False)
    more = f"  The {len(order)} most frequent of {len(classes):,} classes." if len(order) < len(classes) else ""
    note(
        figure,
        f"Of the samples with the row's class, the share that has the column's.  Grey: n/a, or the class itself.{more}",
    )
    return figure


def _draw_block(
    axes: Axes, title: str, names: Sequence[str], block: Float[np.ndarray, "shown shown"], scale: Normalize
) -> None:
    axes.set_title(title)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    if not names:
        axes.set(xticks=[], yticks=[])
        empty(axes, "n/a: no classes")
        return
    # As it is, one pixel a cell: the browser makes the squares.
    axes.imshow(block, cmap=_colours(), norm=scale, interpolation="none", aspect="auto")
    places = np.arange(len(names))
    axes.set_xticks(places, names, rotation=90, fontsize=6.5, ha="right", va="center", rotation_mode="anchor")
    axes.set_yticks(places, names, fontsize=6.5)


def _colours() -> Colormap:
    """From nothing to blue: what is seldom has the colour of the page, be it light or dark."""
    colours = LinearSegmentedColormap.from_list("share", [f"{BLUE}0d", BLUE])
    return colours.with_extremes(bad="#80808050")
