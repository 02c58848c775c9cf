"""Names of classes as a chart can show them: any characters, any length."""

import unicodedata
from collections.abc import Sequence

__all__ = ["length", "plain", "shorten", "tips", "tips_of"]

_BETWEEN = "\u2028"  # what no name holds once it is plain
_TIPS = "tips" + _BETWEEN
_LONGEST_TIP = 200


def plain(name: str) -> str:
    r"""Returns a name in one line, without what XML cannot hold.

    Example:
        >>> plain("a\tb  c\x00")
        'a b c\ufffd'
    """
    return " ".join("".join(map(_plain_character, name)).split())


def length(text: str) -> int:
    """Returns how wide a text is, in halves of the width of a Chinese character.

    Example:
        >>> length("dog"), length("犬"), length("e\u0301")
        (3, 2, 1)
    """
    return sum(map(_width, text))


def shorten(name: str, longest: int) -> str:
    """Returns a name in one line, cut where it is wider than `longest`.

    Example:
        >>> shorten("traffic light", 20), shorten("traffic light", 8)
        ('traffic light', 'traffic…')
    """
    name = plain(name)
    if length(name) <= longest:
        return name
    kept, room = [], longest - 1
    for character in name:
        room -= _width(character)
        if room < 0:
            break
        kept.append(character)
    return "".join(kept).rstrip() + "…"


def tips(texts: Sequence[str]) -> str:
    """Returns the `gid` of an artist whose marks or lines say these texts when a pointer rests on them in an SVG."""
    return _TIPS + _BETWEEN.join(shorten(text, _LONGEST_TIP) for text in texts)


def tips_of(gid: str) -> list[str]:
    """Returns the texts of a `gid`; none where it is another one.

    Example:
        >>> tips_of(tips(["dog", "cat"])), tips_of("axes_1")
        (['dog', 'cat'], [])
    """
    return gid[len(_TIPS) :].split(_BETWEEN) if gid.startswith(_TIPS) else []


def _plain_character(character: str) -> str:
    if character.isspace():
        return " "
    kind = unicodedata.category(character)
    return "\ufffd" if kind in ("Cc", "Cs") or character in "\ufffe\uffff" else character


def _width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
