"""`Packer`: the class cells of a line of CSV to a byte each, without a look at each cell in Python."""

from collections.abc import Iterable, Sequence

import numpy as np

from mlic.datamodules.annotations.spellings import FRACTION, UNREADABLE, Spellings

__all__ = ["Packer"]

_SIGNS = bytes(range(1, 9))  # stand for words; a text that holds one of them is not packed


class Packer:
    """Turns cells of at most one character, and the commonest words, into their codes, a whole row at a time.

    It does so only where the outcome is what a look-up of each cell in `spellings` gives. With a separator before each
    cell, there are as many separators as cells; if there are as many other characters as cells that are not blank, each
    of these is one character long. A word such as `1.0` first becomes a character that stands for it; it is found only
    right behind a separator, and what is left of a longer cell makes that cell longer than one character.

    Args:
        separator: of the cells, one ASCII character.
        count: of the cells.
        spellings: what a cell means.
        seen: some cells of the file; the different ones that are short words are those looked for, if they are few.
    """

    def __init__(self, separator: str, count: int, spellings: Spellings, seen: Iterable[str]) -> None:
        self._separator, self._count = separator, count
        self._byte, self._bytes = separator.encode(), separator.encode() * count
        words = [word for word in set(seen) if self._is_word(word) and spellings[word] not in (UNREADABLE, FRACTION)]
        # The longest first: `-1` begins `-1.0`.
        words = sorted(words, key=len, reverse=True)[: len(_SIGNS)]
        self._words = [
            (self._byte + word.encode(), self._byte + bytes([sign])) for sign, word in zip(_SIGNS, words, strict=False)
        ]
        table = bytearray([UNREADABLE] * 256)
        for character in range(len(_SIGNS) + 1, 128):
            table[character] = spellings[chr(character)]
        table[ord(separator)] = UNREADABLE
        self._plain = bytes(table)
        for sign, word in zip(_SIGNS, words, strict=False):
            table[sign] = spellings[word]
        self._with_signs = bytes(table)
        table[ord(separator)] = spellings[""]
        self._with_blanks = bytes(table)

    def codes(self, text: str) -> bytes | None:
        """Returns the code of each cell; None where cells must be looked at one by one.

        Args:
            text: the cells with the separator between them, without quotation marks around them.
        """
        cells = self._byte + text.encode()
        if b" " in cells:
            cells = cells.replace(self._byte + b" ", self._byte)
        return self._of_characters(cells, self._plain) or self._of_words(cells) or None

    def codes_of(self, cells: Sequence[str]) -> bytes | None:
        """As `codes`, for cells that are apart already."""
        # A separator in a cell is one too many, which `codes` sees.
        return self.codes(self._separator.join(cells))

    def _is_word(self, cell: str) -> bool:
        is_short = 1 < len(cell) <= 8 and cell.isascii() and cell.isprintable()
        return is_short and " " not in cell and self._separator not in cell

    def _of_characters(self, cells: bytes, table: bytes) -> bytes:
        """Returns the codes of cells that are all one character long; none if they are not."""
        if len(cells) != 2 * self._count or cells[::2] != self._bytes:
            return b""
        return _readable(cells[1::2].translate(table))

    def _of_words(self, cells: bytes) -> bytes:
        """Returns the codes of cells that are words, one character long, or blank; none if some are not."""
        if self._words:
            if len(cells.translate(None, _SIGNS)) != len(cells):
                return b""
            for word, sign in self._words:
                cells = cells.replace(word, sign)
            if codes := self._of_characters(cells, self._with_signs):
                return codes
        characters = np.frombuffer(cells + self._byte, np.uint8)
        (at,) = (characters == self._byte[0]).nonzero()
        if len(at) != self._count + 1:
            return b""
        # What follows the separator of a blank cell is the next separator.
        firsts = characters[1:][at[:-1]].tobytes()
        num_blank = firsts.count(self._byte)
        return _readable(firsts.translate(self._with_blanks)) if len(cells) == 2 * self._count - num_blank else b""


def _readable(codes: bytes) -> bytes:
    """Returns the codes if all of them are those of labels, else none."""
    return b"" if UNREADABLE in codes or FRACTION in codes else codes
