"""Bodies that are hostile, and clients that ask for too much."""

import base64
import struct
import threading
import zlib

import pytest

pytest.importorskip("starlette", reason="Starlette is not installed: pip install 'mlic[serve]'")

from starlette.requests import Request

from mlic.errors import UsageError
from mlic.serve import Limits
from mlic.serve.bodies import declared_length, parse_images
from mlic.serve.limits import RefusedError

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "multipart/form-data; boundary=x"}


def png(width, height, rows=0):
    """A PNG that says it has so many pixels, and has as many rows of them as are told, all black."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixels = zlib.compress(bytes((width + 1) * rows), 9)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_an_image_of_too_many_pixels_is_refused_by_its_header(serving, form, monkeypatch):
    client = serving(pixels=1_000_000)
    monkeypatch.setattr("mlic.squares.read_pixels", lambda *_: pytest.fail("it was decoded"))
    bomb = png(1001, 1000, rows=1000)
    assert len(bomb) < 2000
    for image, reason in (
        (bomb, "1001 by 1000 pixels; this server takes 1000000 at most"),
        (png(9000, 9000), "9000 by 9000 pixels; this server takes 1000000 at most"),
    ):
        answer = client.post("/predict", files=form(image))
        assert answer.status_code == 422
        assert answer.json()["predictions"][0]["error"] == reason


def test_dimensions_that_no_reader_takes(client, form):
    answer = client.post("/predict", files=form(png(2**31 - 1, 2**31 - 1)))
    assert answer.status_code == 422
    assert "limit" in answer.json()["predictions"][0]["error"]


def test_text_of_a_png_that_unpacks_to_much_is_no_danger(client, form, encoded):
    text = b"a\0\0" + zlib.compress(bytes(200_000_000), 9)
    chunk = struct.pack(">I", len(text)) + b"zTXt" + text + struct.pack(">I", zlib.crc32(b"zTXt" + text))
    image = encoded()
    answer = client.post("/predict", files=form(image[:33] + chunk + image[33:]))
    assert answer.status_code in (200, 422)
    assert client.post("/predict", files=form(image)).status_code == 200


@pytest.mark.parametrize(
    ("headers", "body", "status", "reason"),
    [
        ({}, b"x", 415, "Content-Type says nothing"),
        ({"Content-Type": "image/png"}, b"x", 415, "Content-Type says image/png"),
        ({"Content-Type": "text/" + "x" * 5000}, b"x", 415, "..."),
        (JSON, b"", 400, "not the JSON"),
        (JSON, b"{", 400, "not the JSON"),
        (JSON, b"\xff\xfe", 400, "not the JSON"),
        (JSON, b"[" * 100_000, 400, "JSON"),
        (JSON, b'{"images":' + b"[" * 100_000, 400, "JSON"),
        (JSON, b'{"images": []}', 400, "length >= 1"),
        (JSON, b'{"images": ["%%%"]}', 400, "base64"),
        (JSON, b'{"images": [7]}', 400, "$.images"),
        (JSON, b'{"images": [{"url": "http://example.com/a.png"}]}', 400, "url"),
        (JSON, b'{"images": [{"path": "/etc/passwd", "data": ""}]}', 400, "path"),
        (JSON, b'{"images": ["YQ==", "YQ==", "YQ=="]}', 413, "more than 2 images"),
        (JSON, b'{"images": ["YQ=="], "' + b"x" * 9000 + b'": 1}', 400, "x..."),
        ({"Content-Type": "multipart/form-data"}, b"x", 400, "boundary"),
        (FORM, b"", 400, "ends before"),
        (FORM, b"rubbish", 400, "not a multipart body"),
        (FORM, b"--x--\r\n", 400, ""),
        (FORM, b'--x\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\nabc', 400, "ends before"),
        (FORM, b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n/etc/passwd\r\n--x--\r\n', 400, "is no file"),
        (FORM, b"--x\r\n\r\nabc\r\n--x--\r\n", 400, "is no file"),
        (FORM, b'--x\r\nContent-Disposition: form-data; filename="a"\r\n\r\n\r\n' * 3 + b"--x--\r\n", 413, "2 images"),
        (JSON, b" " * 20_001, 413, "more than 20000 bytes"),
    ],
)
def test_a_malformed_request_is_told_what_is_wrong(serving, form, encoded, headers, body, status, reason):
    deep = body.startswith((b"[[", b'{"images":['))
    client = serving(images=2, body_bytes=200_000 if deep else 20_000)
    answer = client.post("/predict", content=body, headers=headers)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    assert reason in answer.json()["error"]
    assert len(answer.json()["error"]) < 300
    assert client.post("/predict", files=form(encoded())).status_code == 200


def test_a_body_of_no_declared_length_is_counted_as_it_comes(serving):
    client = serving(body_bytes=1000)
    answer = client.post("/predict", content=iter([b" " * 600] * 5), headers=JSON)
    assert answer.status_code == 413


def test_a_length_of_a_thousand_digits_is_none(client, form, encoded):
    answer = client.post("/predict", content=b"{}", headers={**JSON, "Content-Length": "9" * 5000})
    assert answer.status_code == 400


def test_a_length_that_chunks_belie_is_none():
    headers = [(b"content-length", b"5"), (b"transfer-encoding", b"chunked")]
    assert declared_length(Request({"type": "http", "headers": headers})) is None
    assert declared_length(Request({"type": "http", "headers": headers[:1]})) == 5


def test_nothing_is_made_of_images_that_are_too_many(monkeypatch):
    monkeypatch.setattr("mlic.serve.bodies.Upload", lambda *_: pytest.fail("something was made of it"))
    with pytest.raises(RefusedError, match="more than 3 images"):
        parse_images(b'{"images": ["", "", "", ""]}', "application/json", Limits(images=3))


def test_a_json_body_may_have_many_small_images(serving, encoded):
    images = [base64.b64encode(encoded()).decode()] * 64
    assert len(serving().post("/predict", json={"images": images}).json()["predictions"]) == 64


def waits(scorer, client, files):
    """Has a request wait in the model, and returns its thread and where its answer will be."""
    scorer.free.clear()
    answers = []
    thread = threading.Thread(target=lambda: answers.append(client.post("/predict", files=files)))
    thread.start()
    assert scorer.begun.wait(20)
    return thread, answers


def test_who_comes_when_it_is_full_is_told_to_come_back_and_nobody_else_is_troubled(scorer, serving, encoded, form):
    client = serving(requests=1)
    thread, answers = waits(scorer, client, form(encoded()))
    for _ in range(3):
        refused = client.post("/predict", files=form(encoded()))
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert refused.json() == {"error": "busy with 1 requests; come back later"}
    assert client.get("/health").status_code == 200
    scorer.free.set()
    thread.join()
    assert answers[0].status_code == 200
    assert client.post("/predict", files=form(encoded())).status_code == 200


def test_bodies_have_so_much_room_together(scorer, serving, encoded, form):
    client = serving(body_bytes=1000)
    thread, answers = waits(scorer, client, form(encoded()))
    # Of no declared length, so that it may have 1,000 bytes; 8,000 are there for all.
    pieces, go_on, threads = threading.Semaphore(0), threading.Event(), []

    def slowly():
        pieces.release()
        go_on.wait(20)
        yield b"{}"

    for _ in range(7):
        threads.append(
            threading.Thread(target=client.post, args=("/predict",), kwargs={"content": slowly(), "headers": JSON})
        )
        threads[-1].start()
    for _ in range(7):
        assert pieces.acquire(timeout=20)
    while "mlic_requests_at_once 8.0" not in client.get("/metrics").text:
        pass
    assert client.post("/predict", content=iter([b"{}"]), headers=JSON).status_code == 429
    go_on.set()
    scorer.free.set()
    for one in (thread, *threads):
        one.join()
    assert answers[0].status_code == 200


def test_what_takes_too_long_is_given_up_and_what_it_left_waiting_is_not_done(scorer, serving, encoded, form):
    client = serving(seconds=0.3, batch_size=1)
    thread, answers = waits(scorer, client, form(encoded(), encoded(), encoded()))
    thread.join()
    assert answers[0].status_code == 503
    assert answers[0].headers["retry-after"] == "5"
    scorer.free.set()
    assert client.post("/predict", files=form(encoded())).status_code == 200
    assert scorer.sizes == [1, 1]


@pytest.mark.parametrize(
    "wrong",
    [{"images": 0}, {"seconds": -1.0}, {"seconds": float("inf")}, {"seconds": float("nan")}, {"pixels": 200_000_000}],
)
def test_limits_have_a_range(wrong):
    with pytest.raises(UsageError, match=f"the limit of {next(iter(wrong))} is"):
        Limits(**wrong)
