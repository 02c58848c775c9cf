"""The tables of a report as Markdown."""

from collections.abc import Iterable, Sequence

from mlic.report.galleries import Galleries
from mlic.report.summary import Summary
from mlic.report.words import NO_ACCURACY, meaning
from mlic.report.writing import count, figure, share

__all__ = ["escaped", "markdown", "table"]

_MARKS = "\\`*_[]<>|#~&$"


def markdown(summary: Summary, galleries: Galleries) -> str:
    """Returns the tables of a report, and the paths of the images whose labels may be wrong."""
    unknown = f", {count(summary.unknown)} unknown" if summary.unknown else ""
    parts = [
        f"# {escaped(summary.name)}\n",
        f"{count(summary.samples)} images, {count(len(summary.classes))} classes; {count(summary.known)} labels known, "
        f"{count(summary.positives)} of them present{unknown}.\n",
        table(["", "fact"], [[name, fact] for name, fact in summary.about.items()]) if summary.about else "",
        "## The figures\n",
        NO_ACCURACY.format(absent=share(summary.absent)) + "\n",
        _figures(summary),
        "## How the model decides\n",
        "\n".join(f"- {sentence}" for sentence in summary.decisions) + "\n",
        "## The classes\n",
        _classes(summary),
        "## Classes that meet\n",
        "Of the images with one class, the share that has another, by the labels and by the model: the pairs that "
        "differ most.\n",
        table(
            ["of the images with", "have", "by the labels", "by the model"],
            [[one.given, one.other, share(one.labelled), share(one.predicted)] for one in summary.meetings.pairs],
        ),
        "## Labels that may be wrong\n",
        table(["image", "why"], [[card.path, card.note] for card in galleries.label_errors]),
        "## Images with the highest loss\n",
        table(["image", "why"], [[card.path, card.note] for card in galleries.losses]),
    ]
    return "\n".join(part for part in parts if part)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    r"""Returns a table; a sentence where there are no rows.

    Example:
        >>> print(table(["class", "AP"], [["a|b", "0.5"]]), end="")
        | class | AP |
        | --- | --- |
        | a\|b | 0.5 |
    """
    lines = [f"| {' | '.join(map(escaped, row))} |\n" for row in rows]
    if not lines:
        return "There are none.\n"
    return f"| {' | '.join(header)} |\n|{' --- |' * len(header)}\n" + "".join(lines)


def escaped(text: str) -> str:
    r"""Returns a text that Markdown shows as it is, in one line.

    Example:
        >>> print(escaped("a_b\nc"))
        a\_b c
    """
    return "".join(f"\\{mark}" if mark in _MARKS else mark for mark in " ".join(text.split()))


def _figures(summary: Summary) -> str:
    header = ["figure", "model", "95 % interval", "all negative", "always the frequent", "what it says"]
    rows = []
    for one in summary.headline.figures:
        said = meaning(one.name)
        interval = f"{figure(one.low)} to {figure(one.high)}" if one.low == one.low else "n/a"
        rows.append(
            [
                one.name,
                figure(one.value),
                interval,
                figure(one.all_negative),
                figure(one.frequent),
                f"{said.words} ({said.better} is better)",
            ]
        )
    return table(header, rows)


def _classes(summary: Summary) -> str:
    header = [
        "class", "positives", "negatives", "unknown", "AP", "F1", "threshold", "precision", "recall", "wrongly said",
        "missed",
    ]  # fmt: skip
    rows = [
        [
            one.name + (" (few)" if one.is_uncertain else ""),
            *map(count, (one.support, one.negatives, one.unknown)),
            *map(figure, (one.average_precision, one.f1, one.threshold, one.precision, one.recall)),
            *map(count, (one.false_positives, one.misses)),
        ]
        for one in summary.classes
    ]
    few = "Classes with fewer than 10 known positives are marked as few: their figures are mostly chance.\n\n"
    return (few if any(one.is_uncertain for one in summary.classes) else "") + table(header, rows)
