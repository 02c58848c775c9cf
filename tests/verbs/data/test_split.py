import csv
import json
import re
from pathlib import Path

import pytest
import yaml

from mlic.cli import main
from mlic.datamodules.readers.csv import CsvReader
from mlic.verbs.data.words import ActionParser, parse


@pytest.fixture(autouse=True)
def desk(tmp_path, monkeypatch):
    """A folder with photos/labels.csv: 200 images, every second a cat, every tenth an owl, four of each patient."""
    monkeypatch.chdir(tmp_path)
    Path("photos/images").mkdir(parents=True)
    with Path("photos/labels.csv").open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["image", "cat", "owl", "patient"])
        for number in range(200):
            Path(f"photos/images/{number}.jpg").touch()
            rows.writerow([f"images/{number}.jpg", int(number % 2 == 0), int(number % 10 == 0), f"p{number // 4}"])
    return tmp_path


def split(capsys, *words, group=False):
    column = ["--group_column", "patient"] if group else ["--ignore_columns", "[patient]"]
    code = main(["data", "split", "photos/labels.csv", *words, *column])
    return code, *capsys.readouterr()


def numbers(page):
    """side -> class -> count, from the printed table."""
    header, *rows = [re.split(r" {2,}", line) for line in page.split("\n\n")[0].splitlines()]
    return {side: {row[0]: int(row[place]) for row in rows} for place, side in enumerate(header) if place}


def test_the_counts_of_each_side_are_printed_and_nothing_is_written(capsys, desk):
    code, out, err = split(capsys, "--val", "0.2", "--test", "0.1", "--by", "stratified")
    assert code == 0
    found = numbers(out)
    assert list(found) == ["train", "val", "test"]
    assert sum(side["images"] for side in found.values()) == 200
    assert [side["owl"] for side in found.values()] == [14, 4, 2]
    assert [side["cat"] for side in found.values()] == [70, 20, 10]
    assert err == "nothing is written; give --output FOLDER to write a file for each side\n"
    assert sorted(path.name for path in desk.rglob("*.csv")) == ["labels.csv"]


@pytest.mark.parametrize("way", ["hash", "stratified", "legacy"])
def test_the_files_hold_each_sample_once_and_are_read_as_the_page_says(way, capsys):
    code, out, _ = split(capsys, "--val", "0.2", "--test", "0.2", "--by", way, "--output", "sides")
    assert code == 0
    sources = yaml.safe_load(out.split("to read them:\n")[1])
    tables = [parse(ActionParser("stats"), [str(source)])[1].read() for source in sources.values()]
    whole = CsvReader(Path("photos/labels.csv"), ignore_columns=["patient"]).read()
    rows = {path: row.tolist() for table in tables for path, row in zip(table.paths, table.dense(), strict=True)}
    assert sum(map(len, tables)) == 200
    assert rows == {path: row.tolist() for path, row in zip(whole.paths, whole.dense(), strict=True)}


def test_a_file_beside_the_data_is_read_by_its_path_alone(capsys):
    assert split(capsys, "--by", "stratified", "--output", "photos/sides")[0] == 0
    assert main(["data", "stats", "photos/sides/train.csv", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 160


def test_groups_are_on_one_side(capsys):
    for way in ("group", "hash", "stratified"):
        code, out, err = split(capsys, "--by", way, "--val", "0.3", "--output", way, "--allow_missing", group=True)
        assert code == 0, err
        assert "groups are kept whole" in err
        files = [Path(way, f"{side}.csv").read_text().splitlines() for side in ("train", "val", "test")]
        sides = [{row["group"] for row in csv.DictReader(file)} for file in files]
        assert sum(map(len, sides)) == len(set.union(*sides)) == 50
        assert "group_column: group" in out


def test_a_split_by_group_without_groups_says_what_to_do(capsys):
    code, _, err = split(capsys, "--by", "group")
    assert code == 2
    assert "there are no groups; name the column that holds them with --group_column" in err


def test_a_side_that_lacks_a_class_is_refused_unless_it_is_allowed(capsys):
    text = Path("photos/labels.csv").read_text().splitlines()
    Path("photos/labels.csv").write_text("\n".join([*text[:2], *(line.replace(",1,1,", ",1,0,") for line in text[2:])]))
    words = ["--by", "stratified", "--test", "0", "--output", "sides"]
    code, out, err = split(capsys, *words)
    assert code == 2
    assert [side["owl"] for side in numbers(out).values()] == [1, 0]
    assert err.startswith("error: val has no positive of 1 of 2 classes: 'owl'; take a larger share")
    assert not Path("sides").exists()
    assert split(capsys, *words, "--allow_missing")[0] == 0
    assert sorted(file.name for file in Path("sides").iterdir()) == ["train.csv", "val.csv"]


def test_files_are_never_overwritten(capsys):
    assert split(capsys, "--by", "stratified", "--output", "sides")[0] == 0
    before = Path("sides/val.csv").read_text()
    code, out, err = split(capsys, "--by", "stratified", "--salt", "x", "--output", "sides")
    assert (code, out) == (2, "")
    assert "sides/train.csv exists; annotations are not overwritten" in err
    assert Path("sides/val.csv").read_text() == before


def test_another_salt_is_another_split(capsys):
    one, other = (split(capsys, "--salt", salt, "--by", "stratified", "--output", f"sides{salt}") for salt in "ab")
    assert one[0] == other[0] == 0
    assert Path("sidesa/val.csv").read_text() != Path("sidesb/val.csv").read_text()


def test_json_tells_counts_and_files(capsys):
    code, out, _ = split(capsys, "--by", "stratified", "--output", "sides", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["sides"]["val"] == {"images": 20, "support": {"cat": 10, "owl": 2}}
    assert found["files"] == {side: f"sides/{side}.csv" for side in ("train", "val", "test")}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--val", "0.7", "--test", "0.7"], "val and test take 1.4 of the samples; expected at most 1"),
        (["--val", "-0.5"], "val is -0.5; expected a share of the samples, 0 to 1"),
        (["--val", "many"], "argument --val: invalid float value: 'many'"),
        (["--by", "luck"], "argument --by: invalid choice: 'luck'"),
        (["--prefix", "images/"], "--prefix is for --by legacy; found --by hash"),
        (
            ["--by", "stratified", "--output", "photos/labels.csv/sides"],
            "sides/train.csv: cannot be written (Not a dir",
        ),
        (["--output", "photos/labels.csv"], "--output is photos/labels.csv, a file; expected a folder"),
    ],
)
def test_wrong_words_are_told(words, message, capsys):
    code, _, err = split(capsys, *words)
    assert code == 2
    assert message in err
