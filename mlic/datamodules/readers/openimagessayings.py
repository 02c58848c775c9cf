"""`Sayings`: what the rows of Open Images say of their images, which is much the same millions of times over."""

from array import array
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from mlic.errors import LabelError

__all__ = ["ABSENT", "BY_MACHINE", "FAULTY", "NOTHING", "PRESENT", "Lines", "Sayings"]

PRESENT, ABSENT, BY_MACHINE, NOTHING = 1, 0, 2, 3
"""What a saying says of its label."""

FAULTY = 0
"""The number of every saying that is wrong."""

_REMEMBERED = 1 << 17
_LONGEST = 1 << 10  # bytes of a line; the work for one grows with that for the longest
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)


class Lines:
    """Some lines of a file, each cut in two after `width` bytes: its head, and its tail of at least eight bytes.

    Numpy works on all of them at once, so that only the text of a few is ever made.

    Args:
        block: complete lines, ASCII.
        ends: where each ends.
        width: of the heads.
    """

    def __init__(self, block: bytes, ends: npt.NDArray[np.int64], width: int) -> None:
        self._text = block.decode("ascii")
        self._every_word = np.ndarray((len(block) - 7,), np.dtype("<u8"), block, 0, (1,))
        self._width, self._ends = width, ends
        self._begins = np.concatenate(([0], ends[:-1] + 1))

    @classmethod
    def cut(cls, block: bytes) -> "Lines | None":
        """Returns the lines of a block, cut before the first comma of the first one; None if that cannot be."""
        width = block.find(b",")
        if width < 1 or not block.isascii() or b'"' in block or b"\r" in block:
            return None
        ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n"))
        lengths = np.diff(ends, prepend=-1) - 1
        fits = len(ends) and lengths.min() >= width + 8 and lengths.max() <= _LONGEST
        return cls(block, ends, width) if fits else None

    def __len__(self) -> int:
        return len(self._ends)

    def changes(self) -> npt.NDArray[np.int64]:
        """Returns the lines, by their positions, whose head is not that of the line before."""
        # Of a head below eight bytes the bytes that follow count too, which finds more lines but misses none.
        last = self._begins + max(0, self._width - 8)
        differs = np.zeros(len(self) - 1, np.bool_)
        for at in range(0, self._width, 8):
            words = self._every_word[np.minimum(self._begins + at, last)]
            differs |= words[1:] != words[:-1]
        return np.concatenate(([0], np.flatnonzero(differs) + 1))

    def heads(self, lines: npt.NDArray[np.int64]) -> list[str]:
        """Returns the heads of some lines."""
        text, width = self._text, self._width
        return [text[begin : begin + width] for begin in self._begins[lines].tolist()]

    def tail(self, line: int) -> str:
        """Returns the tail of one line."""
        return self._text[self._begins[line] + self._width : self._ends[line]]

    def lengths(self) -> npt.NDArray[np.int64]:
        """Returns the lengths of all tails."""
        return self._ends - self._begins - self._width

    def words(self, count: int) -> Iterator[npt.NDArray[np.uint64]]:
        """Yields the tails, eight bytes at a time, `count` times; past the end of a tail its last eight bytes again.

        Two tails of one length whose words are the same are the same, if there are enough of them.
        """
        first, last = self._begins + self._width, self._ends - 8
        for number in range(count):
            yield self._every_word[np.minimum(first + 8 * number, last)]


class Sayings(dict[tuple[str, ...], int]):
    """From what is said, by the cells that follow the image, to a number, by which its parts are found.

    Args:
        machine_confidence: from which confidence on a machine's label is present; None: it says nothing.
    """

    def __init__(self, machine_confidence: float | None) -> None:
        super().__init__()
        self._machine_confidence = machine_confidence
        self._positions: dict[str, int] = {}
        self._numbers: dict[tuple[int, int], int] = {}
        self._labels, self._what = array("i", [0]), array("b", [NOTHING])  # by number; the first is the faulty one's
        self._known_hashes = np.zeros(1, np.uint64)
        self._known_words: list[npt.NDArray[np.uint64]] = []
        self._known_numbers = np.zeros(1, np.int32)

    def __missing__(self, cells: tuple[str, ...]) -> int:
        try:
            label, what = self._read(cells)
        except LabelError:
            number = FAULTY
        else:
            key = (self._positions.setdefault(label, len(self._positions)), what)
            number = self._numbers.setdefault(key, len(self._labels))
            if number == len(self._labels):
                self._labels.append(key[0])
                self._what.append(what)
        if len(self) >= _REMEMBERED:
            self.clear()
        self[cells] = number
        return number

    @property
    def names(self) -> list[str]:
        """All labels, as the file calls them."""
        return list(self._positions)

    def labels(self, numbers: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """Returns the position of each saying's label among `names`."""
        return np.frombuffer(self._labels, np.int32)[numbers]

    def what(self, numbers: npt.NDArray[np.int32]) -> npt.NDArray[np.int8]:
        """Returns what each saying says."""
        return np.frombuffer(self._what, np.int8)[numbers]

    def of_lines(self, lines: Lines) -> npt.NDArray[np.int32]:
        """Returns the numbers of the tails of lines: a comma and the cells.

        No string is made of a tail that was met before. It is found by a hash of its words, and compared by these.
        """
        lengths = lines.lengths()
        count = -(-int(lengths.max()) // 8)
        if count >= len(self._known_words) or len(self._known_hashes) > _REMEMBERED:
            self._forget(count)
        words = [lengths.astype(np.uint64), *lines.words(len(self._known_words) - 1)]
        hashes = words[0]
        for word in words[1:]:
            hashes = ((hashes ^ (hashes >> _SHIFT)) * _FACTOR) ^ word
        at = self._find(hashes)
        is_new = np.flatnonzero(self._known_hashes[at] != hashes)
        if len(is_new):
            new, first = np.unique(hashes[is_new], return_index=True)
            self._learn(lines, new, is_new[first], words)
            at = self._find(hashes)
        is_same = np.ones(len(lines), np.bool_)
        for known, word in zip(self._known_words, words, strict=True):
            is_same &= known[at] == word
        return np.where(is_same, self._known_numbers[at], FAULTY)

    def _find(self, hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        return np.minimum(np.searchsorted(self._known_hashes, hashes), len(self._known_hashes) - 1)

    def _learn(
        self,
        lines: Lines,
        hashes: npt.NDArray[np.uint64],
        at: npt.NDArray[np.int64],
        words: Sequence[npt.NDArray[np.uint64]],
    ) -> None:
        tails = [lines.tail(line).split(",") for line in at.tolist()]
        # What does not begin with a comma is the end of a longer head.
        numbers = [FAULTY if before else self[tuple(cells)] for before, *cells in tails]
        place = np.searchsorted(self._known_hashes, hashes)
        self._known_hashes = np.insert(self._known_hashes, place, hashes)
        self._known_numbers = np.insert(self._known_numbers, place, numbers)
        self._known_words = [
            np.insert(known, place, word[at]) for known, word in zip(self._known_words, words, strict=True)
        ]

    def _forget(self, count: int) -> None:
        """Forgets all tails; those to come are told apart by their length and `count` words."""
        self._known_hashes, self._known_numbers = np.zeros(1, np.uint64), np.zeros(1, np.int32)
        self._known_words = [np.zeros(1, np.uint64)] * (1 + count)

    def fault(self, cells: tuple[str, ...]) -> str:
        """Returns what is wrong with a faulty saying."""
        try:
            self._read(cells)
        except LabelError as error:
            return str(error)
        return ""

    def _read(self, cells: tuple[str, ...]) -> tuple[str, int]:
        """Returns the label, and what is said of it.

        Raises:
            LabelError: if it is wrong.
        """
        if len(cells) != 3:
            raise LabelError(f"{len(cells) + 1} cells; expected four: ImageID,Source,LabelName,Confidence")
        source, label, text = map(str.strip, cells)
        if not label:
            raise LabelError("LabelName is blank; expected the identifier of a label, such as /m/0cmf2")
        try:
            confidence = float(text)
        except ValueError:
            confidence = -1
        if source.casefold() == "machine":
            if not 0 <= confidence <= 1:
                raise LabelError(f"Confidence is '{text}'; expected a number from 0 to 1")
            is_present = self._machine_confidence is not None and confidence >= self._machine_confidence
            return label, BY_MACHINE if is_present else NOTHING
        if confidence not in (PRESENT, ABSENT):
            rest = "only a row of Source machine holds another number"
            raise LabelError(f"Confidence is '{text}'; expected 1 (present) or 0 (absent): {rest}")
        return label, int(confidence)
