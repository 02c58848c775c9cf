"""`Gallery`: images of one kind of mistake, with what is true of each and what the model says."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mlic.report.classes import ClassFigures
from mlic.report.mistakes import (
    false_positives,
    highest_losses,
    misses,
    sample_losses,
)
from mlic.scored import Scored
from mlic.suspects import find_suspects

__all__ = ["Card", "ClassGallery", "Galleries", "Said", "Verdict", "card_of", "collect"]

Verdict = Literal["right", "wrong", "missed", "unknown"]

_CLASSES = 80  # that have galleries
_PER_CLASS = 480  # false positives, and as many misses, are shared out among them: 3 to 8 for each
_LOSSES, _LABEL_ERRORS = 16, 24


@dataclass(frozen=True)
class Said:
    """A class of an image, with its score.

    Attributes:
        name: of the class.
        score: calibrated, 0 to 1.
        verdict: `right` and `wrong` are said to be present, and are or are not; `missed` is present and not said;
            `unknown` is said, and nobody knows.
    """

    name: str
    score: float
    verdict: Verdict


@dataclass(frozen=True)
class Card:
    """One image.

    Attributes:
        row: which sample it is.
        path: of the image.
        true: the classes that are labelled present.
        predicted: the classes that are said to be present, the highest score first.
        note: why it is shown.
    """

    row: int
    path: str
    true: tuple[Said, ...]
    predicted: tuple[Said, ...]
    note: str = ""


@dataclass(frozen=True)
class ClassGallery:
    """The surest mistakes about one class."""

    figures: ClassFigures
    false_positives: tuple[Card, ...]
    misses: tuple[Card, ...]


@dataclass(frozen=True)
class Galleries:
    """All that a report shows.

    Attributes:
        label_errors: where the labels rather than the model may be wrong.
        losses: the images whose labels the model finds least likely.
        classes: the surest mistakes about each class, the classes in the order given.
        left_out: how many classes have none here, for there are too many.
    """

    label_errors: tuple[Card, ...] = ()
    losses: tuple[Card, ...] = ()
    classes: tuple[ClassGallery, ...] = field(default_factory=tuple)
    left_out: int = 0

    def cards(self) -> Iterator[Card]:
        """Yields all cards in the order of the page."""
        yield from self.label_errors
        yield from self.losses
        for gallery in self.classes:
            yield from gallery.false_positives
            yield from gallery.misses


@dataclass(frozen=True)
class _Cells:
    """What cards are made from, computed once."""

    scored: Scored
    scores: Float[Tensor, "samples classes"]
    present: Bool[Tensor, "samples classes"]


def collect(scored: Scored, order: Sequence[ClassFigures]) -> Galleries:
    """Chooses the images to be shown.

    Args:
        scored: what the model made of the samples.
        order: the classes in the order in which their mistakes are shown.
    """
    strength, labels, cells = scored.strength, scored.labels, _Cells(scored, scored.scores, scored.present)
    shown = order[:_CLASSES]
    most = min(8, max(3, _PER_CLASS // (2 * max(1, len(shown)))))
    wrongly, missed = (which(strength, cells.present, labels, most) for which in (false_positives, misses))
    losses = sample_losses(strength, labels)
    # float64 tells apart scores that are all 1 as float32.
    suspects = find_suspects(strength.double().sigmoid(), labels)
    suspects = suspects.at(torch.arange(min(_LABEL_ERRORS, len(suspects.rows))))
    return Galleries(
        label_errors=tuple(
            _card(cells, row, _doubt(cells, row, column))
            for row, column in zip(suspects.rows.tolist(), suspects.columns.tolist(), strict=True)
        ),
        losses=tuple(
            _card(cells, row, f"loss {losses[row]:.1f}: the labels have a probability of {_power(losses[row])}")
            for row in highest_losses(losses, _LOSSES)
        ),
        classes=tuple(
            ClassGallery(
                figures,
                tuple(_card(cells, row, _score(cells, row, figures)) for row in wrongly[figures.column]),
                tuple(_card(cells, row, _score(cells, row, figures)) for row in missed[figures.column]),
            )
            for figures in shown
            if wrongly[figures.column] or missed[figures.column]
        ),
        left_out=len(order) - len(shown),
    )


def card_of(scored: Scored, row: int, note: str = "") -> Card:
    """Returns the card of one sample."""
    one = scored.logits[row : row + 1]
    return _made(scored, row, scored.decisions.scores(one)[0], scored.decisions.present(one)[0], note)


def _card(cells: _Cells, row: int, note: str) -> Card:
    return _made(cells.scored, row, cells.scores[row], cells.present[row], note)


def _made(
    scored: Scored, row: int, scores: Float[Tensor, " classes"], present: Bool[Tensor, " classes"], note: str
) -> Card:
    labels, names = scored.labels[row], scored.classes
    verdicts: dict[int, Verdict] = {1: "right", 0: "wrong", -1: "unknown"}
    said = sorted(torch.nonzero(present)[:, 0].tolist(), key=lambda column: (-float(scores[column]), column))
    there = torch.nonzero(labels == 1)[:, 0].tolist()
    return Card(
        row=row,
        path=scored.paths[row],
        true=tuple(
            Said(names[column], float(scores[column]), "right" if present[column] else "missed") for column in there
        ),
        predicted=tuple(Said(names[column], float(scores[column]), verdicts[int(labels[column])]) for column in said),
        note=note,
    )


def _doubt(cells: _Cells, row: int, column: int) -> str:
    name, score = cells.scored.classes[column], float(cells.scores[row, column])
    if cells.scored.labels[row, column] == 1:
        return f"is labelled {name}, which scores {score:.3f}: perhaps it is not there"
    return f"is labelled without {name}, which scores {score:.3f}: perhaps it is there"


def _score(cells: _Cells, row: int, figures: ClassFigures) -> str:
    return f"{figures.name} scores {float(cells.scores[row, figures.column]):.3f}"


def _power(loss: float) -> str:
    """Returns exp(-loss) as people read it."""
    return (
        f"1 in {torch.tensor(loss, dtype=torch.float64).exp().item():,.0f}" if loss < 14 else "less than 1 in a million"
    )
