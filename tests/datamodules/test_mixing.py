import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from hypothesis import given
from hypothesis import strategies as st
from jsonargparse import ArgumentParser

from mlic.backbones.timm import TimmBackbone
from mlic.classifier import MultiLabelClassifier
from mlic.cli import main
from mlic.datamodules.base import Batch
from mlic.datamodules.image import ImageDataModule
from mlic.datamodules.mixing import Mixing, mixed_labels, tell_lost
from mlic.errors import UsageError
from mlic.labels import LabelTable
from mlic.losses.bce import BCELoss

EACH = [Mixing(mixup=0.2), Mixing(mixup=1.0), Mixing(cutmix=1.0), Mixing(mixup=0.2, cutmix=1.0)]
LABELS = st.sampled_from([-1.0, 0.0, 0.3, 1.0])


def make_batch(size=4, side=16, seed=0):
    """Noise, in which each image has a class of its own and a last class is unknown."""
    random = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (size, 3, side, side), dtype=torch.uint8, generator=random)
    labels = torch.cat([torch.eye(size), torch.full((size, 1), -1.0)], 1).to(torch.int8)
    return Batch(images, labels, torch.arange(size) + 10, ((3, "broken"),))


def mixes(mixing, batch, seeds=200):
    for seed in range(seeds):
        torch.manual_seed(seed)
        yield mixing.mix(batch)


def share_of(mixed):
    """The share of each image in its mixture, by the classes of `make_batch`."""
    return float(mixed.labels[0, 0])


def before(images):
    return torch.cat([images[-1:], images[:-1]])


def test_nothing_is_mixed_by_default():
    batch = make_batch()
    assert not Mixing().is_on
    assert Mixing() == Mixing(mixup=0.0, cutmix=0.0)
    state = torch.get_rng_state()
    assert Mixing().mix(batch) is batch
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("mixing", EACH, ids=repr)
def test_a_mixed_batch_is_a_batch_of_bytes_and_float_labels(mixing):
    batch = make_batch()
    mixed = mixing.mix(batch)
    assert isinstance(mixed, Batch)
    assert (mixed.images.dtype, mixed.images.shape) == (torch.uint8, batch.images.shape)
    assert (mixed.labels.dtype, mixed.labels.shape) == (torch.float32, batch.labels.shape)
    assert torch.equal(mixed.index, batch.index)
    assert mixed.errors == batch.errors


@pytest.mark.parametrize("mixing", EACH, ids=repr)
def test_the_batch_itself_is_not_changed(mixing):
    batch = make_batch()
    for _ in mixes(mixing, batch, 10):
        assert torch.equal(batch.images, make_batch().images)
        assert torch.equal(batch.labels, make_batch().labels)


@pytest.mark.parametrize("mixing", EACH, ids=repr)
def test_a_seed_gives_one_mixture_and_other_seeds_give_others(mixing):
    first, again = list(mixes(mixing, make_batch(), 10)), list(mixes(mixing, make_batch(), 10))
    assert all(torch.equal(one.images, other.images) for one, other in zip(first, again, strict=True))
    assert all(torch.equal(one.labels, other.labels) for one, other in zip(first, again, strict=True))
    assert len({share_of(mixed) for mixed in first}) > 5


@pytest.mark.parametrize("mixing", EACH, ids=repr)
@pytest.mark.parametrize("size", [0, 1])
def test_an_empty_batch_and_a_single_image_stay_as_they_are(mixing, size):
    batch = make_batch(size)
    mixed = mixing.mix(batch)
    assert torch.equal(mixed.images, batch.images)
    assert torch.equal(mixed.labels, batch.labels.float())
    assert mixed.labels.dtype == torch.float32


@pytest.mark.parametrize("mixing", EACH, ids=repr)
@pytest.mark.parametrize("size", [2, 3, 5, 8])
def test_the_known_labels_of_a_batch_keep_their_sum_in_batches_of_any_size(mixing, size):
    for mixed in mixes(mixing, make_batch(size), 20):
        known = mixed.labels[:, :-1]
        assert known.sum(0) == pytest.approx(torch.ones(size).tolist())
        assert known.sum(1) == pytest.approx(torch.ones(size).tolist())
        assert (mixed.labels[:, -1] == -1).all()


def test_mixup_blends_each_image_with_the_one_before_it_by_the_share_of_the_labels():
    batch = make_batch(5)
    for mixed in mixes(Mixing(mixup=1.0), batch, 50):
        share = share_of(mixed)
        blended = share * batch.images.double() + (1 - share) * before(batch.images).double()
        assert (mixed.images.double() - blended).abs().max() <= 0.501
        assert torch.equal(mixed.labels[:, :5], share * torch.eye(5) + (1 - share) * before(torch.eye(5)))


def test_a_blend_is_rounded_and_not_cut_off():
    images = torch.tensor([0, 3], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 8, 8)
    batch = Batch(images, torch.eye(2), torch.arange(2))
    for mixed in mixes(Mixing(mixup=1.0), batch, 50):
        share = share_of(mixed)
        assert abs(int(mixed.images[1, 0, 0, 0]) - 3 * share) <= 0.501


def test_cutmix_mixes_labels_by_the_area_that_is_really_pasted():
    levels = torch.arange(3, dtype=torch.uint8).view(3, 1, 1, 1).expand(3, 3, 13, 17)
    batch = Batch(levels, torch.eye(3), torch.arange(3))
    shares = []
    for mixed in mixes(Mixing(cutmix=1.0), batch):
        own = mixed.images == levels
        assert torch.equal(own | (mixed.images == before(levels)), torch.ones_like(own))
        assert own.float().mean((1, 2, 3)) == pytest.approx(mixed.labels.diagonal().tolist(), abs=1e-6)
        pasted = ~own[0, 0]
        rows, columns = int(pasted.any(1).sum()), int(pasted.any(0).sum())
        assert int(pasted.sum()) == rows * columns
        shares.append(share_of(mixed))
    # Of a uniform share; what would reach over the border is not pasted, so that more than half is kept.
    assert 0.55 < sum(shares) / len(shares) < 0.75


def test_a_window_of_cutmix_reaches_every_border():
    levels = torch.arange(2, dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 8, 8)
    batch = Batch(levels, torch.eye(2), torch.arange(2))
    pasted = sum((mixed.images[0, 0] != 0).float() for mixed in mixes(Mixing(cutmix=1.0), batch))
    assert pasted.min() > 20


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_the_share_has_the_mean_and_the_variance_of_its_beta_distribution(alpha):
    torch.manual_seed(0)
    batch, mixing = make_batch(2, 1), Mixing(mixup=alpha)
    shares = torch.tensor([share_of(mixing.mix(batch)) for _ in range(1500)])
    assert shares.mean() == pytest.approx(0.5, abs=0.05)
    assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.15)


def test_one_of_two_kinds_is_drawn_for_each_batch():
    batch = make_batch(2, 4)
    values = [
        set(mixed.images.flatten().tolist()) <= set(batch.images.flatten().tolist())
        for mixed in mixes(Mixing(mixup=8.0, cutmix=1.0), batch, 400)
    ]
    assert 160 < sum(values) < 240  # four standard deviations


def test_the_share_is_one_for_the_batch():
    for mixed in mixes(Mixing(mixup=1.0), make_batch(6), 20):
        assert len(mixed.labels[:, :6].diagonal().unique()) == 1


def test_a_share_that_no_pixel_can_show_is_none_and_makes_no_label_unknown():
    labels = torch.tensor([[1, -1], [-1, 0]], dtype=torch.int8)
    images = make_batch(2).images
    kinds = set()
    for mixed in mixes(Mixing(mixup=0.01), Batch(images, labels, torch.arange(2)), 60):
        for whole in (0, 1):
            if torch.equal(mixed.images, images.roll(whole, 0)):
                assert torch.equal(mixed.labels, labels.roll(whole, 0).float())
                kinds.add(whole)
    assert kinds == {0, 1}


def test_unknown_labels_spread_as_soon_as_a_pixel_can_show_it():
    images = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 1, 1)
    labels = torch.tensor([[1], [-1]], dtype=torch.int8)
    for mixed in mixes(Mixing(mixup=0.2), Batch(images, labels, torch.arange(2)), 300):
        level = int(mixed.images[0, 0, 0, 0])
        if 0 < level < 255:
            assert mixed.labels.flatten().tolist() == [-1, -1]
        else:
            assert sorted(mixed.labels.flatten().tolist()) == [-1, 1]


@given(st.lists(st.tuples(LABELS, LABELS), min_size=1), st.floats(0, 1))
def test_a_mixed_label_is_the_mixture_of_known_labels_and_unknown_where_either_is(pairs, share):
    one, other = torch.tensor(pairs).T[:, None]
    mixed = mixed_labels(one, other, share)[0].tolist()
    for (label, its), result in zip(pairs, mixed, strict=True):
        if share == 1:
            assert result == pytest.approx(label)
        elif share == 0:
            assert result == pytest.approx(its)
        elif label < 0 or its < 0:
            assert result == -1
        else:
            assert result == pytest.approx(share * label + (1 - share) * its, abs=1e-6)
            assert 0 <= result <= 1


@given(st.floats(0, 1))
def test_two_equal_labels_stay_exactly_what_they_are(share):
    labels = torch.tensor([[0.0, 0.3, 1.0, -1.0]])
    assert torch.equal(mixed_labels(labels, labels.clone(), share), labels)


@given(st.floats(0, 1))
def test_permuting_the_classes_permutes_the_mixed_labels(share):
    random = torch.Generator().manual_seed(0)
    one, other = torch.randint(-1, 2, (2, 5, 7), generator=random).float()
    order = torch.randperm(7, generator=random)
    assert torch.equal(mixed_labels(one, other, share)[:, order], mixed_labels(one[:, order], other[:, order], share))


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
@pytest.mark.parametrize("alpha", [-1.0, 0.001, math.inf, math.nan])
def test_an_alpha_outside_its_range_is_refused(name, alpha):
    with pytest.raises(
        UsageError, match=rf"^mixing: {name} is {alpha}; expected the alpha of a Beta distribution, 0.01"
    ):
        Mixing(**{name: alpha})


def test_a_beta_distribution_of_a_tiny_alpha_underflows():
    # Why such an alpha is refused (torch 2.14.1): nearly all shares should be next to 0 or to 1.
    alpha = torch.tensor(0.001, dtype=torch.float64)
    assert (torch.distributions.Beta(alpha, alpha).sample((1000,)) == 0.5).any()


def test_jsonargparse_takes_the_alphas():
    parser = ArgumentParser()
    parser.add_class_arguments(ImageDataModule, "data")
    config = parser.parse_args(["--data.train", "train.csv", "--data.mixing.mixup", "0.2"])
    assert (config.data.mixing.mixup, config.data.mixing.cutmix) == (0.2, 0.0)


def table(labels) -> LabelTable:
    labels = np.asarray(labels, np.int8)
    return LabelTable.from_dense([f"{row}.jpg" for row in range(len(labels))], ["a", "b"], labels, root=Path())


def test_it_is_told_when_most_known_positives_would_become_unknown(caplog):
    # Of each class one positive is known, and 2 of 8 cells: a positive stays known where it meets one of these.
    few = np.full((8, 2), -1)
    few[0], few[1] = (1, 0), (0, 1)
    tell_lost(table(few))
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("train: mixing leaves about 25 % of the known positives")


def test_it_is_not_told_where_most_labels_are_known(caplog):
    tell_lost(table([[1, 0], [0, 1], [1, 1], [-1, 0]]))
    assert caplog.records == []


@pytest.mark.parametrize(
    ("mixing", "stage", "is_told"), [(Mixing(), "fit", False), (EACH[0], "test", False), (EACH[0], "fit", True)]
)
def test_it_is_told_when_a_training_that_mixes_is_set_up(mixing, stage, is_told, tmp_path, colours, caplog):
    rows = [
        f"{colours}/images/00{number}.jpg,{label}"
        for number, label in enumerate(["1", "0", "?", "?", "?", "?", "?", "?"])
    ]
    (tmp_path / "train.csv").write_text("\n".join(["image,cat", *rows]) + "\n")
    ImageDataModule(tmp_path / "train.csv", None, tmp_path / "train.csv", mixing=mixing).setup(stage)
    assert any("mixing leaves about 25 %" in record.getMessage() for record in caplog.records) == is_told


def test_mixed_labels_are_soft(colours):
    assert not ImageDataModule(colours / "train.csv").has_soft_labels
    assert ImageDataModule(colours / "train.csv", mixing=Mixing(mixup=0.2)).has_soft_labels
    assert ImageDataModule(colours / "train.csv", mixing=Mixing(cutmix=1.0)).has_soft_labels


class HardLoss(BCELoss):
    takes_soft_labels = False


def classifier(loss=BCELoss):
    return MultiLabelClassifier(
        ["red", "green", "blue"], lambda: TimmBackbone("test_resnet", "none", image_size=32), loss=loss
    )


def trainer(**options):
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False} | options
    return pl.Trainer(accelerator="cpu", devices=1, max_epochs=1, enable_model_summary=False, **options)


def test_a_loss_that_takes_no_soft_labels_is_refused_with_mixing(colours):
    data = ImageDataModule(colours / "train.csv", colours / "val.csv", num_workers=0, mixing=Mixing(mixup=0.2))
    with pytest.raises(UsageError, match=r"HardLoss takes no soft labels.*data\.mixing"):
        trainer().fit(classifier(HardLoss), data)


class Spy(MultiLabelClassifier):
    """Keeps the labels that it gets, and in which stage."""

    def training_step(self, batch, batch_idx):
        self.seen.append(("train", batch))
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch, batch_idx):
        self.seen.append(("check" if self.trainer.sanity_checking else "val", batch))
        return super().validation_step(batch, batch_idx)


def spy():
    model = Spy(["red", "green", "blue"], lambda: TimmBackbone("test_resnet", "none", image_size=32))
    model.seen = []
    return model


def test_training_batches_are_mixed_and_those_of_validation_are_not(colours):
    data = ImageDataModule(
        colours / "train.csv", colours / "val.csv", batch_size=8, num_workers=0, mixing=Mixing(mixup=1.0, cutmix=1.0)
    )
    model = spy()
    trainer(val_check_interval=0.5).fit(model, data)
    stages = [stage for stage, _ in model.seen]
    assert stages == ["check"] * 2 + (["train"] * 2 + ["val"] * 2) * 2
    soft = [bool(((batch.labels > 0) & (batch.labels < 1)).any()) for _, batch in model.seen]
    assert soft == [stage == "train" for stage in stages]
    assert all(batch.images.dtype == torch.uint8 for _, batch in model.seen)


def test_batches_without_a_readable_image_or_with_one_are_learnt_from(tmp_path, colours):
    rows = [f"{number:03}.jpg,{number % 2}" for number in range(9)]
    (tmp_path / "train.csv").write_text("\n".join(["image,cat", *rows]) + "\n")
    for number in range(9):
        good = (colours / "images" / f"{number:03}.jpg").read_bytes()
        (tmp_path / f"{number:03}.jpg").write_bytes(good if number == 0 else b"broken")
    data = ImageDataModule(
        tmp_path / "train.csv", None, batch_size=3, num_workers=0, on_bad_image="skip", mixing=Mixing(mixup=1.0)
    )
    model = Spy(["cat"], lambda: TimmBackbone("test_vit", "none", image_size=32))
    model.seen = []
    trainer().fit(model, data)
    assert sorted(len(batch.index) for _, batch in model.seen) == [0, 0, 1]
    assert all(batch.labels.dtype == torch.float32 for _, batch in model.seen)


RECIPE = [
    *("--data.mixing.mixup", "0.2", "--data.mixing.cutmix", "1.0", "--data.repeat_threshold", "0.9"),
    *("--data.augmentation.trivial_augment", "true", "--data.augmentation.erase", "0.25"),
    *("--model.head", "linear", "--model.head.dropout", "0.5"),
]


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return torch.load(checkpoint, weights_only=True)["state_dict"]


def test_a_mixed_and_repeated_training_is_reproduced_and_resumed(small, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = [*small, *RECIPE, "--data.batch_size", "12"]
    # Uninterrupted, with workers, and interrupted after one epoch.
    assert main(["fit", *words, "--trainer.max_epochs", "3"]) == 0, capsys.readouterr().err
    assert "train: an epoch shows the 32 images 42 times in all" in capsys.readouterr().err
    assert main(["fit", *words, "--trainer.max_epochs", "3", "--data.num_workers", "2"]) == 0
    assert main(["fit", *words, "--trainer.max_epochs", "1"]) == 0
    assert main(["fit", "--ckpt_path", "runs/run/v3/last.ckpt", "--trainer.max_epochs", "3"]) == 0
    runs = [weights(tmp_path / f"runs/run/v{number}/last.ckpt") for number in (1, 2, 4)]
    for one, other in pairwise(runs):
        assert all(torch.equal(one[name], other[name]) for name in one)
    steps = torch.load("runs/run/v1/last.ckpt", weights_only=True)["global_step"]
    assert steps == 3 * math.ceil(42 / 12)
    # What a checkpoint carries is enough to evaluate.
    assert main(["test", "--ckpt_path", "runs/run/v1/best.ckpt", "--report", "none"]) == 0, capsys.readouterr().err
