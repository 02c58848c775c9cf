import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mlic.datamodules.augmentation import Augmentation
from mlic.datamodules.dataset import ImageDataset, collate
from mlic.datamodules.sampling import Draw
from mlic.images import read_image, read_square, squash
from mlic.labels import LabelTable

OFF = Augmentation(flip=False)


def table(folder, names):
    return LabelTable.from_present(names, ("a",), [["a"]] * len(names), root=Path(folder))


@pytest.fixture
def large(tmp_path):
    """A table of one picture that is large enough to be decoded at a quarter for a square of 20 pixels."""
    rows, columns = np.mgrid[0:240, 0:320]
    waves = 128 + 50 * np.sin(rows / 31) + 40 * np.cos(columns / 17 + rows / 45)
    pixels = np.stack([waves, waves[::-1], waves[:, ::-1]], axis=-1) + np.random.default_rng(0).normal(
        0, 4, (1, 320, 3)
    )
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(tmp_path / "a.jpg", quality=92)
    return table(tmp_path, ["a.jpg"])


def test_evaluation_and_training_without_augmentation_read_the_same_square(large):
    square = read_square(large.path(0), 20)
    assert torch.equal(ImageDataset(large, 20)[0].image, square)
    assert torch.equal(ImageDataset(large, 20, OFF)[0].image, square)


@pytest.mark.parametrize("augmentation", [OFF, Augmentation(), Augmentation(crop_scale=0.35)], ids=repr)
def test_a_window_of_a_reduced_image_is_that_of_the_whole_one(augmentation, large):
    whole = read_image(large.path(0))
    for seed in range(20):
        dataset = ImageDataset(large, 20, augmentation, seed)
        expected = augmentation.augment(whole, 20, dataset._seed(Draw(0, 0)))
        difference = (dataset[0].image.int() - expected.int()).abs()
        # A window begins at a whole pixel, of either image.
        assert difference.float().mean() <= (1 if augmentation.smallest_share == 1 else 4)


@pytest.mark.parametrize("crop_scale", [None, 0.9, 0.35, 0.05])
def test_the_smaller_the_window_may_be_the_less_an_image_is_reduced(crop_scale, large, monkeypatch):
    heights = []

    def augment(self, image, size, seed):
        heights.append(image.shape[1])
        return squash(image, size)

    monkeypatch.setattr(Augmentation, "augment", augment)
    augmentation = Augmentation(crop_scale=crop_scale)
    ImageDataset(large, 20, augmentation)[0]
    assert heights[0] == {None: 60, 0.9: 60, 0.35: 120, 0.05: 240}[crop_scale]
    assert heights[0] * augmentation.smallest_share >= 2 * 20


def test_an_unreadable_image_is_a_sample_with_an_error(tmp_path):
    file = io.BytesIO()
    Image.new("RGB", (400, 400)).save(file, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(file.getvalue()[:-2])
    Image.new("RGB", (4, 4)).save(tmp_path / "good.png")
    rows = table(tmp_path, ["cut.jpg", "good.png", "missing.jpg"])
    for augmentation in (None, OFF, Augmentation()):
        dataset = ImageDataset(rows, 8, augmentation)
        batch = collate([dataset[row] for row in range(3)])
        assert batch.index.tolist() == [1]
        assert [row for row, _ in batch.errors] == [0, 2]
        assert "truncated JPEG" in batch.errors[0][1]
        assert "no such file" in batch.errors[1][1]
