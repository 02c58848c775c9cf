"""Letters for pictures: DejaVu, which matplotlib brings, and for what it does not have a font of the machine."""

import functools
import logging
from pathlib import Path

import matplotlib
from matplotlib.font_manager import fontManager
from matplotlib.ft2font import FT2Font
from PIL import ImageFont

__all__ = ["font_for"]


def font_for(text: str, size: int) -> ImageFont.FreeTypeFont:
    """Returns a font with all characters of a text; DejaVu, which shows boxes for what it lacks, where there is none.

    Args:
        text: one line.
        size: of the letters, in pixels.
    """
    return _font(_file_for(frozenset(map(ord, text))), size)


@functools.lru_cache(maxsize=64)
def _font(file: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(file, size)


@functools.lru_cache(maxsize=1024)
def _file_for(codes: frozenset[int]) -> str:
    first = str(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"))
    if codes <= _codes(first):
        return first
    # A font of last resort has every character, and draws a box for it that tells its block.
    others = sorted({entry.fname for entry in fontManager.ttflist if "last resort" not in entry.name.lower()})
    return next((file for file in others if codes <= _codes(file)), first)


@functools.lru_cache(maxsize=256)
def _codes(file: str) -> frozenset[int]:
    """Returns the characters that a font has, by their numbers; none for one that cannot be read."""
    try:
        return frozenset(FT2Font(file).get_charmap())
    except (OSError, RuntimeError) as error:
        logging.getLogger(__name__).debug("%s: %s", file, error)
        return frozenset()
