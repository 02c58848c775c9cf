"""The images in the body of a request: multipart files, or JSON with base64. Nothing is fetched, nothing is on disk."""

import asyncio
from typing import Annotated, NamedTuple

import msgspec
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from mlic.errors import shortened
from mlic.serve.limits import Limits, RefusedError

__all__ = ["JsonBody", "JsonImage", "Upload", "declared_length", "discard", "parse_images", "read_body"]

_DISCARDED = 8  # times the largest body: what is read of one that is refused, so that the client gets to the answer
_NAME = 255
_DIGITS = 20  # of a length; what is longer is none, and what comes is counted
_REASON = 200  # characters of what a reader of JSON says, which may quote a field of megabytes


class Upload(NamedTuple):
    """An image as it came.

    Attributes:
        name: as the client calls it; only ever told back.
        data: what is in the file.
    """

    name: str
    data: bytes


class JsonImage(msgspec.Struct, forbid_unknown_fields=True):
    """An image in JSON: the base64 of its file, and what to call it in the answer."""

    data: bytes
    name: str = ""


class JsonBody(msgspec.Struct, forbid_unknown_fields=True):
    """One or many images in JSON, each as the base64 of its file, or as that with a name."""

    images: Annotated[list[bytes | JsonImage], msgspec.Meta(min_length=1)]


def declared_length(request: Request) -> int | None:
    """Returns how long a request says its body is; None where it says nothing, or sends it in chunks all the same."""
    if "transfer-encoding" in request.headers:
        return None
    length = request.headers.get("content-length", "")
    return int(length) if length.isdecimal() and len(length) <= _DIGITS else None


async def read_body(request: Request, limits: Limits) -> bytes:
    """Reads what a client sends, up to the limit.

    Raises:
        RefusedError: if it is longer, or the client goes away.
    """
    length = declared_length(request)
    too_long = RefusedError(413, f"the body has more than {limits.body_bytes} bytes, the most that this server takes")
    if length is not None and length > limits.body_bytes:
        await discard(request, limits)
        raise too_long
    pieces: list[bytes] = []
    size = 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > limits.body_bytes:
                pieces.clear()
                if size > _DISCARDED * limits.body_bytes:
                    raise too_long
            else:
                pieces.append(piece)
    except ClientDisconnect as error:
        raise RefusedError(400, "the connection ended before the body did") from error
    if size > limits.body_bytes:
        raise too_long
    return b"".join(pieces)


async def discard(request: Request, limits: Limits) -> None:
    """Reads on without keeping anything: a client that is still sending does not see an answer.

    One that asks before it sends (`Expect: 100-continue`, as curl does) has its answer at once, and so has one whose
    body would take too long.
    """
    length = declared_length(request)
    most = _DISCARDED * limits.body_bytes
    if "expect" in request.headers or (length is not None and length > most):
        return
    size = 0
    try:
        async with asyncio.timeout(limits.seconds):
            async for piece in request.stream():
                size += len(piece)
                if size > most:
                    return
    except (ClientDisconnect, TimeoutError):
        return


def parse_images(body: bytes, content_type: str, limits: Limits) -> list[Upload]:
    """Returns the images of a body, at least one.

    Args:
        body: all of it.
        content_type: what the client says it is.
        limits: how many there may be.

    Raises:
        RefusedError: if it is of another kind, malformed, or holds no image or too many.
    """
    kind, options = parse_options_header(content_type)
    if kind == b"application/json":
        uploads = _json_images(body, limits.images)
    elif kind == b"multipart/form-data":
        boundary = options.get(b"boundary")
        if not boundary:
            raise RefusedError(400, "multipart/form-data without a boundary in its Content-Type")
        uploads = _multipart_images(body, boundary, limits.images)
    else:
        found = shortened(content_type) or "nothing"
        raise RefusedError(415, f"Content-Type says {found}; expected multipart/form-data or application/json")
    if not uploads:
        raise RefusedError(400, "no image in the request; expected one file or more")
    return [Upload(name[:_NAME] or f"image {number}", data) for number, (name, data) in enumerate(uploads, 1)]


def _too_many(most: int) -> RefusedError:
    return RefusedError(413, f"more than {most} images, the most that a request may have; send several requests")


def _json_images(body: bytes, most: int) -> list[Upload]:
    try:
        images = msgspec.json.decode(body, type=JsonBody).images
    except RecursionError as error:
        raise RefusedError(400, "JSON that is nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        told = shortened(str(error), _REASON)
        raise RefusedError(400, f"not the JSON that was expected: {told}; see /openapi.json") from error
    if len(images) > most:  # before anything is made of each: there may be ten million
        raise _too_many(most)
    return [Upload("", image) if isinstance(image, bytes) else Upload(image.name, image.data) for image in images]


class _Parts:
    """Collects the files of a multipart body while a parser goes through it."""

    def __init__(self, most: int) -> None:
        self.uploads: list[Upload] = []
        self.ended = False
        self._most = most
        self._headers: list[tuple[bytes, bytes]] = []
        self._field, self._value = b"", b""
        self._name = ""
        self._data: list[bytes] = []

    def on_part_begin(self) -> None:
        self._headers, self._data = [], []
        if len(self.uploads) == self._most:
            raise _too_many(self._most)

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        self._headers.append((self._field.lower(), self._value))
        self._field, self._value = b"", b""

    def on_headers_finished(self) -> None:
        disposition = dict(self._headers).get(b"content-disposition", b"")
        _, options = parse_options_header(disposition)
        if b"filename" not in options:
            field = shortened(options.get(b"name", b"").decode("utf-8", "replace"))
            raise RefusedError(400, f"the field '{field}' is no file; expected files alone")
        self._name = options[b"filename"].decode("utf-8", "replace")

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._data.append(data[start:end])

    def on_part_end(self) -> None:
        self.uploads.append(Upload(self._name, b"".join(self._data)))

    def on_end(self) -> None:
        self.ended = True


def _multipart_images(body: bytes, boundary: bytes, most: int) -> list[Upload]:
    parts = _Parts(most)
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": parts.on_part_begin,
                "on_header_field": parts.on_header_field,
                "on_header_value": parts.on_header_value,
                "on_header_end": parts.on_header_end,
                "on_headers_finished": parts.on_headers_finished,
                "on_part_data": parts.on_part_data,
                "on_part_end": parts.on_part_end,
                "on_end": parts.on_end,
            },
        )
        parser.write(body)
    except FormParserError as error:
        raise RefusedError(400, f"not a multipart body: {shortened(str(error), _REASON)}") from error
    if not parts.ended:
        raise RefusedError(400, "the multipart body ends before its last boundary")
    return parts.uploads
