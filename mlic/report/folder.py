"""`write_report`: the files of a report in one folder."""

from pathlib import Path
from typing import NamedTuple

from mlic.errors import MlicError, UsageError
from mlic.report.galleries import Galleries, collect
from mlic.report.headline import usual_resamples
from mlic.report.markdown import markdown
from mlic.report.numbers import as_json, numbers
from mlic.report.page import page
from mlic.report.pictures import charts
from mlic.report.summary import summarise
from mlic.report.thumbnails import thumbnails
from mlic.scored import Scored

__all__ = ["Report", "made_folder", "priority", "write_report", "written"]

MOST_BYTES = 4_800_000
"""That a page may have: one that can be sent by mail."""


class Report(NamedTuple):
    """Where the files of a report are.

    Attributes:
        html: the page for people.
        markdown: its tables, to paste elsewhere.
        json: all numbers.
        scored: what it was made from, for another report or a comparison.
    """

    html: Path
    markdown: Path
    json: Path
    scored: Path


def write_report(scored: Scored, folder: Path, *, resamples: int | None = None, seed: int = 0) -> Report:
    """Writes report.html, report.md, report.json and scored.npz; equal ones for equal arguments.

    Args:
        scored: what a model made of samples whose labels are known.
        folder: is made if it is not there; files of a report in it are replaced.
        resamples: how many bootstrap resamples the intervals of the figures are made from; by default 1,000, and 200 of
            a table above a million cells.
        seed: of what is drawn for them.

    Raises:
        UsageError: if there are no samples.
        MlicError: if the logit of a known cell is not a number, or a file cannot be written.
    """
    if not len(scored.labels) or not scored.classes:
        raise UsageError(
            f"{scored.name}: {len(scored.labels)} samples of {len(scored.classes)} classes; a report needs at least one"
        )
    made_folder(folder)
    summary = summarise(scored, usual_resamples(scored) if resamples is None else resamples, seed)
    galleries = collect(scored, summary.worst_first)
    drawn = charts(scored, summary)
    without = page(summary, galleries, drawn, {})
    room = MOST_BYTES - len(without.encode(errors="replace"))
    pictures = thumbnails(priority(galleries), scored.root, room)
    report = Report(*(folder / name for name in ("report.html", "report.md", "report.json", "scored.npz")))
    written(report.html, page(summary, galleries, drawn, pictures))
    written(report.markdown, markdown(summary, galleries))
    written(report.json, as_json(numbers(scored, summary, galleries)))
    try:
        scored.save(report.scored)
    except OSError as error:
        raise MlicError(f"{report.scored}: cannot be written ({error.strerror})") from error
    return report


def priority(galleries: Galleries) -> list[str]:
    """Returns the paths of the images that are shown, those that matter most first."""
    return [card.path for card in galleries.cards()]


def made_folder(folder: Path) -> None:
    """Makes a folder.

    Raises:
        MlicError: if it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MlicError(f"{folder}: cannot be made ({error.strerror}); expected a folder for the report") from error


def written(path: Path, text: str) -> None:
    """Writes a text file as UTF-8, with the same line ends everywhere.

    Raises:
        MlicError: if it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8", errors="replace", newline="\n")
    except OSError as error:
        raise MlicError(f"{path}: cannot be written ({error.strerror})") from error
