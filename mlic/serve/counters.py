"""What is counted while the server runs, in the text format of Prometheus."""

from collections.abc import Callable

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

__all__ = ["CONTENT_TYPE", "Counters"]

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_IMAGES = (1, 2, 4, 8, 16, 32, 64)


class Counters:
    """Counts requests, images and what was refused; may be told from several threads.

    Args:
        num_waiting: tells how many images no lane has taken yet.
        num_requests: tells how many requests are being answered.
    """

    def __init__(self, num_waiting: Callable[[], int], num_requests: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "mlic_requests", "Requests by path and status of the answer.", ["path", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "mlic_request_seconds",
            "Time from the first byte of a request to its answer.",
            ["path"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._images = Counter(
            "mlic_images", "Images by what came of them: scored or unreadable.", ["outcome"], registry=self._registry
        )
        self._rejected = Counter(
            "mlic_rejected", "Requests that were not answered, by status.", ["status"], registry=self._registry
        )
        self._batches = Histogram(
            "mlic_batch_images",
            "How many images went through the model together.",
            buckets=_IMAGES,
            registry=self._registry,
        )
        waiting = Gauge("mlic_waiting_images", "Images that no lane has taken yet.", registry=self._registry)
        waiting.set_function(num_waiting)
        requests = Gauge("mlic_requests_at_once", "Requests that are being answered.", registry=self._registry)
        requests.set_function(num_requests)

    def request(self, path: str, status: int, seconds: float) -> None:
        """Counts an answer, whatever it was.

        Args:
            path: of the route, not what a client wrote: it has one series for each.
            status: of HTTP.
            seconds: that it took.
        """
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)
        if status >= 400:
            self._rejected.labels(str(status)).inc()

    def images(self, num_scored: int, num_unreadable: int) -> None:
        """Counts images."""
        self._images.labels("scored").inc(num_scored)
        self._images.labels("unreadable").inc(num_unreadable)

    def batch(self, num_images: int) -> None:
        """Counts a run of the model."""
        self._batches.observe(num_images)

    def text(self) -> bytes:
        """Returns all of it."""
        return generate_latest(self._registry)
