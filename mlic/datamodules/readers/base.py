"""`LabelReader`: an annotation file to a `LabelTable`."""

import abc
from pathlib import Path

from mlic.labels import LabelTable
from mlic.parts import Part

__all__ = ["LabelReader"]


class LabelReader(Part, abc.ABC):
    """Reads one annotation format. A subclass writes `read`, and `recognises` if a bare path may stand for it.

    If its constructor calls the file `path`, a bare path for val or test is read with the arguments of train's reader.
    """

    @abc.abstractmethod
    def read(self) -> LabelTable:
        """Returns the table.

        Raises:
            LabelError: with all faults of the file, each with its line.
        """

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Says whether `path` looks like this format, from its content. Must be cheap and must not raise."""
        return False
