"""Heads that are trained on features computed elsewhere, by the command."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from mlic.cli import main
from mlic.datamodules.readers.csv import CsvReader
from mlic.digests import ImageDigests
from mlic.features import FeatureStore


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def files(here, colours, features) -> list[str]:
    """The words of a quick training on features that tell the classes, of images that are not looked for."""
    words = ["--data", "features", "--model.backbone", "precomputed", "--data.batch_size", "8"]
    for side, option in (("train", "features"), ("val", "val_features"), ("test", "test_features")):
        shutil.copy(colours / f"{side}.csv", here)
        shutil.copy(features / f"{side}.npy", here)
        words += [f"--data.{side}", f"{side}.csv", f"--data.{option}", f"{side}.npy"]
    rate = ["--model.optimizer", "{class_path: AdamW, init_args: {lr: 0.1}}"]
    return [*words, *rate, "--trainer.max_epochs", "4", "--trainer.accelerator", "cpu", "--trainer.devices", "1"]


def run(words: list[str], capsys, code: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    found = main(words)
    out, err = capsys.readouterr()
    assert found == code, err
    return out, err


def weights(run: str) -> dict[str, torch.Tensor]:
    return torch.load(Path("runs") / run / "last.ckpt", weights_only=True)["state_dict"]


@pytest.mark.parametrize("head", ["linear", "mlp", "csra", "cam"])
def test_any_head_is_trained_and_tested(files, capsys, head):
    run(["fit", *files, "--model.head", head], capsys)
    out, _ = run(["test", "--ckpt_path", "runs/run/v1/best.ckpt", "--report", "none", "--json"], capsys)
    assert json.loads(out)["test/mAP"] > 0.9
    card = torch.load("runs/run/v1/best.ckpt", weights_only=True)["mlic"]
    assert card["classes"] == ["red", "green", "blue"]
    assert card["model"]["backbone"]["init_args"] == {"num_features": 5}
    assert Path("runs/run/v1/thresholds.json").exists()


def test_the_optimum_is_found_on_vectors_and_on_maps_alike(files, here, capsys):
    words = [*files, "--model.optimizer", "{class_path: exact, init_args: {penalties: [0.1, 0.01]}}"]
    run(["fit", *words], capsys)
    for side in ("train", "val"):
        features = np.load(f"{side}.npy").astype(np.float32)
        around = np.stack([features - 1, features, features + 1, features], axis=-1).reshape(len(features), 5, 2, 2)
        np.save(f"{side}.npy", around)
    run(["fit", *words], capsys)
    for name in ("head.linear.weight", "head.linear.bias"):
        assert torch.allclose(weights("run/v1")[name], weights("run/v2")[name], atol=1e-3)


def test_a_checkpoint_is_tested_on_other_features(files, here, capsys):
    run(["fit", *files], capsys)
    test = ["test", "--ckpt_path", "runs/run/v1/best.ckpt", "--report", "none", "--json"]
    same, _ = run(test, capsys)
    (here / "train.csv").unlink()  # what was learnt from is not needed
    (here / "train.npy").unlink()
    table = (here / "test.csv").read_text().splitlines()
    (here / "turned.csv").write_text("\n".join([table[0], *reversed(table[1:])]))
    np.save("turned.npy", np.load("test.npy")[::-1])
    turned, _ = run([*test, "--data.test", "turned.csv", "--data.test_features", "turned.npy"], capsys)
    assert json.loads(turned) == pytest.approx(json.loads(same), abs=1e-6)


def test_the_configuration_of_a_run_names_files_from_anywhere(files, here, capsys, monkeypatch):
    run(["fit", *files], capsys)
    recorded = yaml.safe_load((here / "runs/run/v1/config.yaml").read_text())
    assert recorded["data"]["init_args"]["features"] == str(here / "train.npy")
    (here / "elsewhere").mkdir()
    monkeypatch.chdir(here / "elsewhere")
    again = ["--name", "again", "--trainer.default_root_dir", str(here / "runs")]
    run(["fit", "--config", "../runs/run/v1/config.yaml", *again], capsys)
    monkeypatch.chdir(here)
    assert all(torch.equal(weights("again/v1")[name], value) for name, value in weights("run/v1").items())


def test_many_steps_at_a_time_are_the_steps_one_at_a_time(files, capsys, monkeypatch):
    run(["fit", *files], capsys)
    monkeypatch.setattr("mlic.training.steps_at_once", lambda trainer, batch_bytes: 1)
    run(["fit", *files], capsys)
    assert all(torch.equal(weights("run/v2")[name], value) for name, value in weights("run/v1").items())


def test_a_limit_of_one_batch_is_one_step(files, capsys):
    run(["fit", *files, "--trainer.limit_train_batches", "1"], capsys)
    assert torch.load("runs/run/v1/last.ckpt", weights_only=True)["global_step"] == 4


def test_features_that_a_store_kept_train_the_head_that_images_do(small, colours, here, capsys):
    frozen = [*small, "--model.backbone.freeze", "true"]
    rate = ["--model.optimizer", "AdamW", "--model.optimizer.lr", "0.05"]
    run(["fit", *frozen, *rate, "--data.augmentation.flip", "false", "--features", "store"], capsys)
    (folder,) = FeatureStore.folders(Path("store"))
    store, digests = FeatureStore.opened(folder), ImageDigests(Path("store/digests.sqlite"))
    for side in ("train", "val"):
        table = CsvReader(colours / f"{side}.csv").read()
        keys = digests.of(table.path(row) for row in range(len(table)))
        np.save(f"{side}.npy", store.features(keys)[:])
    # The backbone is named, so that the checkpoint takes images.
    words = ["--data", "features", "--data.features", "train.npy", "--data.val_features", "val.npy"]
    at = frozen.index("--data.num_workers")
    run(["fit", *frozen[:at], *frozen[at + 2 :], *words, *rate], capsys)
    first, second = weights("run/v1"), weights("run/v2")
    assert all(torch.allclose(second[name].float(), value.float(), atol=1e-5) for name, value in first.items())
    test = ["test", "--ckpt_path", "runs/run/v2/best.ckpt", "--report", "none", "--json", "--data", "image"]
    on_images = json.loads(run([*test, "--data.num_workers", "0"], capsys)[0])
    assert on_images == pytest.approx(
        json.loads(run([*test[:2], "runs/run/v1/best.ckpt", "--report", "none", "--json"], capsys)[0]), abs=1e-5
    )
    image = [str(colours / "images" / "060.jpg"), "--num_workers", "0", "--json"]
    one, other = (
        json.loads(run(["predict", "--ckpt_path", f"runs/run/{version}/best.ckpt", *image], capsys)[0])["scores"]
        for version in ("v1", "v2")
    )
    assert one == pytest.approx(other, abs=1e-5)


def test_images_are_refused_with_what_to_do(files, colours, capsys):
    run(["fit", *files], capsys)
    _, said = run(["predict", "--ckpt_path", "runs/run/v1/best.ckpt", str(colours / "images" / "000.jpg")], capsys, 2)
    assert "the backbone precomputed makes no features of images; test on features" in said
    _, said = run(["fit", "--model.backbone", "precomputed", "--data.train", str(colours / "train.csv")], capsys, 2)
    assert "does not know how many features there are" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model.backbone.num_features", "7"], "the train samples have 5 features, and Precomputed makes 7"),
        (["--model.backbone", "test_resnet", "--model.backbone.weights", "none"], "the backbone learns"),
        (["--model.tta", "flip"], "model.tta flip averages over views of an image"),
        (["--features", "here"], "leave out --features and --feature_views"),
        (["--feature_views", "2"], "leave out --features and --feature_views"),
    ],
)
def test_what_does_not_fit_features_is_refused(files, capsys, words, message):
    _, said = run(["fit", *files, *words], capsys, code=2)
    assert message in said
