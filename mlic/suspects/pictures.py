"""A contact sheet of suspects: each image with both opinions, since only a look decides."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlic.errors import ImageError
from mlic.images import read_image

__all__ = ["Tile", "contact_sheet"]

_COLUMNS = 6
_INCHES = 2.3  # of a tile
_HEIGHT = 0.75  # of a tile, as a share of its width: most photographs lie
_DECODED_FOR = 96  # pixels: a JPEG is decoded at 2.5 times as many at least
_COLOURS = {"missing": "#2a6f97", "wrong": "#c1121f"}
_OTHER = "#7a5c00"


class Tile(NamedTuple):
    """One suspect.

    Attributes:
        path: of the image.
        name: of the image, as the annotation file has it.
        class_name: the class that it is about.
        label: what the annotation file says: present, absent or unknown.
        score: what the model says, 0 to 1.
        kind: what it is suspected of.
    """

    path: Path
    name: str
    class_name: str
    label: str
    score: float
    kind: str


def contact_sheet(title: str, tiles: Sequence[Tile]) -> Figure:
    """Draws images in rows of six, and above each the class, what the annotation file says, and the score.

    An image that cannot be read leaves its place empty, and says why.

    Args:
        title: what stands above.
        tiles: in their order, one or more.
    """
    lines = max(1, -(-len(tiles) // _COLUMNS))
    figure = Figure(figsize=(_COLUMNS * _INCHES, lines * (_HEIGHT * _INCHES + 0.6) + 0.6), layout="constrained")
    figure.suptitle(title, fontsize=11)
    places = figure.subplots(lines, _COLUMNS, squeeze=False).ravel()
    for axes in places:
        axes.set_axis_off()
    for axes, tile in zip(places, tiles, strict=False):
        _draw(axes, tile)
    return figure


def _draw(axes: Axes, tile: Tile) -> None:
    try:
        axes.imshow(read_image(tile.path, _DECODED_FOR).permute(1, 2, 0).numpy())
    except ImageError as error:
        axes.text(0.5, 0.5, shorten(str(error), 120), ha="center", va="center", fontsize=6, wrap=True)
    colour = _COLOURS.get(tile.kind, _OTHER)
    said = f"{shorten(tile.class_name, 26)}\nfile: {tile.label}   score: {tile.score:.2f}\n{tile.name[-32:]}"
    # Names of files and classes may hold a dollar, which would begin a formula.
    axes.set_anchor("N")
    axes.set_title(said, fontsize=7.5, color=colour, parse_math=False)
