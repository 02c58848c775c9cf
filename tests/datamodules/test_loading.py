import os

import pytest
import torch

from mlic.datamodules import loading
from mlic.datamodules.dataset import ImageDataset, Sample
from mlic.datamodules.image import ImageDataModule
from mlic.datamodules.loading import batches, default_num_workers
from mlic.labels import LabelTable


@pytest.mark.parametrize("num_workers", [0, 1])
def test_loading_draws_nothing_from_the_global_generator(num_workers, colours):
    dataset = ImageDataset(ImageDataModule(colours / "train.csv").table("train"), 16)
    loader = batches(dataset, None, 8, num_workers, drop_last=False)
    before = torch.get_rng_state()
    for _ in range(2):
        assert sum(len(batch.images) for batch in loader) == len(dataset)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("cores", "workers"), [(1, 0), (2, 1), (3, 1), (4, 2), (64, 8)])
def test_the_default_number_of_workers_leaves_half_of_the_cores(cores, workers, monkeypatch):
    monkeypatch.setattr(loading, "available_cores", lambda: cores)
    assert default_num_workers() == workers


def test_workers_stay_between_epochs_and_each_computes_with_one_thread(tmp_path):
    class Telling(ImageDataset):
        def __getitem__(self, key):
            pixels = torch.full((3, 1, 1), torch.get_num_threads(), dtype=torch.uint8)
            return Sample(os.getpid(), torch.zeros(1), pixels)

    table = LabelTable.from_present(["a.png", "b.png"], ("a",), [["a"]] * 2, root=tmp_path)
    loader = batches(Telling(table, 1), None, 1, 1, drop_last=False)
    told = [(int(batch.index), int(batch.images[0, 0, 0, 0])) for _ in range(2) for batch in loader]
    assert len(set(told)) == 1
    assert told[0][0] != os.getpid()
    assert told[0][1] == 1


def test_memory_is_pinned_for_a_gpu_alone(tmp_path, monkeypatch):
    table = LabelTable.from_present(["a.png"], ("a",), [["a"]], root=tmp_path)
    for is_there in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda is_there=is_there: is_there)
        assert batches(ImageDataset(table, 1), None, 1, 0, drop_last=False).pin_memory == is_there
