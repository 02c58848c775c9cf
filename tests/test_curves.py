from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from mlic import curves
from mlic.cli import main


def board(run: Path) -> EventAccumulator:
    events = EventAccumulator(str(run), size_guidance={"tensors": 0, "images": 0})
    events.Reload()
    return events


def test_the_curves_of_the_last_validation_are_in_tensorboard(small, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *small]) == 0, capsys.readouterr().err
    events = board(Path("runs/run/v1"))
    assert {"val/all classes", "val/red", "val/green", "val/blue"} <= set(events.Tags()["tensors"])
    found = events.Tensors("val/all classes")
    assert [curve.step for curve in found] == [8]  # the epochs are short
    true_positives = make_ndarray(found[-1].tensor_proto)[0]
    assert true_positives[0] == 24  # at threshold 0 all that is present is found: 16 images, 1.5 labels each
    assert [image.step for image in events.Images("val/are scores frequencies")] == [8]


def test_of_long_epochs_each_is_drawn_once(small, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(curves, "_SECONDS_APART", 0)
    assert main(["fit", *small]) == 0, capsys.readouterr().err
    assert [curve.step for curve in board(Path("runs/run/v1")).Tensors("val/red")] == [4, 8]


def test_a_run_without_validation_draws_nothing(small, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *small, "--data.val", "null", "--trainer.max_epochs", "1"]) == 0, capsys.readouterr().err
    assert "images" not in {kind for kind, tags in board(Path("runs/run/v1")).Tags().items() if tags}
