"""Lanes: threads that each decode a few images and run the network on them, with one processor core each."""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mlic.errors import ImageError, UsageError

__all__ = ["Lot", "run_lanes"]

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Lot:
    """What came of a few items in a row.

    Attributes:
        positions: which items could be read, counted from 0, ascending.
        outputs: a row for each of them; of shape [0] where there are none.
        errors: position of each item that could not be read, and why.
    """

    positions: list[int]
    outputs: Float[Tensor, "read ..."]
    errors: tuple[tuple[int, str], ...]


def run_lanes(
    items: Iterable[Item],
    decode: Callable[[Item], UInt8[Tensor, "3 height width"]],
    engine: Callable[[UInt8[Tensor, "batch 3 height width"]], Float[Tensor, "batch ..."]],
    *,
    num_lanes: int,
    batch_size: int = 4,
) -> Iterator[Lot]:
    """Decodes all items and runs the engine on them in several threads; yields what comes of it, in order.

    Neither decoding nor operations on large tensors hold Python's lock, so each thread keeps a core busy, and no thread
    waits for another within an operation, as those that share one do. While it runs, an operation of torch has one
    thread; afterwards as many as before. Only so many items are taken ahead of the caller that memory stays bounded.

    Args:
        items: whatever `decode` takes, such as paths; taken one after the other, from several threads.
        decode: makes an image of an item, all of one size; called in the lanes' threads.
        engine: such as one of `mlic.engines`; called in the lanes' threads.
        num_lanes: how many threads, at least 1; see `mlic.threads`.
        batch_size: images that a lane takes at a time. A few are enough: more of them leave the processor's cache.

    Raises:
        UsageError: if a number is out of its range.
        Exception: what `items`, `decode` or `engine` raised; but an `ImageError` of `decode` is the error of its item.

    Example:
        >>> black = torch.zeros(3, 2, 2, dtype=torch.uint8)
        >>> lots = run_lanes("abc", lambda name: black, lambda images: images.float().mean((2, 3)), num_lanes=2)
        >>> [(lot.positions, lot.outputs.shape) for lot in lots]
        [([0, 1, 2], torch.Size([3, 3]))]
    """
    if num_lanes < 1 or batch_size < 1:
        raise UsageError(f"num_lanes is {num_lanes} and batch_size {batch_size}; expected 1 or more")
    work = _Work(items, batch_size, ahead=4 * num_lanes)
    threads = [
        threading.Thread(target=_lane, args=(work, decode, engine), name=f"lane {number}", daemon=True)
        for number in range(num_lanes)
    ]
    return _in_order(work, threads)


class _Work(Generic[Item]):
    """What is to be done, and what is done but not yet fetched."""

    def __init__(self, items: Iterable[Item], batch_size: int, ahead: int) -> None:
        self._items = enumerate(items)
        self._batch_size = batch_size
        self._ahead = ahead
        self._changed = threading.Condition()
        self._taking = threading.Lock()
        self._done: dict[int, Lot] = {}
        self._num_taken = 0
        self._num_fetched = 0
        self._ended = False
        self._failure: BaseException | None = None

    def take(self) -> tuple[int, list[tuple[int, Item]]] | None:
        """Returns the next items with the number of their lot; None if there are no more, or all is to stop."""
        # A lock of its own: to get at the next item may take long.
        with self._taking:
            with self._changed:
                self._changed.wait_for(lambda: self._ended or self._num_taken - self._num_fetched < self._ahead)
                if self._ended:
                    return None
            try:
                taken = list(islice(self._items, self._batch_size))
            except BaseException as error:
                self.stop(error)  # before another lane can take the end of what failed for the end of the work
                return None
            with self._changed:
                if not taken:
                    self._ended = True
                    self._changed.notify_all()
                    return None
                self._num_taken += 1
                return self._num_taken - 1, taken

    def put(self, number: int, lot: Lot) -> None:
        """Keeps a lot until it is fetched."""
        with self._changed:
            self._done[number] = lot
            self._changed.notify_all()

    def fetch(self) -> Lot | None:
        """Waits for the next lot in order and returns it; None after the last."""
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
            lot = self._done.pop(self._num_fetched, None)
            if lot is not None:
                self._num_fetched += 1
                self._changed.notify_all()
            return lot

    def stop(self, failure: BaseException | None = None) -> None:
        """Lets nobody take any more; the first failure is raised where lots are fetched."""
        with self._changed:
            self._ended = True
            self._failure = self._failure or failure
            self._changed.notify_all()


def _in_order(work: _Work[Item], threads: list[threading.Thread]) -> Iterator[Lot]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # threads that are made later begin with it
    try:
        for thread in threads:
            thread.start()
        while (lot := work.fetch()) is not None:
            yield lot
    finally:
        work.stop()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
        torch.set_num_threads(before)


def _lane(
    work: _Work[Item], decode: Callable[[Item], Tensor], engine: Callable[[Tensor], Float[Tensor, "batch ..."]]
) -> None:
    try:
        while (taken := work.take()) is not None:
            number, items = taken
            work.put(number, _lot(items, decode, engine))
    except BaseException as error:  # also what ends a process: it is raised in the caller's thread
        work.stop(error)


def _lot(
    items: list[tuple[int, Item]],
    decode: Callable[[Item], Tensor],
    engine: Callable[[Tensor], Float[Tensor, "batch ..."]],
) -> Lot:
    images: dict[int, Tensor] = {}
    errors: list[tuple[int, str]] = []
    for position, item in items:
        try:
            images[position] = decode(item)
        except ImageError as error:
            errors.append((position, str(error)))
    outputs = engine(torch.stack(list(images.values()))) if images else torch.empty(0)
    return Lot(list(images), outputs, tuple(errors))
