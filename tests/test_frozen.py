"""Training behind a frozen backbone: from kept features, the same as from images, and only where that is right."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import mlic.digests
from mlic.cli import main
from mlic.extraction import extract
from mlic.predict import Predictor


@pytest.fixture
def frozen(small, tmp_path, monkeypatch) -> list[str]:
    """The words of a quick `mlic fit` behind a frozen backbone, with a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    # Small weights would make features that no head can tell apart in two epochs.
    rate = ["--model.optimizer", "AdamW", "--model.optimizer.lr", "0.05"]
    return ["fit", *small, "--model.backbone.freeze", "true", "--data.augmentation.flip", "false", *rate]


@pytest.fixture
def moved(colours, tmp_path) -> Path:
    """A copy of the photographs that may be changed."""
    return Path(shutil.copytree(colours, tmp_path / "photos"))


def fit(words: list[str], capsys, code: int = 0) -> str:
    """Runs and returns what was said on stderr."""
    capsys.readouterr()
    assert main(words) == code, capsys.readouterr().err
    return capsys.readouterr().err


def weights(run: str, name: str = "last.ckpt") -> dict[str, torch.Tensor]:
    return torch.load(Path("runs") / run / name, weights_only=True)["state_dict"]


def largest_difference(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    assert one.keys() == other.keys()
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in one)


def metrics(run: str) -> dict[str, float]:
    return json.loads((Path("runs") / run / "metrics.json").read_text())


def at(folder: Path) -> list[str]:
    return [word for side in ("train", "val", "test") for word in (f"--data.{side}", str(folder / f"{side}.csv"))]


def test_a_head_learns_the_same_from_features_as_from_images(frozen, capsys):
    said = fit(frozen, capsys)
    assert "0 of 48 images are in" in said
    assert "features:" not in fit([*frozen, "--features", "off"], capsys)
    assert largest_difference(weights("run/v1"), weights("run/v2")) < 1e-4
    assert metrics("run/v1")["val/mAP"] == pytest.approx(metrics("run/v2")["val/mAP"], abs=1e-6)


def test_the_second_time_no_image_is_run(frozen, capsys, monkeypatch):
    fit(frozen, capsys)
    monkeypatch.setattr("mlic.frozen.extract", lambda *args: pytest.fail("an image was run"))
    assert "48 of 48 images are in" in fit([*frozen, "--model.loss", "asymmetric"], capsys)
    assert largest_difference(weights("run/v1"), weights("run/v2")) > 1e-3


def test_the_checkpoint_gives_the_scores_that_the_features_gave(frozen, colours, capsys):
    fit(frozen, capsys)
    capsys.readouterr()
    assert main(["validate", "--ckpt_path", "runs/run/v1/best.ckpt", "--json"]) == 0
    on_images = json.loads(capsys.readouterr().out)
    logged = metrics("run/v1")
    for name in ("val/loss", "val/mAP"):  # what depends on thresholds `fit` tells cross-fitted
        assert on_images[name] == pytest.approx(logged[name], abs=1e-5)
    predictor = Predictor("runs/run/v1/best.ckpt", num_workers=0)
    (prediction,) = predictor.predict([colours / "images" / "032.jpg"])
    assert set(prediction.scores) == {"red", "green", "blue"}


def test_neither_moving_the_folder_nor_renaming_an_image_computes_anything(frozen, moved, tmp_path, capsys):
    fit([*frozen, *at(moved)], capsys)
    elsewhere = moved.rename(tmp_path / "elsewhere")
    (elsewhere / "images" / "000.jpg").rename(elsewhere / "images" / "first.jpg")
    table = elsewhere / "train.csv"
    table.write_text(table.read_text().replace("000.jpg", "first.jpg"))
    assert "48 of 48 images are in" in fit([*frozen, *at(elsewhere)], capsys)


def test_one_changed_image_computes_one(frozen, moved, capsys):
    fit([*frozen, *at(moved)], capsys)
    shutil.copy(moved / "images" / "050.jpg", moved / "images" / "000.jpg")
    said = fit([*frozen, *at(moved)], capsys)
    assert "47 of 48 images are in" in said


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--model.backbone.image_size", "48"),
        ("--model.head.pooling", "max"),
        ("--feature_dtype", "float16"),
        ("--seed_everything", "1"),  # other random weights
    ],
)
def test_other_features_are_computed_anew(frozen, capsys, option, value):
    fit(frozen, capsys)
    assert "0 of 48 images are in" in fit([*frozen, option, value], capsys)


def test_heads_that_need_the_whole_map_have_it(frozen, capsys):
    frozen += ["--model.backbone.image_size", "64"]
    fit([*frozen, "--model.head", "csra"], capsys)
    fit([*frozen, "--model.head", "csra", "--features", "off"], capsys)
    assert largest_difference(weights("run/v1"), weights("run/v2")) < 1e-4
    (space,) = Path("cache/mlic/features").glob("*/space.json")
    assert json.loads(space.read_text())["shape"] == [96, 2, 2]
    assert "48 of 48 images are in" in fit([*frozen, "--model.head", "ml_decoder"], capsys)


@pytest.mark.parametrize(
    "scheduler",
    [
        [],
        ["--model.lr_scheduler", "OneCycle"],
        ["--model.lr_scheduler", "ExponentialLR", "--model.lr_scheduler.gamma", "0.5"],
        ["--model.lr_scheduler", "{class_path: ReduceLROnPlateau, init_args: {mode: max, patience: 0, threshold: 9}}"],
    ],
)
def test_many_steps_at_a_time_are_the_steps_one_at_a_time(frozen, capsys, monkeypatch, scheduler):
    fit([*frozen, *scheduler, "--trainer.max_epochs", "4"], capsys)
    monkeypatch.setattr("mlic.training.steps_at_once", lambda trainer, batch_bytes: 1)
    fit([*frozen, *scheduler, "--trainer.max_epochs", "4"], capsys)
    assert largest_difference(weights("run/v1"), weights("run/v2")) == 0
    steps = [torch.load(f"runs/run/{run}/last.ckpt", weights_only=True)["global_step"] for run in ("v1", "v2")]
    assert steps == [16, 16]


@pytest.mark.parametrize("option", ["--trainer.gradient_clip_val=0.01", "--trainer.accumulate_grad_batches=2"])
def test_what_happens_between_steps_happens_from_features_too(frozen, capsys, option):
    fit([*frozen, option], capsys)
    fit([*frozen, option, "--features", "off"], capsys)
    fit(frozen, capsys)
    assert largest_difference(weights("run/v1"), weights("run/v2")) < 1e-4
    assert largest_difference(weights("run/v1"), weights("run/v3")) > 1e-3


def test_a_training_ends_after_as_many_steps_as_asked_for(frozen, capsys):
    fit([*frozen, "--trainer.max_steps", "6", "--trainer.max_epochs", "-1"], capsys)
    assert torch.load("runs/run/v1/last.ckpt", weights_only=True)["global_step"] == 6


def test_a_resumed_training_ends_as_one_that_was_not_interrupted(frozen, capsys):
    schedule = ["--model.lr_scheduler", "ExponentialLR", "--model.lr_scheduler.gamma", "0.5"]
    fit([*frozen, *schedule, "--trainer.max_epochs", "4"], capsys)
    fit([*frozen, *schedule], capsys)
    fit([*frozen, *schedule, "--ckpt_path", "runs/run/v2/last.ckpt", "--trainer.max_epochs", "4"], capsys)
    assert largest_difference(weights("run/v1"), weights("run/v3")) == 0


@pytest.mark.parametrize(("first", "second"), [("auto", "off"), ("off", "auto")])
def test_a_training_goes_on_from_images_or_from_features(frozen, capsys, first, second):
    schedule = ["--model.lr_scheduler", "ExponentialLR", "--model.lr_scheduler.gamma", "0.5"]
    fit([*frozen, *schedule, "--trainer.max_epochs", "4"], capsys)
    fit([*frozen, *schedule, "--features", first], capsys)
    last = ["--ckpt_path", "runs/run/v2/last.ckpt", "--trainer.max_epochs", "4"]
    fit([*frozen, *schedule, *last, "--features", second], capsys)
    assert largest_difference(weights("run/v1"), weights("run/v3")) < 1e-4
    steps = [torch.load(f"runs/run/{run}/last.ckpt", weights_only=True)["global_step"] for run in ("v1", "v3")]
    assert steps == [16, 16]


@pytest.mark.parametrize("precision", ["bf16-true", "64-true"])
def test_a_head_learns_the_same_in_any_precision(frozen, capsys, precision):
    fit([*frozen, "--trainer.precision", precision], capsys)
    fit([*frozen, "--trainer.precision", precision, "--features", "off"], capsys)
    assert largest_difference(weights("run/v1"), weights("run/v2")) < 1e-2


def test_curves_are_drawn_over_steps(frozen, capsys):
    fit(frozen, capsys)
    fit([*frozen, "--features", "off"], capsys)
    tables = [Path(f"runs/run/{run}/metrics.csv").read_text() for run in ("v1", "v2")]
    steps = [[row["step"] for row in csv.DictReader(table.splitlines())] for table in tables]
    assert steps[0] == steps[1] == ["3", "3", "7", "7"]


@pytest.mark.parametrize(
    "callback",
    [
        ["StochasticWeightAveraging", "--trainer.callbacks.swa_lrs=0.01", "--trainer.max_epochs=5"],
        ["GradientAccumulationScheduler", "--trainer.callbacks.scheduling={0: 2, 1: 1}"],
    ],
)
def test_callbacks_that_change_the_steps_of_a_training_do_so_from_features_too(frozen, capsys, callback):
    words = [*frozen, f"--trainer.callbacks+={callback[0]}", *callback[1:]]
    fit(words, capsys)
    fit([*words, "--features", "off"], capsys)
    assert largest_difference(weights("run/v1"), weights("run/v2")) < 1e-4


def test_checkpoints_that_count_steps_are_all_written(frozen, capsys):
    every = ["--trainer.callbacks.every_n_train_steps=3", "--trainer.callbacks.save_top_k=-1"]
    fit([*frozen, "--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks.dirpath=steps", *every], capsys)
    assert sorted(path.name for path in Path("steps").iterdir()) == ["epoch=0-step=3.ckpt", "epoch=1-step=6.ckpt"]


@pytest.mark.parametrize("limit", ["0.5", "1"])
def test_a_part_of_the_validation_is_the_same_part_of_features(frozen, capsys, limit):
    fit([*frozen, "--trainer.limit_val_batches", limit], capsys)
    fit([*frozen, "--trainer.limit_val_batches", limit, "--features", "off"], capsys)
    assert metrics("run/v1")["val/loss"] == pytest.approx(metrics("run/v2")["val/loss"], rel=1e-4)


def test_a_callback_that_lets_the_backbone_learn_later_needs_images(frozen, capsys):
    later = ["--trainer.callbacks+=BackboneFinetuning", "--trainer.callbacks.unfreeze_backbone_at_epoch=5"]
    assert "not kept, since BackboneFinetuning lets the backbone learn" in fit([*frozen, *later], capsys)


def test_a_scheduler_that_watches_the_validation_counts_epochs(frozen, capsys):
    plateau = ["--model.lr_scheduler", "{class_path: ReduceLROnPlateau, init_args: {mode: max}}"]
    said = fit([*frozen, *plateau, "--model.lr_scheduler_interval", "step"], capsys, code=2)
    assert "model.lr_scheduler_interval: epoch" in said


def test_a_resumed_training_needs_no_images_for_what_is_kept(frozen, capsys):
    fit(frozen, capsys)
    assert "48 of 48 images are in" in fit(
        ["fit", "--ckpt_path", "runs/run/v1/last.ckpt", "--trainer.max_epochs", "3"], capsys
    )


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--data.augmentation.flip", "true"], "training images are augmented at random"),
        (["--data.mixing.mixup", "0.2"], "data.mixing mixes images"),
        (["--model.tta", "flip"], "model.tta flip averages over views"),
        (["--model.backbone.freeze", "false"], "the backbone learns"),
        (["--trainer.overfit_batches", "1"], "trainer.overfit_batches"),
    ],
)
def test_features_are_kept_only_where_nothing_stands_before_the_backbone(frozen, capsys, words, reason, tmp_path):
    said = fit([*frozen, *words, "--trainer.max_epochs", "1"], capsys)
    if "freeze" not in words[0]:
        assert f"features: not kept, since {reason}" in said
    assert not (tmp_path / "cache").exists()
    assert f"features cannot be kept, since {reason}" in fit([*frozen, *words, "--features", "here"], capsys, code=2)


def test_augmented_views_are_kept_when_asked_for(frozen, capsys):
    views = [*frozen, "--data.augmentation.flip", "true", "--feature_views", "3"]
    assert "0 of 96 augmented images are in" in fit([*views, "--trainer.max_epochs", "3"], capsys)
    said = fit([*views, "--trainer.max_epochs", "3"], capsys)
    assert "96 of 96 augmented images are in" in said
    assert "16 of 16 images are in" in said
    assert largest_difference(weights("run/v1"), weights("run/v2")) == 0
    fit([*frozen, "--trainer.max_epochs", "3"], capsys)
    assert largest_difference(weights("run/v1"), weights("run/v3")) > 1e-4


def test_views_of_images_that_are_not_augmented_are_refused(frozen, capsys):
    assert "data.augmentation changes nothing" in fit([*frozen, "--feature_views", "2"], capsys, code=2)
    assert "feature_views is -1" in fit([*frozen, "--feature_views", "-1"], capsys, code=2)


def test_an_unreadable_image_is_an_error_or_is_skipped_and_told(frozen, moved, capsys):
    (moved / "images" / "003.jpg").write_bytes(b"no image")
    said = fit([*frozen, *at(moved)], capsys, code=2)
    assert "003.jpg: not an image" in said
    assert "set data.on_bad_image to skip" in said
    said = fit([*frozen, *at(moved), "--data.on_bad_image", "skip"], capsys)
    assert "1 unreadable images were skipped" in said
    assert "003.jpg: not an image" in said


def test_an_image_that_changes_meanwhile_is_told_and_kept_under_no_wrong_name(frozen, moved, capsys, monkeypatch):
    def change_one(*args):
        shutil.copy(moved / "images" / "050.jpg", moved / "images" / "000.jpg")
        extract(*args)

    with monkeypatch.context() as patch:
        patch.setattr("mlic.frozen.extract", change_one)
        said = fit([*frozen, *at(moved)], capsys, code=1)
    assert "000.jpg: has changed, or come, while features were computed; run the same command again" in said
    assert "47 of 48 images are in" in fit([*frozen, *at(moved)], capsys)
    fit([*frozen, *at(moved), "--features", "off"], capsys)
    assert largest_difference(weights("run/v2"), weights("run/v3")) < 1e-4


def test_a_file_that_cannot_be_read_for_a_moment_lends_its_features_to_no_other(frozen, moved, capsys, monkeypatch):
    digest = mlic.digests._digest

    def fails_once(path: Path) -> bytes:
        return bytes(16) if path.name == "000.jpg" else digest(path)

    with monkeypatch.context() as patch:
        patch.setattr("mlic.digests._digest", fails_once)
        assert "run the same command again" in fit([*frozen, *at(moved)], capsys, code=1)
    assert "47 of 48 images are in" in fit([*frozen, *at(moved)], capsys)


def test_a_training_of_which_no_image_can_be_read_is_an_error(frozen, moved, capsys):
    for number in range(32):
        (moved / "images" / f"{number:03}.jpg").write_bytes(b"no image")
    said = fit([*frozen, *at(moved), "--data.on_bad_image", "skip"], capsys, code=2)
    assert "none of the 32 images of train can be read" in said


def test_repeats_of_rare_classes_are_those_of_the_training_on_images(frozen, capsys):
    repeats = [*frozen, "--data.repeat_threshold", "1.0"]
    fit(repeats, capsys)
    fit([*repeats, "--features", "off"], capsys)
    assert largest_difference(weights("run/v1"), weights("run/v2")) < 1e-4


def test_a_store_that_was_damaged_is_mended(frozen, capsys):
    fit(frozen, capsys)
    (rows,) = Path("cache/mlic/features").glob("*/*.rows")
    data = bytearray(rows.read_bytes())
    data[100] ^= 255
    rows.write_bytes(data)
    said = fit(frozen, capsys)
    assert "1 rows are damaged" in said
    assert "47 of 48 images are in" in said
    assert largest_difference(weights("run/v1"), weights("run/v2")) < 1e-6


def test_a_disk_without_room_is_told_and_done_without(frozen, capsys, monkeypatch):
    usage = shutil.disk_usage(".")._replace(free=1000)
    monkeypatch.setattr("mlic.frozen.shutil.disk_usage", lambda folder: usage)
    assert "features: not kept: " in fit(frozen, capsys)
    assert "--feature_dtype float16, or --features off" in fit([*frozen, "--features", "here"], capsys, code=2)


def test_off_in_a_configuration_file_is_off(frozen, capsys, tmp_path):
    (tmp_path / "off.yaml").write_text("features: off\n")
    fit([*frozen, "--config", "off.yaml"], capsys)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("word", ["none", "Off", "true", "null", ""])
def test_a_word_that_means_no_folder_makes_none(frozen, capsys, word, tmp_path):
    before = set(tmp_path.iterdir())
    assert "expected auto, off or a folder" in fit([*frozen, "--features", word], capsys, code=2)
    assert set(tmp_path.iterdir()) - before <= {tmp_path / "runs"}
    (tmp_path / "empty.yaml").write_text("features:\n")
    assert "expected auto, off or a folder" in fit([*frozen, "--config", "empty.yaml"], capsys, code=2)


def test_a_tilde_is_the_users_folder(frozen, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    fit([*frozen, "--features", "~/kept"], capsys)
    assert (tmp_path / "home" / "kept" / "digests.sqlite").exists()


def test_auto_takes_a_tenth_of_the_disk_and_a_named_folder_half(frozen, capsys, monkeypatch):
    needed = 48 * 96 * 4
    usage = shutil.disk_usage(".")._replace(free=4 * needed)
    monkeypatch.setattr("mlic.frozen.shutil.disk_usage", lambda folder: usage)
    assert "more than 10 % of the 0.1 MiB that are free there" in fit(frozen, capsys)
    assert "the others take 0.0 MiB" in fit([*frozen, "--features", "here"], capsys)


def test_the_size_that_a_backbone_has_anyway_changes_nothing(frozen, capsys):
    at_size = frozen.index("--model.backbone.image_size")
    frozen[at_size : at_size + 2] = []
    fit(frozen, capsys)
    assert "48 of 48 images are in" in fit([*frozen, "--data.image_size", "160"], capsys)


def test_features_depend_on_the_code_that_makes_them(frozen, capsys, monkeypatch):
    fit(frozen, capsys)
    seen = []
    monkeypatch.setattr("mlic.frozen.code_digest", lambda modules: seen.extend(m.__name__ for m in modules) or "other")
    assert "0 of 48 images are in" in fit(frozen, capsys)
    assert {"mlic.backbones.timm", "mlic.images", "mlic.jpeg", "mlic.pixels", "mlic.heads.pooling"} <= set(seen)


@pytest.mark.slow
def test_two_processes_fill_a_store_together_and_learn_as_one_of_twice_the_batch(frozen, moved, tmp_path):
    table = moved / "train.csv"
    rows = list(csv.reader(table.open()))
    with table.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows[:-1])  # 31 images
    val = moved / "val.csv"
    val.write_text("".join(val.read_text().splitlines(keepends=True)[:2]))  # 1 image, for two processes
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PL_TORCH_DISTRIBUTED_BACKEND": "gloo"}
    command = [sys.executable, "-m", "mlic", *frozen, *at(moved)]
    two = ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--data.batch_size", "4"]
    for words in (two, [*two, "--features", "off"], ["--features", "auto"]):
        run = subprocess.run(
            [*command, *words], env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert run.returncode == 0, run.stderr
    assert "32 of 32 images are in" in run.stderr
    assert len(list(Path("cache/mlic/features").glob("*/*.rows"))) == 2
    assert largest_difference(weights("run/v1"), weights("run/v2")) < 1e-4
    # The sampler repeats an image, to give each process as many.
    assert metrics("run/v1")["val/loss"] == pytest.approx(metrics("run/v3")["val/loss"], abs=0.1)
