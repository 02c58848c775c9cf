import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlic.cli import main
from mlic.datamodules.dataset import ImageDataset
from mlic.datamodules.image import ImageDataModule
from mlic.datamodules.sampling import Draw, EpochSampler, RepeatSampler, repeat_factors, showings
from mlic.errors import UsageError
from mlic.labels import LabelTable

FACTORS = np.array([1.0, 1.0, 2.5, 1.25, 3.0, 1.7, 1.0])
"""Of seven samples; their sum is 11.45."""


def table(labels) -> LabelTable:
    labels = np.asarray(labels)
    paths = [f"{row}.jpg" for row in range(len(labels))]
    return LabelTable.from_dense(paths, [f"c{column}" for column in range(labels.shape[1])], labels, root=Path())


def long_tail(samples=400, classes=6, seed=0):
    """A table whose class c is present in about 0.5 ** (c + 1) of the samples."""
    random = np.random.default_rng(seed)
    labels = (random.random((samples, classes)) < 0.5 ** np.arange(1, classes + 1)).astype(np.int8)
    labels[0] = 1
    return table(labels)


def shares(make, world, epoch):
    """The draws of each process."""
    drawn = []
    for rank in range(world):
        sampler = make(world, rank)
        sampler.set_epoch(epoch)
        draws = list(sampler)
        assert len(draws) == len(sampler)
        drawn.append(draws)
    return drawn


def repeating(factors=FACTORS, seed=0):
    return lambda world, rank: RepeatSampler(factors, world, rank, seed)


@pytest.fixture
def dataset(colours) -> ImageDataset:
    return ImageDataset(ImageDataModule(colours / "train.csv").table("train"), 16)


def test_the_order_depends_on_seed_and_epoch_and_every_sample_comes_once(dataset):
    def order(seed: int, epoch: int) -> list[int]:
        (draws,) = shares(lambda world, rank: EpochSampler(dataset, world, rank, seed=seed), 1, epoch)
        assert {(draw.epoch, draw.repeat) for draw in draws} == {(epoch, 0)}
        return [draw.index for draw in draws]

    assert sorted(order(0, 0)) == list(range(len(dataset)))
    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)


def test_a_class_below_the_threshold_has_the_square_root_of_threshold_by_share():
    labels = np.zeros((100, 3), np.int8)
    labels[:40, 0] = labels[:4, 1] = labels[3:4, 2] = 1
    factors = repeat_factors(table(labels), threshold=0.25)
    assert factors[3] == pytest.approx((0.25 / 0.01) ** 0.5)  # the rarest of its classes counts
    assert factors[:3] == pytest.approx([(0.25 / 0.04) ** 0.5] * 3)
    assert factors[4:].tolist() == [1.0] * 96  # frequent classes, and none at all


def test_a_class_at_the_threshold_is_not_repeated():
    labels = np.zeros((10, 1), np.int8)
    labels[:2] = 1
    assert repeat_factors(table(labels), threshold=0.2).tolist() == [1.0] * 10


def test_unlabelled_samples_count_nowhere_and_single_unknown_cells_as_not_present():
    labels = np.zeros((8, 2), np.int8)
    labels[:4, 0], labels[0, 1] = 1, 1
    labels[4:6, 1] = -1
    known = repeat_factors(table(labels), threshold=0.5)
    assert known[0] == pytest.approx((0.5 / (1 / 8)) ** 0.5)
    unlabelled = np.concatenate([labels, np.full((8, 2), -1, np.int8)])
    assert repeat_factors(table(unlabelled), threshold=0.5).tolist() == [*known, *[1.0] * 8]


def test_soft_labels_above_one_half_are_present():
    soft = np.zeros((4, 2), np.float32)
    soft[:, 0] = [0.6, 0.5, 0.4, 0.0]
    assert repeat_factors(table(soft), threshold=1.0).tolist() == [2.0, 1.0, 1.0, 1.0]


def test_a_class_without_positives_repeats_nothing():
    labels = np.array([[1, 0], [1, -1]], np.int8)
    assert repeat_factors(table(labels), threshold=1.0).tolist() == [1.0, 1.0]


def test_permuting_the_classes_changes_no_factor():
    whole = long_tail()
    names = list(reversed(whole.classes))
    assert repeat_factors(whole, 0.3).tolist() == repeat_factors(whole.align(names), 0.3).tolist()


def test_permuting_the_samples_permutes_the_factors():
    whole = long_tail()
    order = np.random.default_rng(1).permutation(len(whole))
    assert repeat_factors(whole.take(order), 0.3).tolist() == repeat_factors(whole, 0.3)[order].tolist()


@given(
    st.lists(st.floats(1, 20), min_size=1, max_size=30),
    st.integers(0, 2**32 - 1),
    st.integers(0, 1000),
)
def test_a_factor_is_rounded_up_or_down_and_the_sum_is_that_of_the_factors_rounded(factors, seed, epoch):
    factors = np.array(factors)
    times = showings(factors, seed, epoch)
    assert times.sum() == pytest.approx(factors.sum(), abs=0.5 + 1e-9)
    assert ((times == np.floor(factors)) | (times == np.ceil(factors))).all()


@pytest.mark.parametrize(
    "factors",
    [FACTORS, FACTORS + 0.0125, np.full(40, 1.1), np.full(9, 1.9), np.array([1.4]), np.array([1.6, 1.95]), np.ones(3)],
    ids=str,
)
def test_all_epochs_have_one_length(factors):
    lengths = {int(showings(factors, 0, epoch).sum()) for epoch in range(200)}
    assert lengths == {round(factors.sum())}
    assert len(RepeatSampler(factors, 1, 0, 0)) == round(factors.sum())


def test_over_many_epochs_a_sample_is_shown_as_often_as_its_factor_says():
    factors = repeat_factors(long_tail(), 0.2)
    epochs = 2000
    mean = sum(showings(factors, 5, epoch) for epoch in range(epochs)) / epochs
    # 0.5 / epochs ** 0.5 is the standard deviation of what is rounded at even odds; and the rounding of the sum.
    uneven = np.count_nonzero(factors % 1)
    assert np.abs(mean - factors).max() < 5 * 0.5 / epochs**0.5 + 0.5 / uneven
    assert mean.sum() == pytest.approx(factors.sum(), abs=0.5)


def test_a_class_is_shown_in_a_greater_share_of_the_epoch_than_of_the_table():
    whole = long_tail()
    factors = repeat_factors(whole, 0.2)
    labels = whole.dense()
    rarest = labels[:, -1].mean()
    shown = sum((showings(factors, 0, epoch)[:, None] * labels).sum(0)[-1] for epoch in range(50)) / 50
    assert shown / factors.sum() > 1.5 * rarest


def test_every_sample_is_shown_in_every_epoch():
    factors = repeat_factors(long_tail(), 0.2)
    assert all(showings(factors, 0, epoch).min() >= 1 for epoch in range(50))


def test_what_is_rounded_up_depends_on_seed_and_epoch_alone():
    factors = np.full(50, 1.5)
    assert showings(factors, 0, 0).tolist() == showings(factors, 0, 0).tolist()
    assert showings(factors, 0, 0).tolist() != showings(factors, 0, 1).tolist()
    assert showings(factors, 0, 0).tolist() != showings(factors, 1, 0).tolist()


def test_neighbours_are_rounded_up_independently():
    factors = np.full(40, 1.5)
    epochs = np.stack([showings(factors, 0, epoch) for epoch in range(1000)]) - 1
    together = (epochs[:, :-1] * epochs[:, 1:]).mean(0)
    assert np.abs(together - 0.25).max() < 0.08


@pytest.mark.parametrize("world", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("epoch", [0, 7])
def test_the_shares_of_the_processes_are_disjoint_and_complete(world, epoch):
    drawn = shares(repeating(), world, epoch)
    (whole,) = shares(repeating(), 1, epoch)
    assert len(whole) == len(set(whole)) == 11
    assert {len(draws) for draws in drawn} == {-(-11 // world)}
    together = Counter(draw for draws in drawn for draw in draws)
    assert set(together) == set(whole)
    assert sum(together.values()) - len(whole) == -11 % world  # the padding that gives each as many


def test_a_sample_shown_again_is_another_draw():
    (draws,) = shares(repeating(), 1, 3)
    of_fifth = sorted(draw for draw in draws if draw.index == 4)
    assert of_fifth == [Draw(3, 4, 0), Draw(3, 4, 1), Draw(3, 4, 2)]


def test_the_order_of_repeated_samples_depends_on_seed_and_epoch():
    orders = [shares(repeating(seed=seed), 1, epoch)[0] for seed, epoch in ((0, 0), (0, 0), (0, 1), (9, 0))]
    orders = [[draw.index for draw in draws] for draws in orders]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]
    assert orders[0] != orders[3]


@pytest.mark.parametrize(("batch_size", "sizes"), [(4, [4, 4]), (5, [5, 4]), (8, [8]), (16, [9])])
def test_a_single_sample_left_over_by_repeats_is_dropped(batch_size, sizes, tmp_path, colours):
    # Seven images, the class present in one: its factor is sqrt(1 / (1 / 7)) = 2.65, and an epoch has 6 + 2.65 = 9.
    rows = [f"{colours}/images/{number:03}.jpg,{int(number == 0)}" for number in range(7)]
    train = tmp_path / "train.csv"
    train.write_text("\n".join(["image,cat", *rows]) + "\n")
    data = ImageDataModule(train, None, image_size=8, batch_size=batch_size, num_workers=0, repeat_threshold=1.0)
    loader = data.train_dataloader()
    assert len(loader) == len(sizes)
    assert [len(batch.images) for batch in loader] == sizes


def test_the_log_tells_the_length_of_an_epoch_and_the_greatest_factor(colours, caplog):
    data = ImageDataModule(colours / "train.csv", None, image_size=8, num_workers=0, repeat_threshold=1.0)
    with caplog.at_level("INFO"):
        loader = data.train_dataloader()
    factors = repeat_factors(data.table("train"), 1.0)
    (line,) = [record.getMessage() for record in caplog.records if "an epoch shows" in record.getMessage()]
    assert line == (
        f"train: an epoch shows the 32 images {len(loader.sampler)} times in all, those with a class that is in less "
        f"than 100 % of them up to {factors.max():.1f} times (repeat_threshold)"
    )


def test_evaluation_repeats_nothing_and_the_counts_are_those_of_the_table(colours):
    data = ImageDataModule(colours / "train.csv", colours / "val.csv", image_size=8, repeat_threshold=1.0)
    plain = ImageDataModule(colours / "train.csv", None)
    assert data.class_counts == plain.class_counts
    assert len(data.val_dataloader().dataset) == 16
    assert not isinstance(data.val_dataloader().sampler, EpochSampler)


@pytest.mark.parametrize("threshold", [0.0, -0.1, 1.5, float("nan")])
def test_a_threshold_that_is_no_share_is_refused(threshold, colours):
    with pytest.raises(UsageError, match=f"repeat_threshold is {threshold}; expected a share of the training samples"):
        ImageDataModule(colours / "train.csv", repeat_threshold=threshold)


def test_overfitting_on_a_few_batches_says_that_nothing_is_repeated(small, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["--data.repeat_threshold", "0.9", "--trainer.overfit_batches", "2", "--trainer.max_epochs", "1"]
    assert main(["fit", *small, *words]) == 0
    said = capsys.readouterr().err
    assert "data.repeat_threshold does nothing" in said
    assert "times in all" not in said


RECORDING = """
import json
from mlic.datamodules.image import ImageDataModule
class Recording(ImageDataModule):
    def on_before_batch_transfer(self, batch, dataloader_idx):
        if self.trainer.training:
            with open(f"rank{self.trainer.global_rank}.jsonl", "a") as stream:
                stream.write(json.dumps([self.trainer.current_epoch, batch.index.tolist()]) + "\\n")
        return super().on_before_batch_transfer(batch, dataloader_idx)
"""


@pytest.mark.slow
def test_two_processes_of_lightning_share_an_epoch_of_repeats(small, tmp_path, colours):
    (tmp_path / "recording.py").write_text(RECORDING)
    words = [*small[: small.index("--trainer.devices")], "--trainer.devices", "2", "--data", "recording.Recording"]
    words += ["--data.repeat_threshold", "1.0", "--data.mixing.mixup", "0.2", "--data.batch_size", "6"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-m", "mlic", "fit", *words],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    factors = repeat_factors(ImageDataModule(colours / "train.csv", None).table("train"), 1.0)
    for rank in range(2):
        lines = [json.loads(line) for line in (tmp_path / f"rank{rank}.jsonl").read_text().splitlines()]
        for epoch in range(2):
            seen = [index for of_epoch, indices in lines if of_epoch == epoch for index in indices]
            expected = [draw.index for draw in shares(repeating(factors), 2, epoch)[rank]]
            assert seen == expected
