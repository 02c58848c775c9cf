"""The charts of a report, each with its title and how it is read."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int8
from markupsafe import Markup
from matplotlib.figure import Figure
from torch import Tensor

from mlic.charts import (
    Bins,
    Curve,
    draw_cooccurrence,
    precision_by_support,
    precision_recall,
    precision_recall_of_classes,
    reliability,
    score_histogram,
    svg,
    threshold_curves,
)
from mlic.metrics import curve, micro_average_precision
from mlic.metrics import reliability as pooled_bins
from mlic.report.summary import Summary
from mlic.scored import Scored

__all__ = ["Chart", "charts", "drawn"]

_WORST = 5  # classes with charts of their own
_PANELS = 20
_ALL = "all classes"


@dataclass(frozen=True)
class Chart:
    """One chart.

    Attributes:
        title: a few words.
        words: how it is read.
        picture: an `<svg>` element.
        shape: `wide` takes a row of the page, `folded` is shown only when asked for.
    """

    title: str
    words: str
    picture: Markup
    shape: Literal["plain", "wide", "folded"] = "plain"


def charts(scored: Scored, summary: Summary) -> list[Chart]:
    """Draws all charts."""
    # float64 tells apart scores that are all 1 as float32.
    scores, labels = scored.strength.double().sigmoid(), scored.labels
    curves = [_curve(scores[:, column], labels[:, column]) for column in range(len(scored.classes))]
    micro = _curve(scores.flatten(), labels.flatten())
    return [
        *_of_all(scored, summary, scores, curves, micro),
        *_of_classes(scored, summary, scores, curves),
    ]


def drawn(title: str, words: str, figure: Figure, shape: Literal["plain", "wide", "folded"] = "plain") -> Chart:
    """Returns a chart of a figure."""
    return Chart(title, words, Markup(svg(figure)), shape)


def _of_all(
    scored: Scored, summary: Summary, scores: Float[Tensor, "samples classes"], curves: list[Curve], micro: Curve
) -> Iterator[Chart]:
    names, labels, decisions = list(scored.classes), scored.labels, scored.decisions
    precisions = np.array([one.average_precision for one in summary.classes])
    support = np.array([one.support for one in summary.classes], np.int64)
    yield drawn(
        "Precision against recall",
        "Going from left to right the threshold falls: the model finds more of what is there (recall), and less of "
        "what it says is right (precision). The better the model, the nearer a line comes to the upper right corner.",
        precision_recall(
            names, curves, precisions, micro, float(micro_average_precision(scored.strength, scored.labels))
        ),
    )
    calibrated = bool((decisions.slope != 1).any() or decisions.offset.any())
    after = _bins(scores, labels)
    before = _bins(scored.logits.double().sigmoid(), labels) if calibrated else after
    yield drawn(
        "Are scores frequencies?",
        "Of the labels with a score of about 0.7, seven in ten should be present: points on the diagonal say what they "
        "mean. Below it the model is too sure of itself, above it not sure enough.",
        reliability(before, after if calibrated else None),
    )
    yield drawn(
        "Average precision against support",
        "If the rare classes are the bad ones, more examples of them may help. A frequent class that is bad is hard, "
        "or badly annotated.",
        precision_by_support(names, precisions, support),
    )
    thresholds = decisions.thresholds
    same = float(thresholds[0]) if bool((thresholds == thresholds[0]).all()) else None
    yield drawn(
        "Scores of what is present and of what is absent",
        "The less both overlap, the better a threshold can part them. The scale of the counts is logarithmic.",
        score_histogram(_ALL, scores.flatten().numpy(), labels.flatten().numpy(), same),
    )
    yield drawn(
        "Precision, recall and F1 against the threshold",
        "What one threshold for all classes would give, wherever it is put.",
        threshold_curves(_ALL, micro, same),
    )
    columns = list(summary.meetings.columns)
    yield drawn(
        "Classes that come together",
        "Where the right picture is stronger than the left one, the model takes one class for a sign of the other.",
        draw_cooccurrence(
            [names[column] for column in columns],
            summary.meetings.labelled,
            summary.meetings.predicted,
            support[columns],
        ),
        shape="wide",
    )


def _of_classes(
    scored: Scored, summary: Summary, scores: Float[Tensor, "samples classes"], curves: list[Curve]
) -> Iterator[Chart]:
    worst = [one for one in summary.worst_first if one.support][:_PANELS]
    if not worst:
        return
    columns = [one.column for one in worst]
    thresholds = scored.decisions.thresholds.double().numpy()
    yield drawn(
        f"Precision against recall of the {len(worst)} classes with the lowest AP",
        "The point is where the threshold of the class puts it.",
        precision_recall_of_classes(
            [one.name for one in worst],
            [curves[column] for column in columns],
            np.array([one.average_precision for one in worst]),
            thresholds[columns],
        ),
        shape="folded",
    )
    for one in worst[:_WORST]:
        at = one.column
        yield drawn(
            f"{one.name}: precision, recall and F1 against the threshold",
            "A threshold elsewhere trades one kind of mistake for the other.",
            threshold_curves(one.name, curves[at], float(thresholds[at])),
            shape="folded",
        )
        yield drawn(
            f"{one.name}: scores of what is present and of what is absent",
            "The scale of the counts is logarithmic.",
            score_histogram(one.name, scores[:, at].numpy(), scored.labels[:, at].numpy(), float(thresholds[at])),
            shape="folded",
        )


def _curve(scores: Float[Tensor, " cells"], labels: Int8[Tensor, " cells"]) -> Curve:
    found = curve(scores, labels)
    return Curve(precision=found.precision, recall=found.recall, thresholds=found.scores)


def _bins(scores: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]) -> Bins:
    found = pooled_bins(scores.reshape(-1, 1), labels.reshape(-1, 1))
    return Bins(*(each[0].numpy() for each in found))
