"""The figures that are shown: a few numbers for all classes, and a table of the classes."""

from jaxtyping import Float, Float32, Int8
from torch import Tensor

from mlic.metrics.averages import average_precision, mean_average_precision
from mlic.metrics.counts import count_cells, f1, mean_f1, pooled_f1, precision, recall, share_present, share_wrong

__all__ = ["headline", "per_class"]


def headline(
    logits: Float32[Tensor, "samples classes"],
    labels: Int8[Tensor, "samples classes"],
    thresholds: Float[Tensor, " classes"],
) -> dict[str, Tensor]:
    """Returns the five numbers that are logged: `mAP`, `f1_micro`, `f1_macro`, `hamming`, `hamming_all_negative`.

    Each is a float32 scalar, 0 to 1 or NaN.

    Args:
        logits: mAP ranks these, so that the ties which the sigmoid makes of large logits do not decide.
        labels: 1 present, 0 absent, -1 unknown.
        thresholds: scores, that is probabilities: the sigmoid of the logits is compared with them.

    Raises:
        MlicError: if the logit of a known cell is not a number.
    """
    counts = count_cells(logits.sigmoid(), labels, thresholds)
    values = {
        "mAP": mean_average_precision(logits, labels),
        "f1_micro": pooled_f1(counts),
        "f1_macro": mean_f1(counts),
        "hamming": share_wrong(counts),
        "hamming_all_negative": share_present(counts),
    }
    # Not float64, which some devices (MPS) lack and to which a logger may move them.
    return {name: value.float() for name, value in values.items()}


def per_class(
    logits: Float32[Tensor, "samples classes"],
    labels: Int8[Tensor, "samples classes"],
    thresholds: Float[Tensor, " classes"],
) -> dict[str, Tensor]:
    """Returns a table of the classes as columns of length `classes`; arguments as in `headline`.

    `support` and `negatives` are numbers of known cells; `AP`, `f1`, `precision` and `recall` are 0 to 1, or NaN where
    undefined; `threshold` is what a score was compared with.

    Example:
        >>> import torch
        >>> logits, labels = torch.tensor([[2.0], [-1.0], [1.0]]), torch.tensor([[1], [0], [0]], dtype=torch.int8)
        >>> {name: float(column) for name, column in per_class(logits, labels, torch.tensor([0.5])).items()}
        ... # doctest: +NORMALIZE_WHITESPACE
        {'support': 1.0, 'negatives': 2.0, 'AP': 1.0, 'f1': 0.6666666666666666, 'precision': 0.5, 'recall': 1.0,
         'threshold': 0.5}
    """
    counts = count_cells(logits.sigmoid(), labels, thresholds)
    return {
        "support": counts.true_positives + counts.false_negatives,
        "negatives": counts.false_positives + counts.true_negatives,
        "AP": average_precision(logits, labels),
        "f1": f1(counts),
        "precision": precision(counts),
        "recall": recall(counts),
        "threshold": thresholds,
    }
