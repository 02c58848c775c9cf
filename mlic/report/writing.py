"""How numbers are written for people."""

import math

__all__ = ["count", "figure", "score", "share", "signed"]


def figure(number: float) -> str:
    """Returns a figure with three decimals, `n/a` where it is not defined.

    Example:
        >>> figure(0.51234), figure(float("nan"))
        ('0.512', 'n/a')
    """
    return "n/a" if math.isnan(number) else f"{number:.3f}"


def score(number: float) -> str:
    """Returns a score with as many decimals as tell it from 0 and 1.

    Example:
        >>> score(0.97), score(0.99996), score(0.00001)
        ('0.970', '>0.999', '<0.001')
    """
    if number > 0.9995:
        return ">0.999"
    return "<0.001" if number < 0.0005 else f"{number:.3f}"


def count(number: int) -> str:
    """Returns a number of things, with commas between thousands.

    Example:
        >>> count(40000)
        '40,000'
    """
    return f"{number:,}"


def share(number: float) -> str:
    """Returns a share as a percentage.

    Example:
        >>> share(0.981)
        '98.1 %'
    """
    return "n/a" if math.isnan(number) else f"{100 * number:.1f} %"


def signed(number: float) -> str:
    """Returns a difference with its sign and three decimals.

    Example:
        >>> signed(0.0126), signed(-0.5), signed(float("nan"))
        ('+0.013', '-0.500', 'n/a')
    """
    return "n/a" if math.isnan(number) else f"{number:+.3f}"
