from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from mlic.labels import Strings
from mlic.scored import Scored
from mlic.thresholds import Decisions

CLASSES = ("cat", "dog", "x & <y>", "a|b", "never")


def drawn_images(folder, number):
    """Draws small pictures, each another."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(number):
        colour = (index * 37 % 256, index * 91 % 256, index * 53 % 256)
        Image.new("RGB", (40 + index % 5, 30), colour).save(folder / f"{index:03}.jpg", quality=90)
    return [f"{index:03}.jpg" for index in range(number)]


def random_scored(root, samples=60, classes=CLASSES, seed=0, name="model"):
    """Scores that are better than chance, some unknown labels, and a last class without a positive."""
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(samples, len(classes), generator=torch.Generator().manual_seed(7)) < 0.35).to(torch.int8)
    logits = 2 * torch.randn(samples, len(classes), generator=generator) + 3 * labels - 2
    labels[torch.rand(labels.shape, generator=torch.Generator().manual_seed(8)) < 0.1] = -1
    labels[labels[:, -1] == 1, -1] = 0
    labels[0] = -1
    paths = Strings(f"{index:03}.jpg" for index in range(samples))
    return Scored(name, classes, paths, root, logits, labels, Decisions.plain(len(classes)), {"backbone": "none"})


@pytest.fixture(scope="session")
def images(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    drawn_images(folder, 60)
    return folder


@pytest.fixture(scope="session")
def better(scored) -> Scored:
    """The same samples, and a model that is surer of what is present."""
    return replace(scored, name="better", logits=scored.logits + 3 * (scored.labels == 1))


@pytest.fixture(scope="session")
def scored(images) -> Scored:
    return random_scored(images)
