"""Many clients at once against `mlic serve`: what is lost, how long answers take, and whether memory grows.

    python tools/benchmark_serve.py --ckpt_path best.ckpt
    python tools/benchmark_serve.py --ckpt_path best.ckpt --seconds 20 --max_requests 8

Each client sends one drawn scene, waits for the answer and sends the next one; one that is told to come back (429) does
so after a moment. The second line lets in fewer than there are clients, so that some are always turned away.
"""

import argparse
import collections
import http.client
import io
import json
import random
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mlic.scenes import draw_scene
from mlic.tables import text_table

_SCENES = 16
_PAUSE = 0.05  # seconds that a client waits that was turned away


class Asked(NamedTuple):
    """One request.

    Attributes:
        status: of HTTP; 0 if there was no answer.
        seconds: until the answer was there.
    """

    status: int
    seconds: float


def main() -> None:
    """Starts a server, lets clients ask it, and prints what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ckpt_path", type=Path, required=True)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--max_requests", type=int, default=64, help="that the server lets in at once")
    parser.add_argument("--size", type=int, default=384, help="of the scenes, in pixels")
    said = parser.parse_args()
    bodies = [_body(number, said.size) for number in range(_SCENES)]
    command = [sys.executable, "-m", "mlic", "serve", "--ckpt_path", str(said.ckpt_path), "--port", "0", "--json"]
    command += ["--max_requests", str(said.max_requests)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            port = int(json.loads(server.stdout.readline())["url"].rstrip("/").rpartition(":")[2])  # type: ignore[union-attr]
            _asks(port, bodies, time.monotonic() + min(5.0, said.seconds), 0)  # what is made once is there
            asked, memory = _measure(port, bodies, said.clients, said.seconds)
        finally:
            server.terminate()
    _tell(asked, memory, said.seconds)


def _body(number: int, size: int) -> bytes:
    file = io.BytesIO()
    draw_scene(random.Random(number), size)[0].save(file, "JPEG", quality=90)
    head = b'--x\r\nContent-Disposition: form-data; name="images"; filename="scene.jpg"\r\n\r\n'
    return head + file.getvalue() + b"\r\n--x--\r\n"


def _measure(port: int, bodies: list[bytes], clients: int, seconds: float) -> tuple[list[Asked], list[float]]:
    """Returns what came of all requests, and the memory of the server in MB, looked at each second."""
    end = time.monotonic() + seconds
    asked: list[Asked] = []
    memory: list[float] = []

    def client(number: int) -> None:
        asked.extend(_asks(port, bodies, end, number))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    while time.monotonic() < end:
        memory.append(_memory(port))
        time.sleep(1)
    for thread in threads:
        thread.join()
    return asked, memory


def _asks(port: int, bodies: list[bytes], end: float, number: int) -> list[Asked]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    asked: list[Asked] = []
    while (begin := time.monotonic()) < end:
        try:
            connection.request("POST", "/predict", bodies[(number + len(asked)) % len(bodies)], headers)
            answer = connection.getresponse()
            answer.read()
            asked.append(Asked(answer.status, time.monotonic() - begin))
            if answer.status == 429:
                time.sleep(_PAUSE)
        except (OSError, http.client.HTTPException):
            asked.append(Asked(0, time.monotonic() - begin))
            connection.close()
    return asked


def _memory(port: int) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("GET", "/metrics")
    found = re.search(r"^process_resident_memory_bytes (\S+)", connection.getresponse().read().decode(), re.MULTILINE)
    connection.close()
    return float(found[1]) / 1e6 if found else float("nan")


def _tell(asked: list[Asked], memory: list[float], seconds: float) -> None:
    counts = collections.Counter(one.status for one in asked)
    times = np.array([one.seconds for one in asked if one.status == 200])
    quarter = max(1, len(memory) // 4)
    print(text_table(["status", "requests"], [[str(status or "lost"), counts[status]] for status in sorted(counts)]))
    if len(times):
        print(f"{len(times) / seconds:.1f} images per second")
        shares = (50, 90, 99, 100)
        print("latency, ms: " + ", ".join(f"p{share} {1000 * np.percentile(times, share):.0f}" for share in shares))
    print(f"memory, MB: first quarter {max(memory[:quarter]):.0f}, last quarter {max(memory[-quarter:]):.0f}")


if __name__ == "__main__":
    main()
