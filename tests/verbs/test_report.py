import csv
import json
import shutil
from pathlib import Path

import pytest

from mlic.cli import main


@pytest.fixture
def tested(small, tmp_path, monkeypatch, capsys):
    """The folder of a run whose best checkpoint was tested."""
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *small, "--trainer.max_epochs", "1"]) == 0, capsys.readouterr().err
    assert main(["test", "--ckpt_path", "runs/run/v1/best.ckpt"]) == 0, capsys.readouterr().err
    capsys.readouterr()
    return tmp_path / "runs/run/v1"


def said(capsys, *words):
    """Returns what a report says to machines."""
    capsys.readouterr()
    assert main(["report", *words, "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def content(path):
    return json.loads(Path(path).read_text(encoding="utf-8"))


def test_the_same_report_comes_again_from_a_run_its_report_and_the_file_of_scores(tested, capsys):
    first = (tested / "report/v1/report.html").read_bytes()
    for number, model in enumerate((tested, tested / "report/v1", tested / "report/v1/scored.npz"), start=1):
        files = said(capsys, str(model))
        assert files["html"] == f"report/v{number}/report.html"
        assert Path(files["html"]).read_bytes() == first


def test_two_models_are_compared(tested, capsys):
    shutil.copytree(tested / "report/v1", "other")
    files = said(capsys, str(tested), "other", "--output", "both")
    assert sorted(files.values()) == [f"both/comparison.{kind}" for kind in ("html", "json", "md")]
    figures = {each["name"]: each for each in content(files["json"])["figures"]}
    assert (figures["mAP"]["a"], figures["mAP"]["b_better"]) == (figures["mAP"]["b"], 0.5)


def test_predictions_are_judged_by_any_annotations(tested, colours, capsys):
    words = ["--ckpt_path", str(tested / "best.ckpt"), str(colours / "images"), "--output", "labels.csv"]
    assert main(["predict", *words]) == 0, capsys.readouterr().err
    files = said(capsys, "--predictions", "labels.csv", str(colours / "test.csv"), "--output", "judged")
    by_test, by_file = (
        {each["name"]: each["value"] for each in content(path)["figures"]}
        for path in (tested / "report/v1/report.json", files["json"])
    )
    for name in ("mAP", "OF1", "CF1", "hamming", "lrap"):
        assert by_file[name] == pytest.approx(by_test[name], abs=1e-4)


def test_arguments_of_the_reader_are_taken(tested, colours, capsys):
    with (colours / "test.csv").open(newline="") as stream:
        rows = list(csv.reader(stream))
    odd = [rows[0], *([row[0], *(cell.replace("0", "-1") for cell in row[1:])] for row in rows[1:])]
    Path("odd.csv").write_text("".join(f"{','.join(row)}\n" for row in odd))
    words = ["--ckpt_path", str(tested / "best.ckpt"), str(colours / "images"), "--output", "labels.csv"]
    assert main(["predict", *words]) == 0
    judge = ["--predictions", "labels.csv", "odd.csv", "--root", str(colours), "--output", "judged"]
    said(capsys, *judge, "--unknown_value", "-1")
    assert content("judged/report.json")["unknown"] == 24


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "the following arguments are required"),
        (["a", "b", "c"], "one model, or two to compare, are expected; found 3"),
        (["nowhere"], "nowhere: no scored.npz here"),
        (["--predictions", "scores.csv"], "the following arguments are required: PATH"),
        (["--predictions", "scores.csv", "nowhere.csv"], "nowhere.csv"),
    ],
)
def test_words_that_mean_nothing_end_with_2(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["report", *words]) == 2
    assert message in capsys.readouterr().err
