"""How good decisions are, image by image, and the decision that takes the highest scores."""

import torch
from jaxtyping import Bool, Float, Int8
from torch import Tensor

from mlic.errors import UsageError
from mlic.metrics.counts import Counts, count_cells, f1, jaccard
from mlic.metrics.overall import mean_jaccard, share_wrong

__all__ = [
    "f1_samples",
    "hamming",
    "hamming_all_negative",
    "jaccard_macro",
    "jaccard_samples",
    "right_rows",
    "row_counts",
    "subset_accuracy",
    "top_k",
]


def f1_samples(present: Bool[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]) -> Float[Tensor, ""]:
    """Returns the mean over images of the F1 of their known cells (Godbole & Sarawagi 2004, "example-based F1").

    An image where nothing is present and nothing predicted has no F1, and is left out.

    Example:
        F1 is 1 of the first image, 2/3 of the second; the third is not counted.

        >>> present = torch.tensor([[True, True], [True, True], [False, False]])
        >>> f1_samples(present, torch.tensor([[1, 1], [1, 0], [0, -1]], dtype=torch.int8))
        tensor(0.8333, dtype=torch.float64)
    """
    return f1(row_counts(present, labels)).nanmean()


def jaccard_samples(
    present: Bool[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]
) -> Float[Tensor, ""]:
    """Returns the mean over images of the Jaccard index of their known cells ("accuracy" in older papers).

    An image where nothing is present and nothing predicted has none, and is left out.

    Example:
        >>> present = torch.tensor([[True, True], [True, True], [False, False]])
        >>> jaccard_samples(present, torch.tensor([[1, 1], [1, 0], [0, -1]], dtype=torch.int8))
        tensor(0.7500, dtype=torch.float64)
    """
    return jaccard(row_counts(present, labels)).nanmean()


def jaccard_macro(
    present: Bool[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]
) -> Float[Tensor, ""]:
    """Returns the mean Jaccard index, TP / (TP + FP + FN), of the classes that have a known positive.

    Example:
        1 of the first class, 1/2 of the second.

        >>> present, labels = torch.tensor([[True, True], [False, True]]), torch.tensor([[1, 1], [0, 0]])
        >>> jaccard_macro(present, labels.to(torch.int8))
        tensor(0.7500, dtype=torch.float64)
    """
    return mean_jaccard(count_cells(present, labels))


def hamming(present: Bool[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]) -> Float[Tensor, ""]:
    """Returns the Hamming loss: the share of the known cells that are predicted wrongly; lower is better.

    Example:
        >>> present, labels = torch.tensor([[True, True], [False, True]]), torch.tensor([[1, 1], [0, 0]])
        >>> hamming(present, labels.to(torch.int8))
        tensor(0.2500, dtype=torch.float64)
    """
    return share_wrong(count_cells(present, labels))


def hamming_all_negative(labels: Int8[Tensor, "samples classes"]) -> Float[Tensor, ""]:
    """Returns the Hamming loss of predicting nothing: the share of the known cells that are present.

    A Hamming loss means something only beside it: where 2 % of the cells are present, predicting nothing is 98 % right.

    Example:
        >>> hamming_all_negative(torch.tensor([[1, 0], [0, 0], [-1, -1]], dtype=torch.int8))
        tensor(0.2500, dtype=torch.float64)
    """
    return (labels == 1).sum().double() / (labels >= 0).sum()


def subset_accuracy(
    present: Bool[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]
) -> Float[Tensor, ""]:
    """Returns the share of the images whose known cells are all predicted rightly; those without any are left out.

    Example:
        >>> present = torch.tensor([[True, False], [True, True], [True, True]])
        >>> subset_accuracy(present, torch.tensor([[1, -1], [1, 0], [-1, -1]], dtype=torch.int8))
        tensor(0.5000, dtype=torch.float64)
    """
    return right_rows(row_counts(present, labels)).nanmean()


def top_k(
    scores: Float[Tensor, "samples classes"], k: int, least: float | None = None
) -> Bool[Tensor, "samples classes"]:
    """Returns the decision that says that the `k` highest scores of each image are present ("top-3").

    A model does not know which labels are unknown: they take places among the k as any. Of equal scores those that come
    first are taken.

    Args:
        scores: anything that ranks the classes of an image.
        k: how many classes an image gets; all of them if there are no more.
        least: the score that a class needs besides; None for none, so that each image gets exactly k.

    Raises:
        UsageError: if `k` is less than 1.

    Example:
        >>> scores = torch.tensor([[0.9, 0.2, 0.4], [0.6, 0.7, 0.8]])
        >>> top_k(scores, 2)
        tensor([[ True, False,  True],
                [False,  True,  True]])
        >>> top_k(scores, 2, least=0.5)
        tensor([[ True, False, False],
                [False,  True,  True]])
    """
    if k < 1:
        raise UsageError(f"k is {k}; expected a number of classes, 1 or more")
    highest = scores.argsort(dim=1, descending=True, stable=True)[:, :k]
    present = torch.zeros_like(scores, dtype=torch.bool).scatter(1, highest, True)
    return present if least is None else present & (scores >= least)


def row_counts(present: Bool[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]) -> Counts:
    """Counts the known cells of each image, as `count_cells` those of each class."""
    return count_cells(present.T, labels.T)


def right_rows(counts: Counts) -> Float[Tensor, " samples"]:
    """Returns 1 for an image with no wrong cell, 0 for one with some, NaN for one without a known cell."""
    right = (counts.false_positives + counts.false_negatives == 0).double()
    return torch.where(torch.stack([*counts]).sum(dim=0) > 0, right, torch.nan)
