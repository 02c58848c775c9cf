"""Every configuration runs as its first lines say, on small data and with a small backbone."""

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from mlic.cli import main
from mlic.verbs.demo import training_arguments

CONFIGS = Path(__file__).parents[1] / "configs"
SPACE = CONFIGS / "search.yaml"  # no configuration, but what `mlic search` chooses from
ALL = sorted(set(CONFIGS.glob("*.yaml")) - {SPACE})

TINY = [
    *("--model.backbone", "test_resnet"),
    *("--model.backbone.weights", "none"),
    *("--model.backbone.image_size", "32"),
    *("--data.num_workers", "0"),
    *("--data.batch_size", "8"),
    *("--trainer.max_epochs", "1"),
    *("--trainer.accelerator", "cpu"),
    *("--trainer.devices", "1"),
]


@pytest.fixture
def classic(colours: Path, tmp_path: Path) -> Path:
    """The same photographs in the layout of Multi-label-Inception-net."""
    folder = tmp_path / "classic"
    (folder / "image_labels_dir").mkdir(parents=True)
    shutil.copytree(colours / "images", folder / "images")
    for side in ("train", "val", "test"):
        with (colours / f"{side}.csv").open(newline="") as stream:
            for row in csv.DictReader(stream):
                labels = [name for name in ("red", "green", "blue") if row[name] == "1"]
                name = Path(row["image"]).name
                (folder / "image_labels_dir" / f"{name}.txt").write_text("\n".join(labels))
    (folder / "labels.txt").write_text("red\ngreen\nblue")
    return folder


def tiny(config: Path) -> list[str]:
    """Returns the words that make a training quick; one on features has no backbone, and no images to decode."""
    return TINY[TINY.index("--data.batch_size") :] if config.stem == "features" else TINY


def data_words(config: Path, colours: Path, classic: Path, features: Path) -> list[str]:
    if config.stem == "sidecar":
        return ["--data.train.path", str(classic)]
    words = [word for side in ("train", "val", "test") for word in (f"--data.{side}", str(colours / f"{side}.csv"))]
    if config.stem == "features":
        words += ["--data.features", str(features / "all.npy"), "--data.names", str(features / "all.txt")]
    return words


@pytest.mark.parametrize("config", ALL, ids=lambda path: path.stem)
def test_it_trains_and_tests(config, colours, classic, features, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = [*tiny(config), *data_words(config, colours, classic, features)]
    words += ["--trainer.val_check_interval", "4"] if config.stem == "retrain" else []
    assert main(["fit", "--config", str(config), *words]) == 0, capsys.readouterr().err
    capsys.readouterr()
    best = f"runs/{config.stem}/v1/best.ckpt"
    assert main(["test", "--ckpt_path", best, "--trainer.accelerator", "cpu", "--report", "none", "--json"]) == 0
    assert 0 <= json.loads(capsys.readouterr().out)["test/mAP"] <= 1


@pytest.mark.parametrize("config", ALL, ids=lambda path: path.stem)
def test_it_round_trips_through_print_config(config, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", "--config", str(config), "--data.train", "x.csv", "--print_config"]) == 0
    printed = capsys.readouterr().out
    (tmp_path / "c.yaml").write_text(printed)
    assert main(["fit", "--config", "c.yaml", "--print_config"]) == 0
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize("config", ALL, ids=lambda path: path.stem)
def test_it_opens_with_the_command_that_runs_it_and_is_short(config):
    lines = config.read_text().splitlines()
    assert lines[0].startswith("# ")
    assert any(re.match(r"#   mlic fit --config configs/" + config.name, line) for line in lines)
    assert len(lines) <= 35


@pytest.mark.parametrize("config", ["csra", "retrain"])
def test_rates_of_sgd_that_others_found_for_a_mean_over_cells_stand_beside_one(config):
    model = yaml.safe_load((CONFIGS / f"{config}.yaml").read_text())["model"]
    assert model["optimizer"]["class_path"] == "SGD"
    assert model["loss"] == {"class_path": "bce", "init_args": {"reduction": "mean"}}


def test_retrain_validates_after_its_last_step_in_the_middle_of_an_epoch(colours, tmp_path, monkeypatch):
    config = CONFIGS / "retrain.yaml"
    trainer = yaml.safe_load(config.read_text())["trainer"]
    assert trainer["max_steps"] % trainer["val_check_interval"] == 0
    monkeypatch.chdir(tmp_path)
    steps = ["--trainer.max_epochs", "-1", "--trainer.max_steps", "6", "--trainer.val_check_interval", "3"]
    assert main(["fit", "--config", str(config), *TINY, *data_words(config, colours, tmp_path, tmp_path), *steps]) == 0
    with Path("runs/retrain/v1/metrics.csv").open(newline="") as stream:
        validated = [int(row["step"]) for row in csv.DictReader(stream) if row["val/mAP"]]
    assert validated == [2, 5]  # steps are counted from 0
    assert torch.load("runs/retrain/v1/last.ckpt", weights_only=True)["global_step"] == 6


def test_the_demo_trains_what_its_configuration_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", "--config", str(CONFIGS / "demo.yaml"), "--print_config"]) == 0
    configured = yaml.safe_load(capsys.readouterr().out)
    assert main(["fit", *training_arguments(Path("mlic-demo")), "--print_config"]) == 0
    demo = yaml.safe_load(capsys.readouterr().out)
    # The configuration names the datamodule, the demo relies on the default: two spellings of one class path.
    assert demo.pop("data")["init_args"] == configured.pop("data")["init_args"]
    assert int(demo["trainer"].pop("devices")) == configured["trainer"].pop("devices") == 1
    assert {**demo, "name": None} == configured


@pytest.mark.slow
def test_inception_itself_trains_a_few_steps_at_299_pixels(colours, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = [
        *("--model.backbone.weights", "none"),
        *("--data.train", str(colours / "train.csv")),
        *("--data.val", str(colours / "val.csv")),
        *("--data.batch_size", "4"),
        *("--trainer.max_epochs", "1"),
        *("--trainer.limit_train_batches", "3"),
        *("--trainer.limit_val_batches", "2"),
    ]
    assert main(["fit", "--config", str(CONFIGS / "inception.yaml"), *words]) == 0, capsys.readouterr().err
    checkpoint = torch.load("runs/inception/v1/best.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 3
    assert checkpoint["mlic"]["preprocessing"]["image_size"] == 299
    assert checkpoint["state_dict"]["head.linear.weight"].shape == (3, 2048)
