"""Where the positives of each class stand among its known cells: all that average precision and F1 depend on."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int8, Int64, Shaped
from torch import Tensor

from mlic.errors import MlicError

__all__ = ["Ranks", "not_a_number", "ranked", "ranked_rows", "ranks", "strictly_above"]

_BLOCK_CELLS = 2**20  # the classes that are sorted at a time; some 12 bytes a cell while they are
_TILE = 512  # the rows that are turned at a time: what is read and written then fits into a processor's first memory


class Ranks(NamedTuple):
    """The known positives of some classes: an entry each, by class, and by ascending score within a class.

    Attributes:
        column: which class it is of.
        hits: how many known positives of the class have its score or a higher one, itself among them.
        cells: how many known cells of the class do.
        place: where in `ordered`, taken as one row of numbers, the first cell with its score stands.
        support: the number of known positives of each class.
        known: the number of known cells of each class.
        ordered: the scores of each class, ascending; those of unknown cells are minus infinity.
    """

    column: Int64[np.ndarray, " positives"]
    hits: Int64[np.ndarray, " positives"]
    cells: Int64[np.ndarray, " positives"]
    place: Int64[np.ndarray, " positives"]
    support: Int64[np.ndarray, " classes"]
    known: Int64[np.ndarray, " classes"]
    ordered: Float[np.ndarray, "classes samples"]


def ranked(scores: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]) -> Iterator[Ranks]:
    """Yields `ranks` of a few classes after the other, so that what is sorted stays small; at least once.

    Raises:
        MlicError: if the score of a known cell is not a number.
    """
    width = max(1, _BLOCK_CELLS // max(1, len(scores)))
    for block, block_labels in zip(torch.split(scores, width, dim=1), torch.split(labels, width, dim=1), strict=True):
        found = ranks(block, block_labels)
        if found.ordered.size and np.isnan(found.ordered[:, -1]).any():  # sorted, they come last
            raise not_a_number(scores, labels)
        yield found


def ranked_rows(scores: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]) -> Iterator[Ranks]:
    """Yields ranks of the classes within each sample, a few samples after the other; at least once.

    What is a class in `Ranks` is a sample here, and the other way round.

    Raises:
        MlicError: if the score of a known cell is not a number.
    """
    height = max(1, _BLOCK_CELLS // max(1, scores.shape[1]))
    for block, block_labels in zip(torch.split(scores, height), torch.split(labels, height), strict=True):
        found = ranks(block.T, block_labels.T)
        if found.ordered.size and np.isnan(found.ordered[:, -1]).any():
            raise not_a_number(scores, labels)
        yield found


def ranks(scores: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]) -> Ranks:
    """Ranks the known positives of each class by one sort of its scores, in main memory.

    numpy sorts floats several times as fast as torch, which returns an order besides. Only the positives are looked
    up in what is sorted, and only they matter: between two of them neither recall nor the best F1 rises.

    Args:
        scores: of any floating type; not-a-number in an unknown cell is as good as a number.
        labels: 1 present, 0 absent, -1 unknown.

    Example:
        Of three known cells the positives are first and, sharing their score with the absent one, second and third.

        >>> scores = torch.tensor([[0.9], [0.7], [0.7], [0.8]])
        >>> found = ranks(scores, torch.tensor([[1], [0], [1], [-1]], dtype=torch.int8))
        >>> found.hits.tolist(), found.cells.tolist()
        ([2, 1], [3, 1])
    """
    samples = len(scores)
    marks = _turned(labels.cpu().numpy())
    present, unknown = marks == 1, marks < 0
    ordered = _turned(_numbers(scores))
    # What is not known ranks below all that is.
    np.copyto(ordered, -np.inf, where=unknown)
    positives = ordered.ravel()[np.flatnonzero(present)]
    ordered.sort(axis=1)
    support = np.count_nonzero(present, axis=1).astype(np.int64)
    known = samples - np.count_nonzero(unknown, axis=1).astype(np.int64)
    ends = support.cumsum()
    column = np.repeat(np.arange(len(support)), support)
    place = np.empty(len(positives), dtype=np.int64)
    for row, start, end in zip(ordered, (ends - support).tolist(), ends.tolist(), strict=True):
        if start < end:
            positives[start:end].sort()
            place[start:end] = row.searchsorted(positives[start:end])
    place += column * samples
    # Equal scores of a class have one place, and are as good as the first of them.
    first = np.arange(len(place))
    first[1:][place[1:] == place[:-1]] = 0
    hits = ends[column] - np.maximum.accumulate(first)
    cells = np.minimum((column + 1) * samples - place, known[column])
    return Ranks(column, hits, cells, place, support, known, ordered)


def strictly_above(found: Ranks) -> tuple[Int64[np.ndarray, " positives"], Int64[np.ndarray, " positives"]]:
    """Returns, for each known positive, how many known positives and how many known cells of its class rank above it.

    `hits` and `cells` count besides what shares its score.

    Example:
        >>> scores = torch.tensor([[0.9], [0.7], [0.7]])
        >>> strictly_above(ranks(scores, torch.tensor([[1], [0], [1]], dtype=torch.int8)))
        (array([1, 0]), array([1, 0]))
    """
    samples = found.ordered.shape[1]
    positives = found.ordered.ravel()[found.place]
    cells = np.empty(len(positives), dtype=np.int64)
    ends = found.support.cumsum()
    for row, start, end in zip(found.ordered, (ends - found.support).tolist(), ends.tolist(), strict=True):
        if start < end:
            cells[start:end] = samples - row.searchsorted(positives[start:end], side="right")
    # The positives above are those from the next score of the class on.
    last = np.arange(len(positives))
    last[:-1][found.place[1:] == found.place[:-1]] = len(positives)
    last = np.minimum.accumulate(last[::-1])[::-1]
    return ends[found.column] - 1 - last, cells


def _turned(cells: Shaped[np.ndarray, "rows columns"]) -> Shaped[np.ndarray, "columns rows"]:
    """Returns a copy in which a column lies in one piece."""
    turned = np.empty(cells.shape[::-1], cells.dtype)
    for start in range(0, len(cells), _TILE):
        turned[:, start : start + _TILE] = cells[start : start + _TILE].T
    return turned


def _numbers(scores: Float[Tensor, "samples classes"]) -> Float[np.ndarray, "samples classes"]:
    """Returns scores as numpy has them: it knows no bfloat16, and sorts float16 slowly."""
    scores = scores.detach().cpu()
    numbers: Float[np.ndarray, "samples classes"] = (
        scores if scores.dtype == torch.float64 else scores.float()
    ).numpy()
    return numbers


def not_a_number(scores: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]) -> MlicError:
    """Returns the error that the score of a known cell, or its logit, is not a number; one there has to be."""
    bad = scores.isnan() & (labels >= 0)
    sample, column = bad.nonzero()[0].tolist()
    return MlicError(
        f"the score of row {sample} for class {column} is not a number ({int(bad.sum())} cells in all); "
        "the model has diverged: lower the learning rate or clip the gradient"
    )
