"""Lines of a list of images, with labels or a count behind each: what is the path, and what are the labels."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from mlic.datamodules.annotations.peek import head
from mlic.datamodules.annotations.text import open_text
from mlic.suffixes import IMAGE_SUFFIXES

__all__ = ["Form", "all_lines", "first_lines", "form_of", "parsed", "tokens"]

Form = Literal["multi_hot", "indices"]

_BYTES = 1 << 16  # of a file that are looked at
_SUFFIXES = "|".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
_QUOTED = re.compile(r'"([^"]*)"(\S*)\s*(.*)')  # Datumaro quotes the name without its suffix: `"my cat".jpg 0`
_PLAIN = re.compile(rf"(.*\.(?:{_SUFFIXES}))(?:\s+(.*))?", re.IGNORECASE)  # up to the last suffix of an image


def all_lines(path: Path) -> list[str]:
    """Returns the lines of a file without the spaces around them, up to the last that is not blank.

    Raises:
        LabelError: as `open_text`.
    """
    with open_text(path) as stream:
        lines = [line.strip() for line in stream]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def first_lines(path: Path, count: int = 50) -> list[str]:
    """Returns the first lines of a text file that are not blank, without the spaces around them."""
    text = head(path, _BYTES)
    lines = text.splitlines()
    if len(text.encode()) >= _BYTES - 6:  # `head` takes a byte-order mark off, and what is left of a character
        del lines[-1:]  # it may be cut
    return [stripped for line in lines[: 2 * count] if (stripped := line.strip())][:count]


def parsed(text: str) -> tuple[str, str]:
    r"""Returns the path at the beginning of a line, and what stands behind it.

    The path stands in quotation marks, or before a tab; or it ends with the suffix of an image; or it has no spaces.

    Example:
        >>> parsed("my cat.jpg 0 3"), parsed('"my cat".jpg 0'), parsed("cat\t0,1"), parsed("cat")
        (('my cat.jpg', '0 3'), ('my cat.jpg', '0'), ('cat', '0,1'), ('cat', ''))
    """
    if quoted := _QUOTED.fullmatch(text):
        return quoted[1] + quoted[2], quoted[3]
    image, tab, rest = text.partition("\t")
    if tab:
        return image.strip(), rest.strip()
    if plain := _PLAIN.fullmatch(text):
        return plain[1], plain[2] or ""
    image, _, rest = text.partition(" ")
    return image, rest.strip()


def tokens(rest: str) -> list[str]:
    """Returns what stands between commas and white space."""
    return re.split(r"\s*,\s*|\s+", rest) if rest else []


def form_of(rests: Iterable[str]) -> Form | Literal["either", "none"]:
    """Says whether the labels of all lines are a 0 or 1 for each class, or the numbers of the classes.

    Returns:
        "none" where there is no label at all; "either" where all rows may be both.

    Example:
        >>> form_of(["0,1,0"]), form_of(["0 1 0", "0 0 1"]), form_of(["0 3", ""])
        ('multi_hot', 'multi_hot', 'indices')
        >>> form_of(["0 1", "1 0"]), form_of(["", ""])
        ('either', 'none')
    """
    rests = list(rests)
    if not any(rests):
        return "none"
    if any("," in rest for rest in rests):
        return "multi_hot"
    if any(rest.strip("01 \t") for rest in rests):
        return "indices"
    rows = [rest.split() for rest in rests]
    if not all(rows) or len({len(row) for row in rows}) > 1 or any(len(token) > 1 for row in rows for token in row):
        return "indices"
    # The number of a class is there once.
    return "multi_hot" if any(len(set(row)) < len(row) for row in rows) else "either"
