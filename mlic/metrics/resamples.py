"""How much of a figure the choice of the samples explains: the figures on resamples of them."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int8
from torch import Tensor

from mlic.metrics.calibration import BINS, bin_of
from mlic.metrics.counts import Counts
from mlic.metrics.draws import Interval, bootstrap, draws, interval, resampled_sums
from mlic.metrics.judging import FIGURES, of_counts, of_rows
from mlic.metrics.resampled_areas import resampled_areas

__all__ = [
    "Interval",
    "bootstrap",
    "draws",
    "interval",
    "resampled_counts",
    "resampled_figures",
    "resampled_map",
    "resampled_means",
]


def resampled_map(
    tables: Sequence[Float32[Tensor, "samples classes"]],
    labels: Int8[Tensor, "samples classes"],
    resamples: int,
    seed: int = 0,
) -> Float[np.ndarray, "tables resamples"]:
    """Returns mAP on bootstrap resamples of the samples (Efron 1979, doi:10.1214/aos/1176344552).

    Each resample has as many samples, drawn with replacement, the same ones for all tables: their differences are
    paired. As in `mean_average_precision`, a class without a known positive, here in the resample, is left out.

    Args:
        tables: scores of several models, that rank.
        labels: 1 present, 0 absent, -1 unknown.
        resamples: how many.
        seed: of what is drawn.

    Raises:
        MlicError: if the score of a known cell is not a number.

    Example:
        All resamples of a perfect ranking are perfect, but for those without a positive.

        >>> scores, labels = torch.tensor([[2.0], [1.0]]), torch.tensor([[1], [0]], dtype=torch.int8)
        >>> np.unique(resampled_map([scores], labels, 20)).tolist()
        [1.0, nan]
    """
    found = np.full((len(tables), resamples), np.nan)
    for number, table in enumerate(tables):
        found[number] = resampled_areas(table, labels, resamples, seed).average_precision.nanmean(dim=1).numpy()
    return found


def resampled_counts(
    present: Bool[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"], resamples: int, seed: int = 0
) -> Counts:
    """Returns the counts of the classes on bootstrap resamples of the samples, which come first: resamples x classes.

    All that is made of `Counts` is then made of each resample.

    Example:
        >>> from mlic.metrics.overall import f1_micro
        >>> present, labels = torch.tensor([[True], [True]]), torch.tensor([[1], [0]], dtype=torch.int8)
        >>> f1_micro(resampled_counts(present, labels, 3)).shape
        torch.Size([3])
    """
    samples, classes = labels.shape

    def columns(rows: slice) -> Float64[Tensor, "rows columns"]:
        return _counted(present[rows], labels[rows])

    return _counts(resampled_sums(columns, samples, 4 * classes, resamples, seed))


def resampled_means(
    values: Float[Tensor, "samples figures"], resamples: int, seed: int = 0
) -> Float64[Tensor, "resamples figures"]:
    """Returns means over samples on bootstrap resamples of them; a sample whose value is NaN is left out.

    Example:
        >>> resampled_means(torch.tensor([[1.0], [float("nan")]]), 20).unique().nan_to_num(-1).unique().tolist()
        [-1.0, 1.0]
    """

    def columns(rows: slice) -> Float64[Tensor, "rows columns"]:
        return _defined(values[rows])

    sums, counted = resampled_sums(columns, len(values), 2 * values.shape[1], resamples, seed).chunk(2, dim=1)
    return sums / counted


def resampled_figures(
    logits: Float[Tensor, "samples classes"],
    scores: Float[Tensor, "samples classes"],
    present: Bool[Tensor, "samples classes"],
    labels: Int8[Tensor, "samples classes"],
    resamples: int = 200,
    seed: int = 0,
    strength: Float[Tensor, "samples classes"] | None = None,
) -> dict[str, Float64[np.ndarray, " resamples"]]:
    """Returns each of `FIGURES` on bootstrap resamples of the samples: what `figures` gives of the drawn rows.

    Of two models with the same samples and seed the draws are paired: `interval(a["mAP"] - b["mAP"])` is that of their
    difference.

    Args:
        logits: as in `figures`.
        scores: as in `figures`.
        present: as in `figures`.
        labels: 1 present, 0 absent, -1 unknown.
        resamples: how many.
        seed: of what is drawn.
        strength: as in `figures`.

    Raises:
        MlicError: if the logit or the score of a known cell is not a number.

    Example:
        >>> logits, labels = torch.tensor([[2.0], [-1.0], [1.0]]), torch.tensor([[1], [0], [0]], dtype=torch.int8)
        >>> drawn = resampled_figures(logits, logits.sigmoid(), logits > 0, labels, resamples=50)
        >>> sorted({round(3 * wrong) for wrong in drawn["hamming"]})
        [0, 1, 2, 3]
    """
    samples, classes = labels.shape
    present, labels, scores = present.cpu(), labels.cpu(), scores.detach().cpu()
    by_row = of_rows(scores if strength is None else strength.detach().cpu(), present, labels)
    rows_of = torch.stack([*by_row.values()], dim=1)

    def columns(rows: slice) -> Float64[Tensor, "rows columns"]:
        judged = _judged(scores[rows], labels[rows])
        return torch.cat([_counted(present[rows], labels[rows]), _defined(rows_of[rows]), judged], dim=1)

    widths = [4 * classes, len(by_row), len(by_row), classes, BINS * classes]
    parts = torch.split(resampled_sums(columns, samples, sum(widths), resamples, seed), widths, dim=1)
    counts = _counts(parts[0])
    known = torch.stack([*counts]).sum(dim=0)
    apart = parts[4].reshape(resamples, classes, BINS).abs().sum(dim=2)
    areas = resampled_areas(logits, labels, resamples, seed)
    found = {
        "mAP": areas.average_precision.nanmean(dim=1),
        "auroc_macro": areas.auroc.nanmean(dim=1),
        **of_counts(counts),
        **dict(zip(by_row, (parts[1] / parts[2]).T, strict=True)),
        "calibration_error": (apart / known).nanmean(dim=1),
        "brier": (parts[3] / known).nanmean(dim=1),
    }
    return {name: found[name].numpy() for name in FIGURES}


def _counted(
    present: Bool[Tensor, "rows classes"], labels: Int8[Tensor, "rows classes"]
) -> Float64[Tensor, "rows columns"]:
    """Returns what the counts are sums of."""
    positives, negatives = labels == 1, labels == 0
    return torch.cat([present & positives, present & negatives, ~present & positives, ~present & negatives], 1).double()


def _counts(sums: Float64[Tensor, "resamples columns"]) -> Counts:
    return Counts(*sums.round().long().chunk(4, dim=1))


def _defined(values: Float[Tensor, "rows figures"]) -> Float64[Tensor, "rows columns"]:
    """Returns the values, 0 for NaN, and which are defined: what means are quotients of."""
    return torch.cat([values.nan_to_num(0.0).double(), (~values.isnan()).double()], dim=1)


def _judged(
    scores: Float[Tensor, "rows classes"], labels: Int8[Tensor, "rows classes"]
) -> Float64[Tensor, "rows columns"]:
    """Returns squared distances of score and label, and distances, each in the column of its class and bin."""
    known = labels >= 0
    said = torch.where(known, scores.double(), 0.0)
    apart = torch.where(known, said - (labels == 1).double(), 0.0)
    place = torch.from_numpy(bin_of(said.numpy(), BINS))
    bins = torch.zeros(*labels.shape, BINS, dtype=torch.float64).scatter_(2, place[..., None], apart[..., None])
    return torch.cat([apart**2, bins.flatten(1)], dim=1)
