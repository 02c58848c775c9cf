"""The error tree: every failure that mlic foresees, with the exit code it ends the command with."""

import difflib
from collections.abc import Iterable, Sequence

__all__ = [
    "CheckpointError",
    "DownloadError",
    "Faults",
    "ImageError",
    "LabelError",
    "MlicError",
    "PluginError",
    "UsageError",
    "WeightsError",
    "did_you_mean",
    "shortened",
]


class MlicError(Exception):
    """Something failed at run time. The message says what was found, where, what was expected and what to do."""

    exit_code = 1


class UsageError(MlicError):
    """The command, the configuration or the data is wrong; running it again will not help."""

    exit_code = 2


class PluginError(UsageError):
    """A part was named that does not exist, is ambiguous or cannot be imported."""


class CheckpointError(UsageError):
    """A file is not a checkpoint of mlic, or does not fit what it is used with."""


class LabelError(UsageError):
    """An annotation file or a label table is wrong.

    Attributes:
        table: a `LabelTable` of what could be read all the same, so that a check of the data can go on; None if nothing
            could.
    """

    def __init__(self, message: str, table: object | None = None) -> None:
        super().__init__(message)
        self.table = table


class ImageError(UsageError):
    """An image cannot be read."""


class WeightsError(UsageError):
    """Weights do not fit a backbone, or cannot be had."""


class DownloadError(MlicError):
    """Weights could not be fetched from the network this time."""


class Faults:
    """Collects the faults of a data set, so that a user sees all of them at once.

    Only the first `shown` messages are kept, whatever the number of faults.

    Example:
        >>> faults = Faults()
        >>> faults.add("labels.csv:3: no image 'b.jpg'")
        >>> faults.raise_if_any()
        Traceback (most recent call last):
        ...
        mlic.errors.LabelError: labels.csv:3: no image 'b.jpg'
    """

    def __init__(self, shown: int = 20) -> None:
        self.count = 0
        self._shown = shown
        self._messages: list[str] = []

    @property
    def is_full(self) -> bool:
        """Whether a further message would only be counted."""
        return len(self._messages) >= self._shown

    def add(self, message: str) -> None:
        """Notes one fault."""
        self.count += 1
        if len(self._messages) < self._shown:
            self._messages.append(message)

    def extend(self, messages: Iterable[str]) -> None:
        """Notes several faults."""
        for message in messages:
            self.add(message)

    def raise_if_any(self, table: object | None = None) -> None:
        """Raises what was collected.

        Args:
            table: what could be read all the same, for `LabelError.table`.

        Raises:
            LabelError: if any fault was noted; one line a fault, then how many more there are.
        """
        if not self.count:
            return
        lines = list(self._messages)
        if self.count > 1:
            more = f"; the first {len(lines)} are above" if self.count > len(lines) else ""
            lines.append(f"{self.count} faults in all{more}")
        raise LabelError("\n".join(lines), table)


def did_you_mean(name: str, names: Sequence[str]) -> str:
    """Returns `"; did you mean 'dog'?"` for the closest of `names`, or nothing when none is close.

    Example:
        >>> did_you_mean("dgo", ["cat", "dog"])
        "; did you mean 'dog'?"
        >>> did_you_mean("zebra", ["cat", "dog"])
        ''
    """
    folded = {candidate.casefold(): candidate for candidate in reversed(names)}
    close = difflib.get_close_matches(name.casefold(), list(folded), n=1)
    return f"; did you mean '{folded[close[0]]}'?" if close else ""


def shortened(text: str, length: int = 40) -> str:
    """Returns a text that a message quotes, cut to so many characters.

    Example:
        >>> shortened("abcdefgh", 6)
        'abc...'
    """
    return text if len(text) <= length else text[: length - 3] + "..."
