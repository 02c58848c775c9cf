"""The figures of all classes together, with their intervals and baselines beside them."""

from dataclasses import dataclass

import numpy as np

from mlic.metrics import FIGURES, baselines, figures
from mlic.metrics.resamples import resampled_map
from mlic.report.words import meaning
from mlic.scored import Scored

__all__ = ["Figure", "Headline", "headline", "measured"]


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
    values = measured(scored)
    nothing, frequent = baselines(scored.labels).values()
    drawn = resampled_map([scored.logits], scored.labels, resamples, seed)[0]
    low, high = np.nanpercentile(drawn, [2.5, 97.5]) if np.isfinite(drawn).any() else (np.nan, np.nan)
    nan = float("nan")
    return Headline(
        tuple(
            Figure(
                name,
                values[name],
                float(low) if name == "mAP" else nan,
                float(high) if name == "mAP" else nan,
                nothing[name],
                frequent[name],
            )
            for name in FIGURES
        ),
        resamples,
        int(values["supported_classes"]),
    )


def measured(scored: Scored) -> dict[str, float]:
    """Returns the figures of a model.

    Raises:
        MlicError: if the logit of a known cell is not a number.
    """
    return figures(scored.logits, scored.scores, scored.present, scored.labels)
