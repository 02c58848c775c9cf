"""The area under the ROC curve: how well a class's positives are separated from its negatives."""

import numpy as np
import torch
from jaxtyping import Float, Int8
from torch import Tensor

from mlic.ranks import Ranks, ranked, strictly_above

__all__ = ["auroc", "auroc_of"]


def auroc(
    scores: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]
) -> Float[Tensor, " classes"]:
    """Returns the area under the ROC curve of each class (Hanley & McNeil 1982, doi:10.1148/radiology.143.1.7063747).

    It is the share of the pairs of a known positive and a known negative in which the positive has the higher score; a
    pair with equal scores counts half. 0.5 is chance, whatever the prevalence; hence a rare class may have a high area
    and a low average precision. As float64; NaN for a class without a known positive or without a known negative.

    Args:
        scores: anything that ranks.
        labels: 1 present, 0 absent, -1 unknown.

    Raises:
        MlicError: if the score of a known cell is not a number.

    Example:
        Of two pairs one is right and one has equal scores.

        >>> scores, labels = torch.tensor([[0.8], [0.8], [0.7]]), torch.tensor([[0], [1], [0]], dtype=torch.int8)
        >>> auroc(scores, labels)
        tensor([0.7500], dtype=torch.float64)
    """
    found = np.concatenate([auroc_of(ranks) for ranks in ranked(scores, labels)])
    return torch.from_numpy(found).to(scores.device)


def auroc_of(ranks: Ranks) -> Float[np.ndarray, " classes"]:
    """Returns the area of each ranked class."""
    hits, cells = strictly_above(ranks)
    # Twice the negatives above each positive, those beside it counted once.
    above = (ranks.cells - ranks.hits) + (cells - hits)
    lost = np.bincount(ranks.column, above, minlength=len(ranks.support)) / 2
    pairs = ranks.support * (ranks.known - ranks.support)
    return np.where(pairs > 0, 1 - lost / np.maximum(pairs, 1), np.nan)
