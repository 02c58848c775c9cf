"""The application: its routes, and what is answered when something is wrong."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any, TypeVar

import msgspec
import numpy as np
from jaxtyping import Float32
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlic import __version__
from mlic.errors import ImageError, did_you_mean, shortened
from mlic.scorers.base import Scorer
from mlic.serve.answers import Health, Problem, answer, describe
from mlic.serve.bodies import Upload, declared_length, discard, parse_images, read_body
from mlic.serve.counters import CONTENT_TYPE, Counters
from mlic.serve.foreigners import refuse_foreigners
from mlic.serve.lanes import Lanes, read_within
from mlic.serve.limits import Gate, Limits, RefusedError
from mlic.serve.openapi import openapi
from mlic.serve.page import page

__all__ = ["Explain", "make_app"]

log = logging.getLogger(__name__)

Explain = Callable[[bytes, str], bytes]
"""From an image and the name of a class to a PNG."""

Endpoint = Callable[[Request], Awaitable[Response]]
T = TypeVar("T")

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_NOTHING = "default-src 'none'; frame-ancestors 'none'"
_LENIENT = "handling=lenient"  # RFC 7240: whoever prefers it looks at the error of each image, not at the status
_SMALL = 100_000  # bytes of a body that is parsed at once; a longer one in another thread


def make_app(
    scorer: Scorer,
    *,
    num_lanes: int = 1,
    batch_size: int = 4,
    limits: Limits | None = None,
    explain: Explain | None = None,
    names: Collection[str] | None = None,
) -> Starlette:
    """Returns the application, to be run by uvicorn or any other ASGI server, in one process.

    Args:
        scorer: the model.
        num_lanes: how many images are decoded and scored at once, each with one core.
        batch_size: the most images that go through the model together.
        limits: what is refused.
        explain: makes heat maps; without it there are none.
        names: what a browser may call the server, besides localhost and any address in numbers. A page from elsewhere
            can have its own name lead here (DNS rebinding), and would then read what is answered. None: any name.
    """
    service = _Service(scorer, num_lanes, batch_size, limits or Limits(), explain, names)
    routes = [
        service.route("/", "GET", service.page),
        service.route("/health", "GET", service.health),
        service.route("/classes", "GET", service.classes),
        service.route("/metrics", "GET", service.metrics),
        service.route("/openapi.json", "GET", service.openapi),
        service.route("/predict", "POST", service.predict),
    ]
    if explain is not None:
        routes.append(service.route("/explain", "POST", service.explain))
    app = Starlette(routes=routes, exception_handlers={HTTPException: _not_found})
    app.router.redirect_slashes = False  # it would lead to whatever host the client writes
    app.state.close = service.close
    return app


class _Service:
    """What is behind the routes."""

    def __init__(
        self,
        scorer: Scorer,
        num_lanes: int,
        batch_size: int,
        limits: Limits,
        explain: Explain | None,
        names: Collection[str] | None,
    ) -> None:
        self._scorer = scorer
        self._names = None if names is None else {name.lower() for name in names}
        self._thresholds = scorer.thresholds
        self._limits = limits
        self._gate = Gate(limits)
        self._explain = explain
        self._explainer = ThreadPoolExecutor(1, "explain")
        self._counters = Counters(lambda: self._lanes.num_waiting, lambda: self._gate.requests)
        self._lanes = Lanes(
            scorer,
            num_lanes=num_lanes,
            batch_size=batch_size,
            max_pixels=limits.pixels,
            on_batch=self._counters.batch,
        )
        self._page, self._policy = page()

    def close(self) -> None:
        """Ends the threads when what they have is done."""
        self._lanes.close()
        self._explainer.shutdown()

    def route(self, path: str, method: str, endpoint: Endpoint) -> Route:
        """Returns a route whose answers are counted, and whose failures are JSON."""

        async def answering(request: Request) -> Response:
            begin = time.monotonic()
            status = 500
            try:
                refuse_foreigners(request, self._names)
                response = await endpoint(request)
                status = response.status_code
            except RefusedError as refusal:
                status = refusal.status
                response = _problem(status, refusal.reason, refusal.retry_after)
            except Exception:
                log.exception("%s failed", path)
                response = _problem(500, "the server failed to answer; its log tells why")
            finally:
                self._counters.request(path, status, time.monotonic() - begin)
            return response

        return Route(path, answering, methods=[method])

    async def page(self, request: Request) -> Response:
        """Answers with the page."""
        return _response(self._page.encode(), "text/html; charset=utf-8", policy=self._policy)

    async def health(self, request: Request) -> Response:
        """Answers that the server answers."""
        return _json(Health("ok", self._scorer.name, __version__))

    async def classes(self, request: Request) -> Response:
        """Answers what the model is."""
        return _json(describe(self._scorer, self._explain is not None, asdict(self._limits)))

    async def metrics(self, request: Request) -> Response:
        """Answers what was counted."""
        return _response(self._counters.text(), CONTENT_TYPE)

    async def openapi(self, request: Request) -> Response:
        """Answers what can be asked."""
        return _response(json.dumps(openapi(self._explain is not None)).encode(), "application/json")

    async def predict(self, request: Request) -> Response:
        """Scores the images of a request."""
        return await self._within_limits(request, self._predicted)

    async def explain(self, request: Request) -> Response:
        """Draws where an image shows a class."""
        return await self._within_limits(request, self._explained)

    async def _within_limits(
        self, request: Request, work: Callable[[Request, list[Upload]], Coroutine[Any, Any, Response]]
    ) -> Response:
        """Lets a request in if there is room, reads its images and works on them, all in the time that it has."""
        length = declared_length(request)
        most = self._limits.body_bytes
        try:
            entered = self._gate.entered(most if length is None else min(length, most))
            with entered:
                return await self._in_time(request, work)
        except RefusedError as refusal:
            if refusal.status == 429:
                await discard(request, self._limits)
            raise

    async def _in_time(
        self, request: Request, work: Callable[[Request, list[Upload]], Coroutine[Any, Any, Response]]
    ) -> Response:
        seconds = self._limits.seconds
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        try:
            async with asyncio.timeout_at(end):
                body = await read_body(request, self._limits)
        except TimeoutError as error:
            raise RefusedError(408, f"the body did not come within {seconds:g} seconds") from error
        content_type = request.headers.get("content-type", "")
        if len(body) <= _SMALL:
            uploads = parse_images(body, content_type, self._limits)
        else:
            uploads = await asyncio.to_thread(parse_images, body, content_type, self._limits)
        del body
        try:
            async with asyncio.timeout_at(end):
                return await _while_there(request, work(request, uploads))
        except TimeoutError as error:
            raise RefusedError(
                503, f"not done within {seconds:g} seconds; the server is busy", retry_after=5
            ) from error

    async def _predicted(self, request: Request, uploads: list[Upload]) -> Response:
        futures = [asyncio.wrap_future(self._lanes.submit(upload.data)) for upload in uploads]
        found = await asyncio.gather(*futures, return_exceptions=True)
        results: list[Float32[np.ndarray, " classes"] | str] = []
        for one in found:
            if isinstance(one, BaseException) and not isinstance(one, ImageError):
                raise one
            results.append(str(one) if isinstance(one, BaseException) else one)
        num_unreadable = sum(isinstance(result, str) for result in results)
        self._counters.images(len(results) - num_unreadable, num_unreadable)
        said = answer(self._scorer, self._thresholds, [upload.name for upload in uploads], results)
        as_usual = said.error is None or _LENIENT in request.headers.get("prefer", "")
        return _json(said, 200 if as_usual else 422)

    async def _explained(self, request: Request, uploads: list[Upload]) -> Response:
        name = request.query_params.get("class", "")
        if name not in self._scorer.classes:
            close = did_you_mean(name, self._scorer.classes)
            raise RefusedError(422, f"?class= says '{shortened(name)}', which is no class of this model{close}")
        if len(uploads) != 1:
            raise RefusedError(400, f"{len(uploads)} images; expected one to explain")
        try:
            picture = await asyncio.wrap_future(self._explainer.submit(self._drawn, uploads[0].data, name))
        except ImageError as error:
            raise RefusedError(422, f"the image cannot be read: {error}") from error
        return _response(picture, "image/png")

    def _drawn(self, data: bytes, name: str) -> bytes:
        if self._explain is None:
            raise ValueError("there is no route to what this server cannot do")
        read_within(self._scorer, data, self._limits.pixels)
        return self._explain(data, name)


async def _while_there(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Waits for what is being done, unless the client goes away: then nobody does what has not begun.

    Raises:
        RefusedError: if it has gone.
    """
    working = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(request.receive())  # after the body, there is nothing but the end of the connection
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise RefusedError(400, "the connection ended before the answer")
    finally:
        working.cancel()
        gone.cancel()


async def _not_found(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    reason = {404: "there is nothing here; see /openapi.json", 405: f"{request.method} is not what this path takes"}
    response = _problem(status, reason.get(status, "not answered"))
    for name, value in (getattr(error, "headers", None) or {}).items():
        response.headers[name] = value
    return response


def _json(said: msgspec.Struct, status: int = 200) -> Response:
    try:
        text = msgspec.json.encode(said)
    except UnicodeEncodeError:  # a file name that is not UTF-8, of the model: JSON has escapes for it
        text = json.dumps(msgspec.to_builtins(said)).encode()
    return _response(text, "application/json", status=status)


def _problem(status: int, reason: str, retry_after: int | None = None) -> Response:
    response = _json(Problem(reason), status)
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


def _response(content: bytes, content_type: str, *, status: int = 200, policy: str = _NOTHING) -> Response:
    headers = {**_HEADERS, "Content-Security-Policy": policy, "Content-Type": content_type}
    return Response(content, status, headers)
