"""`mlic data suspects`: what it prints and writes, and what it refuses."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from mlic.cli import main

FOOD = Path(__file__).parents[3] / "../shared/data/food"
ROOT = Path(__file__).parents[3]
COLUMNS = ["path", "class", "label", "score", "suspicion", "kind", "side", "file", "verdict"]


@pytest.fixture
def words(small, tmp_path, monkeypatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return [*small, "--model.backbone.freeze", "true"]


@pytest.fixture
def brought(colours, features, tmp_path, monkeypatch) -> list[str]:
    """Words for features computed elsewhere, which tell the classes almost perfectly."""
    monkeypatch.chdir(tmp_path)
    return [
        *("--data", "features"),
        *("--data.features", str(features / "train.npy")),
        *("--data.val_features", str(features / "val.npy")),
        *("--data.train", str(colours / "train.csv")),
        *("--data.val", str(colours / "val.csv")),
        *("--model.backbone", "precomputed"),
        *("--trainer.accelerator", "cpu"),
    ]


def suspects(capsys, *words: str, code: int = 0) -> str:
    capsys.readouterr()
    assert main(["data", "suspects", *words]) == code
    said = capsys.readouterr()
    return said.err if code else said.out


def rewritten(source: Path, target: Path, changes: dict[tuple[int, str], str]) -> Path:
    """Writes an annotation file with other cells: (row, class) -> what it says."""
    with source.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    for (row, name), word in changes.items():
        rows[row][name] = word
    with target.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return target


def test_images_are_judged_by_the_store_of_features_and_no_run_is_left(words, capsys, tmp_path):
    page = suspects(capsys, *words, "--folds", "4")
    assert page.startswith("48 images (train 32, val 16), each scored by a linear head that has not seen it: 4 folds")
    assert "suggestions" in page
    counts = [line.split()[:4] for line in page.splitlines()[-3:]]
    assert counts == [[name, "24", "24", "0"] for name in ("red", "green", "blue")]
    assert not Path("runs").exists()
    assert main(["data", "suspects", *words]) == 0
    assert "48 of 48 images are in" in capsys.readouterr().err


def test_planted_errors_are_told_with_their_place(brought, colours, features, capsys, tmp_path):
    red, green = np.load(features / "train.npy").astype(np.float64)[:, :2].T
    clear, none = int(red.argmax()), int(green.argmin())  # of an image that has the class, and of one that has not
    changes = {(clear, "red"): "0", (none, "green"): "1"}
    train = rewritten(colours / "train.csv", tmp_path / "train.csv", changes)
    brought[brought.index(str(colours / "train.csv"))] = str(train)
    found = json.loads(suspects(capsys, *brought, "--json"))
    first = {(row["path"], row["class"], row["label"], row["kind"], row["side"]) for row in found["suspects"][:5]}
    assert first >= {
        (f"images/{clear:03}.jpg", "red", "absent", "missing", "train"),
        (f"images/{none:03}.jpg", "green", "present", "wrong", "train"),
    }
    assert found["suspects"][0]["suspicion"] > 0.5
    assert {row["file"] for row in found["suspects"]} == {str(train), str(colours / "val.csv")}
    assert found["classes"]["red"]["missing?"] >= 1


def test_the_file_for_review_has_a_row_for_each_suspect(brought, capsys, tmp_path):
    found = json.loads(suspects(capsys, *brought, "--json", "--output", "review.csv"))
    with Path("review.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(found["suspects"]) > 0
    assert list(rows[0]) == COLUMNS
    assert all(row["verdict"] == "" for row in rows)
    assert len({(row["side"], row["path"], row["class"]) for row in rows}) == len(rows)
    assert [row["path"] for row in rows] == [row["path"] for row in found["suspects"]]
    order = [float(row["suspicion"]) for row in rows]
    assert order == sorted(order, reverse=True)


def test_the_annotation_file_may_come_first_as_for_the_other_actions(brought, colours, capsys):
    named = suspects(capsys, *brought, "--json")
    place = brought.index("--data.train")
    del brought[place : place + 2]
    assert suspects(capsys, str(colours / "train.csv"), *brought, "--json") == named


def test_a_backbone_that_learns_is_refused_before_its_weights_are_looked_for(colours, capsys):
    said = suspects(capsys, str(colours / "train.csv"), "--trainer.accelerator", "cpu", code=2)
    assert "--model.backbone.freeze true" in said


def test_a_file_with_verdicts_is_not_overwritten(brought, capsys):
    Path("review.csv").write_text("mine")
    assert "perhaps with verdicts in it" in suspects(capsys, *brought, "--output", "review.csv", code=2)
    assert Path("review.csv").read_text() == "mine"


def test_unknown_labels_are_listed_only_if_asked_for_and_as_no_errors(brought, colours, capsys, tmp_path):
    changes = {(row, "blue"): "" for row in range(0, 32, 4)}
    train = rewritten(colours / "train.csv", tmp_path / "train.csv", changes)
    brought[brought.index(str(colours / "train.csv"))] = str(train)
    brought += ["--data.unknown", "negative"]  # a policy of training, which makes no label of what nobody said
    without = json.loads(suspects(capsys, *brought, "--json"))["suspects"]
    assert {row["kind"] for row in without} <= {"missing", "wrong"}
    blank = {f"images/{row:03}.jpg" for row in range(0, 32, 4)}
    assert not any(row["class"] == "blue" and row["path"] in blank for row in without)
    all_of_them = json.loads(suspects(capsys, *brought, "--json", "--unknown"))["suspects"]
    unknown = all_of_them[len(without) :]
    assert all_of_them[: len(without)] == without
    assert unknown
    for row in unknown:
        assert row["label"] == "unknown"
        assert row["suspicion"] is None
        assert row["path"] in blank
        assert (row["kind"] == "unknown, present") == (int(row["path"][7:10]) // 4 % 2 == 1)


def test_a_class_with_too_few_labels_is_told_and_left_out(brought, colours, capsys, tmp_path):
    changes = {(row, "red"): "0" for row in range(32)} | {(1, "red"): "1"}
    train = rewritten(colours / "train.csv", tmp_path / "train.csv", changes)
    brought[brought.index(str(colours / "train.csv"))] = str(train)
    brought[brought.index("--data.val") + 1] = "null"
    capsys.readouterr()
    assert main(["data", "suspects", *brought, "--json"]) == 0
    out, err = capsys.readouterr()
    assert "not judged, for 1 classes have too few labels: 'red' (1 present, 31 absent); expected 5 present" in err
    assert json.loads(out)["not_judged"] == ["red"]
    assert list(json.loads(out)["classes"]) == ["green", "blue"]


def test_too_few_labels_for_any_class_are_an_error(brought, capsys):
    said = suspects(capsys, *brought, "--folds", "40", code=2)
    assert "no class has enough labels to be judged: 'red' (24 present, 24 absent)" in said


def test_the_picture_shows_what_cannot_be_read_too(words, brought, capsys, tmp_path):
    suspects(capsys, *brought, "--picture", "sheet.png", "--top", "2")
    assert Path("sheet.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--model.backbone.freeze", "false"], "the backbone learns, and would know the labels that it judges; give"),
        (["--ckpt_path", "best.ckpt"], "leave out ckpt_path"),
        (["--features", "off"], "features are off"),
        (["--folds", "1"], "--folds is '1'; expected a number, 2 or more"),
        (["--top", "many"], "--top is 'many'"),
        (["--output", "review.txt"], "expected a name that ends in .csv"),
        (["--output", "nowhere/review.csv"], "there is no folder nowhere"),
        (["--picture", "sheet"], "with a suffix such as .png"),
    ],
)
def test_what_cannot_be_done_is_refused_with_what_to_do(words, capsys, more, message):
    assert message in suspects(capsys, *words, *more, code=2)


@pytest.mark.slow
@pytest.mark.skipif(not FOOD.is_dir(), reason="the photographs are not on this machine")
def test_errors_planted_among_real_photographs_come_first(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with (FOOD / "train.csv").open(newline="", encoding="utf-8") as stream:
        names, *rows = csv.reader(stream)
    labels = np.array([row[1:] for row in rows], np.int8)
    rng = np.random.default_rng(0)
    planted = {
        (rows[row][0], names[1 + column]): bool(labels[row, column])
        for row, column in zip(*np.nonzero(rng.random(labels.shape) < 0.05), strict=True)
    }
    place = {row[0]: number for number, row in enumerate(rows)}
    changes = {(place[path], name): "0" if was else "1" for (path, name), was in planted.items()}
    train = rewritten(FOOD / "train.csv", tmp_path / "train.csv", changes)
    source = {"class_path": "csv", "init_args": {"path": str(train), "root": str(FOOD)}}
    Path("run.yaml").write_text(yaml.safe_dump({"data": {"init_args": {"train": source, "val": None}}}))
    config = str(ROOT / "configs/linear_probe.yaml")
    found = json.loads(suspects(capsys, "--config", config, "--config", "run.yaml", "--json"))["suspects"]
    hits = [(row["path"], row["class"]) in planted for row in found]
    assert np.mean(hits[:100]) > 0.7 > 10 * len(planted) / labels.size
    missing = [hit for row, hit in zip(found, hits, strict=True) if row["kind"] == "missing"]
    chance = sum(planted.values()) / (labels == 0).sum()
    assert np.mean(missing[:50]) > 8 * chance
