"""`SideTables`: the samples of train, val and test with the classes that are learnt, checked."""

import logging
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from mlic.datamodules.base import Side
from mlic.datamodules.checks import (
    check_positives,
    check_samples,
    check_support,
    summary,
    tell_hardened,
    tell_images_of_both,
    tell_left_out,
    tell_never_absent,
    tell_rare,
    tell_resolved,
)
from mlic.datamodules.classes import check_keys, read_classes
from mlic.datamodules.sides import Sides
from mlic.errors import UsageError
from mlic.labels import LabelTable
from mlic.labels.classes import rare
from mlic.labels.unknown import Unknown, check_unknown, resolved

__all__ = ["Side", "SideTables"]

log = logging.getLogger(__name__)


class SideTables:
    """The samples of each side, aligned to the classes that are learnt; files are read when they are first asked for.

    Args:
        sides: the samples with the classes of their files.
        classes: the classes to learn and their order, as a list or a text file with one a line; None: those of train.
        min_support: classes with fewer known positives in the training samples are left out, on all sides.
        unknown: what stands in place of an unknown label of a training sample.
        unknown_per_class: the same for single classes, which `unknown` then does not concern.

    Raises:
        UsageError: if `min_support` is below 0, or what stands in place of unknown labels is no label.
    """

    def __init__(
        self,
        sides: Sides,
        classes: list[str] | Path | str | None,
        min_support: int,
        unknown: Unknown,
        unknown_per_class: Mapping[str, Unknown] | None,
    ) -> None:
        if min_support < 0:
            raise UsageError(f"min_support is {min_support}; expected a number of positives, 0 or more")
        self._sides = sides
        self._classes = Path(classes) if isinstance(classes, str) else classes
        self._min_support = min_support
        self._unknown, self._unknown_per_class = unknown, unknown_per_class or {}
        check_keys("unknown_per_class", self._unknown_per_class)
        check_unknown(unknown, "unknown")
        for name, its_policy in self._unknown_per_class.items():
            check_unknown(its_policy, f"unknown_per_class: {name}")
        self._tables: dict[str, LabelTable] = {}

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes in order: as given, else those of the annotation file of train that are frequent enough."""
        if self._fixed_classes is not None:
            return self._fixed_classes
        return tuple(name for name in self._sides["train"].classes if name not in self._rare)

    def __contains__(self, side: str) -> bool:
        return side in self._sides

    def __getitem__(self, side: Side) -> LabelTable:
        """Returns the samples of one side, aligned to `classes`.

        Of train, unknown labels are what `unknown` makes of them; of val and test, soft labels are made hard.

        Raises:
            UsageError: if the side has no data.
            LabelError: with all faults of the file, or because a class of train has no positive.
        """
        if side not in self._tables:
            whole = self._sides[side]
            table = self._align(whole)
            check_samples(side, table, self._sides.shares)
            if self._fixed_classes is not None:
                tell_left_out(side, whole, table)
            for other, its in self._tables.items():
                # Sides of one file have no image in common.
                if {side, other} - {"train", *self._sides.shares}:
                    tell_images_of_both(other, its, side, table)
            log.info("%s: %s", side, summary(table))
            self._tables[side] = (
                self._for_training(whole, table) if side == "train" else self._for_evaluation(side, table)
            )
        return self._tables[side]

    def of_stage(self, stage: str) -> dict[Side, LabelTable]:
        """Returns the sides that a stage of Lightning needs; of `fit`, val is one where there is such data.

        Raises:
            UsageError: if a side has no data.
            LabelError: with all faults of the files.
        """
        needed: dict[str, tuple[Side, ...]] = {
            "fit": ("train", "val") if "val" in self else ("train",),
            "validate": ("val",),
            "test": ("test",),
        }
        return {side: self[side] for side in needed.get(stage, ())}

    def rows(self, side: Side) -> tuple[Int64[np.ndarray, " samples"], int]:
        """Returns which samples of its file a side has, and how many the file has."""
        of_train = self._sides.rows_of_train if side == "train" or side in self._sides.shares else {}
        if side in of_train:
            return of_train[side], sum(map(len, of_train.values()))
        return np.arange(len(self[side])), len(self[side])

    @cached_property
    def _fixed_classes(self) -> tuple[str, ...] | None:
        return None if self._classes is None else read_classes(self._classes)

    @cached_property
    def _rare(self) -> dict[str, int]:
        """The classes that `min_support` leaves out, with their numbers of positives."""
        table = self._sides["train"]
        found = rare(table, self._min_support)
        tell_rare(table, found, self._min_support)
        return found

    def _align(self, table: LabelTable) -> LabelTable:
        """Gives a table of any side the classes that are learnt."""
        if self._fixed_classes is not None:
            # A checkpoint fixes the classes that `min_support` left; the others are in the files still.
            return table.align(self._fixed_classes, extra="drop" if self._min_support else "error")
        frequent = [name for name in table.classes if name not in self._rare]
        return table.align(frequent, extra="drop").align(self.classes)

    def _for_training(self, whole: LabelTable, table: LabelTable) -> LabelTable:
        """Checks that each class can be learnt, and resolves what is unknown."""
        taken = {share: self._align(self._sides[share]).support() for share in self._sides.shares}
        # A soft label that stands for an unknown one is no positive that somebody saw.
        check_positives(table, taken)
        check_support(table, self._min_support)
        left_out = set(whole.classes) - set(table.classes)
        per_class = {name: policy for name, policy in self._unknown_per_class.items() if name not in left_out}
        learnt = resolved(table, self._unknown, per_class)
        tell_resolved(table, learnt)
        tell_never_absent(learnt)
        return learnt

    def _for_evaluation(self, side: str, table: LabelTable) -> LabelTable:
        tell_hardened(side, table)
        return table.hardened()
