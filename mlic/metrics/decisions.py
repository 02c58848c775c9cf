"""How good the decisions are that thresholds make of scores, in one number for all classes."""

from jaxtyping import Float, Int8
from torch import Tensor

from mlic.metrics.counts import count_cells, mean_f1, pooled_f1, share_wrong

__all__ = ["f1_macro", "f1_micro", "hamming", "hamming_all_negative"]


def f1_micro(
    scores: Float[Tensor, "samples classes"],
    labels: Int8[Tensor, "samples classes"],
    thresholds: Float[Tensor, " classes"],
) -> Float[Tensor, ""]:
    """Returns F1 over all known cells together ("OF1"), so that frequent classes decide.

    Example:
        Right about the first class; the second is predicted twice, once rightly: 2 * 2 / (2 * 2 + 1).

        >>> import torch
        >>> scores, labels = torch.tensor([[0.9, 0.8], [0.1, 0.7]]), torch.tensor([[1, 1], [0, 0]], dtype=torch.int8)
        >>> f1_micro(scores, labels, torch.tensor([0.5, 0.5]))
        tensor(0.8000, dtype=torch.float64)
    """
    return pooled_f1(count_cells(scores, labels, thresholds))


def f1_macro(
    scores: Float[Tensor, "samples classes"],
    labels: Int8[Tensor, "samples classes"],
    thresholds: Float[Tensor, " classes"],
) -> Float[Tensor, ""]:
    """Returns the mean F1 of the classes that have a known positive, each class counting the same.

    A class without any is left out even where it is predicted, as in mAP. It is not "CF1" of the literature, which is
    the harmonic mean of the mean precision and the mean recall.

    Example:
        The mean of 1 and 2/3.

        >>> import torch
        >>> scores, labels = torch.tensor([[0.9, 0.8], [0.1, 0.7]]), torch.tensor([[1, 1], [0, 0]], dtype=torch.int8)
        >>> f1_macro(scores, labels, torch.tensor([0.5, 0.5]))
        tensor(0.8333, dtype=torch.float64)
    """
    return mean_f1(count_cells(scores, labels, thresholds))


def hamming(
    scores: Float[Tensor, "samples classes"],
    labels: Int8[Tensor, "samples classes"],
    thresholds: Float[Tensor, " classes"],
) -> Float[Tensor, ""]:
    """Returns the Hamming loss: the share of the known cells that are predicted wrongly; lower is better.

    Example:
        >>> import torch
        >>> scores, labels = torch.tensor([[0.9, 0.8], [0.1, 0.7]]), torch.tensor([[1, 1], [0, 0]], dtype=torch.int8)
        >>> hamming(scores, labels, torch.tensor([0.5, 0.5]))
        tensor(0.2500, dtype=torch.float64)
    """
    return share_wrong(count_cells(scores, labels, thresholds))


def hamming_all_negative(labels: Int8[Tensor, "samples classes"]) -> Float[Tensor, ""]:
    """Returns the Hamming loss of predicting nothing: the share of the known cells that are present.

    A Hamming loss means something only beside it: where 2 % of the cells are present, predicting nothing is 98 % right.

    Example:
        >>> import torch
        >>> hamming_all_negative(torch.tensor([[1, 0], [0, 0], [-1, -1]], dtype=torch.int8))
        tensor(0.2500, dtype=torch.float64)
    """
    return (labels == 1).sum().double() / (labels >= 0).sum()
