"""Curves with as many points as can be seen."""

from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int64

__all__ = ["thin"]


def thin(x: Float[np.ndarray, " points"], y: Float[np.ndarray, " points"], limit: int) -> Int64[np.ndarray, " kept"]:
    """Returns which points of a curve to draw.

    Of a short curve all of them. Of a long one the first, the last, and of each of equal stretches of x the lowest and
    the highest, so that no peak is lost.

    Args:
        x: rising.
        y: any finite numbers.
        limit: most points, 4 or more.

    Example:
        >>> thin(np.arange(100.0), np.where(np.arange(100) == 41, 1.0, 0.0), limit=6).tolist()
        [0, 41, 42, 50, 99]
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
