import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from mlic.backbones.timm import TimmBackbone
from mlic.checkpoints import write_checkpoint
from mlic.classifier import MultiLabelClassifier
from mlic.cli import main
from mlic.predict import Predictor
from mlic.predict.formats import Csv, Jsonl, Text
from mlic.tracking import Progress
from mlic.views import TTA


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


def test_a_name_that_is_not_utf_8_gets_its_row(checkpoint, colours, tmp_path):
    import os

    name = os.fsdecode(b"latin\xe9.jpg")
    (tmp_path / name).write_bytes((colours / "images/003.jpg").read_bytes())
    output = tmp_path / "out.csv"
    words = ["--ckpt_path", str(checkpoint), "--output", str(output)]
    assert main(["predict", *words, str(tmp_path / name)]) == 0
    assert b"latin\xe9.jpg" in output.read_bytes()


def test_a_training_configuration_gives_only_how_to_compute(checkpoint, colours, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(
        "model: {loss: focal}\ntrainer: {accelerator: cpu, max_epochs: 7}\n"
        "data: {class_path: image, init_args: {train: gone.csv, batch_size: 2}}\n"
    )
    output = tmp_path / "out.csv"
    words = ["--ckpt_path", str(checkpoint), "--config", str(config), "--output", str(output)]
    assert main(["predict", *words, str(colours / "images/000.jpg")]) == 0


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


def predict(checkpoint, *words):
    return main(["predict", "--ckpt_path", str(checkpoint), *map(str, words)])


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "txt", "parquet"])
def test_names_that_hurt_come_back_from_every_format(suffix, checkpoint, hostile, tmp_path):
    output = tmp_path / f"out.{suffix}"
    assert predict(checkpoint, hostile, "--output", output) == 0
    expected = sorted(map(str, hostile.iterdir()))
    if suffix == "csv":
        with output.open(newline="", encoding="utf-8", errors="surrogateescape") as stream:
            found = [row["path"] for row in csv.DictReader(stream)]
    elif suffix == "jsonl":
        found = [json.loads(line)["path"] for line in output.read_text(encoding="utf-8").splitlines()]
    elif suffix == "txt":
        text = output.read_text(encoding="utf-8", errors="surrogateescape")
        found = [paragraph.split("\n")[0] for paragraph in text.removesuffix("\n\n").split("\n\n")]
        expected = [path.replace("\n", "\\n").replace("\r", "\\r") for path in expected]
    else:
        from pyarrow import parquet

        found = parquet.read_table(output).column("path").to_pylist()
        expected = [os.fsencode(path).decode("utf-8", "backslashreplace") for path in expected]
    assert found == expected


def test_text_has_the_lines_of_the_classic_tool(checkpoint, images, tmp_path):
    output = tmp_path / "out.txt"
    assert predict(checkpoint, images[0], images[1], "--output", output, "--top", 2) == 0
    first = output.read_text().split("\n\n")[0].split("\n")
    scores = Predictor(checkpoint).predict([images[0]])[0].scores
    best = sorted(scores.items(), key=lambda item: -item[1])[:2]
    assert first == [images[0], *(f"{name} (score = {score:.5f})" for name, score in best)]


def test_only_positive_and_threshold_choose_what_is_shown(checkpoint, images, capsys):
    assert predict(checkpoint, images[0], "--only-positive", "--threshold", 0) == 0
    shown = capsys.readouterr().out
    row = next(csv.DictReader(io.StringIO(shown)))
    assert row.keys() == {"path", "labels", "error", "scores"}
    assert row["labels"] == "red|green|blue"
    scores = [part.rpartition("=") for part in row["scores"].split("|")]
    assert sorted(name for name, _, _ in scores) == ["blue", "green", "red"]
    assert [float(score) for _, _, score in scores] == sorted((float(s) for _, _, s in scores), reverse=True)
    assert predict(checkpoint, images[0], "--only-positive", "--threshold", 1, "--json") == 0
    assert json.loads(capsys.readouterr().out)["scores"] == {}


@pytest.mark.parametrize("by", ["path", "green"])
def test_rows_are_sorted_when_asked(by, checkpoint, images, tmp_path):
    output = tmp_path / "out.csv"
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"")
    assert predict(checkpoint, bad, *images[::-1], "--output", output, "--sort-by", by) == 0
    with output.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    if by == "path":
        assert [row["path"] for row in rows] == sorted([str(bad), *images])
    else:
        assert rows[-1]["path"] == str(bad)
        scores = [float(row["green"]) for row in rows[:-1]]
        assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("suffix", ["npy", "safetensors", "parquet"])
def test_features_stand_beside_the_rows(suffix, checkpoint, images, tmp_path):
    features = tmp_path / f"f.{suffix}"
    assert predict(checkpoint, *images[:20], "--output", tmp_path / "out.csv", "--features", features) == 0
    expected = []
    Predictor(checkpoint).write(
        images[:20], lambda prediction: None, write_features=lambda names, rows: expected.extend(rows)
    )
    if suffix == "npy":
        found = np.load(features)
    elif suffix == "safetensors":
        from safetensors.numpy import load_file

        found = load_file(features)["features"]
    else:
        from pyarrow import parquet

        table = parquet.read_table(features)
        assert table.column("path").to_pylist() == images[:20]
        found = np.array(table.column("features").to_pylist(), np.float32)
    np.testing.assert_array_equal(found, np.array(expected))


def test_standard_input_is_answered_line_by_line(checkpoint, images, tmp_path):
    command = [
        sys.executable,
        "-m",
        "mlic",
        "predict",
        "--ckpt_path",
        str(checkpoint),
        "-",
        "--json",
        "--engine",
        "plain",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path) as process:
        for path in (images[3], "gone.jpg", images[4]):
            process.stdin.write(f"{path}\n".encode())
            process.stdin.flush()
            row = json.loads(process.stdout.readline())
            assert row["path"] == path
            assert bool(row["error"]) == (path == "gone.jpg")
        process.stdin.close()
        assert process.stdout.read() == b""
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("suffix", "form"), [("csv", Csv(["red", "green", "blue"])), ("jsonl", Jsonl()), ("txt", Text())]
)
def test_a_file_that_was_cut_anywhere_ends_as_the_one_that_was_not(
    suffix, form, checkpoint, colours, hostile, tmp_path
):
    whole, output, features = tmp_path / f"whole.{suffix}", tmp_path / f"out.{suffix}", tmp_path / "f.npy"
    words = [colours / "images", hostile, "--engine", "torch"]
    assert predict(checkpoint, *words, "--output", whole, "--features", features) == 0
    expected, embedded = whole.read_bytes(), features.read_bytes()
    random = np.random.default_rng(0)
    for cut in (0, 1, *random.integers(0, len(expected), 3), len(expected)):
        output.write_bytes(expected[:cut])
        features.write_bytes(embedded[: random.integers(0, len(embedded))])
        assert predict(checkpoint, *words, "--output", output, "--features", features, "--resume") == 0
        assert output.read_bytes() == expected
        assert features.read_bytes() == embedded
    assert {path.name for path in tmp_path.iterdir()} == {whole.name, output.name, features.name}


def test_other_images_another_checkpoint_or_other_options_are_not_gone_on_with(checkpoint, images, tmp_path, capsys):
    output = tmp_path / "out.csv"
    note = tmp_path / "out.csv.unfinished"
    assert predict(checkpoint, *images[:20], "--output", output) == 0
    before = b"".join(output.read_bytes().splitlines(keepends=True)[:19]) + b"half of a ro"
    output.write_bytes(before)
    for words, message in [
        ([images[1], *images[1:20]], f"row 1 is of '{images[0][:60]}"),
        (images[:5], "18 rows are there, of 5 images"),
        ([*images[:20], "--top", "2"], "its first line is not that of these classes and options"),
    ]:
        assert predict(checkpoint, *words, "--output", output, "--resume") == 2
        assert message in capsys.readouterr().err
        assert output.read_bytes()[:1000] == before[:1000]
        note.unlink(missing_ok=True)
    note.write_text(json.dumps({"facts": {"checkpoint": "another"}, "engine": "plain"}))
    assert predict(checkpoint, *images[:20], "--output", output, "--resume") == 2
    assert "made with another checkpoint (another, now" in capsys.readouterr().err
    note.write_text(json.dumps({"facts": {"threshold": 0.25}, "engine": "plain"}))
    assert predict(checkpoint, *images[:20], "--output", output, "--resume") == 2
    assert "made with another threshold (0.25, now null)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--resume"], "--resume goes on with a file"),
        (["--resume", "--output", "a.parquet"], "a Parquet file is whole or it is not there"),
        (["--resume", "--output", "a.csv", "--features", "f.parquet"], "a Parquet file is whole"),
        (["--resume", "--output", "a.csv", "--sort-by", "path"], "nothing to --resume"),
        (["--sort-by", "path", "--features", "f.npy"], "leave out --sort-by"),
        (["--sort-by", "gren"], "no such class; did you mean 'green'?"),
        (["--features", "f.csv"], "expected one in .npy, .safetensors or .parquet"),
        (["--output", "a.parquet", "--features", "a.parquet"], "rows and features cannot have one file"),
        (["--top", "0"], "top is 0"),
        (["--threshold", "-1"], "threshold is -1"),
        (["--tta", "mirror"], "tta is 'mirror'"),
        (["--shard", "2/2"], "expected 0/2 to 1/2"),
        (["--output", "gone/a.csv"], "gone/a.csv: cannot be written"),
        (["--output", "gone/a.parquet"], "gone/a.parquet: cannot be written"),
        (["--engine", "abacus"], "engine is 'abacus'"),
    ],
)
def test_what_does_not_go_together_is_told(words, message, checkpoint, images, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert predict(checkpoint, images[0], *words) == 2
    assert message in capsys.readouterr().err


def test_the_views_to_choose_from_are_those_that_there_are():
    import mlic.verbs.predict

    assert get_args(mlic.verbs.predict._Views) == get_args(TTA)


def test_a_list_is_not_overwritten_by_its_own_labels(checkpoint, tmp_path, capsys):
    listed = tmp_path / "list.txt"
    listed.write_text("a.jpg\n")
    for word in (listed, tmp_path / "*.txt"):
        assert predict(checkpoint, word, "--output", listed) == 2
        assert "the images are read from there" in capsys.readouterr().err
    assert listed.read_text() == "a.jpg\n"


def test_a_model_is_not_overwritten_by_its_features(checkpoint, images, tmp_path, capsys):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_text("{}")
    words = [images[0], "--output", tmp_path / "a.csv", "--features", tmp_path / "model.safetensors"]
    assert predict(tmp_path, *words) == 2
    assert "the model is read from there" in capsys.readouterr().err
    assert (tmp_path / "model.safetensors").read_text() == "{}"


def test_who_stops_a_run_is_told_how_it_goes_on(checkpoint, images, tmp_path, capsys, monkeypatch):
    output = tmp_path / "out.csv"
    add = Progress.add

    def stop_at_the_tenth(self, number=1):
        add(self, number)
        if len(rows) < 10:
            rows.append(number)
        else:
            os.kill(os.getpid(), signal.SIGTERM)

    rows: list[int] = []
    monkeypatch.setattr(Progress, "add", stop_at_the_tenth)
    assert predict(checkpoint, *images, "--output", output) == 143
    told = capsys.readouterr().err
    assert told.endswith(f"stopped by SIGTERM\n{output} has the rows so far; the same command with --resume goes on\n")
    assert len(output.read_text().splitlines()) == 12


def test_what_was_there_stays_where_a_run_fails(checkpoint, images, tmp_path):
    output = tmp_path / "out.parquet"
    output.write_bytes(b"earlier")
    listed = tmp_path / "list.txt"
    listed.write_bytes(f"{images[0]}\n\0\n".encode())
    assert predict(checkpoint, listed, "--output", output) == 2
    assert output.read_bytes() == b"earlier"
    assert {path.name for path in tmp_path.iterdir()} == {"out.parquet", "list.txt"}


def test_parts_of_several_processes_are_together_the_whole(checkpoint, images, tmp_path, monkeypatch):
    whole = tmp_path / "whole.jsonl"
    assert predict(checkpoint, *images, "--output", whole, "--engine", "torch") == 0
    for place in range(3):
        words = ["--output", tmp_path / "part.jsonl", "--engine", "torch", "--features", tmp_path / "f.npy"]
        if place == 2:
            monkeypatch.setenv("RANK", "2")
            monkeypatch.setenv("WORLD_SIZE", "3")
        assert predict(checkpoint, *images, *words, "--shard", "auto" if place == 2 else f"{place}/3") == 0
    parts = [(tmp_path / f"part-{place:05}-of-00003.jsonl").read_text().splitlines() for place in range(3)]
    assert [len(part) for part in parts] == [22, 21, 21]
    rows = [json.loads(line) for part in parts for line in part]
    expected = [json.loads(line) for line in whole.read_text().splitlines()]
    assert [row["path"] for row in sorted(rows, key=lambda row: row["path"])] == [row["path"] for row in expected]
    for row, other in zip(sorted(rows, key=lambda row: row["path"]), expected, strict=True):
        assert row["scores"] == pytest.approx(other["scores"], abs=1e-5)
    assert len(np.load(tmp_path / "f-00002-of-00003.npy")) == 21


def test_processes_that_would_all_do_the_same_are_refused(checkpoint, images, monkeypatch, capsys):
    for name, value in {"TORCHELASTIC_RUN_ID": "1", "RANK": "0", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    assert predict(checkpoint, images[0]) == 2
    assert "2 processes were started, and each would do all of the work; say --shard auto" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_that_was_killed_is_gone_on_with(checkpoint, images, tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_text("".join(f"{path}\n" for path in images * 80))
    whole, output = tmp_path / "whole.csv", tmp_path / "out.csv"
    words = [str(listed), "--engine", "torch", "--output"]
    command = [sys.executable, "-m", "mlic", "predict", "--ckpt_path", str(checkpoint), *words, str(output)]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not (output.exists() and output.stat().st_size > 10_000):
            pass
        process.kill()
    assert process.returncode == -9
    assert Path(f"{output}.unfinished").exists()
    assert 10_000 < output.stat().st_size < 80 * 64 * 30
    assert predict(checkpoint, *words, output, "--resume") == 0
    assert predict(checkpoint, *words, whole) == 0
    assert output.read_bytes() == whole.read_bytes()
    assert not Path(f"{output}.unfinished").exists()


def test_classes_that_a_csv_cannot_name_are_written_in_the_other_formats(images, tmp_path, capsys):
    names = ["labels", "a|b", 'quo"te', "two\nlines"]
    classifier = MultiLabelClassifier(
        names, backbone=lambda: TimmBackbone("test_resnet", weights="none", image_size=32)
    ).eval()
    checkpoint = {"state_dict": classifier.state_dict(), "epoch": 1}
    classifier.on_save_checkpoint(checkpoint)
    write_checkpoint(tmp_path / "odd.ckpt", checkpoint)
    for suffix in ("jsonl", "txt", "parquet"):
        words = ["--top", 2, "--sort-by", "a|b", "--output", tmp_path / f"out.{suffix}"]
        assert predict(tmp_path / "odd.ckpt", images[0], *words) == 0
    capsys.readouterr()
    assert predict(tmp_path / "odd.ckpt", images[0], "--output", tmp_path / "out.csv") == 2
    assert "would make the CSV ambiguous; write JSON lines" in capsys.readouterr().err
    assert predict(tmp_path / "odd.ckpt", images[0], "--output", tmp_path / "all.parquet") == 2
    assert "would hide a column of the Parquet file" in capsys.readouterr().err
