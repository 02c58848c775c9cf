"""What of a table is worth looking at: confident mistakes, and images of a high loss."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int8, Int64
from torch import Tensor

__all__ = ["false_positives", "highest_losses", "misses", "sample_losses"]

_STRONGEST = 50.0  # a logit beyond it is as sure as one at it: exp(-50) is far below what a float32 near 1 can tell


def false_positives(
    strength: Float[Tensor, "samples classes"],
    present: Bool[Tensor, "samples classes"],
    labels: Int8[Tensor, "samples classes"],
    most: int,
) -> list[list[int]]:
    """Returns, per class, the samples that are labelled absent and said to have it, the surest first.

    Args:
        strength: calibrated logits, which tell apart what scores near 1 do not.
        present: which classes the model says are present.
        labels: 1 present, 0 absent, -1 unknown.
        most: how many of each class.

    Example:
        >>> strength = torch.tensor([[1.0], [2.0], [3.0]])
        >>> false_positives(strength, strength > 0, torch.tensor([[0], [0], [-1]], dtype=torch.int8), 5)
        [[1, 0]]
    """
    return _strongest(strength, present & (labels == 0), most)


def misses(
    strength: Float[Tensor, "samples classes"],
    present: Bool[Tensor, "samples classes"],
    labels: Int8[Tensor, "samples classes"],
    most: int,
) -> list[list[int]]:
    """Returns, per class, the samples that are labelled present and not said to have it, the surest first.

    Arguments as in `false_positives`.
    """
    return _strongest(-strength, ~present & (labels == 1), most)


def sample_losses(
    strength: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]
) -> Float64[np.ndarray, " samples"]:
    """Returns the cross-entropy of each sample, summed over its known cells, in nats.

    It is minus the logarithm of the probability that the model gives to the labels of the sample.

    Example:
        >>> sample_losses(torch.tensor([[0.0, 9.0]]), torch.tensor([[1, -1]], dtype=torch.int8)).round(4).tolist()
        [0.6931]
    """
    signed = torch.where(labels == 1, -strength, strength).double().clamp(-_STRONGEST, _STRONGEST)
    losses: Float64[np.ndarray, " samples"] = (
        torch.where(labels >= 0, torch.nn.functional.softplus(signed), 0.0).sum(dim=1).cpu().numpy()
    )
    return losses


def highest_losses(losses: Float64[np.ndarray, " samples"], most: int) -> list[int]:
    """Returns the samples with the highest losses, the highest first; none whose loss is 0."""
    order = np.argsort(-losses, kind="stable")[:most]
    return [int(row) for row in order if losses[row] > 0]


def _strongest(
    strength: Float[Tensor, "samples classes"], eligible: Bool[Tensor, "samples classes"], most: int
) -> list[list[int]]:
    values, chosen = strength.cpu().numpy(), eligible.cpu().numpy()
    found = []
    for column in range(values.shape[1]):
        rows: Int64[np.ndarray, " eligible"] = np.flatnonzero(chosen[:, column])
        order = np.argsort(-values[rows, column], kind="stable")[:most]
        found.append([int(row) for row in rows[order]])
    return found
