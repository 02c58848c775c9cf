"""`compare_reports`: two models side by side, on the same samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mlic.charts import compare
from mlic.report.aligned import Aligned, align
from mlic.report.differences import ClassDifference, Difference, class_differences, differences
from mlic.report.folder import MOST_BYTES, made_folder, written
from mlic.report.galleries import Card, card_of
from mlic.report.headline import usual_resamples
from mlic.report.markdown import escaped, table
from mlic.report.mistakes import sample_losses
from mlic.report.numbers import VERSION, as_json
from mlic.report.page import Pictures, rendered
from mlic.report.pictures import Chart, drawn
from mlic.report.thumbnails import thumbnails
from mlic.report.writing import count, figure, share, signed
from mlic.scored import Scored

__all__ = ["Comparison", "compare_reports"]

_CARDS = 12


class Comparison(NamedTuple):
    """Where the files of a comparison are.

    Attributes:
        html: the page for people.
        markdown: its tables.
        json: all numbers.
    """

    html: Path
    markdown: Path
    json: Path


@dataclass(frozen=True)
class _Content:
    """What all three files show."""

    pair: Aligned
    resamples: int
    figures: Sequence[Difference]
    classes: Sequence[ClassDifference]
    better: Sequence[Card]
    worse: Sequence[Card]

    @property
    def samples(self) -> int:
        return len(self.pair.a.labels)


def compare_reports(a: Scored, b: Scored, folder: Path, *, resamples: int | None = None, seed: int = 0) -> Comparison:
    """Writes comparison.html, comparison.md and comparison.json.

    Samples are matched by path and classes by name; the intervals of the differences are of paired bootstrap resamples
    (Efron 1979, doi:10.1214/aos/1176344552): both models are judged on the same draws, so that what makes a draw easy
    for both leaves the difference alone.

    Args:
        a: the first model.
        b: the second one.
        folder: is made if it is not there.
        resamples: how many; by default 1,000, and 200 of a table above a million cells.
        seed: of what is drawn.

    Raises:
        UsageError: if the classes differ, an image is there twice, or the two have no image in common.
        LabelError: if an image has different labels in both, with the cells.
        MlicError: if the logit of a known cell is not a number, or a file cannot be written.
    """
    pair = align(a, b)
    made_folder(folder)
    resamples = usual_resamples(pair.a) if resamples is None else resamples
    better, worse = _changed(pair)
    content = _Content(
        pair,
        resamples,
        differences(pair.a, pair.b, resamples, seed),
        class_differences(pair.a, pair.b, resamples, seed),
        better,
        worse,
    )
    charts = [_chart(content)]
    room = MOST_BYTES - len(_page(content, charts, Pictures({})).encode(errors="replace"))
    pictures = thumbnails([card.path for card in (*better, *worse)], pair.b.root, room)
    files = Comparison(*(folder / f"comparison.{suffix}" for suffix in ("html", "md", "json")))
    written(files.html, _page(content, charts, Pictures(pictures)))
    written(files.markdown, _markdown(content))
    written(files.json, _json(content))
    return files


def _changed(pair: Aligned) -> tuple[list[Card], list[Card]]:
    """Returns the images about which the second model is better, and those about which it is worse, by their loss."""
    of_a, of_b = (sample_losses(one.strength, one.labels) for one in (pair.a, pair.b))
    gained = of_a - of_b
    order = np.argsort(-gained, kind="stable")
    return (
        [_card(pair, int(row), of_a, of_b) for row in order[:_CARDS] if gained[row] > 0],
        [_card(pair, int(row), of_a, of_b) for row in order[::-1][:_CARDS] if gained[row] < 0],
    )


def _card(pair: Aligned, row: int, of_a: np.ndarray, of_b: np.ndarray) -> Card:
    before = card_of(pair.a, row).predicted
    names = ", ".join(one.name for one in before) or "nothing"
    return card_of(pair.b, row, f"loss {of_a[row]:.1f} in A, {of_b[row]:.1f} in B; A says {names}")


def _chart(content: _Content) -> Chart:
    a, b = content.pair.a, content.pair.b
    return drawn(
        "Average precision of each class in both models",
        "Above the diagonal the second model is better.",
        compare(
            (a.name, b.name),
            list(a.classes),
            np.array([one.a.average_precision for one in content.classes]),
            np.array([one.b.average_precision for one in content.classes]),
            np.array([one.low for one in content.classes]),
            np.array([one.high for one in content.classes]),
        ),
        shape="wide",
    )


def _page(content: _Content, charts: Sequence[Chart], pictures: Pictures) -> str:
    return rendered("comparison.html.jinja", content=content, pair=content.pair, charts=charts, pictures=pictures)


def _markdown(content: _Content) -> str:
    pair = content.pair
    header = ["figure", "A", "B", "B - A", "95 % interval", "B better in"]
    figures = [
        [
            one.name,
            figure(one.a),
            figure(one.b),
            signed(one.difference),
            f"{signed(one.low)} to {signed(one.high)}" if one.low == one.low else "n/a",
            share(one.b_better),
        ]
        for one in content.figures
    ]
    classes = [
        [
            one.name + (" (few)" if one.a.is_uncertain else ""),
            count(one.a.support),
            *map(figure, (one.a.average_precision, one.b.average_precision)),
            signed(one.average_precision),
            f"{signed(one.low)} to {signed(one.high)}" if one.low == one.low else "n/a",
            *map(figure, (one.a.f1, one.b.f1)),
            signed(one.f1),
        ]
        for one in content.classes
    ]
    return "\n".join(
        [
            f"# {escaped(pair.a.name)} (A) and {escaped(pair.b.name)} (B)\n",
            f"{count(content.samples)} images that both have; {count(pair.only_a)} only in A, {count(pair.only_b)} "
            f"only in B. Intervals from {count(content.resamples)} paired bootstrap resamples.\n",
            table(header, figures),
            "## The classes\n",
            table(
                ["class", "positives", "AP of A", "AP of B", "B - A", "95 % interval", "F1 of A", "F1 of B", "B - A"],
                classes,
            ),
        ]
    )


def _json(content: _Content) -> str:
    pair = content.pair
    return as_json(
        {
            "version": VERSION,
            "kind": "comparison",
            "a": {"name": pair.a.name, "about": pair.a.about, "only": pair.only_a},
            "b": {"name": pair.b.name, "about": pair.b.about, "only": pair.only_b},
            "samples": content.samples,
            "resamples": content.resamples,
            "figures": content.figures,
            "classes": content.classes,
            "better": content.better,
            "worse": content.worse,
        }
    )
