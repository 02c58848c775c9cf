"""The page of a report: one HTML file that fetches nothing."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import mlic
from mlic.report import writing
from mlic.report.classes import FEW
from mlic.report.galleries import Card, Galleries
from mlic.report.pictures import Chart
from mlic.report.summary import Summary
from mlic.report.thumbnails import NO_ROOM, Thumbnail
from mlic.report.words import NO_ACCURACY, meaning

__all__ = ["Pictures", "page", "rendered"]

_TILES = ("mAP", "CF1", "OF1", "f1_macro", "f1_micro", "hamming")
_MOST_TILES = 4
_OPENED = 5  # classes whose mistakes are shown without being asked for


@dataclass(frozen=True)
class _Picture:
    """A thumbnail at one place of the page."""

    key: str
    first: bool
    uri: str
    width: int
    height: int
    reason: str


class Pictures:
    """Gives each card its picture, and says where one stands for the first time: there it is embedded."""

    def __init__(self, thumbnails: Mapping[str, Thumbnail]) -> None:
        self._thumbnails = thumbnails
        self._keys: dict[str, str] = {}

    def of(self, card: Card) -> _Picture:
        """Returns the picture of a card."""
        thumbnail = self._thumbnails.get(card.path, Thumbnail("", 0, 0, NO_ROOM))
        first = card.path not in self._keys
        key = self._keys.setdefault(card.path, f"picture-{len(self._keys)}")
        return _Picture(key, first, *thumbnail)


def page(summary: Summary, galleries: Galleries, charts: Sequence[Chart], thumbnails: Mapping[str, Thumbnail]) -> str:
    """Returns the page.

    Args:
        summary: the numbers.
        galleries: which images are shown.
        charts: as SVG.
        thumbnails: path -> small picture; one that is not there has no room.
    """
    by_name = {one.name: one for one in summary.headline.figures}
    return rendered(
        "page.html.jinja",
        summary=summary,
        galleries=galleries,
        charts=charts,
        pictures=Pictures(thumbnails),
        tiles=[by_name[name] for name in _TILES if name in by_name][:_MOST_TILES],
        few=sum(one.is_uncertain for one in summary.classes),
        least=FEW,
        opened=_OPENED,
        with_gallery={gallery.figures.column for gallery in galleries.classes},
        no_accuracy=NO_ACCURACY.format(absent=writing.share(summary.absent)),
    )


def rendered(template: str, **values: Any) -> str:
    """Returns a page made from a template of this package, with its style and script."""
    style, script = (Markup(files(__package__).joinpath(name).read_text("utf-8")) for name in ("style.css", "sort.js"))
    # Nothing may be fetched, and no script run but this one. Styles stand in the elements of charts.
    policy = (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        _environment()
        .get_template(template)
        .render(style=style, script=script, policy=Markup(policy), mlic_version=mlic.__version__, **values)
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__, ""),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {
        "count": writing.count,
        "figure": writing.figure,
        "score": writing.score,
        "share": writing.share,
        "signed": writing.signed,
        "meaning": meaning,
    }
    return environment


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
