"""What a client may ask for, and how much of it at once."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, fields

from PIL import Image

from mlic.errors import UsageError

__all__ = ["Gate", "Limits", "RefusedError"]

_BODIES = 8  # of the largest size: what all requests together may keep in memory


class RefusedError(Exception):
    """A request is not answered as it wishes.

    Attributes:
        status: of HTTP.
        reason: for whoever asked.
        retry_after: seconds after which it may be worth another try; None where it is not.
    """

    def __init__(self, status: int, reason: str, retry_after: int | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Limits:
    """What is refused.

    Attributes:
        body_bytes: a longer request.
        pixels: a larger image; told from its header, before anything is decoded.
        images: more of them in one request.
        requests: more of them at once, which are told to come back.
        seconds: a request that takes longer, from its first byte to its answer.

    Raises:
        UsageError: if a number is out of its range.
    """

    body_bytes: int = 32_000_000
    pixels: int = 64_000_000
    images: int = 64
    requests: int = 64
    seconds: float = 30.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if not 0 < getattr(self, field.name) < math.inf:
                raise UsageError(f"the limit of {field.name} is {getattr(self, field.name)}; expected more than 0")
        most = Image.MAX_IMAGE_PIXELS
        if most is not None and self.pixels > most:
            raise UsageError(f"the limit of pixels is {self.pixels}; Pillow itself takes no more than {most}")


class Gate:
    """Counts the requests that are being answered and the bytes they bring; used in one thread alone.

    Args:
        limits: how many of each.

    Attributes:
        requests: how many there are.
        held: how many bytes their bodies may have.

    Example:
        >>> gate = Gate(Limits(requests=1))
        >>> with gate.entered(10):
        ...     gate.requests, gate.held
        (1, 10)
        >>> gate.requests
        0
    """

    def __init__(self, limits: Limits) -> None:
        self.requests = 0
        self.held = 0
        self._limits = limits

    @contextlib.contextmanager
    def entered(self, num_bytes: int) -> Iterator[None]:
        """Lets a request in until it is answered.

        Args:
            num_bytes: how long its body may be.

        Raises:
            RefusedError: if there are as many requests as there may be, or their bodies need all the room there is.
        """
        full = self.requests >= self._limits.requests
        if full or (self.requests and self.held + num_bytes > _BODIES * self._limits.body_bytes):
            raise RefusedError(429, f"busy with {self.requests} requests; come back later", retry_after=1)
        self.requests += 1
        self.held += num_bytes
        try:
            yield
        finally:
            self.requests -= 1
            self.held -= num_bytes
