"""Rows of 0 and 1 in text, read without a look at each cell; and such rows as cells of `Samples`."""

import re
from functools import lru_cache

import numpy as np
from jaxtyping import Int, Int8

from mlic.datamodules.annotations.samples import Samples
from mlic.errors import LabelError

__all__ = ["add_rows", "flags"]

_BLOCK = 1 << 22  # cells that are worked on at a time
_NEITHER = "--"  # longer than a flag, so that it shows in the length of a row


def flags(text: str, first: int = 1) -> str:
    """Returns a row of 0 and 1, separated by commas or white space, as a text of these alone.

    Args:
        text: the row, without spaces around it; `1.0` and `0.000e+00`, as numpy writes them, are read too.
        first: the number of its first cell, for the message.

    Raises:
        LabelError: if a cell is something else; without file and line, which the caller knows.

    Example:
        >>> flags("0,1, 1")
        '011'
        >>> flags("0 1 7")
        Traceback (most recent call last):
        ...
        mlic.errors.LabelError: value 3 is '7'; expected 0 or 1
    """
    digits, separators = text[::2], text[1::2]
    separator = separators[:1]
    # What is stripped of the characters that it may consist of, and is empty then, holds nothing else.
    is_uniform = separator in ", \t" and not separators.strip(separator) and len(digits) == len(separators) + 1
    if is_uniform and not digits.strip("01"):
        return digits
    tokens = re.split(r"\s*,\s*|\s+", text) if text else []
    found = "".join(map(_flag, tokens))
    if len(found) > len(tokens):
        at = next(at for at, token in enumerate(tokens) if _flag(token) == _NEITHER)
        raise LabelError(f"value {first + at} is '{tokens[at][:40]}'; expected 0 or 1")
    return found


def add_rows(
    samples: Samples,
    rows: Int[np.ndarray, " lines"],
    labels: Int8[np.ndarray, "lines columns"],
    columns: Int[np.ndarray, " columns"],
    places: Int[np.ndarray, " lines"],
) -> None:
    """Adds lines of labels, each of one image: 1 present, 0 absent, -1 unknown. All lines of an image come in one call.

    Args:
        samples: what they are added to.
        rows: the row of each line's image, which is noted to be labelled; -1 for a faulty one.
        labels: a line an image.
        columns: the column in the table of each column; -1 for a faulty one.
        places: where each line is.
    """
    order = np.argsort(rows, kind="stable")
    is_repeat = np.diff(rows[order]) == 0
    repeated = np.zeros(len(rows), np.bool_)
    repeated[order[1:][is_repeat]] = repeated[order[:-1][is_repeat]] = True
    for row in np.unique(rows).tolist():
        samples.labelled(row)
    step = max(1, _BLOCK // max(1, len(columns)))
    for start in range(0, len(rows), step):
        block = slice(start, start + step)
        # What is absent need not be said, except where two lines may contradict each other.
        lines, column = np.nonzero((labels[block] != 0) | repeated[block, None])
        at = lines + start
        samples.extend(rows[at], columns[column], labels[at, column], places[at])


@lru_cache(maxsize=10_000)
def _flag(token: str) -> str:
    """Returns `0` or `1` for a number that is one of them, however it is written."""
    if not re.fullmatch(r"[0-9.eE+-]{1,40}", token):
        return _NEITHER
    try:
        return {0.0: "0", 1.0: "1"}.get(float(token), _NEITHER)
    except ValueError:
        return _NEITHER
