"""The curve of precision against recall, point by point."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int8
from torch import Tensor

from mlic.ranks import not_a_number

__all__ = ["Curve", "curve"]


class Curve(NamedTuple):
    """A point for each distinct known score, from the highest down.

    Attributes:
        precision: the share of the cells with this score or a higher one that are present.
        recall: the share of the present cells that have this score or a higher one; NaN without a known positive.
        scores: where the threshold lies.
    """

    precision: Float64[np.ndarray, " points"]
    recall: Float64[np.ndarray, " points"]
    scores: Float64[np.ndarray, " points"]


def curve(scores: Float[Tensor, " samples"], labels: Int8[Tensor, " samples"]) -> Curve:
    """Returns the points of precision and recall of one class, over its known cells (Davis & Goadrich 2006).

    Each is what a threshold at its score gives. `average_precision` is the area under the steps that hold, from one
    recall to the next, the precision of the latter. As many points as distinct scores: thin them before drawing.

    Args:
        scores: of the class; scores or logits.
        labels: 1 present, 0 absent, -1 unknown.

    Raises:
        MlicError: if the score of a known cell is not a number.

    Example:
        >>> import torch
        >>> scores, labels = torch.tensor([0.75, 0.5, 0.5, 0.9]), torch.tensor([1, 0, 1, -1], dtype=torch.int8)
        >>> [each.tolist() for each in curve(scores, labels)]
        [[1.0, 0.6666666666666666], [0.5, 1.0], [0.75, 0.5]]
    """
    known = (labels >= 0).cpu().numpy()
    values, positives = scores.detach().cpu().double().numpy()[known], (labels == 1).cpu().numpy()[known]
    if np.isnan(values).any():
        raise not_a_number(scores[:, None], labels[:, None])
    order = np.argsort(-values)
    values, hits = values[order], positives[order].cumsum()
    last = np.flatnonzero(np.append(values[1:] != values[:-1], True)[: len(values)])
    support = int(positives.sum())
    recall = hits[last] / support if support else np.full(len(last), np.nan)
    return Curve(hits[last] / (last + 1), recall, values[last])
