"""Work in several threads whose results come in order; imports no torch."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Generic, TypeVar

__all__ = ["in_lots", "in_order"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_PATIENCE = 1.0  # seconds that a thread has which waits for an item nobody wants any more


def in_order(
    items: Iterable[Item], work: Callable[[Item], Result], *, num_threads: int, ahead: int
) -> Iterator[Result]:
    """Works on each item in one of several threads, and yields the results in the order of the items.

    Args:
        items: taken one after the other, from several threads, never by two at once.
        work: what is done with an item; called in the threads.
        num_threads: how many threads, at least 1.
        ahead: how many items are taken at most before the caller has fetched the results of the earlier ones, so that
            memory stays bounded.

    Raises:
        Exception: what `items` or `work` raised.

    Example:
        >>> list(in_order("abc", str.upper, num_threads=2, ahead=4))
        ['A', 'B', 'C']
    """
    queue: _Queue[Item, Result] = _Queue(items, ahead)
    threads = [
        threading.Thread(target=_run, args=(queue, work), name=f"lane {number}", daemon=True)
        for number in range(num_threads)
    ]
    return _results(queue, threads)


def in_lots(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yields so many items at a time; the last time as many as there are left.

    Example:
        >>> list(in_lots("abcde", 2))
        [['a', 'b'], ['c', 'd'], ['e']]
    """
    remaining = iter(items)
    while lot := list(islice(remaining, size)):
        yield lot


class _Queue(Generic[Item, Result]):
    """What is to be done, and what is done but not yet fetched."""

    def __init__(self, items: Iterable[Item], ahead: int) -> None:
        self.takers: set[threading.Thread] = set()
        self._items = iter(items)
        self._ahead = ahead
        self._changed = threading.Condition()
        self._taking = threading.Lock()
        self._done: dict[int, Result] = {}
        self._num_taken = 0
        self._num_fetched = 0
        self._ended = False
        self._failure: BaseException | None = None

    def take(self) -> tuple[int, Item] | None:
        """Returns the next item with its number; None if there are no more, or all is to stop."""
        self.takers.add(threading.current_thread())
        try:
            return self._take()
        finally:
            self.takers.discard(threading.current_thread())

    def _take(self) -> tuple[int, Item] | None:
        # A lock of its own: to get at the next item may take long.
        with self._taking:
            with self._changed:
                self._changed.wait_for(lambda: self._ended or self._num_taken - self._num_fetched < self._ahead)
                if self._ended:
                    return None
            try:
                item = next(self._items)
            except StopIteration:
                self.stop()
                return None
            except BaseException as error:
                self.stop(error)  # before another thread can take the end of what failed for the end of the work
                return None
            with self._changed:
                self._num_taken += 1
                return self._num_taken - 1, item

    def put(self, number: int, result: Result) -> None:
        """Keeps a result until it is fetched."""
        with self._changed:
            self._done[number] = result
            self._changed.notify_all()

    def fetch(self) -> tuple[Result] | None:
        """Waits for the next result in order and returns it, alone in a tuple; None after the last."""
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self._failure is not None
                    or self._num_fetched in self._done
                    or (self._ended and self._num_fetched == self._num_taken)
                )
            )
            if self._failure is not None:
                raise self._failure
            if self._num_fetched not in self._done:
                return None
            result = self._done.pop(self._num_fetched)
            self._num_fetched += 1
            self._changed.notify_all()
            return (result,)

    def stop(self, failure: BaseException | None = None) -> None:
        """Lets nobody take any more; the first failure is raised where results are fetched."""
        with self._changed:
            self._ended = True
            self._failure = self._failure or failure
            self._changed.notify_all()


def _results(queue: "_Queue[Item, Result]", threads: list[threading.Thread]) -> Iterator[Result]:
    try:
        for thread in threads:
            thread.start()
        while (fetched := queue.fetch()) is not None:
            yield fetched[0]
    finally:
        queue.stop()
        given_up = time.monotonic() + _PATIENCE
        for thread in threads:
            # Those that wait for an item, such as a line that nobody types, are left behind; they take no other.
            while thread.is_alive() and not (thread in queue.takers and time.monotonic() > given_up):
                thread.join(0.05)


def _run(queue: "_Queue[Item, Result]", work: Callable[[Item], Result]) -> None:
    try:
        while (taken := queue.take()) is not None:
            number, item = taken
            queue.put(number, work(item))
    except BaseException as error:  # also what ends a process: it is raised in the caller's thread
        queue.stop(error)
