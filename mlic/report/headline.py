"""The figures of all classes together, with their intervals and baselines beside them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from mlic.metrics import FIGURES, baselines, figures
from mlic.metrics.resamples import interval, resampled_figures
from mlic.report.words import meaning
from mlic.scored import Scored

__all__ = ["Figure", "Headline", "headline", "measured", "resampled", "usual_resamples"]

_LARGE = 1_000_000  # cells


@dataclass(frozen=True)
class Figure:
    """One figure; NaN for what is not defined.

    Attributes:
        name: as `mlic.metrics.FIGURES` has it.
        value: of the model.
        low: where the 95 % interval begins.
        high: where it ends.
        all_negative: what saying nothing gives.
        frequent: what always saying the frequent classes gives.
    """

    name: str
    value: float
    low: float
    high: float
    all_negative: float
    frequent: float

    @property
    def is_no_better(self) -> bool:
        """Whether one of the baselines is as good, as far as that is known."""
        if self.name == "calibration_error":  # frequencies as scores are calibrated perfectly, and know nothing
            return False
        sign = -1 if meaning(self.name).better == "lower" else 1
        return any(sign * self.value <= sign * baseline for baseline in (self.all_negative, self.frequent))


@dataclass(frozen=True)
class Headline:
    """All figures.

    Attributes:
        figures: in the order in which they are shown.
        resamples: from how many draws their intervals are.
        supported: the number of classes with a known positive, which means over classes run over.
    """

    figures: tuple[Figure, ...]
    resamples: int
    supported: int


def headline(scored: Scored, resamples: int, seed: int) -> Headline:
    """Computes the figures.

    Raises:
        MlicError: if the logit of a known cell is not a number.
    """
    values, drawn = measured(scored), resampled(scored, resamples, seed)
    nothing, frequent = baselines(scored.labels).values()
    return Headline(
        tuple(Figure(name, values[name], *interval(drawn[name]), nothing[name], frequent[name]) for name in FIGURES),
        resamples,
        int(values["supported_classes"]),
    )


def usual_resamples(scored: Scored) -> int:
    """Returns how many resamples are drawn where nobody says: fewer from large tables, whose intervals are narrow."""
    return 1000 if scored.labels.numel() <= _LARGE else 200


def measured(scored: Scored) -> dict[str, float]:
    """Returns the figures of a model.

    Raises:
        MlicError: if the logit of a known cell is not a number.
    """
    return figures(scored.logits, scored.scores, scored.present, scored.labels, scored.strength)


def resampled(scored: Scored, resamples: int, seed: int) -> dict[str, Float64[np.ndarray, " resamples"]]:
    """Returns the figures of a model on bootstrap resamples; with the same seed, paired with another model's."""
    return resampled_figures(
        scored.logits, scored.scores, scored.present, scored.labels, resamples, seed, scored.strength
    )
