"""Long work shows how far it is: a bar on a terminal, a plain line now and then elsewhere."""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tqdm import tqdm

__all__ = ["Progress", "in_words", "track"]

log = logging.getLogger(__name__)

_SECONDS = 10.0

Item = TypeVar("Item")


def track(items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
    """Yields the items and shows on stderr how far it is; nothing for what takes less than a few seconds.

    Args:
        items: what is worked on.
        total: their number.
        what: a few words, such as "reading images".
    """
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, desc=what, total=total, file=sys.stderr, leave=False, delay=1)
        return
    told = time.monotonic()
    for number, item in enumerate(items, 1):
        yield item
        if time.monotonic() - told > _SECONDS:
            log.info("%s: %s of %s", what, f"{number:,}", f"{total:,}")
            told = time.monotonic()


class Progress:
    """Shows on stderr how far something is that goes on, with its rate and the time that it will take.

    Args:
        what: a few words, such as "predicting".
        things: what is counted, such as "images".
        total: tells how many there will be, once that is known; None until then.
    """

    def __init__(self, what: str, things: str, total: Callable[[], int | None]) -> None:
        self._what, self._things, self._total = what, things, total
        self._bar: tqdm[None] | None = None
        self.start(0)

    def start(self, there: int) -> None:
        """Starts the clock.

        Args:
            there: how many are done already.
        """
        self._there = self._done = there
        self._began = self._told = time.monotonic()
        if sys.stderr.isatty():
            from tqdm import tqdm

            self.close()
            options: dict[str, Any] = {"file": sys.stderr, "leave": False, "delay": 1, "dynamic_ncols": True}
            self._bar = tqdm(desc=self._what, unit=f" {self._things}", initial=there, **options)

    @property
    def rate(self) -> float:
        """How many a second, since it began."""
        return (self._done - self._there) / max(1e-9, time.monotonic() - self._began)

    def add(self, number: int = 1) -> None:
        """Notes that so many more are done."""
        self._done += number
        if self._bar is not None:
            self._bar.total = self._total()
            self._bar.update(number)
        elif time.monotonic() - self._told > _SECONDS:
            self._told = time.monotonic()
            log.info("%s: %s", self._what, self._line())

    def close(self) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.close()

    def _line(self) -> str:
        total, rate = self._total(), self.rate
        if total is None:
            return f"{self._done:,} {self._things}, {rate:.1f} a second"
        left = in_words(max(0, total - self._done) / max(1e-9, rate))
        return f"{self._done:,} of {total:,} {self._things}, {rate:.1f} a second, {left} left"


def in_words(seconds: float) -> str:
    """Returns a span of time as people say it.

    Example:
        >>> in_words(8.4), in_words(200.0), in_words(4000.0)
        ('8 s', '3 min', '1 h 7 min')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
