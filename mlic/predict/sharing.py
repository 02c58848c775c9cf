"""Images shared out among processes that know nothing of each other but their number."""

import os
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from mlic.errors import UsageError
from mlic.ordered import in_lots
from mlic.predict.inputs import Lots
from mlic.predict.sources import Source

__all__ = ["Shard", "Share", "find_shard", "processes_around"]

_WRITTEN = re.compile(r"(\d+)/(\d+)")
_TOLD_BY = (
    ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT"),
    ("RANK", "WORLD_SIZE"),
    ("SLURM_PROCID", "SLURM_NTASKS"),
)


class Shard(NamedTuple):
    """Which of several processes this is.

    Attributes:
        place: counted from 0.
        number: how many there are.
    """

    place: int
    number: int

    def named(self, path: Path) -> Path:
        """Returns the path of the file that this process writes.

        Example:
            >>> Shard(1, 4).named(Path("labels.csv")).name
            'labels-00001-of-00004.csv'
        """
        return path.with_name(f"{path.stem}-{self.place:05}-of-{self.number:05}{path.suffix}")

    def share_of(self, total: int) -> int:
        """Returns how many of so many images are this process's.

        Example:
            >>> [Shard(place, 3).share_of(10) for place in range(3)]
            [4, 3, 3]
        """
        return max(0, -(-(total - self.place) // self.number))


class Share:
    """Every so-many-th image: those of one process.

    Args:
        inputs: the images of all.
        shard: which process this is.
    """

    def __init__(self, inputs: Lots, shard: Shard) -> None:
        self._inputs = inputs
        self._shard = shard

    def lots(self, size: int) -> Iterator[list[Source]]:
        """Yields so many images at a time; the last time as many as there are left."""
        everyones = (source for lot in self._inputs.lots(size) for source in lot)
        return in_lots(islice(everyones, self._shard.place, None, self._shard.number), size)

    def num_known(self, enough: int) -> int | None:
        """Returns how many there are, if that is known and fewer than `enough`."""
        total = self._inputs.num_known(enough * self._shard.number)
        return None if total is None else self._shard.share_of(total)


def find_shard(written: str, environment: Mapping[str, str] = os.environ) -> Shard:
    """Returns which process this is.

    Args:
        written: `I/N`, counted from 0; or `auto`: what torchrun (`RANK`, `WORLD_SIZE`), a SLURM job array or srun say.
        environment: variables and their values.

    Raises:
        UsageError: if it is something else, or nothing in the environment says it.

    Example:
        >>> find_shard("1/4")
        Shard(place=1, number=4)
        >>> find_shard("auto", {"RANK": "2", "WORLD_SIZE": "8"})
        Shard(place=2, number=8)
    """
    if written == "auto":
        for names in _TOLD_BY:
            if all(environment.get(name, "").isdigit() for name in names):
                _check_array(names, environment)
                return _checked(*(int(environment[name]) for name in names))
        told = ", or ".join(f"{place} and {number}" for place, number in _TOLD_BY)
        raise UsageError(f"--shard auto: nothing tells which process this is; expected {told}; or say --shard I/N")
    found = _WRITTEN.fullmatch(written)
    if found is None:
        raise UsageError(f"--shard {written}: expected I/N, such as 0/4 for the first of four processes, or auto")
    return _checked(int(found.group(1)), int(found.group(2)))


def processes_around(environment: Mapping[str, str] = os.environ) -> int:
    """Returns as how many processes torchrun or srun have started this command."""
    names = [name for name in ("SLURM_STEP_NUM_TASKS",) if name in environment]
    if "TORCHELASTIC_RUN_ID" in environment:
        names.append("WORLD_SIZE")
    return max([int(environment[name]) for name in names if environment.get(name, "").isdigit()], default=1)


def _check_array(names: tuple[str, str], environment: Mapping[str, str]) -> None:
    """Checks that the tasks of a SLURM job array are counted from 0, one by one: others would do other shares."""
    first, last = (environment.get(name, "") for name in ("SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_MAX"))
    if names != _TOLD_BY[0] or not (first.isdigit() and last.isdigit()):
        return
    count = int(environment[names[1]])
    if int(first) or int(last) != count - 1:
        raise UsageError(
            f"--shard auto: the job array has {count} tasks from {first} to {last}; expected --array=0-{count - 1}, or "
            "say --shard $SLURM_ARRAY_TASK_ID/N where only some of N shares are to be done"
        )


def _checked(place: int, number: int) -> Shard:
    if place >= number:
        last = f" to {number - 1}/{number}" if number > 1 else ""
        raise UsageError(f"--shard {place}/{number}: processes are counted from 0; expected 0/{max(1, number)}{last}")
    return Shard(place, number)
