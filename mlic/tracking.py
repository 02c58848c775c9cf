"""Long work shows how far it is: a bar on a terminal, a plain line now and then elsewhere."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

__all__ = ["track"]

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
