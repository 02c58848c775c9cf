"""`Summary`: the numbers of a report, which its page, its text and its JSON all show."""

from collections.abc import Mapping
from dataclasses import dataclass

from mlic.report.classes import ClassFigures, class_figures
from mlic.report.headline import Headline, headline
from mlic.report.meetings import Meetings, meetings
from mlic.report.rules import described
from mlic.scored import Scored

__all__ = ["Summary", "summarise"]


@dataclass(frozen=True)
class Summary:
    """What is known about a model on some samples.

    Attributes:
        name: of the model.
        about: plain facts about it and its data.
        samples: how many there are.
        unlabelled: how many of them have no known label.
        known: cells that are known, of all samples and classes.
        unknown: cells that are not, which count for nothing.
        positives: known cells that are present.
        decisions: how scores are made and cut, in sentences.
        headline: the figures of all classes together.
        classes: the figures of each class, in the order of the columns.
        meetings: how often classes are together.
    """

    name: str
    about: Mapping[str, str]
    samples: int
    unlabelled: int
    known: int
    unknown: int
    positives: int
    decisions: tuple[str, ...]
    headline: Headline
    classes: tuple[ClassFigures, ...]
    meetings: Meetings

    @property
    def absent(self) -> float:
        """The share of the known cells that are absent; NaN if none is known."""
        return 1 - self.positives / self.known if self.known else float("nan")

    @property
    def worst_first(self) -> list[ClassFigures]:
        """The classes by average precision, the lowest first; those without any last."""
        return sorted(self.classes, key=lambda one: (one.average_precision if one.support else 2.0, one.column))


def summarise(scored: Scored, resamples: int, seed: int = 0) -> Summary:
    """Computes all numbers of a report.

    Args:
        scored: what the model made of the samples.
        resamples: how many bootstrap resamples the intervals are made from.
        seed: of what is drawn.

    Raises:
        MlicError: if the logit of a known cell is not a number.
    """
    labels, present = scored.labels, scored.present
    known = int((labels >= 0).sum())
    return Summary(
        name=scored.name,
        about=dict(scored.about),
        samples=len(labels),
        unlabelled=int((labels < 0).all(dim=1).sum()),
        known=known,
        unknown=labels.numel() - known,
        positives=int((labels == 1).sum()),
        decisions=tuple(described(scored.decisions)),
        headline=headline(scored, resamples, seed),
        classes=tuple(class_figures(scored, present)),
        meetings=meetings(present, labels, scored.classes),
    )
