"""Suspects: the labels that scores of models that have not seen them disagree with most confidently.

Confident learning (Northcutt et al. 2021, arXiv:1911.00068), each class by itself (Thyagarajan et al. 2022,
arXiv:2211.13895). What it finds are suggestions: a label may be right, and the model wrong.
"""

from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int8, Int64
from torch import Tensor

__all__ = [
    "Kind",
    "Rates",
    "Suspects",
    "confident_scores",
    "error_rates",
    "find_suspects",
    "sure_unknowns",
    "suspicion",
]

Kind = Literal["missing", "wrong", "unknown, present", "unknown, absent"]
"""`missing`: absent, and probably present; `wrong`: present, and probably absent; the others are no errors, but unknown
labels that the model is sure of."""

_SURE = 0.95  # the score of a class that is surely present; 1 minus it, that of one that is surely absent


class Rates(NamedTuple):
    """How often labels are wrong, as confident learning estimates it.

    Attributes:
        missed: the share of what is truly present that is labelled absent.
        added: the share of what is truly absent that is labelled present.
    """

    missed: float
    added: float


class Suspects(NamedTuple):
    """Suspicious cells, the most suspicious first; unknown ones, where they are wanted, after all others.

    Attributes:
        rows: their samples.
        columns: their classes.
        labels: 1 present, 0 absent, -1 unknown.
        scores: of models that have not seen the sample, 0 to 1.
        suspicion: 0 to 1; NaN where the label is unknown.
    """

    rows: Int64[Tensor, " suspects"]
    columns: Int64[Tensor, " suspects"]
    labels: Int8[Tensor, " suspects"]
    scores: Float64[Tensor, " suspects"]
    suspicion: Float64[Tensor, " suspects"]

    @property
    def kinds(self) -> list[Kind]:
        """What each is suspected of."""
        missing, wrong, present, absent = get_args(Kind)
        known = {0: missing, 1: wrong}
        pairs = zip(self.labels.tolist(), self.scores.tolist(), strict=True)
        return [known.get(label, present if score > 0.5 else absent) for label, score in pairs]

    def at(self, which: Tensor) -> "Suspects":
        """Returns some of them, in the order of `which`, or where it is true."""
        return Suspects(*(column[which] for column in self))


def confident_scores(
    scores: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]
) -> tuple[Float64[Tensor, " classes"], Float64[Tensor, " classes"]]:
    """Returns the mean score of each class where it is labelled present, and where it is labelled absent.

    They are the thresholds of confident learning: from the first up a model is confident that a class is present, from
    the second down that it is absent. NaN where there is no such label.

    Args:
        scores: 0 to 1.
        labels: 1 present, 0 absent, -1 unknown.

    Example:
        >>> labels = torch.tensor([[1], [1], [0]], dtype=torch.int8)
        >>> present, absent = confident_scores(torch.tensor([[0.9], [0.7], [0.1]]), labels)
        >>> round(present.item(), 3), round(absent.item(), 3)
        (0.8, 0.1)
    """
    means = []
    for value in (1, 0):
        there = labels == value
        means.append(torch.where(there, scores.double(), 0.0).sum(dim=0) / there.sum(dim=0))
    return means[0], means[1]


def error_rates(scores: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]) -> Rates:
    """Estimates how often labels are wrong, over all classes together.

    By the confident joint of Northcutt et al. 2021 (arXiv:1911.00068): known cells are counted by their label and by
    what the model is confident of; each row is scaled to how many cells have the label. Cells about which it is not
    confident do not count. One class alone has too few positives for rates of its own.

    What a model cannot see counts as an error too, so the rates are too high where scores separate a class badly. Their
    ratio, which decides how the two sorts of suspects are ordered among each other, is what they are for.

    Args:
        scores: 0 to 1, of models that have not seen the sample, calibrated.
        labels: 1 present, 0 absent, -1 unknown.

    Example:
        Mean scores are 0.675 where present and 0.325 where absent. Of four present cells the model is confident that
        three are present and one is absent, and the other way round: a quarter of both is wrong.

        >>> scores = torch.tensor([[0.9], [0.85], [0.85], [0.1], [0.1], [0.15], [0.15], [0.9]])
        >>> labels = torch.tensor([[1], [1], [1], [1], [0], [0], [0], [0]], dtype=torch.int8)
        >>> error_rates(scores, labels)
        Rates(missed=0.25, added=0.25)
    """
    sure_present, sure_absent = _confident(scores, labels)
    joint = torch.zeros(2, 2, dtype=torch.float64)  # by label, then by what the model is confident of
    for value in (0, 1):
        there = labels == value
        joint[value] = torch.stack([(there & sure_absent).sum(), (there & sure_present).sum()])
        joint[value] *= there.sum() / joint[value].sum().clamp(min=1)
    truly = joint.sum(dim=0).clamp(min=1e-9)
    return Rates(float(joint[0, 1] / truly[1]), float(joint[1, 0] / truly[0]))


def suspicion(
    scores: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"], rates: Rates
) -> Float64[Tensor, "samples classes"]:
    """Returns how probable it is that each label is wrong, 0 to 1; NaN where it is unknown.

    By Bayes' rule: the score tells how probable the class was before anybody looked, the rates how often somebody who
    looks is mistaken. An absent label is wrong with the odds `s / (1 - s) * missed / (1 - added)`, a present one with
    `(1 - s) / s * added / (1 - missed)`. Among present labels, and among absent ones, the order is that of the scores;
    the rates say which of the two sorts comes first. It is as good as the scores and the rates are: an order, more than
    a probability.

    Args:
        scores: 0 to 1, of models that have not seen the sample, calibrated.
        labels: 1 present, 0 absent, -1 unknown.
        rates: of errors.

    Example:
        Absent at a score of 0.9: the odds are 9 * 0.2 / 0.9 = 2, the suspicion 2 / 3. Present at a score of 0.1: the
        odds are 9 * 0.1 / 0.8 = 1.125, the suspicion 0.529.

        >>> labels = torch.tensor([[0, 1, -1]], dtype=torch.int8)
        >>> suspicion(torch.tensor([[0.9, 0.1, 0.9]]), labels, Rates(missed=0.2, added=0.1)).round(decimals=3).tolist()
        [[0.667, 0.529, nan]]
    """
    s = scores.double()
    guilty = torch.where(labels == 1, rates.added * (1 - s), rates.missed * s)
    innocent = torch.where(labels == 1, (1 - rates.missed) * s, (1 - rates.added) * (1 - s))
    return torch.where(labels >= 0, guilty / (guilty + innocent).clamp(min=1e-300), torch.nan)


def find_suspects(scores: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]) -> Suspects:
    """Returns the labels that the model confidently disagrees with, by falling suspicion.

    A suspect is absent with at least the mean score of what is labelled present, or present with at most the mean score
    of what is labelled absent (Northcutt et al. 2021, arXiv:1911.00068); see `confident_scores`. A class whose scores
    are no higher where it is present has none: they say nothing about it. Of equal suspicion the first row comes first.

    Args:
        scores: 0 to 1, of models that have not seen the sample, calibrated.
        labels: 1 present, 0 absent, -1 unknown, which is never a suspect.

    Example:
        >>> scores = torch.tensor([[0.9], [0.85], [0.85], [0.1], [0.1], [0.15], [0.15], [0.9]])
        >>> labels = torch.tensor([[1], [1], [1], [1], [0], [0], [0], [0]], dtype=torch.int8)
        >>> found = find_suspects(scores, labels)
        >>> found.rows.tolist(), found.kinds, found.suspicion.round(decimals=2).tolist()
        ([3, 7], ['wrong', 'missing'], [0.75, 0.75])
    """
    sure_present, sure_absent = _confident(scores, labels)
    chosen = ((labels == 0) & sure_present) | ((labels == 1) & sure_absent)
    found = _cells(chosen, scores, labels, suspicion(scores, labels, error_rates(scores, labels)))
    return found.at(torch.from_numpy(np.argsort(-found.suspicion.numpy(), kind="stable")))


def sure_unknowns(scores: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]) -> Suspects:
    """Returns the unknown labels that the model is sure of, the surest first; they are no errors.

    Surely present is a score of 0.95 or more that is also at least the mean score of what is labelled present; surely
    absent one of 0.05 or less that is also at most the mean score of what is labelled absent.

    Args:
        scores: 0 to 1, of models that have not seen the sample, calibrated.
        labels: 1 present, 0 absent, -1 unknown.

    Example:
        >>> scores = torch.tensor([[0.9], [0.1], [0.97], [0.5]])
        >>> found = sure_unknowns(scores, torch.tensor([[1], [0], [-1], [-1]], dtype=torch.int8))
        >>> found.rows.tolist(), found.kinds
        ([2], ['unknown, present'])
    """
    sure_present, sure_absent = _confident(scores, labels)
    sure = (sure_present & (scores >= _SURE)) | (sure_absent & (scores <= 1 - _SURE))
    found = _cells(sure & (labels < 0), scores, labels, torch.full(scores.shape, torch.nan, dtype=torch.float64))
    doubt = torch.minimum(found.scores, 1 - found.scores)
    return found.at(torch.from_numpy(np.argsort(doubt.numpy(), kind="stable")))


def _confident(
    scores: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]
) -> tuple[Bool[Tensor, "samples classes"], Bool[Tensor, "samples classes"]]:
    """Says of which cells the model is confident that the class is present, and of which that it is absent."""
    present, absent = confident_scores(scores, labels)
    tells = present > absent  # never where one is NaN
    return (scores >= present) & tells, (scores <= absent) & tells


def _cells(
    chosen: Bool[Tensor, "samples classes"],
    scores: Float[Tensor, "samples classes"],
    labels: Int8[Tensor, "samples classes"],
    its_suspicion: Float64[Tensor, "samples classes"],
) -> Suspects:
    rows, columns = chosen.nonzero(as_tuple=True)
    return Suspects(rows, columns, labels[chosen], scores[chosen].double(), its_suspicion[chosen])
