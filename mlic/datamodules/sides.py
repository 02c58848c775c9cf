"""`Sides`: train, val and test, each from its annotation file or a share of train's."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from mlic.datamodules.checks import check_shares
from mlic.datamodules.classes import ClassChanges
from mlic.datamodules.readers.base import LabelReader
from mlic.datamodules.sources import reader_of
from mlic.errors import UsageError
from mlic.labels import LabelTable

__all__ = ["Sides", "Source"]

Source = LabelReader | float | Path | str
"""A reader, a path whose format is recognised, or (for val and test) a share of train."""


class Sides:
    """The samples of train, val and test with the classes that their files have, read when they are asked for.

    A bare path of val or test is read as train is, if its reader recognises it.

    Args:
        sources: what `train`, `val` and `test` come from; None where there is no such data.
        changes: of the classes of each file; names that train does not have are an error.
        salt: changes which samples a share takes.
        reading: makes what files are read inside, such as `without_images`.

    Raises:
        UsageError: if shares are not between 0 and 1.

    Attributes:
        shares: side -> the share of train that it takes.
    """

    def __init__(
        self,
        sources: Mapping[str, Source | None],
        changes: ClassChanges,
        salt: str = "",
        reading: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._sources = {side: Path(source) if isinstance(source, str) else source for side, source in sources.items()}
        self.shares = {side: source for side, source in self._sources.items() if isinstance(source, float | int)}
        check_shares(self.shares)
        self._changes = changes
        self._salt = salt
        self._reading = reading

    def __contains__(self, side: str) -> bool:
        return self._sources[side] is not None

    def __getitem__(self, side: str) -> LabelTable:
        """Returns the samples of one side.

        Raises:
            UsageError: if there is no such data.
            LabelError: with all faults of the file.
        """
        return self._of_train[0][side] if side == "train" or side in self.shares else self._read(side)

    @property
    def rows_of_train(self) -> Mapping[str, Int64[np.ndarray, " samples"]]:
        """Which samples of train's file train itself has, and each side that is a share of it.

        Raises:
            UsageError: if there is no such file.
            LabelError: with all its faults.
        """
        return self._of_train[1]

    @cached_property
    def _of_train(self) -> tuple[dict[str, LabelTable], dict[str, Int64[np.ndarray, " samples"]]]:
        """The file of train, split into the sides that are a share of it; and the rows of each."""
        table = self._read("train")
        rows = table.split_rows(self.shares, salt=self._salt)
        return {side: table.take(its) for side, its in rows.items()}, rows

    def _read(self, side: str) -> LabelTable:
        """Reads the file of a side and changes its classes."""
        source, train = self._sources[side], self._sources["train"]
        if not isinstance(source, LabelReader | Path):
            share = "" if side == "train" else ", or a share of train"
            raise UsageError(f"there is no {side} data; give its annotation file with --data.{side} PATH{share}")
        with self._reading():
            table = reader_of(source, like=train if isinstance(train, LabelReader) else None).read()
        return self._changes.apply(table, "error" if side == "train" else "ignore")
