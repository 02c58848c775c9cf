import json
from pathlib import Path

import pytest
import torch

from mlic.classifier import MultiLabelClassifier
from mlic.cli import main


@pytest.fixture
def run(small, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *small, "--trainer.max_epochs", "1"]) == 0, capsys.readouterr().err
    return Path("runs/run/v1")


def calibrated(run, capsys, *words):
    capsys.readouterr()
    assert main(["calibrate", "--ckpt_path", str(run / "best.ckpt"), "--json", *words]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def test_the_decisions_of_fit_are_found_again(run, capsys):
    said = calibrated(run, capsys)
    assert said["checkpoint"] == str(run / "best-calibrated.ckpt")
    before, after = (MultiLabelClassifier.from_checkpoint(run / name) for name in ("best.ckpt", "best-calibrated.ckpt"))
    for name, one in before.state_dict().items():
        torch.testing.assert_close(after.state_dict()[name], one, rtol=1e-5, atol=1e-6)
    logged = json.loads((run / "metrics.json").read_text())
    for name in ("val/mAP", "val/f1_micro", "val/f1_macro"):
        assert said[name] == pytest.approx(logged[name], abs=1e-6)


def test_a_recall_that_is_asked_for_is_reached_by_test_and_kept_by_the_checkpoint(run, colours, capsys):
    rule = ["--model.decision.objective", "recall", "--model.decision.target", "1", "--model.decision.scope", "global"]
    calibrated(run, capsys, *rule, "--output", "all.ckpt")
    model = MultiLabelClassifier.from_checkpoint("all.ckpt")
    assert (model.decision.objective, model.decision.target) == ("recall", 1.0)
    assert model.fitted["shared"] == ["red", "green", "blue"]
    capsys.readouterr()
    words = ["--data.test", str(colours / "val.csv"), "--report", "none"]
    assert main(["test", "--ckpt_path", "all.ckpt", *words]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:4]]
    assert [row[6] for row in rows] == ["1.0000"] * 3


def test_a_training_goes_on_from_a_calibrated_checkpoint_by_its_rule(run, capsys):
    calibrated(run, capsys, "--model.decision.calibration", "platt", "--output", "platt.ckpt")
    assert main(["fit", "--ckpt_path", "platt.ckpt", "--trainer.max_epochs", "2"]) == 0, capsys.readouterr().err
    assert MultiLabelClassifier.from_checkpoint("runs/run/v2/last.ckpt").decision.calibration == "platt"


def test_nothing_is_overwritten(run, capsys):
    calibrated(run, capsys)
    assert main(["calibrate", "--ckpt_path", str(run / "best.ckpt")]) == 2
    assert "best-calibrated.ckpt is there already; name another file with --output" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_told_before_anything_runs(run, capsys):
    capsys.readouterr()
    assert main(["calibrate", "--ckpt_path", str(run / "best.ckpt"), "--output", "gone/c.ckpt"]) == 2
    err = capsys.readouterr().err
    assert "gone/c.ckpt: there is no folder gone" in err
    assert "val:" not in err


def test_people_see_each_class_before_and_after(run, capsys):
    capsys.readouterr()
    assert main(["calibrate", "--ckpt_path", str(run / "best.ckpt"), "--model.decision.objective", "fixed"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["class", "support", "before", "threshold", "precision", "recall", "f1"]
    assert [line.split()[3] for line in lines[1:4]] == ["0.5000"] * 3
    assert lines[-1].split() == ["checkpoint", str(run / "best-calibrated.ckpt")]


def test_a_rule_that_cannot_be_is_refused(run, capsys):
    words = ["--model.decision.objective", "recall"]
    assert main(["calibrate", "--ckpt_path", str(run / "best.ckpt"), *words]) == 2
    assert "no target is given" in capsys.readouterr().err


def test_what_is_not_reached_and_what_is_shared_is_told(run, capsys):
    words = ["--model.decision.objective", "precision", "--model.decision.target", "1", "--model.decision.calibration"]
    said = calibrated(run, capsys, *words, "none")
    assert said["shared"] == ["red", "green", "blue"]  # 8 positives each
    assert said["unreached"] == ["red", "green", "blue"]
    assert main(["calibrate", "--ckpt_path", str(run / "best.ckpt"), *words, "none", "--output", "other.ckpt"]) == 0
    out = capsys.readouterr().out
    assert "one threshold together: red, green, blue" in out
    assert "not reached (a precision of at least 1): red, green, blue" in out


def test_without_a_known_positive_nothing_is_fitted_and_nothing_written(run, colours, tmp_path, capsys):
    rows = (colours / "val.csv").read_text().splitlines()
    (tmp_path / "none.csv").write_text("\n".join([rows[0], *(row for row in rows if row.endswith(",0,0,0"))]) + "\n")
    (tmp_path / "images").symlink_to(colours / "images")
    capsys.readouterr()
    words = ["--data.val", str(tmp_path / "none.csv"), "--output", "none.ckpt"]
    assert main(["calibrate", "--ckpt_path", str(run / "best.ckpt"), *words]) == 2
    assert (
        "none of the 2 validation samples that could be read has a class known to be present" in capsys.readouterr().err
    )
    assert not (tmp_path / "none.ckpt").exists()


def test_a_training_tells_at_its_end_what_was_not_reached(small, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rule = ["--model.decision.objective", "precision", "--model.decision.target", "1"]
    assert main(["fit", *small, "--trainer.max_epochs", "1", *rule]) == 0
    told = "thresholds: a precision of at least 1 is not reached on the validation samples of red, green, blue"
    assert told in capsys.readouterr().err
