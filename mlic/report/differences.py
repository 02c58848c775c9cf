"""How far two models are apart on the same samples, and how much of that is the choice of the samples."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from mlic.metrics import FIGURES
from mlic.metrics.resampled_areas import resampled_areas
from mlic.metrics.resamples import interval
from mlic.report.classes import ClassFigures, class_figures
from mlic.report.headline import measured, resampled
from mlic.report.words import meaning
from mlic.scored import Scored

__all__ = ["ClassDifference", "Difference", "class_differences", "differences"]


@dataclass(frozen=True)
class Difference:
    """One figure of both models; NaN for what is not defined.

    Attributes:
        name: of the figure.
        a: of the first model.
        b: of the second.
        low: where the 95 % interval of b - a begins, on paired resamples.
        high: where it ends.
        b_better: in which share of the resamples the second is the better one; an equal one counts half.
    """

    name: str
    a: float
    b: float
    low: float
    high: float
    b_better: float

    @property
    def difference(self) -> float:
        """The figure of the second model less that of the first."""
        return self.b - self.a

    @property
    def verdict(self) -> str:
        """Which model is better, if the interval says so: `a`, `b` or an empty text."""
        if not (self.low > 0 or self.high < 0):
            return ""
        return "b" if (self.low > 0) == (meaning(self.name).better == "higher") else "a"


@dataclass(frozen=True)
class ClassDifference:
    """One class in both models.

    Attributes:
        a: its figures in the first.
        b: in the second.
        low: where the 95 % interval of the difference of average precision begins, on paired resamples.
        high: where it ends.
    """

    a: ClassFigures
    b: ClassFigures
    low: float
    high: float

    @property
    def name(self) -> str:
        """Of the class."""
        return self.a.name

    @property
    def average_precision(self) -> float:
        """The average precision of the second model less that of the first."""
        return self.b.average_precision - self.a.average_precision

    @property
    def f1(self) -> float:
        """F1 of the second model less that of the first."""
        return self.b.f1 - self.a.f1


def differences(a: Scored, b: Scored, resamples: int, seed: int) -> list[Difference]:
    """Compares the figures of two models on the same samples and classes.

    Raises:
        MlicError: if the logit of a known cell is not a number.
    """
    of_a, of_b = measured(a), measured(b)
    drawn_a, drawn_b = (resampled(one, resamples, seed) for one in (a, b))
    found = []
    for name in FIGURES:
        apart = drawn_b[name] - drawn_a[name]
        low, high = interval(apart)
        found.append(Difference(name, of_a[name], of_b[name], low, high, _share_better(name, apart)))
    return found


def class_differences(a: Scored, b: Scored, resamples: int, seed: int) -> list[ClassDifference]:
    """Compares the classes of two models, in the order of the columns."""
    drawn_a, drawn_b = (resampled_areas(one.logits, one.labels, resamples, seed).average_precision for one in (a, b))
    apart = (drawn_b - drawn_a).numpy()
    both = zip(class_figures(a, a.present), class_figures(b, b.present), apart.T, strict=True)
    return [ClassDifference(of_a, of_b, *interval(drawn)) for of_a, of_b, drawn in both]


def _share_better(name: str, apart: Float64[np.ndarray, " resamples"]) -> float:
    defined = apart[~np.isnan(apart)]
    if not len(defined):
        return float("nan")
    signed = defined if meaning(name).better == "higher" else -defined
    return float((signed > 0).mean() + 0.5 * (signed == 0).mean())
