"""`LabelFiles`: for each concept of NUS-WIDE a file with a number a line, one for each image of a list."""

import logging
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mlic.datamodules.annotations.opening import opener
from mlic.datamodules.annotations.peek import entry_names
from mlic.errors import Faults, LabelError

__all__ = ["LabelFiles", "Side"]

log = logging.getLogger(__name__)

_CODES = {b"0": 0, b"1": 1}
_OTHER = 2  # stands for any other value until it is looked at
_SLIPS = 10  # values that are neither 0 nor 1 are a slip if they are no more, or no more than a hundredth
_SHOWN = 20


class Side(NamedTuple):
    """A list of images, and where the labels of its lines are: `Labels_<concept><suffix>.txt` in a folder."""

    images: Path
    labels: Path
    suffix: str


class LabelFiles:
    """Reads the files of labels of one list of images.

    Args:
        side: where they are.
        count: the number of images.
        faults: takes those of the files.
    """

    def __init__(self, side: Side, count: int, faults: Faults) -> None:
        self._side, self._count, self._faults = side, count, faults
        self._files = {name.casefold(): name for name in entry_names(side.labels)}
        self._num_odd, self._first_odd = 0, ""

    def matrix(self, concepts: Sequence[str]) -> npt.NDArray[np.int8]:
        """Returns a line an image and a column a concept: 1 present, 0 absent, -1 unknown."""
        labels = np.full((self._count, len(concepts)), -1, np.int8, order="F")
        for column, concept in enumerate(concepts):
            file = self._file(concept)
            path = self._side.labels / self._files.get(file.casefold(), file)
            try:
                labels[:, column] = self._read(path, concept)
            except LabelError as error:
                self._faults.add(str(error))
        return labels

    def tell(self, concepts: Sequence[str]) -> None:
        """Logs what was read otherwise than it is written, and what was not read."""
        if self._num_odd:
            told = "neither 0 nor 1; cells of such values, which are unknown"
            log.warning("%s, %s: %d", self._first_odd, told, self._num_odd)
        pattern = self._file("*").casefold()
        wanted = {self._file(concept).casefold() for concept in concepts}
        others = sorted(name for key, name in self._files.items() if fnmatchcase(key, pattern) and key not in wanted)
        if others:
            log.info("%s: %d files of other concepts are not read: %s", self._side.labels, len(others), others[0])

    def _file(self, concept: str) -> str:
        return f"Labels_{concept}{self._side.suffix}.txt"

    def _read(self, path: Path, concept: str) -> npt.NDArray[np.int8]:
        try:
            with open(path, "rb", opener=opener) as stream:
                data = stream.read().removeprefix(b"\xef\xbb\xbf")
        except (OSError, ValueError) as error:  # a name of a concept may be none of a file
            reason = error.strerror if isinstance(error, OSError) else error
            raise LabelError(f"{path}: cannot be read ({reason}); expected the labels of '{concept}'") from error
        if (codes := self._quickly(data)) is not None:
            return codes
        lines = [line.strip() for line in data.splitlines()]
        while lines and not lines[-1]:
            lines.pop()
        if len(lines) != self._count:
            listed = f"{self._side.images} has {self._count}"
            raise LabelError(f"{path} has {len(lines)} lines, but {listed}; expected a line an image in both")
        codes = np.array([_CODES.get(line, _OTHER) for line in lines], np.int8)
        self._settle(path, lines, codes)
        return codes

    def _quickly(self, data: bytes) -> npt.NDArray[np.int8] | None:
        """Returns the values of a file in which each line is a 0 or a 1 and nothing else; None for another file."""
        text = np.frombuffer(data.replace(b"\r\n", b"\n").rstrip(), np.uint8)
        values = (text[::2] - ord("0")).astype(np.int8)
        is_plain = len(text) == 2 * self._count - 1 and (text[1::2] == ord("\n")).all()
        return values if is_plain and ((values == 0) | (values == 1)).all() else None

    def _settle(self, path: Path, lines: Sequence[bytes], codes: npt.NDArray[np.int8]) -> None:
        """Gives each value that is neither 0 nor 1 its label, or notes a fault."""
        wrong, odd = [], []
        for at in np.flatnonzero(codes == _OTHER).tolist():
            codes[at] = -1
            if re.fullmatch(rb"[+-]?[0-9]{1,20}", lines[at]) and int(lines[at]) != -1:
                odd.append(at)
            else:
                wrong.append(at)
        if len(odd) > max(_SLIPS, len(lines) // 100):
            self._faults.add(
                f"{path}: {len(odd)} of {len(lines)} values are neither 0 nor 1; expected a file of labels"
            )
        elif odd:
            self._first_odd = self._first_odd or f"{path}:{odd[0] + 1}: the value is {lines[odd[0]].decode()}"
            self._num_odd += len(odd)
        for at in wrong[:_SHOWN]:
            what = lines[at][:40].decode("utf-8", "replace")
            hint = " (-1 may mean absent or unknown)" if what == "-1" else ""
            self._faults.add(f"{path}:{at + 1}: the value is '{what}'; expected 0 or 1{hint}")
        self._faults.count += len(wrong[_SHOWN:])
