import json
from pathlib import Path

import pytest
import yaml

from mlic.cli import main
from mlic.verbs.data.convert import _FORMATS

CSV = "image,cat,dog,owl\nphotos/a.jpg,1,1,0\nphotos/b.jpg,0,0,0\nphotos/c.jpg,,1,\nphotos/d.jpg,,,\n"


@pytest.fixture(autouse=True)
def desk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for name in "abcd":
        Path(f"photos/{name}.jpg").touch()
    Path("labels.csv").write_text(CSV)


def convert(capsys, *words):
    code = main(["data", "convert", "labels.csv", *words])
    return code, *capsys.readouterr()


@pytest.mark.parametrize("name", _FORMATS)
def test_the_page_says_how_the_file_is_read(name, capsys):
    if name == "openimages":
        for letter in "abcd":
            Path(f"photos/{letter}.jpg").rename(f"{letter}.jpg")
        Path("labels.csv").write_text(CSV.replace("photos/", ""))
    output = "labels_out.csv" if name in ("csv", "openimages") else "out.jsonl" if name == "jsonl" else "out.json"
    code, out, err = convert(capsys, "--to", name, "--output", output)
    assert code == 0, err
    number = 3 if name in ("cvat", "datumaro", "openimages") else 4  # these leave out what is unlabelled
    assert out.splitlines()[:2] == [f"{output}: {number} images, 3 classes", "to read it:"]
    source = yaml.safe_load(out.splitlines()[2])["train"]
    assert main(["data", "stats", str(source), "--json"]) == 0, capsys.readouterr().err
    found = json.loads(capsys.readouterr().out)
    assert (found["images"], found["support"]) == (number, {"cat": 1, "dog": 2, "owl": 0})


@pytest.mark.parametrize("name", ["cvat", "datumaro", "openimages"])
def test_a_file_without_any_image_is_not_written(name, capsys):
    Path("a.jpg").touch()
    Path("labels.csv").write_text("image,cat,dog\na.jpg,?,?\n")
    code, out, err = convert(capsys, "--to", name, "--output", "out")
    assert (code, out) == (2, "")
    assert f"none of the 1 images has labels, and {name} has no word for unlabelled ones" in err
    assert not Path("out").exists()


def test_what_is_lost_is_said(capsys):
    code, _, err = convert(capsys, "--to", "datumaro", "--output", "out.json")
    assert code == 0
    assert err.splitlines() == [
        "datumaro cannot say: 1 unlabelled images are left out: it has no word for them",
        "datumaro cannot say: 2 unknown labels of labelled images are written as absent",
    ]


def test_json_tells_the_same(capsys):
    code, out, _ = convert(capsys, "--to", "csv", "--output", "other.csv", "--json")
    source = {"class_path": "csv", "init_args": {"path": "other.csv"}}
    assert (code, json.loads(out)) == (0, {"output": "other.csv", "lost": [], "train": source})


def test_a_file_elsewhere_is_read_with_the_root(capsys):
    Path("elsewhere").mkdir()
    code, out, _ = convert(capsys, "--to", "coco", "--output", "elsewhere/out.json")
    assert code == 0
    assert yaml.safe_load(out.splitlines()[2])["train"]["init_args"]["root"] == "."


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--to", "ccoo", "--output", "x.json"], "--to is 'ccoo'; did you mean 'coco'?; expected one of csv, coco,"),
        (["--to", "coco"], "the following arguments are required: --output"),
        (["--output", "x.json"], "the following arguments are required: --to"),
        (["--to", "csv", "--output", "labels.csv"], "labels.csv exists; annotations are not overwritten"),
        (["--to", "csv", "--output", "no/x.csv"], "no/x.csv: there is no folder no"),
    ],
)
def test_wrong_words_are_told(words, message, capsys):
    code, out, err = convert(capsys, *words)
    assert (code, out) == (2, "")
    assert message in err
    assert Path("labels.csv").read_text() == CSV
