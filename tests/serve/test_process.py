"""One real process on a free port: the scores of `Predictor`, clients that misbehave, and an end that finishes."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install 'mlic[serve]'")

from mlic.backbones.timm import TimmBackbone
from mlic.classifier import MultiLabelClassifier
from mlic.cli import main
from mlic.predict import Predictor

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    network = MultiLabelClassifier(
        ["red", "green", "blue"], backbone=lambda: TimmBackbone("test_resnet", weights="none", image_size=32)
    )
    network.thresholds.copy_(torch.tensor([0.4, 0.5, 0.6]))
    saved = {"state_dict": network.state_dict()}
    network.on_save_checkpoint(saved)
    path = tmp_path_factory.mktemp("model") / "best.ckpt"
    torch.save(saved, path)
    return path


@pytest.fixture(scope="module")
def exported(checkpoint):
    """The same model without torch."""
    path = checkpoint.with_name("model.onnx")
    assert main(["export", "--ckpt_path", str(checkpoint), "--output", str(path)]) == 0
    return path


class Process:
    """`mlic serve` in a process of its own."""

    def __init__(self, checkpoint, *words):
        command = [sys.executable, "-m", "mlic", "serve", "--ckpt_path", str(checkpoint), "--port", "0", *words]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [*command, "--json"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        self.said = json.loads(line)
        self.port = int(self.said["url"].rstrip("/").rpartition(":")[2])

    def ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()

    def predict(self, *files):
        parts = [
            b'--xyz\r\nContent-Disposition: form-data; name="images"; filename="%b"\r\n\r\n%b\r\n' % (name, data)
            for name, data in files
        ]
        headers = {"Content-Type": "multipart/form-data; boundary=xyz"}
        status, body = self.ask("POST", "/predict", b"".join(parts) + b"--xyz--\r\n", headers)
        return status, json.loads(body)

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        _, told = self.process.communicate(timeout=60)
        return self.process.returncode, told


@pytest.fixture(scope="module")
def server(checkpoint):
    process = Process(checkpoint)
    yield process
    process.end()


@pytest.fixture(scope="module")
def without_torch(exported):
    process = Process(exported)
    yield process
    process.end()


@pytest.mark.parametrize("kind", ["server", "without_torch"])
def test_the_scores_are_those_of_the_predictor(kind, request, checkpoint, colours):
    paths = sorted((colours / "images").iterdir())[:20]
    expected = Predictor(checkpoint).predict(paths)
    server = request.getfixturevalue(kind)
    status, told = server.predict(*((path.name.encode(), path.read_bytes()) for path in paths))
    assert status == 200
    for one, path, prediction in zip(told["predictions"], paths, expected, strict=True):
        assert one["name"] == path.name
        assert one["labels"] == list(prediction.labels)
        assert one["scores"] == pytest.approx(prediction.scores, abs=1e-4)
    assert told["thresholds"] == pytest.approx({"red": 0.4, "green": 0.5, "blue": 0.6})


def test_an_exported_model_needs_no_torch_and_has_no_heat_maps(without_torch):
    assert not json.loads(without_torch.ask("GET", "/classes")[1])["explains"]
    loaded = Path(f"/proc/{without_torch.process.pid}/maps")
    if not loaded.is_file():
        pytest.skip("this system does not tell which libraries a process has loaded")
    libraries = loaded.read_text(encoding="utf-8")
    assert "onnxruntime" in libraries
    assert "libtorch" not in libraries


def test_a_heat_map_is_a_picture(server, colours):
    image = (colours / "images" / "003.jpg").read_bytes()
    part = b'--xyz\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n%b\r\n--xyz--\r\n' % image
    headers = {"Content-Type": "multipart/form-data; boundary=xyz"}
    status, picture = server.ask("POST", "/explain?class=green", part, headers)
    assert (status, picture[:4]) == (200, b"\x89PNG")


def test_a_body_of_100_mb_is_refused_and_the_client_sees_why(server, encoded):
    pieces = (bytes(1_000_000) for _ in range(100))  # sent in chunks, without a length
    for body in (bytes(100_000_000), pieces):
        status, told = server.ask("POST", "/predict", body, {"Content-Type": "application/json"})
        assert status == 413
        assert b"32000000 bytes" in told
    assert server.predict((b"a.png", encoded()))[0] == 200


def test_good_requests_go_on_beside_hostile_ones(server, encoded):
    bad = [b"hello", encoded(kind="JPEG")[:-20], b"", encoded()[:20], b"\xff\xd8\xff" * 1000]
    found = []

    def ask(number):
        data = bad[number % len(bad)] if number % 2 else encoded()
        found.append((number % 2, *server.predict((b"a.png", data))))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted((kind, status) for kind, status, _ in found) == [(0, 200)] * 10 + [(1, 422)] * 10
    assert all(told["predictions"][0]["error"] for kind, _, told in found if kind)


def test_what_is_no_http_is_400(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(b"hello\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400")


def test_a_server_of_this_machine_alone_has_no_other_name(server):
    assert server.ask("GET", "/health", headers={"Host": f"localhost:{server.port}"})[0] == 200
    assert server.ask("GET", "/health", headers={"Host": f"cats.example:{server.port}"})[0] == 421


def test_headers_without_end_are_cut_off(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
        told = b""
        try:
            for _ in range(100):
                connection.sendall(b"A: " + b"a" * 10_000 + b"\r\n")
            told = connection.recv(100)
        except ConnectionError:
            return
    assert not told or told.startswith(b"HTTP/1.1 4")


def test_clients_that_go_away_hold_nothing(server, encoded):
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
            connection.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc")
    while b"mlic_requests_at_once 0.0" not in server.ask("GET", "/metrics")[1]:
        time.sleep(0.01)
    assert server.predict((b"a.png", encoded()))[0] == 200


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=20).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_end_finishes_what_was_begun_and_takes_nothing_new(exported, encoded, number, code):
    server = Process(exported)
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    body = b'--x\r\nContent-Disposition: form-data; filename="a"\r\n\r\n%b\r\n--x--\r\n' % encoded()
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body[:10])
        while b"mlic_requests_at_once 1.0" not in server.ask("GET", "/metrics")[1]:
            time.sleep(0.01)
        server.process.send_signal(number)
        while answers(server.port):
            time.sleep(0.01)
        connection.sendall(body[10:])
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 200")
    assert b'"labels"' in answer
    _, told = server.process.communicate(timeout=60)
    assert server.process.returncode == code
    assert "Traceback" not in told


def test_an_address_that_somebody_has_is_told_before_a_model_is_loaded(server, capsys, tmp_path):
    assert main(["serve", "--ckpt_path", str(tmp_path / "no.ckpt"), "--port", str(server.port)]) == 2
    assert "in use; name another with --port" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--port", "65536"], "--port is 65536; expected 1 to 65535"),
        (["--port", "-1"], "--port is -1"),
        (["--max_body_mb", "nan"], "--max_body_mb is nan"),
        (["--max_body_mb", "inf"], "--max_body_mb is inf"),
        (["--timeout", "inf"], "the limit of seconds is inf"),
        (["--batch_size", "0"], "--batch_size is 0"),
    ],
)
def test_a_number_out_of_its_range_is_told(words, reason, capsys, tmp_path):
    assert main(["serve", "--ckpt_path", str(tmp_path / "no.ckpt"), *words]) == 2
    assert reason in capsys.readouterr().err


def test_an_address_of_another_machine_and_a_file_that_is_not_there(capsys, tmp_path):
    missing = ["serve", "--ckpt_path", str(tmp_path / "no.ckpt"), "--port", "0"]
    assert main([*missing, "--host", "192.0.2.1"]) == 2
    assert "192.0.2.1" in capsys.readouterr().err
    assert main(missing) == 2
    assert "no.ckpt" in capsys.readouterr().err
