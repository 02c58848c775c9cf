"""Cross-fitting: each sample is decided by what was fitted on the others, so that nothing is judged on itself."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int8, Int64
from torch import Tensor

from mlic.errors import UsageError
from mlic.thresholds.fitted import calibrated, fit_decisions
from mlic.thresholds.rules import DecisionRule

__all__ = ["cross_fitted", "cross_fitted_scores"]


def cross_fitted(
    rule: DecisionRule,
    logits: Float[Tensor, "samples classes"],
    labels: Int8[Tensor, "samples classes"],
    decides_at_zero: bool = False,
    folds: int = 5,
) -> Bool[Tensor, "samples classes"]:
    """Returns which classes are said to be present, each sample by decisions that were fitted without it.

    Thresholds that are judged on the samples they were fitted on look better than they are, the more so the fewer
    positives there are. These decisions are as good as those of `fit_decisions` on new samples, or a little worse, for
    each is fitted on fewer samples. Nothing is trained anew: that the logits are of samples that the model was not
    trained on is up to the caller.

    The samples are dealt to the folds by a shuffle that depends on their number alone: the same table in the same order
    gives the same decisions, always.

    Args:
        rule: as for `fit_decisions`.
        logits: as for `fit_decisions`.
        labels: 1 present, 0 absent, -1 unknown.
        decides_at_zero: as for `fit_decisions`.
        folds: into how many parts the samples are dealt, 2 or more; with fewer samples each is a part of its own.

    Raises:
        UsageError: if `folds` is less than 2.
        MlicError: if the logit of a known cell is not a number.

    Example:
        The others say that 0.9 is present and 0.1 is not, and cut halfway.

        >>> logits = torch.tensor([[0.9], [0.9], [0.1], [0.1]]).logit()
        >>> labels = torch.tensor([[1], [1], [0], [0]], dtype=torch.int8)
        >>> rule = DecisionRule(min_support=1, calibration="none")
        >>> cross_fitted(rule, logits, labels, folds=4).flatten().tolist()
        [True, True, False, False]
    """
    present = torch.zeros_like(labels, dtype=torch.bool)
    for part in _parts(logits, labels, folds):
        fitted = fit_decisions(rule, part.logits, part.labels, decides_at_zero)
        present[part.held] = fitted.decisions.present(logits[part.held])
    return present


def cross_fitted_scores(
    rule: DecisionRule,
    logits: Float[Tensor, "samples classes"],
    labels: Int8[Tensor, "samples classes"],
    folds: int = 5,
) -> Float[Tensor, "samples classes"]:
    """Returns the calibrated scores, each sample's by a calibration that was fitted without it, as `cross_fitted`.

    They are for judging calibration alone. The folds' scales differ, so that ranking is judged on the logits.

    Raises:
        UsageError: if `folds` is less than 2.
        MlicError: if the logit of a known cell is not a number.

    Example:
        >>> logits, labels = torch.zeros(4, 1), torch.tensor([[1], [1], [0], [0]], dtype=torch.int8)
        >>> cross_fitted_scores(DecisionRule(), logits, labels).flatten().tolist()
        [0.5, 0.5, 0.5, 0.5]
    """
    scores = torch.empty_like(logits, dtype=logits.dtype if logits.dtype == torch.float64 else torch.float32)
    for part in _parts(logits, labels, folds):
        plain, _ = calibrated(rule, part.logits, part.labels)
        scores[part.held] = plain.scores(logits[part.held])
    return scores


class _Part(NamedTuple):
    """Samples that are held out, and what is known of the others."""

    held: Int64[Tensor, " held"]
    logits: Float[Tensor, "others classes"]
    labels: Int8[Tensor, "others classes"]


def _parts(
    logits: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"], folds: int
) -> Iterator[_Part]:
    if folds < 2:
        raise UsageError(f"folds is {folds}; expected 2 or more, since what is fitted on all samples is judged on none")
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0)).to(labels.device)
    fold = torch.empty_like(order)
    fold[order] = torch.arange(len(order), device=order.device) % folds
    for number in range(min(folds, len(order))):
        others = (fold != number).nonzero()[:, 0]
        held = (fold == number).nonzero()[:, 0]
        yield _Part(held, logits[others], labels[others])
