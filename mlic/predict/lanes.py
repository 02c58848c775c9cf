"""Images through a scorer on the cores of one process: each core decodes a few and runs the network on them."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from mlic.errors import ImageError
from mlic.ordered import in_order
from mlic.predict.seen import Seen
from mlic.predict.sources import Source
from mlic.scorers.base import Scorer

__all__ = ["LOT", "see_in_lanes"]

LOT = 4  # images that a core takes at a time: more of them leave the processor's cache

Compute = Callable[
    [UInt8[np.ndarray, "batch 3 height width"]],
    tuple[Float32[np.ndarray, "batch classes"], Float32[np.ndarray, "batch features"] | None],
]


def see_in_lanes(scorer: Scorer, lots: Iterator[list[Source]], compute: Compute, num_lanes: int) -> Iterator[Seen]:
    """Yields what a scorer makes of images, a few at a time, in their order.

    Args:
        scorer: reads the images.
        lots: the images, a few at a time; taken no further ahead than a few for each lane.
        compute: the scores of images, and their features.
        num_lanes: how many threads, with a core each; see `mlic.lanes`.
    """
    work = partial(_see, scorer=scorer, compute=compute)
    with _one_thread_an_operation():
        yield from in_order(lots, work, num_threads=num_lanes, ahead=4 * num_lanes)


def _see(lot: list[Source], scorer: Scorer, compute: Compute) -> Seen:
    images: dict[int, UInt8[np.ndarray, "3 height width"]] = {}
    errors: dict[int, str] = {}
    for place, source in enumerate(lot):
        try:
            images[place] = scorer.read(source.content())
        except ImageError as error:
            errors[place] = source.told(error)
    # Bytes are not needed any more.
    sources = [source._replace(data=None) for source in lot]
    if not images:
        return Seen(sources, [], np.empty((0, len(scorer.classes)), np.float32), None, errors)
    scores, features = compute(np.stack(list(images.values())))
    return Seen(sources, list(images), scores, features, errors)


@contextlib.contextmanager
def _one_thread_an_operation() -> Iterator[None]:
    """Has operations of torch run in one thread, where something has imported it; threads made later begin with it."""
    torch: Any = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
