"""How the trials of a search compare: their mAP, its spread, and which are clearly worse than the best."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int8
from torch import Tensor

from mlic.metrics.resamples import resampled_map

__all__ = ["Standing", "standings"]

_CELLS = 2 * 10**7  # of all resamples of a table
_LEAST, _MOST = 100, 1000


class Standing(NamedTuple):
    """How a trial compares with the best.

    Attributes:
        spread: the standard deviation of its mAP over resamples of the validation samples.
        behind: by how much its mAP is below that of the best.
        behind_spread: the standard deviation of that difference, on the same resamples.
        clearly: whether it is behind in at least 95 % of the resamples.
    """

    spread: float
    behind: float
    behind_spread: float
    clearly: bool


def standings(
    mean_aps: Sequence[float],
    logits: Sequence[Float32[np.ndarray, "samples classes"]],
    labels: Int8[Tensor, "samples classes"],
) -> list[Standing]:
    """Compares some trials with the first of them, on bootstrap resamples of the validation samples.

    Args:
        mean_aps: of each trial; the first is the best.
        logits: of each trial.
        labels: of the validation samples.
    """
    resamples = min(max(_CELLS // max(1, labels.numel()), _LEAST), _MOST)
    found = resampled_map([torch.from_numpy(each) for each in logits], labels, resamples)
    found = found[:, ~np.isnan(found).any(axis=0)]
    behind = found[0] - found
    return [
        Standing(
            float(found[number].std()) if found.size else float("nan"),
            mean_aps[0] - mean_aps[number],
            float(behind[number].std()) if found.size else float("nan"),
            bool((behind[number] > 0).mean() >= 0.95) if found.size else False,
        )
        for number in range(len(mean_aps))
    ]
