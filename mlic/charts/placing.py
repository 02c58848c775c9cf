"""Labels of points where there is room for them."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int64
from matplotlib.axes import Axes

from mlic.charts.style import across
from mlic.charts.words import shorten

__all__ = ["alternate", "label_points"]

_SIZE = 7.0  # points
_LONGEST = 22
_GAP = 4.5  # points between a mark and its label


class _Box(NamedTuple):
    left: float
    bottom: float
    right: float
    top: float


def alternate(*orders: Sequence[int] | Int64[np.ndarray, " items"], limit: int) -> list[int]:
    """Returns the first of each order, then the second of each, and so on, none twice.

    Example:
        >>> alternate([3, 1, 2], [2, 3, 1], limit=3)
        [3, 2, 1]
    """
    found: dict[int, None] = {}
    for items in zip(*orders, strict=True):
        found.update(dict.fromkeys(int(item) for item in items))
        if len(found) >= limit:
            break
    return list(found)[:limit]


def label_points(
    axes: Axes,
    x: Float[np.ndarray, " points"],
    y: Float[np.ndarray, " points"],
    names: Sequence[str],
    chosen: Iterable[int],
) -> list[int]:
    """Writes the names of chosen points beside them, those that come first being served first.

    Args:
        axes: whose limits and scales are set.
        x: of all points: no label hides one.
        y: of all points.
        names: of all points.
        chosen: which to label where there is room.

    Returns:
        Which have their label.
    """
    marks = axes.transData.transform(np.column_stack([x, y])) * 72 / axes.figure.dpi
    window = axes.get_window_extent()
    room = _Box(*(float(edge) * 72 / axes.figure.dpi for edge in window.extents))
    taken: list[_Box] = []
    done = []
    for point in chosen:
        name = shorten(names[point], _LONGEST)
        for (dx, dy), ha, va in _SIDES:
            box = _box(marks[point], dx, dy, across(name, _SIZE) * 72, _SIZE * 1.1)
            if _inside(box, room) and not _hits(box, marks) and not any(_overlap(box, other) for other in taken):
                axes.annotate(
                    name, (x[point], y[point]), (dx * _GAP, dy * _GAP), textcoords="offset points",
                    ha=ha, va=va, fontsize=_SIZE, parse_math=False, annotation_clip=False,
                )  # fmt: skip
                taken.append(box)
                done.append(point)
                break
    return done


_SIDES: tuple[tuple[tuple[float, float], str, str], ...] = (
    ((1.0, 0.0), "left", "center"),
    ((-1.0, 0.0), "right", "center"),
    ((0.0, 1.0), "center", "bottom"),
    ((0.0, -1.0), "center", "top"),
    ((0.7, 0.7), "left", "bottom"),
    ((-0.7, 0.7), "right", "bottom"),
    ((0.7, -0.7), "left", "top"),
    ((-0.7, -0.7), "right", "top"),
)


def _box(mark: Float[np.ndarray, "2"], dx: float, dy: float, width: float, height: float) -> _Box:
    """Returns where a text stands that lies in a direction from a mark."""
    across_, up = mark[0] + dx * _GAP, mark[1] + dy * _GAP
    left = across_ - width * (0 if dx > 0 else 1 if dx < 0 else 0.5)
    bottom = up - height * (0 if dy > 0 else 1 if dy < 0 else 0.5)
    return _Box(float(left), float(bottom), float(left + width), float(bottom + height))


def _inside(box: _Box, room: _Box) -> bool:
    return box.left >= room.left and box.right <= room.right and box.bottom >= room.bottom and box.top <= room.top


def _overlap(one: _Box, other: _Box) -> bool:
    return one.left < other.right and other.left < one.right and one.bottom < other.top and other.bottom < one.top


def _hits(box: _Box, marks: Float[np.ndarray, "points 2"]) -> bool:
    radius = 2.0
    return bool(
        (
            (marks[:, 0] > box.left - radius)
            & (marks[:, 0] < box.right + radius)
            & (marks[:, 1] > box.bottom - radius)
            & (marks[:, 1] < box.top + radius)
        ).any()
    )
