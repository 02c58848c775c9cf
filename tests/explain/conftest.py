"""A classifier that sees nothing but colours, so that where it sees them is known."""

from collections.abc import Callable

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from mlic.backbones.base import Backbone
from mlic.classifier import MultiLabelClassifier
from mlic.heads import Head, LinearHead

CLASSES = ("red", "green", "blue")


class Colourful(Backbone):
    """Of each block of 8 x 8 pixels, how much redder, greener and bluer it is than the other two colours."""

    num_features = 3
    image_size = 64
    mean = (0.0, 0.0, 0.0)
    std = (1.0, 1.0, 1.0)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch features h w"]:
        blocks = torch.nn.functional.avg_pool2d(images, 8)
        others = (blocks.sum(dim=1, keepdim=True) - blocks) / 2
        return (blocks - others - 0.1).relu()


@pytest.fixture
def colourful() -> Callable[..., MultiLabelClassifier]:
    """Makes a classifier of colours with a head, whose weights the test sets."""

    def make(head: Callable[[int, int], Head] = LinearHead) -> MultiLabelClassifier:
        torch.manual_seed(0)
        return MultiLabelClassifier(CLASSES, backbone=Colourful, head=head).eval()

    return make
