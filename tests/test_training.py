"""The main job through the command line: fit, stop, resume, evaluate."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from mlic.classifier import MultiLabelClassifier
from mlic.cli import main


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return torch.load(checkpoint, weights_only=True)["state_dict"]


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def run_json(words: list[str], capsys) -> dict:
    capsys.readouterr()
    assert main([*words, "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def run(small, tmp_path, monkeypatch, capsys) -> Path:
    """The folder of a finished run."""
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *small]) == 0, capsys.readouterr().err
    return tmp_path / "runs" / "run" / "v1"


def test_a_run_leaves_a_folder_with_everything(run):
    names = {path.name for path in run.iterdir()}
    assert {
        *("config.yaml", "best.ckpt", "last.ckpt", "metrics.json", "metrics.csv", "classes.txt", "thresholds.json"),
    } <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    assert (run / "classes.txt").read_text() == "red\ngreen\nblue\n"
    assert list(json.loads((run / "thresholds.json").read_text())) == ["red", "green", "blue"]
    assert (run.parent / "latest").resolve() == run


def test_nothing_but_the_result_goes_to_stdout(small, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    result = run_json(["fit", *small], capsys)
    assert result["run"] == "runs/run/v1"
    assert 0 <= result["val/mAP"] <= 1


def test_a_second_run_overwrites_nothing(run, small):
    before = {path: path.read_bytes() for path in run.iterdir()}
    assert main(["fit", *small]) == 0
    assert {path: path.read_bytes() for path in run.iterdir()} == before
    assert (run.parent / "latest").resolve().name == "v2"


METRICS = ("loss", "mAP", "f1_micro", "f1_macro", "hamming", "hamming_all_negative")
FITTED = ("f1_micro", "f1_macro", "hamming")  # which `fit` tells cross-fitted


def test_validate_without_a_configuration_gives_what_fit_logged_but_for_decisions(run, capsys):
    logged = json.loads((run / "metrics.json").read_text())
    validated = run_json(["validate", "--ckpt_path", str(run / "best.ckpt")], capsys)
    assert set(validated) == {f"val/{name}" for name in METRICS}
    for name in set(METRICS) - set(FITTED):
        assert validated[f"val/{name}"] == pytest.approx(logged[f"val/{name}"], abs=1e-6)


def test_test_on_the_validation_file_gives_what_validate_does(run, colours, capsys):
    validated = run_json(["validate", "--ckpt_path", str(run / "best.ckpt")], capsys)
    words = ["test", "--ckpt_path", str(run / "best.ckpt"), "--report", "none"]
    tested = run_json([*words, "--data.test", str(colours / "val.csv")], capsys)
    for name in METRICS:
        assert tested[f"test/{name}"] == pytest.approx(validated[f"val/{name}"], abs=1e-6)


def test_test_prints_a_row_for_each_class(run, capsys):
    capsys.readouterr()
    assert main(["test", "--ckpt_path", str(run / "best.ckpt")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["class", "support", "negatives", "AP", "f1", "precision", "recall", "threshold"]
    assert [line.split()[0] for line in lines[1:4]] == ["red", "green", "blue"]
    assert any(line.startswith("test/mAP") for line in lines)


def test_testing_without_a_report_leaves_no_files_behind(run, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    assert main(["test", "--ckpt_path", str(run / "best.ckpt"), "--report", "none"]) == 0
    assert sorted(tmp_path.rglob("*")) == before


def test_the_order_of_classes_travels_with_the_checkpoint(run, colours, tmp_path, capsys):
    with (colours / "test.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    turned = tmp_path / "turned.csv"
    with turned.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["image", "blue", "red", "green"])
        writer.writeheader()
        writer.writerows({**row, "image": str(colours / row["image"])} for row in rows)
    words = ["test", "--ckpt_path", str(run / "best.ckpt"), "--report", "none"]
    reader = ["--data.test", "csv", "--data.test.path", str(turned), "--data.test.root", str(colours)]
    assert run_json([*words, *reader], capsys) == run_json(words, capsys)


def test_the_saved_configuration_reproduces_the_run_from_anywhere(run, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert main(["fit", "--config", str(run / "config.yaml")]) == 0
    assert equal(weights(elsewhere / "runs/run/v1/last.ckpt"), weights(run / "last.ckpt"))


def test_the_paths_of_data_in_the_saved_configuration_are_absolute(small, colours, tmp_path, monkeypatch):
    monkeypatch.chdir(colours)
    words = [word.removeprefix(f"{colours}/") for word in small]
    assert main(["fit", *words, "--trainer.default_root_dir", str(tmp_path), "--trainer.max_epochs", "1"]) == 0
    config = yaml.safe_load((tmp_path / "run/v1/config.yaml").read_text())
    assert config["data"]["init_args"]["train"] == str(colours / "train.csv")


def test_a_checkpoint_loads_with_weights_only(run):
    checkpoint = torch.load(run / "last.ckpt", weights_only=True)
    assert checkpoint["mlic"]["classes"] == ["red", "green", "blue"]
    assert checkpoint["state_dict"]["thresholds"].shape == (3,)


def test_a_checkpoint_alone_rebuilds_its_classifier(run):
    classifier = MultiLabelClassifier.from_checkpoint(run / "best.ckpt")
    assert classifier.classes == ("red", "green", "blue")
    assert equal(classifier.state_dict(), weights(run / "best.ckpt"))
    assert not classifier.training


def test_the_same_seed_gives_equal_weights(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dropout = ["--model.head", "linear", "--model.head.dropout", "0.5"]
    for _ in range(2):
        assert main(["fit", *small, *dropout]) == 0
    assert main(["fit", *small, *dropout, "--seed_everything", "1"]) == 0
    first, second, other = (weights(tmp_path / f"runs/run/v{number}/last.ckpt") for number in (1, 2, 3))
    assert equal(first, second)
    assert not equal(first, other)


def test_the_number_of_workers_changes_nothing(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    augment = ["--data.augmentation.crop_scale", "0.5"]
    assert main(["fit", *small, *augment]) == 0
    assert main(["fit", *small, *augment, "--data.num_workers", "2"]) == 0
    assert equal(weights(tmp_path / "runs/run/v1/last.ckpt"), weights(tmp_path / "runs/run/v2/last.ckpt"))


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [*small, "--model.head", "linear", "--model.head.dropout", "0.5", "--data.augmentation.crop_scale", "0.5"]
    assert main(["fit", *words, "--trainer.max_epochs", "4"]) == 0
    assert main(["fit", *words, "--trainer.max_epochs", "2"]) == 0
    resumed = ["fit", "--ckpt_path", "runs/run/v2/last.ckpt", "--trainer.max_epochs", "4"]
    assert main(resumed) == 0
    assert equal(weights(tmp_path / "runs/run/v1/last.ckpt"), weights(tmp_path / "runs/run/v3/last.ckpt"))
    assert equal(weights(tmp_path / "runs/run/v1/best.ckpt"), weights(tmp_path / "runs/run/v3/best.ckpt"))


def test_a_resumption_that_has_nothing_to_train_says_so(run, capsys):
    assert main(["fit", "--ckpt_path", str(run / "last.ckpt")]) == 0
    assert "last.ckpt is at the end of its training, after 2 epochs and 8 steps; set" in capsys.readouterr().err
    assert main(["fit", "--ckpt_path", str(run / "last.ckpt"), "--trainer.max_epochs", "3"]) == 0
    assert "nothing was trained" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["last", "best"])
def test_a_plateau_is_resumed_with_all_that_it_has_seen(name, small, tmp_path, monkeypatch):
    # No epoch is ever good enough, so each halves the learning rate.
    options = ["--model.lr_scheduler.patience", "0", "--model.lr_scheduler.threshold", "9"]
    words = [*small, "--model.lr_scheduler", "ReduceLROnPlateau", "--model.lr_scheduler.mode", "max", *options]
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *words, "--trainer.max_epochs", "4"]) == 0
    assert main(["fit", *words]) == 0
    assert main(["fit", "--ckpt_path", f"runs/run/v2/{name}.ckpt", "--trainer.max_epochs", "4"]) == 0
    assert equal(weights(tmp_path / "runs/run/v1/last.ckpt"), weights(tmp_path / "runs/run/v3/last.ckpt"))


def test_a_checkpoint_that_the_configuration_names_is_resumed(run, tmp_path):
    (tmp_path / "c.yaml").write_text(f"ckpt_path: {run}/last.ckpt\ntrainer: {{max_epochs: 4}}\n")
    assert main(["fit", "--config", "c.yaml", "--name", "resumed"]) == 0
    assert torch.load("runs/resumed/v1/last.ckpt", weights_only=True)["epoch"] == 3
    lines = (tmp_path / "runs/resumed/v1/metrics.csv").read_text().splitlines()
    assert len([line for line in lines if "," in line]) <= 1 + 2 * 2  # two epochs, not four


def test_a_resumed_run_keeps_the_best_checkpoint_of_before(run, tmp_path, monkeypatch):
    # A learning rate of 3 ruins what comes after, so the best epoch lies before the resumption.
    checkpoint = torch.load(run / "last.ckpt", weights_only=True)
    for group in checkpoint["optimizer_states"][0]["param_groups"]:
        group["lr"] = 3.0
    torch.save(checkpoint, run / "ruined.ckpt")
    assert main(["fit", "--ckpt_path", str(run / "ruined.ckpt"), "--trainer.max_epochs", "3"]) == 0
    assert equal(weights(tmp_path / "runs/run/v2/best.ckpt"), weights(run / "best.ckpt"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_tells_its_last_checkpoint(number, code, small, tmp_path):
    words = [*small, "--trainer.max_epochs", "100000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "mlic", "fit", *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    last = tmp_path / "runs/run/v1/last.ckpt"
    deadline = time.monotonic() + 120
    while not last.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code, said
    assert "go on with: mlic fit --ckpt_path runs/run/v1/last.ckpt" in said
    assert "Traceback" not in said


def test_the_image_size_is_said_in_one_place(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = small.index("--model.backbone.image_size")
    without = small[:place] + small[place + 2 :]
    assert main(["fit", *without, "--data.image_size", "40", "--trainer.max_epochs", "1"]) == 0
    assert MultiLabelClassifier.from_checkpoint("runs/run/v1/best.ckpt").backbone.image_size == 40


def test_two_image_sizes_are_an_error(small, capsys):
    assert main(["fit", *small, "--data.image_size", "40"]) == 2
    assert "say it in one place" in capsys.readouterr().err


def test_a_frozen_backbone_does_not_change_while_the_head_learns(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *small, "--model.backbone.freeze", "true"]) == 0
    assert main(["fit", *small, "--model.backbone.freeze", "true", "--trainer.max_epochs", "1"]) == 0
    longer, shorter = (weights(tmp_path / f"runs/run/v{number}/last.ckpt") for number in (1, 2))
    changed = {name for name in longer if not torch.equal(longer[name], shorter[name])}
    assert changed - {"thresholds"} == {"head.linear.weight", "head.linear.bias"}


def test_a_named_part_starts_from_its_own_defaults(tmp_path, monkeypatch, capsys):
    module = """
from mlic.heads.linear import LinearHead
from mlic.losses.bce import BCELoss
class DropHead(LinearHead):
    def __init__(self, num_features: int, num_classes: int, dropout: float = 0.5) -> None:
        super().__init__(num_features, num_classes, dropout)
class MeanLoss(BCELoss):
    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
"""
    (tmp_path / "user_parts.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    words = ["--model.head", "user_parts.DropHead", "--model.loss", "user_parts.MeanLoss", "--model.optimizer", "SGD"]
    assert main(["fit", *words, "--data.train", "x.csv", "--print_config"]) == 0
    model = yaml.safe_load(capsys.readouterr().out)["model"]
    assert model["head"]["init_args"] == {"dropout": 0.5}
    assert model["loss"]["init_args"] == {"reduction": "mean"}
    assert model["optimizer"]["init_args"]["weight_decay"] == 0
    assert model["backbone"]["init_args"]["weights"] == "imagenet"


def test_a_backbone_with_weights_of_its_own_kind_is_tested_from_its_checkpoint(small, tmp_path, monkeypatch, capsys):
    module = """
import torch
from mlic import Backbone
class Own(Backbone):
    def __init__(self, weights: str | None = "DEFAULT") -> None:
        super().__init__()
        assert weights == "DEFAULT"
        self.num_features, self.image_size, self.mean, self.std = 4, 32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
        self.conv = torch.nn.Conv2d(3, 4, 8, 8)
    def forward(self, images):
        return self.conv(images)
"""
    (tmp_path / "own_backbone.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    words = ["--model.backbone", "own_backbone.Own", *small[small.index("--data.train") :]]
    assert main(["fit", *words]) == 0, capsys.readouterr().err
    assert main(["test", "--ckpt_path", "runs/run/v1/best.ckpt", "--report", "none"]) == 0, capsys.readouterr().err
    assert MultiLabelClassifier.from_checkpoint("runs/run/v1/best.ckpt").backbone.num_features == 4


def test_a_diverged_training_stops_with_the_reason(small, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for validation in ([], ["--data.val", "null"]):
        assert main(["fit", *small, *validation, "--model.optimizer.lr", "1e30"]) == 1
        said = capsys.readouterr().err
        assert "the training has diverged: lower the learning rate" in said
        assert "Traceback" not in said


def test_an_epoch_without_validation_shows_no_old_figures(small, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["--trainer.max_epochs", "3", "--trainer.check_val_every_n_epoch", "2"]
    assert main(["fit", *small, *words]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("epoch ")]
    assert ["val/mAP" in line for line in lines] == [False, True, False]


def test_the_metrics_of_a_run_are_those_of_its_best_epoch(run):
    import csv as table

    figures = json.loads((run / "metrics.json").read_text())
    with (run / "metrics.csv").open() as stream:
        rows = [row for row in table.DictReader(stream) if row["val/mAP"]]
    row = rows[figures["epochs"] - 1]
    assert {name for name in figures if name != "epochs"} == {f"val/{name}" for name in METRICS}
    assert all(float(row[name]) == pytest.approx(figures[name]) for name in figures if name != "epochs")


def test_a_configuration_given_to_test_wins(run, small, capsys):
    words = ["test", "--report", "none", "--ckpt_path", str(run / "best.ckpt")]
    assert run_json([*words, "--config", str(run / "config.yaml")], capsys) == run_json(words, capsys)


def test_what_trainer_and_data_refuse_ends_with_2(small, capsys):
    for words in (
        ["--trainer.strategy", "dpp"],
        ["--trainer.devices", "0"],
        ["--data.batch_size", "0"],
        ["--name", "../x"],
    ):
        assert main(["fit", *small, *words]) == 2, words
        assert len(capsys.readouterr().err.splitlines()) <= 3


def test_a_checkpoint_that_does_not_fit_the_model_is_told(run, capsys):
    words = ["--model.backbone", "test_resnet", "--model.backbone.image_size", "32", "--model.head", "linear"]
    checkpoint = torch.load(run / "best.ckpt", weights_only=True)
    checkpoint["state_dict"].pop("head.linear.bias")
    torch.save(checkpoint, run / "short.ckpt")
    assert main(["test", "--ckpt_path", str(run / "short.ckpt"), *words]) == 2
    assert "short.ckpt does not fit the model: Missing key(s)" in capsys.readouterr().err


def test_a_checkpoint_that_names_something_else_than_parts_calls_nothing(run, capsys):
    checkpoint = torch.load(run / "best.ckpt", weights_only=True)
    checkpoint["mlic"]["model"]["backbone"] = {"class_path": "os.system", "init_args": {"command": "touch pwned"}}
    torch.save(checkpoint, run / "evil.ckpt")
    for verb in ("test", "validate", "fit"):
        assert main([verb, "--ckpt_path", str(run / "evil.ckpt")]) == 2
        assert "os.system is named where a Backbone was expected" in capsys.readouterr().err
    assert not Path("pwned").exists()


def test_a_run_without_validation_keeps_its_newest_checkpoint(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *small, "--data.val", "null"]) == 0
    run = tmp_path / "runs/run/v1"
    assert equal(weights(run / "best.ckpt"), weights(run / "last.ckpt"))


def test_without_test_data_test_says_what_to_give(small, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *small, "--data.test", "null"]) == 0
    assert main(["test", "--ckpt_path", "runs/run/v1/best.ckpt"]) == 2
    assert "there is no test data; give its annotation file with --data.test PATH" in capsys.readouterr().err


def test_test_without_a_checkpoint_says_so(small, capsys):
    assert main(["test", *small]) == 2
    assert "needs a checkpoint: --ckpt_path" in capsys.readouterr().err


def test_an_unreadable_image_stops_the_run_and_is_named(small, colours, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    copy = tmp_path / "colours"
    shutil.copytree(colours, copy)
    (copy / "images/003.jpg").write_bytes(b"not an image")
    words = [word.replace(str(colours), str(copy)) for word in small]
    assert main(["fit", *words]) == 2
    said = capsys.readouterr().err
    assert "images/003.jpg" in said
    assert "on_bad_image" in said
    assert main(["fit", *words, "--data.on_bad_image", "skip"]) == 0
    said = capsys.readouterr().err
    assert "1 unreadable images were skipped" in said
    assert "images/003.jpg" in said


def test_a_class_without_any_positive_in_train_is_told(small, colours, tmp_path, capsys):
    rows = [line.rstrip("\n") for line in (colours / "train.csv").open()]
    path = colours / "with_yellow.csv"
    path.write_text("\n".join([rows[0] + ",yellow", *(row + ",0" for row in rows[1:])]) + "\n")
    words = [word.replace("train.csv", "with_yellow.csv") for word in small]
    assert main(["fit", *words]) == 2
    assert "class 'yellow' has no positive among the 32 training samples" in capsys.readouterr().err


def test_the_printed_configuration_can_be_fed_back(small, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *small, "--model.loss", "focal", "--print_config"]) == 0
    printed = capsys.readouterr().out
    (tmp_path / "c.yaml").write_text(printed)
    assert main(["fit", "--config", "c.yaml", "--print_config"]) == 0
    assert capsys.readouterr().out == printed


def test_progress_is_a_line_an_epoch_where_stderr_is_no_terminal(small, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *small]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("epoch ")]
    assert len(lines) == 2
    assert lines[0].startswith("epoch 1/2: train/loss ")
    assert "val/mAP" in lines[0]


@pytest.mark.slow
def test_two_processes_give_the_metrics_of_one(run, small, tmp_path, colours):
    # 15 samples: a distributed sampler pads them to 16 with a repeat, which must not count.
    rows = (colours / "test.csv").read_text().splitlines()
    odd = colours / "odd.csv"
    odd.write_text("\n".join(rows[:16]) + "\n")
    words = ["test", "--ckpt_path", str(run / "best.ckpt"), "--data.test", str(odd), "--report", "none", "--json"]
    program = [sys.executable, "-m", "mlic"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    results = []
    for devices in ("1", "2"):
        more = ["--trainer.accelerator", "cpu", "--trainer.devices", devices]
        ended = subprocess.run(
            [*program, *words, *more], capture_output=True, text=True, env=environment, cwd=tmp_path, check=False
        )
        assert ended.returncode == 0, ended.stderr
        results.append(json.loads(ended.stdout))
    assert results[1] == pytest.approx(results[0], abs=1e-6)


@pytest.mark.slow
def test_two_processes_train_into_one_folder(small, tmp_path):
    words = [*small[: small.index("--trainer.devices")], "--trainer.devices", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [sys.executable, "-m", "mlic", "fit", *words, "--json"],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["run"] == "runs/run/v1"
    assert {path.name for path in (tmp_path / "runs/run").iterdir()} == {"v1", "latest"}
    assert (tmp_path / "runs/run/v1/best.ckpt").exists()


def test_a_checkpoint_needs_the_file_of_queries_no_more(small, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("queries.npy", np.eye(3, 16, dtype=np.float32))
    head = {"class_path": "ml_decoder", "init_args": {"width": 16, "feed_forward": 16, "queries": "queries.npy"}}
    assert main(["fit", *small, "--model.head", json.dumps(head)]) == 0, capsys.readouterr().err
    Path("queries.npy").unlink()
    best, last = (f"runs/run/v1/{name}.ckpt" for name in ("best", "last"))
    saved = torch.load(best, weights_only=True)["state_dict"]["head.queries"]
    assert torch.equal(saved, torch.eye(3, 16))
    assert torch.equal(MultiLabelClassifier.from_checkpoint(best).head.queries, saved)
    for words in (["test", "--ckpt_path", best], ["fit", "--ckpt_path", last, "--trainer.max_epochs", "3"]):
        assert main([*words, "--trainer.accelerator", "cpu"]) == 0, capsys.readouterr().err
