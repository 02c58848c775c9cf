"""Curves with as many points as can be seen."""

from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int64

__all__ = ["steps", "thin"]

_MANY = 1 << 18

_Points = Float[np.ndarray, " points"]


def thin(x: _Points, y: _Points, limit: int) -> Int64[np.ndarray, " kept"]:
    """Returns which points of a curve to draw.

    Of a short curve all of them. Of a long one the first, the last, and of each of equal stretches of x the lowest and
    the highest, so that no peak is lost.

    Args:
        x: rising.
        y: any finite numbers.
        limit: most points, 4 or more.

    Example:
        >>> thin(np.arange(100.0), np.where(np.arange(100) == 41, 1.0, 0.0), limit=6).tolist()
        [0, 41, 50, 99]
    """
    points = len(x)
    if points <= limit:
        return np.arange(points)
    stretches = (limit - 2) // 2
    edges = np.searchsorted(x, np.linspace(x[0], x[-1], stretches + 1)[1:-1])
    starts = np.concatenate([[0], edges, [points]])
    kept = [0, points - 1]
    for start, stop in pairwise(starts.tolist()):
        if stop > start:
            kept += [start + int(y[start:stop].argmin()), start + int(y[start:stop].argmax())]
    return np.unique(np.asarray(kept, dtype=np.int64))


def steps(x: _Points, y: _Points, limit: int) -> tuple[Float[np.ndarray, " vertices"], Float[np.ndarray, " vertices"]]:
    """Returns the corners of a curve whose y at a point is its y since the point before.

    Between points that follow each other stands a step; where points were left out, the steps are too small to be seen
    and a straight line stands for them.

    Args:
        x: rising.
        y: any finite numbers.
        limit: most points that are kept, 4 or more; there are up to twice as many corners.

    Example:
        >>> x, y = steps(np.array([0.0, 0.5, 1.0]), np.array([1.0, 0.5, 0.25]), limit=4)
        >>> x.tolist(), y.tolist()
        ([0.0, 0.0, 0.5, 0.5, 1.0], [1.0, 0.5, 0.5, 0.25, 0.25])
    """
    if len(x) < _MANY:  # of more points no step is seen
        turns = _turns(x, y)
        x, y = x[turns], y[turns]
    kept = thin(x, y, limit)
    step = np.flatnonzero(np.diff(kept) == 1) + 1
    before = kept[step - 1]
    return np.insert(x[kept], step, x[before]), np.insert(y[kept], step, y[kept[step]])


def _turns(x: _Points, y: _Points) -> Bool[np.ndarray, " points"]:
    """Returns where a curve does not just go on, straight up or down or to the right."""
    moves = np.ones(len(x), dtype=bool)
    moves[1:] = (np.diff(x) > 0) | (np.diff(y) != 0)
    places = np.flatnonzero(moves)
    across, up = np.diff(x[places]), np.diff(y[places])
    straight = (across[:-1] == 0) & (across[1:] == 0) & (up[:-1] * up[1:] > 0)
    straight |= (up[:-1] == 0) & (up[1:] == 0)
    moves[places[1:-1][straight]] = False
    return moves
