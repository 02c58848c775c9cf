"""Lanes of a server: threads that read the images that have come and score them, several at a time."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future

import numpy as np
from jaxtyping import Float32, UInt8

from mlic.errors import ImageError
from mlic.headers import image_size
from mlic.scorers.base import Scorer
from mlic.serve.traps import refuse_trap

__all__ = ["Lanes", "read_within"]

Scores = Float32[np.ndarray, " classes"]
_Item = tuple[bytes, "Future[Scores]"]

_LONGEST_SIDE = 65_535  # as in a JPEG; the square of an image of a million lines and one column takes 8 GB on its way


class Lanes:
    """Scores images as they come: what has come while the lanes were busy is done together.

    Nothing waits for a batch to fill. Each lane decodes the images that it takes and runs the model on them, so that
    memory is needed for what is in the lanes, not for what waits.

    Args:
        scorer: the model; called from the lanes' threads.
        num_lanes: how many threads, at least 1.
        batch_size: the most images that a lane takes at a time, at least 1.
        max_pixels: of an image; a larger one is refused by its header, before anything is decoded.
        on_batch: is told how many images went through the model together; called in the lanes' threads.
    """

    def __init__(
        self,
        scorer: Scorer,
        *,
        num_lanes: int,
        batch_size: int,
        max_pixels: int,
        on_batch: Callable[[int], None] = lambda count: None,
    ) -> None:
        self._scorer = scorer
        self._batch_size = batch_size
        self._max_pixels = max_pixels
        self._on_batch = on_batch
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._work, name=f"lane {n}", daemon=True) for n in range(num_lanes)]
        for thread in self._threads:
            thread.start()

    @property
    def num_waiting(self) -> int:
        """How many images no lane has taken yet."""
        return self._queue.qsize()

    def submit(self, data: bytes) -> "Future[Scores]":
        """Returns where the scores of an image will be, or the `ImageError` that tells why it has none.

        Args:
            data: what is in its file. If the future is cancelled before a lane takes it, nothing is done.
        """
        future: Future[Scores] = Future()
        self._queue.put((data, future))
        return future

    def close(self) -> None:
        """Ends the lanes when all that was submitted is done."""
        self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (lot := self._take()) is not None:
            self._score(lot)

    def _take(self) -> list[_Item] | None:
        """Waits for an image, and returns it with those behind it; None at the end."""
        item = self._queue.get()
        lot: list[_Item] = []
        while item is not None:
            lot.append(item)
            if len(lot) == self._batch_size:
                return lot
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return lot
        self._queue.put(None)  # for the other lanes, and for this one when it comes back
        return lot or None

    def _score(self, lot: list[_Item]) -> None:
        images: list[UInt8[np.ndarray, "3 height width"]] = []
        futures: list[Future[Scores]] = []
        for data, future in lot:
            if not future.set_running_or_notify_cancel():
                continue
            try:
                images.append(read_within(self._scorer, data, self._max_pixels))
                futures.append(future)
            except Exception as error:
                future.set_exception(error)
        if not images:
            return
        try:
            rows = self._scorer(np.stack(images))
            self._on_batch(len(images))
            for future, row in zip(futures, rows, strict=True):
                if np.isnan(row).any():
                    future.set_exception(ImageError("the model gives no number for it: it has diverged"))
                else:
                    future.set_result(row)
        except Exception as error:
            for future in futures:
                if not future.done():
                    future.set_exception(error)


def read_within(scorer: Scorer, data: bytes, max_pixels: int) -> UInt8[np.ndarray, "3 height width"]:
    """Reads an image as a scorer does, unless its header says that it is too large or too laborious.

    Args:
        scorer: the model.
        data: what is in the file.
        max_pixels: that it may have.

    Raises:
        ImageError: if it is larger, a trap, or cannot be read.
    """
    refuse_trap(data, max_pixels)
    try:
        width, height = image_size(data)
    except ImageError:
        width, height = 0, 0  # reading tells better what is wrong with it
    if width * height > max_pixels:
        raise ImageError(f"{width} by {height} pixels; this server takes {max_pixels} at most")
    if max(width, height) > _LONGEST_SIDE:
        raise ImageError(f"{width} by {height} pixels; this server takes sides of {_LONGEST_SIDE} at most")
    try:
        return scorer.read(data)
    except ImageError as error:
        raise ImageError(str(error).removeprefix(f"image of {len(data)} bytes: ")) from error
    except MemoryError as error:
        raise ImageError("there is not enough memory to decode it") from error
