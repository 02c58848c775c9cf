"""How well the classes of each image are ranked: the four figures of Tsoumakas et al. 2010, with scikit-learn's ties.

An image takes part with its known cells alone, and only if some of them are present and some are absent: in any other
there is nothing to rank. (scikit-learn counts such rows as perfect.) A class that shares its score with others ranks
last among them, so that equal scores never help.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int8
from torch import Tensor

from mlic.ranks import Ranks, ranked_rows

__all__ = ["RowRanking", "coverage_error", "lrap", "one_error", "ranking_loss", "row_ranking"]


class RowRanking(NamedTuple):
    """Each of the four figures, per image; NaN for an image without anything to rank."""

    lrap: Float[Tensor, " samples"]
    coverage_error: Float[Tensor, " samples"]
    ranking_loss: Float[Tensor, " samples"]
    one_error: Float[Tensor, " samples"]


def lrap(scores: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]) -> Float[Tensor, ""]:
    """Returns the label ranking average precision (Tsoumakas et al. 2010, doi:10.1007/978-0-387-09823-4_34).

    The mean, over images and their present classes, of the share of present classes among those with the same score or
    a higher one; 0 to 1, higher is better.

    Raises:
        MlicError: if the score of a known cell is not a number.

    Example:
        The present classes are first and third: (1/1 + 2/3) / 2.

        >>> scores, labels = torch.tensor([[0.9, 0.8, 0.7]]), torch.tensor([[1, 0, 1]], dtype=torch.int8)
        >>> lrap(scores, labels)
        tensor(0.8333, dtype=torch.float64)
    """
    return row_ranking(scores, labels).lrap.nanmean()


def coverage_error(
    scores: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]
) -> Float[Tensor, ""]:
    """Returns how many classes one has to read, from the highest score down, to meet all that are present.

    The mean over images, of known classes (Tsoumakas et al. 2010, doi:10.1007/978-0-387-09823-4_34, who count from 0);
    the best is the mean number of present classes.

    Raises:
        MlicError: if the score of a known cell is not a number.

    Example:
        >>> scores, labels = torch.tensor([[0.9, 0.8, 0.7]]), torch.tensor([[1, 0, 1]], dtype=torch.int8)
        >>> coverage_error(scores, labels)
        tensor(3., dtype=torch.float64)
    """
    return row_ranking(scores, labels).coverage_error.nanmean()


def ranking_loss(
    scores: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]
) -> Float[Tensor, ""]:
    """Returns the share of pairs, a present class and an absent one, in which the absent one ranks as high or higher.

    The mean over images; 0 to 1, lower is better (Tsoumakas et al. 2010, doi:10.1007/978-0-387-09823-4_34).

    Raises:
        MlicError: if the score of a known cell is not a number.

    Example:
        Of two pairs one is in the wrong order.

        >>> scores, labels = torch.tensor([[0.9, 0.8, 0.7]]), torch.tensor([[1, 0, 1]], dtype=torch.int8)
        >>> ranking_loss(scores, labels)
        tensor(0.5000, dtype=torch.float64)
    """
    return row_ranking(scores, labels).ranking_loss.nanmean()


def one_error(scores: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]) -> Float[Tensor, ""]:
    """Returns the share of images whose highest score is of an absent class; 0 to 1, lower is better.

    Where a present and an absent class share the highest score it is an error: the rule for ties of the others
    (Tsoumakas et al. 2010, doi:10.1007/978-0-387-09823-4_34, name none).

    Raises:
        MlicError: if the score of a known cell is not a number.

    Example:
        Right, wrong, and wrong for a tie.

        >>> scores = torch.tensor([[0.9, 0.8], [0.1, 0.2], [0.5, 0.5]])
        >>> one_error(scores, torch.tensor([[1, 0]], dtype=torch.int8).expand(3, 2))
        tensor(0.6667, dtype=torch.float64)
    """
    return row_ranking(scores, labels).one_error.nanmean()


def row_ranking(scores: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]) -> RowRanking:
    """Returns the four figures of each image, by one sort; in blocks of images.

    Raises:
        MlicError: if the score of a known cell is not a number.
    """
    blocks = [_of_block(ranks) for ranks in ranked_rows(scores, labels)]
    return RowRanking(*(torch.from_numpy(np.concatenate(each)).to(scores.device) for each in zip(*blocks, strict=True)))


def _of_block(ranks: Ranks) -> list[Float[np.ndarray, " samples"]]:
    """Returns the four figures of some images; the entries of an image are its present classes, by ascending score."""
    support, absent = ranks.support, ranks.known - ranks.support
    rows = np.flatnonzero(support)
    starts = (support.cumsum() - support)[rows]
    above = ranks.cells - ranks.hits  # absent classes with the score of the present one or a higher one
    sums = (np.bincount(ranks.column, each, minlength=len(support))[rows] for each in (ranks.hits / ranks.cells, above))
    shares, pairs = sums
    figures = (
        shares / support[rows],
        ranks.cells[starts],
        pairs / np.maximum(support * absent, 1)[rows],
        above[starts + support[rows] - 1] > 0,
    )
    found = []
    for figure in figures:
        whole = np.full(len(support), np.nan)
        whole[rows] = figure
        whole[absent == 0] = np.nan
        found.append(whole)
    return found
