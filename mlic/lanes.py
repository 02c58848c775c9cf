"""Lanes: threads that each decode a few images and run the network on them, with one processor core each."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mlic.errors import ImageError, UsageError
from mlic.ordered import in_lots, in_order

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
    lots = in_lots(enumerate(items), batch_size)
    return _alone(
        in_order(lots, partial(_lot, decode=decode, engine=engine), num_threads=num_lanes, ahead=4 * num_lanes)
    )


def _alone(lots: Iterator[Lot]) -> Iterator[Lot]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # threads that are made later begin with it
    try:
        yield from lots
    finally:
        torch.set_num_threads(before)


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
