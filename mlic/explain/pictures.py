"""Heat maps laid over images, and a contact sheet of those of one image."""

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image, ImageDraw

from mlic.charts.words import plain
from mlic.explain.lettering import font_for

__all__ = ["Tile", "contact_sheet", "overlay"]

_COLOURS = "magma"  # its lightness rises all along, so that it is read without seeing hues, and in print
_LEAST = 0.12  # of the colours, so that a photograph can be made out where nothing counts
_DARKEST = 0.35  # share of a colour that is left where the photograph is black
_LINE = 0.5  # of the highest number
_BOX, _LOWEST_BOX, _GAP, _SIZE = 320, 60, 16, 15  # pixels: of a tile, between tiles, of letters
_COLUMNS = 4
_LEAST_CELL = 260  # pixels, which the words below a tile need
_SCALE = (
    "Each map has a scale of its own: the brightest is its highest number, the darkest 0 and what is below; the white "
    "line goes where it is half of the highest."
)
_INK, _PALE, _PAPER = (28, 28, 32), (105, 105, 112), (255, 255, 255)


class Tile(NamedTuple):
    """A class on a contact sheet.

    Attributes:
        class_name: any characters.
        words: what is said of it, a few lines.
        picture: the heat map over the image.
    """

    class_name: str
    words: Sequence[str]
    picture: Image.Image


def overlay(pixels: UInt8[np.ndarray, "height width 3"], heat: Float32[np.ndarray, "height width"]) -> Image.Image:
    """Lays a heat map over an image: what is bright and warm counts, what is dark and violet does not.

    The heat alone gives the colour, and the image, made grey, only its shades, so that no colour of the image is taken
    for heat. A thin white line goes round what has half of the highest number or more.

    Args:
        pixels: red, green and blue.
        heat: 0 to 1.
    """
    grey = (pixels @ np.array([0.299, 0.587, 0.114], np.float32) / 255)[..., None]
    table = (matplotlib.colormaps[_COLOURS](np.linspace(_LEAST, 1, 256))[:, :3] * 255).astype(np.float32)
    colours = table[(heat * 255).round().astype(np.uint8)]
    shaded = colours * (_DARKEST + (1 - _DARKEST) * grey) + 60 * grey
    line = _line(heat, max(1.5, max(heat.shape) / 250))[..., None]
    return Image.fromarray(((1 - line) * shaded.clip(0, 255) + line * 255).round().astype(np.uint8))


def contact_sheet(
    title: str, note: str, pixels: UInt8[np.ndarray, "height width 3"], tiles: Sequence[Tile]
) -> Image.Image:
    """Puts the image and its classes side by side, in rows of four.

    Args:
        title: what stands above, one line.
        note: what the maps tell, which stands below, as long as it needs to be.
        pixels: the image.
        tiles: the classes.
    """
    picture = Image.fromarray(pixels)
    shown = [Tile("image", (), picture), *tiles]
    width, height = _fitting(picture.size)
    cell = max(width, _LEAST_CELL)
    columns = min(_COLUMNS, len(shown))
    lines_below = 1 + max(len(tile.words) for tile in shown)
    row = height + lines_below * (_SIZE + 5) + _GAP
    across = _GAP + columns * (cell + _GAP)
    foot = _wrapped(f"{note} {_SCALE}", across - 2 * _GAP)
    top = 2 * _GAP + _SIZE
    rows = -(-len(shown) // columns)
    sheet = Image.new("RGB", (across, top + rows * row + len(foot) * (_SIZE + 4) + _GAP), _PAPER)
    pen = ImageDraw.Draw(sheet)
    _write(pen, (_GAP, _GAP - 2), title, across - 2 * _GAP, _INK)
    for place, tile in enumerate(shown):
        x, y = _GAP + place % columns * (cell + _GAP), top + place // columns * row
        sheet.paste(tile.picture.resize((width, height), Image.Resampling.LANCZOS), (x, y))
        for number, words in enumerate((tile.class_name, *tile.words)):
            _write(pen, (x, y + height + 4 + number * (_SIZE + 5)), words, cell, _PALE if number else _INK)
    for number, words in enumerate(foot):
        _write(pen, (_GAP, top + rows * row + number * (_SIZE + 4)), words, across, _PALE)
    return sheet


def _line(heat: Float32[np.ndarray, "height width"], width: float) -> Float32[np.ndarray, "height width"]:
    """Returns how much of each pixel a line covers that goes where the heat passes the half."""
    if min(heat.shape) < 2:  # nothing to go round
        return np.zeros_like(heat)
    down, right = np.gradient(heat)
    apart = np.abs(heat - _LINE) / np.maximum(np.hypot(down, right), 1e-6)  # pixels from the line, nearly
    covered: Float32[np.ndarray, "height width"] = (width / 2 + 0.5 - apart).clip(0, 1).astype(np.float32)
    return covered


def _fitting(size: tuple[int, int]) -> tuple[int, int]:
    """Returns the size of a tile: as large as the box takes, in the shape of the image, unless it would vanish."""
    scale = _BOX / max(size)
    return max(_LOWEST_BOX, round(size[0] * scale)), max(_LOWEST_BOX, round(size[1] * scale))


def _write(pen: ImageDraw.ImageDraw, at: tuple[int, int], text: str, room: int, colour: tuple[int, int, int]) -> None:
    """Writes a line, cut where there is no more room."""
    text = plain(text)
    font = font_for(text, _SIZE)
    if font.getlength(text) > room:
        while text and font.getlength(text + "…") > room:
            text = text[:-1]
        text = text.rstrip() + "…"
    pen.text(at, text, fill=colour, font=font)


def _wrapped(text: str, room: int) -> list[str]:
    lines: list[str] = []
    for word in plain(text).split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font_for(longer, _SIZE).getlength(longer) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
