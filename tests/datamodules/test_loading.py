import os

import pytest
import torch

from mlic.datamodules.dataset import ImageDataset
from mlic.datamodules.image import ImageDataModule
from mlic.datamodules.loading import batches, default_num_workers


@pytest.mark.parametrize("num_workers", [0, 1])
def test_loading_draws_nothing_from_the_global_generator(num_workers, colours):
    dataset = ImageDataset(ImageDataModule(colours / "train.csv").table("train"), 16)
    loader = batches(dataset, None, 8, num_workers, drop_last=False)
    before = torch.get_rng_state()
    for _ in range(2):
        assert sum(len(batch.images) for batch in loader) == len(dataset)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_default_number_of_workers_leaves_half_of_the_cores():
    assert 0 <= default_num_workers() <= (os.cpu_count() or 1) // 2
