"""`figures`: every figure of a model in one dictionary, and what two models that see no image would have."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int8
from torch import Tensor

from mlic.metrics.averages import average_precision_of
from mlic.metrics.calibration import brier, calibration_error
from mlic.metrics.counts import Counts, count_cells, f1, jaccard
from mlic.metrics.decisions import right_rows, row_counts
from mlic.metrics.overall import (
    cf1,
    class_precision,
    class_recall,
    f1_macro,
    f1_micro,
    f1_weighted,
    mean_jaccard,
    overall_precision,
    overall_recall,
    share_wrong,
)
from mlic.metrics.ranking import row_ranking
from mlic.metrics.separation import auroc_of
from mlic.ranks import ranked

__all__ = ["FIGURES", "baselines", "figures", "frequent_classes", "of_counts", "of_rows", "prevalence"]

# In the order in which they are shown.
FIGURES = (
    *("mAP", "auroc_macro"),
    *("OP", "OR", "OF1", "CP", "CR", "CF1"),
    *("f1_micro", "f1_macro", "f1_weighted", "f1_samples"),
    *("hamming", "subset_accuracy", "jaccard_macro", "jaccard_samples"),
    *("lrap", "coverage_error", "ranking_loss", "one_error"),
    *("calibration_error", "brier"),
)


def figures(
    logits: Float[Tensor, "samples classes"],
    scores: Float[Tensor, "samples classes"],
    present: Bool[Tensor, "samples classes"],
    labels: Int8[Tensor, "samples classes"],
    strength: Float[Tensor, "samples classes"] | None = None,
) -> dict[str, float]:
    """Returns the figures of `FIGURES`, in this order, and then from how many classes the means of classes are.

    `supported_classes` have a known positive: mAP, CP, CR, CF1, `f1_macro` and `jaccard_macro` are means over these;
    `separable_classes` have a known negative besides: `auroc_macro` is a mean over these. `calibration_error` and
    `brier` are means over the classes with a known cell. What is not defined is NaN.

    Args:
        logits: rank the images of each class: mAP and `auroc_macro`.
        scores: probabilities: `calibration_error` and `brier`.
        present: which classes are said to be present: all others.
        labels: 1 present, 0 absent, -1 unknown.
        strength: ranks the classes of each image: `lrap`, `coverage_error`, `ranking_loss` and `one_error`. The logits
            of the scores tell apart what is 1 as a score; by default the scores do what they can.

    Raises:
        MlicError: if the logit or the score of a known cell is not a number.
        UsageError: if the score of a known cell is not from 0 to 1.

    Example:
        >>> logits, labels = torch.tensor([[2.0], [-1.0], [1.0]]), torch.tensor([[1], [0], [0]], dtype=torch.int8)
        >>> found = figures(logits, logits.sigmoid(), logits > 0, labels)
        >>> found["mAP"], found["OP"], found["OR"], found["supported_classes"]
        (1.0, 0.5, 1.0, 1.0)
    """
    ranking = scores if strength is None else strength
    precisions, areas = [], []
    for ranks in ranked(logits, labels):
        precisions.append(average_precision_of(ranks))
        areas.append(auroc_of(ranks))
    precision, area = (torch.from_numpy(np.concatenate(each)) for each in (precisions, areas))
    found = {
        "mAP": precision.nanmean(),
        "auroc_macro": area.nanmean(),
        "calibration_error": calibration_error(scores, labels).nanmean(),
        "brier": brier(scores, labels).nanmean(),
        **of_counts(count_cells(present, labels)),
        **{name: rows.nanmean() for name, rows in of_rows(ranking, present, labels).items()},
    }
    return {
        **{name: float(found[name]) for name in FIGURES},
        "supported_classes": float((~precision.isnan()).sum()),
        "separable_classes": float((~area.isnan()).sum()),
    }


def of_counts(counts: Counts) -> dict[str, Float[Tensor, "*resamples"]]:
    """Returns the figures that are made of the counts of the classes."""
    micro = f1_micro(counts)
    return {
        "OP": overall_precision(counts),
        "OR": overall_recall(counts),
        "OF1": micro,
        "CP": class_precision(counts),
        "CR": class_recall(counts),
        "CF1": cf1(counts),
        "f1_micro": micro,
        "f1_macro": f1_macro(counts),
        "f1_weighted": f1_weighted(counts),
        "hamming": share_wrong(counts),
        "jaccard_macro": mean_jaccard(counts),
    }


def of_rows(
    scores: Float[Tensor, "samples classes"],
    present: Bool[Tensor, "samples classes"],
    labels: Int8[Tensor, "samples classes"],
) -> dict[str, Float[Tensor, " samples"]]:
    """Returns the figures that are means over images, of each image; NaN for an image that does not count."""
    counts = row_counts(present, labels)
    return {
        "f1_samples": f1(counts),
        "subset_accuracy": right_rows(counts),
        "jaccard_samples": jaccard(counts),
        **row_ranking(scores, labels)._asdict(),
    }


def prevalence(labels: Int8[Tensor, "samples classes"]) -> Float[Tensor, " classes"]:
    """Returns the share of the known cells of each class that are present, as float64; NaN without a known cell.

    Example:
        >>> prevalence(torch.tensor([[1, 0], [0, 0], [-1, 0]], dtype=torch.int8))
        tensor([0.5000, 0.0000], dtype=torch.float64)
    """
    counts = count_cells(torch.zeros_like(labels, dtype=torch.bool), labels)
    return counts.false_negatives.double() / (counts.false_negatives + counts.true_negatives)


def frequent_classes(frequencies: Float[Tensor, " classes"]) -> Bool[Tensor, " classes"]:
    """Returns the classes that one says who sees no image: those that at least half of the images have.

    If there are none, the most frequent ones, as many as an image has on average (the sum of the frequencies, rounded)
    and at least one; of equally frequent ones those that come first. A frequency that is not known counts as 0.

    Example:
        An image has 0.4 + 0.3 + 0.4 classes, about one.

        >>> frequent_classes(torch.tensor([0.4, 0.3, 0.4])).tolist()
        [True, False, False]
    """
    frequencies = frequencies.nan_to_num(0.0)
    if (frequencies >= 0.5).any():
        return frequencies >= 0.5
    order = frequencies.argsort(descending=True, stable=True)
    chosen = torch.zeros_like(frequencies, dtype=torch.bool)
    chosen[order[: max(1, round(float(frequencies.sum())))]] = True
    return chosen


def baselines(
    labels: Int8[Tensor, "samples classes"], frequencies: Float[Tensor, " classes"] | None = None
) -> dict[str, dict[str, float]]:
    """Returns the `figures` of two models that see no image: what a model has to beat.

    `all negative` says that nothing is present, with a score of 0. `always the frequent classes` says the
    `frequent_classes`, and gives each class its frequency as score: the best Brier score that a constant can have, and
    the best order of classes for all images at once.

    Args:
        labels: 1 present, 0 absent, -1 unknown.
        frequencies: the share of the training images that have each class, 0 to 1; by default `prevalence(labels)`,
            which knows more of the labels than a model may.

    Example:
        >>> found = baselines(torch.tensor([[1, 0], [1, 1], [1, 0], [0, 0]], dtype=torch.int8))
        >>> found["all negative"]["OR"], found["always the frequent classes"]["OR"]
        (0.0, 0.75)
    """
    frequencies = (prevalence(labels) if frequencies is None else frequencies.to(labels.device)).nan_to_num(0.0)
    scores, chosen = (row.expand(labels.shape) for row in (frequencies, frequent_classes(frequencies)))
    nothing = torch.zeros_like(scores)
    return {
        "all negative": figures(nothing, nothing, torch.zeros_like(chosen), labels),
        # As logits they rank as well.
        "always the frequent classes": figures(scores, scores, chosen, labels),
    }
