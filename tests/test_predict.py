import csv
import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from mlic.cli import main
from mlic.errors import UsageError
from mlic.images import read_image, squash
from mlic.predict import Predictor, find_images


@pytest.fixture(scope="module")
def checkpoint(colours, tmp_path_factory) -> Path:
    """A checkpoint that has learnt a little; made without the command line, as a Python user would."""
    import pytorch_lightning as pl

    from mlic import ImageDataModule, MultiLabelClassifier
    from mlic.backbones.timm import TimmBackbone

    pl.seed_everything(0)
    data = ImageDataModule(colours / "train.csv", colours / "val.csv", batch_size=8, num_workers=0)
    classifier = MultiLabelClassifier(
        data.classes, backbone=lambda: TimmBackbone("test_resnet", weights="none", image_size=32)
    )
    folder = tmp_path_factory.mktemp("checkpoint")
    trainer = pl.Trainer(
        max_epochs=3, accelerator="cpu", logger=False, enable_progress_bar=False, default_root_dir=folder
    )
    trainer.fit(classifier, datamodule=data)
    trainer.save_checkpoint(folder / "plain.ckpt")
    return folder / "plain.ckpt"


def test_four_lines_of_python_predict(checkpoint, colours):
    prediction = Predictor(checkpoint).predict([colours / "images/000.jpg"])[0]
    assert list(prediction.scores) == ["red", "green", "blue"]
    assert prediction.error == ""


def test_scores_are_those_of_the_bare_model(checkpoint, colours):
    predictor = Predictor(checkpoint, num_workers=0)
    path = colours / "images/005.jpg"
    with torch.inference_mode():
        logits = predictor.classifier(squash(read_image(path), 32).unsqueeze(0))
        scores = predictor.classifier.decisions.scores(logits)
    assert list(predictor.predict([path])[0].scores.values()) == pytest.approx(scores[0].tolist(), abs=1e-6)


def test_labels_are_the_classes_whose_score_reaches_the_threshold(checkpoint, colours):
    predictor = Predictor(checkpoint, num_workers=0)
    predictor.classifier.thresholds.copy_(torch.tensor([0.0, 1.1, 0.0]))
    assert predictor.predict([colours / "images/000.jpg"])[0].labels == ("red", "blue")


def test_there_is_one_row_for_each_path_in_order_whatever_the_batches(checkpoint, colours):
    paths = [str(path) for path in sorted((colours / "images").iterdir())][::-1]
    paths.append(paths[-1])
    one = Predictor(checkpoint, batch_size=1, num_workers=0).predict(paths)
    many = Predictor(checkpoint, batch_size=7, num_workers=2).predict(paths)
    assert [row.path for row in one] == [row.path for row in many] == paths
    for left, right in zip(one, many, strict=True):
        assert left.scores == pytest.approx(right.scores, abs=1e-6)


def test_an_unreadable_image_is_a_row_with_an_error(checkpoint, colours, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no image")
    rows = Predictor(checkpoint, batch_size=2, num_workers=0).predict([colours / "images/001.jpg", bad, bad])
    assert [bool(row.error) for row in rows] == [False, True, True]
    assert rows[1].scores == {}
    assert "bad.jpg" in rows[1].error


def test_no_path_gives_no_row(checkpoint):
    assert Predictor(checkpoint).predict([]) == []


def test_the_command_writes_csv(checkpoint, colours, tmp_path):
    output = tmp_path / "out.csv"
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no image")
    words = ["--ckpt_path", str(checkpoint), "--output", str(output), "--trainer.accelerator", "cpu"]
    assert main(["predict", *words, str(colours / "images"), str(bad)]) == 0
    with output.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    assert rows[0] == ["path", "labels", "error", "red", "green", "blue"]
    assert len(rows) == 1 + 64 + 1
    assert rows[-1][0] == str(bad)
    assert rows[-1][2]
    assert rows[-1][3:] == ["", "", ""]
    assert all(0 <= float(cell) <= 1 for row in rows[1:-1] for cell in row[3:])


def test_the_command_writes_json_lines_to_stdout(checkpoint, colours, capsys):
    assert main(["predict", "--ckpt_path", str(checkpoint), str(colours / "images/000.jpg"), "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row.keys() == {"path", "labels", "scores", "error"}
    assert row["error"] is None


def test_csv_and_python_agree(checkpoint, colours, tmp_path):
    output = tmp_path / "out.jsonl"
    path = str(colours / "images/010.jpg")
    assert main(["predict", "--ckpt_path", str(checkpoint), path, "--output", str(output)]) == 0
    assert json.loads(output.read_text())["scores"] == Predictor(checkpoint).predict([path])[0].scores


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.jpg"], "nowhere.jpg: no such file, folder or pattern"),
        (["."], "no image below this folder"),
        (["a.png", "--output", "out.xml"], "out.xml: the name tells the format"),
        ([], "required"),
    ],
)
def test_wrong_words_end_with_2(words, message, checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["predict", "--ckpt_path", str(checkpoint), *words]) == 2
    assert message in capsys.readouterr().err


def test_classes_that_would_make_the_csv_ambiguous_are_refused():
    import io

    from mlic.predict import CsvWriter

    for name in ("error", "a|b"):
        with pytest.raises(UsageError, match="would make the CSV ambiguous; write JSON lines"):
            CsvWriter(io.StringIO(), ["cat", name])


def test_a_name_that_is_not_utf_8_gets_its_row(checkpoint, colours, tmp_path):
    import os

    name = os.fsdecode(b"latin\xe9.jpg")
    (tmp_path / name).write_bytes((colours / "images/003.jpg").read_bytes())
    output = tmp_path / "out.csv"
    words = ["--ckpt_path", str(checkpoint), "--output", str(output)]
    assert main(["predict", *words, str(tmp_path / name)]) == 0
    assert b"latin\xe9.jpg" in output.read_bytes()


def test_scores_that_are_no_numbers_are_an_error_and_not_a_row_of_nothing(checkpoint, colours):
    predictor = Predictor(checkpoint, num_workers=0)
    torch.nn.init.constant_(predictor.classifier.head.linear.bias, float("nan"))
    row = predictor.predict([colours / "images/000.jpg"])[0]
    assert (row.labels, row.scores) == ((), {})
    assert "diverged" in row.error


def test_a_training_configuration_gives_only_how_to_compute(checkpoint, colours, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(
        "model: {loss: focal}\ntrainer: {accelerator: cpu, max_epochs: 7}\n"
        "data: {class_path: image, init_args: {train: gone.csv, batch_size: 2}}\n"
    )
    output = tmp_path / "out.csv"
    words = ["--ckpt_path", str(checkpoint), "--config", str(config), "--output", str(output)]
    assert main(["predict", *words, str(colours / "images/000.jpg")]) == 0


@pytest.mark.slow
def test_two_processes_write_each_row_once_even_for_one_image(checkpoint, colours, tmp_path):
    import subprocess
    import sys

    for paths in ([str(colours / "images/000.jpg")], [str(colours / "images")]):
        outputs = [tmp_path / f"out{devices}.csv" for devices in (1, 2)]
        for devices, output in zip((1, 2), outputs, strict=True):
            words = ["--ckpt_path", str(checkpoint), *paths, "--output", str(output), "--num_workers", "0"]
            more = ["--trainer.accelerator", "cpu", "--trainer.devices", str(devices)]
            command = [sys.executable, "-m", "mlic", "predict", *words, *more]
            ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
            assert ended.returncode == 0, ended.stderr
        one, two = (list(csv.reader(output.open())) for output in outputs)
        assert [row[:3] for row in one] == [row[:3] for row in two]


def test_a_file_that_is_no_checkpoint_is_told(colours, tmp_path, capsys):
    fake = tmp_path / "fake.ckpt"
    fake.write_bytes(b"nothing")
    assert main(["predict", "--ckpt_path", str(fake), str(colours / "images/000.jpg")]) == 2
    assert "fake.ckpt: not a checkpoint that can be read" in capsys.readouterr().err


def test_a_checkpoint_of_something_else_is_told(colours, tmp_path, capsys):
    other = tmp_path / "other.ckpt"
    torch.save({"state_dict": {}}, other)
    assert main(["predict", "--ckpt_path", str(other), str(colours / "images/000.jpg")]) == 2
    assert "a checkpoint, but not one of mlic" in capsys.readouterr().err


def test_folders_patterns_and_lists_become_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a/b").mkdir(parents=True)
    for name in ("a/2.JPG", "a/b/1.png", "a/notes.md", "3.gif"):
        (tmp_path / name).touch()
    (tmp_path / "list.txt").write_text("a/2.JPG\r\n\r\ngone.jpg\r\n")
    assert find_images(["a"]) == ["a/2.JPG", "a/b/1.png"]
    assert find_images(["a/*.JPG", "3.gif"]) == ["a/2.JPG", "3.gif"]
    assert find_images(["list.txt"]) == ["a/2.JPG", "gone.jpg"]


def test_a_near_file_name_is_suggested(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(UsageError, match=r"did you mean 'photo\.jpg'\?"):
        find_images(["foto.jpg"])


def test_an_image_turned_by_exif_scores_as_the_upright_one(checkpoint, colours, tmp_path):
    upright = Image.open(colours / "images/003.jpg")
    upright.save(tmp_path / "upright.png")
    turned = upright.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    one, other = Predictor(checkpoint).predict([tmp_path / "upright.png", tmp_path / "turned.png"])
    assert one.scores == pytest.approx(other.scores, abs=1e-6)
