"""Which classes meet in an image, by the labels and by the model."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int8
from torch import Tensor

from mlic.charts import cooccurrence, differing_pairs

__all__ = ["Meetings", "Pair", "meetings"]

_COUNTED = 200  # classes; all pairs of thousands would take minutes, and be nothing to look at
_PAIRS = 15


@dataclass(frozen=True)
class Pair:
    """Two classes that the model puts together more often, or less often, than they are.

    Attributes:
        given: a class that is present.
        other: another one.
        labelled: the share of the images with `given` that have `other`, by the labels.
        predicted: the same by the model.
    """

    given: str
    other: str
    labelled: float
    predicted: float


@dataclass(frozen=True)
class Meetings:
    """Of the images with the row's class the share with the column's, where both are known; NaN where there is none.

    Attributes:
        columns: the classes that were counted: the most frequent ones.
        labelled: by the labels.
        predicted: by the model.
        pairs: those that differ most.
    """

    columns: tuple[int, ...]
    labelled: Float32[np.ndarray, "counted counted"]
    predicted: Float32[np.ndarray, "counted counted"]
    pairs: tuple[Pair, ...]


def meetings(
    present: Bool[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"], classes: tuple[str, ...]
) -> Meetings:
    """Counts which classes are together.

    Args:
        present: which classes the model says are present.
        labels: 1 present, 0 absent, -1 unknown.
        classes: their names.
    """
    support = (labels == 1).sum(dim=0).cpu().numpy()
    columns = np.sort(np.argsort(-support, kind="stable")[:_COUNTED])
    some, said = labels.cpu().numpy()[:, columns], present.cpu().numpy()[:, columns]
    known = some >= 0
    labelled, predicted = cooccurrence(some == 1, known), cooccurrence(said, known)
    said_known = np.count_nonzero(said & known, axis=0)
    pairs = differing_pairs(labelled, predicted, support[columns], said_known, at_most=_PAIRS)
    names = [classes[column] for column in columns]
    return Meetings(
        columns=tuple(columns.tolist()),
        labelled=labelled,
        predicted=predicted,
        pairs=tuple(Pair(names[pair.given], names[pair.other], pair.true, pair.predicted) for pair in pairs),
    )
