"""`LabelTable`, and what is done with tables: splits, other classes, unknown labels, counts."""

from mlic.labels.table import LabelTable
from mlic.strings import Strings

__all__ = ["LabelTable", "Strings"]
