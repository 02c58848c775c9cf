"""A model whose scores are the mean colours of an image, and a server around it."""

import io
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette", reason="Starlette is not installed: pip install 'mlic[serve]'")

from starlette.testclient import TestClient

from mlic.serve import Limits, make_app
from mlic.squares import read_square_array


class Colours:
    """Red, green and blue as classes. Waits while `free` is not set; tells by `begun` that it was called."""

    name, engine, classes, image_size, at_most = "colours.onnx", "numpy", ("red", "green", "blue"), 8, None
    thresholds = np.array([0.5, 0.5, 0.5], np.float32)

    def __init__(self):
        self.free, self.begun, self.sizes = threading.Event(), threading.Event(), []
        self.free.set()

    def read(self, source: Path | bytes):
        return read_square_array(source, self.image_size)

    def __call__(self, images):
        self.begun.set()
        assert self.free.wait(20)
        self.sizes.append(len(images))
        return images.mean(axis=(2, 3), dtype=np.float32) / np.float32(255)


def _encoded(colour=(255, 128, 0), size=(12, 9), kind="PNG"):
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, kind)
    return file.getvalue()


def _form(*images):
    return [("images", (f"{number}.png", data, "image/png")) for number, data in enumerate(images)]


@pytest.fixture(scope="session")
def encoded():
    """Makes the bytes of an image of one colour."""
    return _encoded


@pytest.fixture(scope="session")
def form():
    """Makes the files of a request, as the test client takes them."""
    return _form


@pytest.fixture
def scorer():
    return Colours()


@pytest.fixture
def serving(scorer):
    """Makes clients of servers with limits of their own."""
    apps = []

    def make(explain=None, batch_size=4, num_lanes=1, names=None, **limits):
        lanes = {"num_lanes": num_lanes, "batch_size": batch_size}
        apps.append(make_app(scorer, **lanes, limits=Limits(**limits), explain=explain, names=names))
        return TestClient(apps[-1], raise_server_exceptions=False)

    yield make
    scorer.free.set()
    for app in apps:
        app.state.close()


@pytest.fixture
def client(serving):
    return serving()
