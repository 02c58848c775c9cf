"""How good decisions are, in one number for all classes, from the counts of each.

The words of the literature (Wu & Zhou 2017, arXiv:1609.00288; Zhu et al. 2017, arXiv:1702.05891): OP, OR and OF1 are of
the cells of all classes together ("overall"), CP and CR are means over classes, and CF1 is made of these two means.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mlic.metrics.counts import Counts, f1, jaccard, precision, recall, support

__all__ = [
    "Over",
    "cf1",
    "class_precision",
    "class_recall",
    "f1_macro",
    "f1_micro",
    "f1_weighted",
    "mean_jaccard",
    "overall_precision",
    "overall_recall",
    "share_present",
    "share_wrong",
]

Over = Literal["supported", "all"]


def overall_precision(counts: Counts) -> Float[Tensor, "*resamples"]:
    """Returns OP: the share of all cells predicted present that are; NaN if none is predicted.

    Example:
        Two classes: 1 right of 1, 1 right of 3.

        >>> counts = Counts(*torch.tensor([[1, 1], [0, 2], [0, 1], [3, 0]]))
        >>> float(overall_precision(counts)), float(class_precision(counts))
        (0.5, 0.6666666666666666)
    """
    return precision(_together(counts))


def overall_recall(counts: Counts) -> Float[Tensor, "*resamples"]:
    """Returns OR: the share of all present cells that are predicted; NaN if none is present.

    Example:
        Two classes: 1 found of 1, 1 found of 2.

        >>> counts = Counts(*torch.tensor([[1, 1], [0, 2], [0, 1], [3, 0]]))
        >>> float(overall_recall(counts)), float(class_recall(counts))
        (0.6666666666666666, 0.75)
    """
    return recall(_together(counts))


def f1_micro(counts: Counts) -> Float[Tensor, "*resamples"]:
    """Returns F1 over all known cells together ("OF1"), so that frequent classes decide.

    Example:
        >>> float(f1_micro(Counts(*torch.tensor([[1, 1], [0, 1], [0, 0], [1, 0]]))))
        0.8
    """
    return f1(_together(counts))


def class_precision(counts: Counts, over: Over = "supported") -> Float[Tensor, "*resamples"]:
    """Returns CP: the mean precision of the classes.

    A class that counts and is never predicted has a precision of 0: left out, it would pay to say nothing of it.

    Args:
        counts: of the classes.
        over: the classes that have a known positive (`supported`), as in mAP, or `all`, as in much of the literature,
            where a class without any pulls the mean down however good the model is.

    Example:
        The second class has no positive.

        >>> counts = Counts(*torch.tensor([[1, 0], [1, 2], [0, 0], [0, 0]]))
        >>> float(class_precision(counts)), float(class_precision(counts, "all"))
        (0.5, 0.25)
    """
    return _class_mean(precision(counts), counts, over)


def class_recall(counts: Counts, over: Over = "supported") -> Float[Tensor, "*resamples"]:
    """Returns CR: the mean recall of the classes; of `all`, a class without a known positive counts 0.

    Args:
        counts: of the classes.
        over: as in `class_precision`.

    Example:
        >>> counts = Counts(*torch.tensor([[1, 0], [1, 2], [1, 0], [0, 0]]))
        >>> float(class_recall(counts)), float(class_recall(counts, "all"))
        (0.5, 0.25)
    """
    return _class_mean(recall(counts), counts, over)


def cf1(counts: Counts, over: Over = "supported") -> Float[Tensor, "*resamples"]:
    """Returns CF1: the harmonic mean of CP and CR; 0 where both are 0.

    It is not the mean of the classes' F1, which is `f1_macro` and often lower.

    Args:
        counts: of the classes.
        over: as in `class_precision`.

    Example:
        CP is (1 + 1/2) / 2, CR is (1/2 + 1) / 2; each class has an F1 of 2/3.

        >>> counts = Counts(*torch.tensor([[1, 1], [0, 1], [1, 0], [0, 0]]))
        >>> float(cf1(counts)), float(f1_macro(counts))
        (0.75, 0.6666666666666666)
    """
    mean_precision, mean_recall = class_precision(counts, over), class_recall(counts, over)
    both = mean_precision + mean_recall
    return torch.where(both == 0, 0.0, 2 * mean_precision * mean_recall / both)


def f1_macro(counts: Counts, over: Over = "supported") -> Float[Tensor, "*resamples"]:
    """Returns the mean F1 of the classes that have a known positive, each class counting the same.

    A class without any is left out even where it is predicted, as in mAP. It is not "CF1" of the literature, which is
    the harmonic mean of the mean precision and the mean recall.

    Args:
        counts: of the classes.
        over: `all` counts a class without a known positive as 0.

    Example:
        The mean of 1 and 2/3.

        >>> float(f1_macro(Counts(*torch.tensor([[1, 1], [0, 1], [0, 0], [1, 0]]))))
        0.8333333333333333
    """
    return _class_mean(f1(counts), counts, over)


def f1_weighted(counts: Counts) -> Float[Tensor, "*resamples"]:
    """Returns the mean F1 of the classes, each weighted with the number of its known positives.

    Example:
        Three positives of the class with F1 = 1, one of that with F1 = 2/3.

        >>> float(f1_weighted(Counts(*torch.tensor([[3, 1], [0, 1], [0, 0], [1, 0]]))))
        0.9166666666666666
    """
    weights = support(counts)
    return (f1(counts).nan_to_num(0.0) * weights).sum(dim=-1) / weights.sum(dim=-1)


def mean_jaccard(counts: Counts) -> Float[Tensor, "*resamples"]:
    """Returns the mean Jaccard index of the classes that have a known positive."""
    return _class_mean(jaccard(counts), counts, "supported")


def share_wrong(counts: Counts) -> Float[Tensor, "*resamples"]:
    """Returns the share of the known cells that are predicted wrongly."""
    together = _together(counts)
    return (together.false_positives + together.false_negatives).double() / sum(together)


def share_present(counts: Counts) -> Float[Tensor, "*resamples"]:
    """Returns the share of the known cells that are present."""
    together = _together(counts)
    return support(together).double() / sum(together)


def _class_mean(values: Float[Tensor, "*resamples classes"], counts: Counts, over: Over) -> Float[Tensor, "*resamples"]:
    """Returns the mean over classes; NaN if there are none. What is not defined of a class that counts is 0."""
    counted: Bool[Tensor, "*resamples classes"] = support(counts) > 0
    if over == "all":
        counted = torch.ones_like(counted)
    return torch.where(counted, values.nan_to_num(0.0), torch.nan).nanmean(dim=-1)


def _together(counts: Counts) -> Counts:
    return Counts(*(count.sum(dim=-1) for count in counts))
