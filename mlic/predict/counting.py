"""How many images there are, counted beside the work that has begun already."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator

from mlic.predict.inputs import Inputs
from mlic.predict.sharing import Shard

__all__ = ["counted"]

log = logging.getLogger(__name__)


@contextlib.contextmanager
def counted(inputs: Inputs, shard: Shard | None = None) -> Iterator[Callable[[], int | None]]:
    """Counts in a thread of its own; gives what tells the number, which is None until it is known.

    Args:
        inputs: the images of all processes.
        shard: which process this is; it has its share of them.
    """
    given_up = threading.Event()
    found: list[int | None] = []

    def count() -> None:
        try:
            found.append(inputs.count(given_up))
        except Exception as error:  # whoever goes through the images meets it too, and tells
            log.debug("the images are not counted: %s", error)

    def total() -> int | None:
        number = found[0] if found else None
        return number if number is None or shard is None else shard.share_of(number)

    thread = threading.Thread(target=count, name="counting", daemon=True)
    thread.start()
    try:
        yield total
    finally:
        given_up.set()
        thread.join(1)
