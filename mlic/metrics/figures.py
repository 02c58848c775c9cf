"""The figures that are shown: a few numbers for all classes, and a table of the classes."""

import torch
from jaxtyping import Bool, Float, Float32, Int8
from torch import Tensor

from mlic.metrics.averages import average_precision, mean_average_precision
from mlic.metrics.counts import count_cells, f1, precision, recall, support
from mlic.metrics.overall import f1_macro, f1_micro, share_present, share_wrong

__all__ = ["headline", "per_class"]


def headline(
    logits: Float32[Tensor, "samples classes"],
    labels: Int8[Tensor, "samples classes"],
    decided: Bool[Tensor, "samples classes"] | Float[Tensor, " classes"],
) -> dict[str, Tensor]:
    """Returns the five numbers that are logged: `mAP`, `f1_micro`, `f1_macro`, `hamming`, `hamming_all_negative`.

    Each is a float32 scalar, 0 to 1 or NaN.

    Args:
        logits: mAP ranks these, so that the ties which the sigmoid makes of large logits do not decide.
        labels: 1 present, 0 absent, -1 unknown.
        decided: which classes are said to be present; or thresholds, with which the sigmoid of the logits is compared.

    Raises:
        MlicError: if the logit of a known cell is not a number.
    """
    counts = count_cells(_present(logits, decided), labels)
    values = {
        "mAP": mean_average_precision(logits, labels),
        "f1_micro": f1_micro(counts),
        "f1_macro": f1_macro(counts),
        "hamming": share_wrong(counts),
        "hamming_all_negative": share_present(counts),
    }
    # Not float64, which some devices (MPS) lack and to which a logger may move them.
    return {name: value.float() for name, value in values.items()}


def per_class(
    logits: Float32[Tensor, "samples classes"],
    labels: Int8[Tensor, "samples classes"],
    decided: Bool[Tensor, "samples classes"] | Float[Tensor, " classes"],
    thresholds: Float[Tensor, " classes"] | None = None,
) -> dict[str, Tensor]:
    """Returns a table of the classes as columns of length `classes`.

    `support` and `negatives` are numbers of known cells; `AP`, `f1`, `precision` and `recall` are 0 to 1, or NaN where
    undefined; `threshold` is what a score was compared with, as far as that is told.

    Args:
        logits: as in `headline`.
        labels: 1 present, 0 absent, -1 unknown.
        decided: as in `headline`.
        thresholds: what `decided` came from, where it says which classes are present.

    Example:
        >>> logits, labels = torch.tensor([[2.0], [-1.0], [1.0]]), torch.tensor([[1], [0], [0]], dtype=torch.int8)
        >>> {name: float(column) for name, column in per_class(logits, labels, torch.tensor([0.5])).items()}
        ... # doctest: +NORMALIZE_WHITESPACE
        {'support': 1.0, 'negatives': 2.0, 'AP': 1.0, 'f1': 0.6666666666666666, 'precision': 0.5, 'recall': 1.0,
         'threshold': 0.5}
    """
    counts = count_cells(_present(logits, decided), labels)
    columns = {
        "support": support(counts),
        "negatives": counts.false_positives + counts.true_negatives,
        "AP": average_precision(logits, labels),
        "f1": f1(counts),
        "precision": precision(counts),
        "recall": recall(counts),
    }
    if decided.dtype != torch.bool:
        thresholds = decided
    return columns if thresholds is None else {**columns, "threshold": thresholds}


def _present(
    logits: Float[Tensor, "samples classes"],
    decided: Bool[Tensor, "samples classes"] | Float[Tensor, " classes"],
) -> Bool[Tensor, "samples classes"]:
    return decided if decided.dtype == torch.bool else logits.sigmoid() >= decided
