"""The figures of each class."""

from dataclasses import dataclass

from jaxtyping import Bool
from torch import Tensor

from mlic.metrics import average_precision, count_cells, f1, precision, recall
from mlic.scored import Scored

__all__ = ["FEW", "ClassFigures", "class_figures"]

FEW = 10
"""With fewer known positives the figures of a class are mostly chance."""


@dataclass(frozen=True)
class ClassFigures:
    """One class; NaN for what is not defined.

    Attributes:
        name: of the class.
        column: where it stands.
        support: known positives.
        negatives: known negatives.
        unknown: samples of which it is not known.
        average_precision: 0 to 1.
        f1: of the decisions, 0 to 1.
        precision: the share of the decisions "present" that is right.
        recall: the share of the positives that is found.
        threshold: the score from which it is said to be present.
        false_positives: labelled absent, said to be present.
        misses: labelled present, not said to be.
    """

    name: str
    column: int
    support: int
    negatives: int
    unknown: int
    average_precision: float
    f1: float
    precision: float
    recall: float
    threshold: float
    false_positives: int
    misses: int

    @property
    def is_uncertain(self) -> bool:
        """Whether there are too few positives to tell much."""
        return self.support < FEW


def class_figures(scored: Scored, present: Bool[Tensor, "samples classes"]) -> list[ClassFigures]:
    """Returns the figures of each class, in the order of the columns.

    Raises:
        MlicError: if the logit of a known cell is not a number.
    """
    counts = count_cells(present, scored.labels)
    columns = zip(
        scored.classes,
        *(count.tolist() for count in counts),
        average_precision(scored.logits, scored.labels).tolist(),
        *(measure(counts).tolist() for measure in (f1, precision, recall)),
        scored.decisions.thresholds.tolist(),
        strict=True,
    )
    return [
        ClassFigures(
            name=name,
            column=column,
            support=found + missed,
            negatives=wrong + rest,
            unknown=len(present) - found - wrong - missed - rest,
            average_precision=area,
            f1=balance,
            precision=right,
            recall=share,
            threshold=threshold,
            false_positives=wrong,
            misses=missed,
        )
        for column, (name, found, wrong, missed, rest, area, balance, right, share, threshold) in enumerate(columns)
    ]
