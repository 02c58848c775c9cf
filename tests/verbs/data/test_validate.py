import json
from pathlib import Path

import pytest
from PIL import Image

from mlic.cli import main

GOOD = "image,cat,dog\na.jpg,1,0\nb.jpg,0,1\n"
POOR = "image,cat,dog\na.jpg,1,0\nb.jpg,0,0\n"
BAD = "image,cat,dog\na.jpg,1,0\nx.jpg,0,1\n"


@pytest.fixture(autouse=True)
def desk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate("abcd"):
        Image.new("RGB", (10, 20), (number * 40, 0, 0)).save(f"{name}.jpg")


def validate(capsys, text, *words):
    Path("labels.csv").write_text(text)
    code = main(["data", "validate", "labels.csv", *words])
    return code, *capsys.readouterr()


def test_good_data_end_with_0(capsys):
    assert validate(capsys, GOOD) == (0, "nothing is wrong\n", "")
    assert validate(capsys, GOOD, "--strict")[0] == 0


def test_warnings_end_with_0_and_with_2_when_it_is_strict(capsys):
    told = "warning  labels.csv:1: class 'dog' has no positive in labels.csv: nothing can be learnt about it\n"
    assert validate(capsys, POOR) == (0, told, "")
    code, out, err = validate(capsys, POOR, "--strict")
    assert (code, out) == (2, told)
    assert err == "error: labels.csv: 0 errors, 1 warning, which --strict takes for errors\n"


def test_errors_end_with_2(capsys):
    code, out, err = validate(capsys, BAD)
    assert code == 2
    assert out.startswith("error    labels.csv:3: no image 'x.jpg' below .")
    assert err.startswith("error: labels.csv: 1 error, ")


def test_json_lists_all_findings(capsys):
    code, out, _ = validate(capsys, POOR, "--json")
    (finding,) = json.loads(out)
    assert (code, finding["severity"], finding["kind"]) == (0, "warning", "class")


def test_other_sides_are_read_with_the_arguments_of_the_first(capsys):
    Path("val.csv").write_text("image,cat,dog\na.jpg,1,-1\nc.jpg,-1,1\n")
    code, out, _ = validate(capsys, GOOD.replace("0", "-1"), "--val", "val.csv", "--negative_value", "-1")
    assert code == 0
    assert "1 image (a.jpg = a.jpg) are in both train and val" in out


def test_a_page_shows_twenty_of_a_kind_and_counts_the_rest(capsys):
    names = [f"c{number}" for number in range(30)]
    text = "image," + ",".join(names) + "\na.jpg" + ",1" * 30 + "\nb.jpg" + ",1" * 30 + "\n"
    code, out, _ = validate(capsys, text)
    assert code == 0
    assert len(out.splitlines()) == 21
    assert out.splitlines()[-1] == "warning  10 more of the kind 'class'; --json lists all"


@pytest.mark.parametrize("number", [21, 22, 100])
def test_faults_that_a_reader_only_counts_are_counted(number, capsys):
    text = "image,cat\na.jpg,1\nb.jpg,0\n" + "".join(f"x{name}.jpg,1\n" for name in range(number))
    code, out, err = validate(capsys, text)
    assert code == 2
    errors = [line for line in out.splitlines() if line.startswith("error")]
    assert len(errors) == 21
    assert errors[-1] == f"error    {number - 20} more of this file, counted but not told; first mend those above"
    assert "--json" not in out
    assert err == f"error: labels.csv: {number} errors, 0 warnings\n"
    findings = json.loads(validate(capsys, text, "--json")[1])
    assert [finding["number"] for finding in findings] == [1] * 20 + [number - 20]
