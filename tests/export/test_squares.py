import numpy as np
import onnxruntime
import pytest
import torch

from mlic.export.squares import square_model, unbranched_square_model
from mlic.images import squash

SHAPES = [(1, 1), (1, 500), (375, 500), (64, 64), (64, 90), (30, 64), (800, 33), (1001, 997), (2, 3)]


@pytest.mark.parametrize("model", [square_model, unbranched_square_model])
@pytest.mark.parametrize("side", [1, 64, 97])
def test_the_squash_of_the_graph_is_that_of_torch_to_the_bit(model, side):
    session = onnxruntime.InferenceSession(model(side).SerializeToString())
    random = np.random.default_rng(side)
    for height, width in SHAPES:
        images = random.integers(0, 256, (2, 3, height, width)).astype(np.uint8)
        (found,) = session.run(None, {"images": images})
        wanted = np.stack([squash(torch.from_numpy(image), side).numpy() for image in images])
        assert np.array_equal(found, wanted), (height, width)
