import json
import logging
from pathlib import Path

import pytest
from PIL import Image

from mlic.cli import main

CSV = "image,cat,dog,owl\na.jpg,1,1,0\nb.jpg,0,0,0\nc.jpg,,1,\nd.jpg,,,\n"


@pytest.fixture(autouse=True)
def desk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate("abcd"):
        Image.new("RGB", (10 + number, 20)).save(f"{name}.jpg")
    Path("labels.csv").write_text(CSV)


def stats(capsys, *words):
    code = main(["data", "stats", *words])
    out, err = capsys.readouterr()
    assert code == 0, err
    return out


def test_json_is_one_object_of_counts(capsys):
    found = json.loads(stats(capsys, "labels.csv", "--json"))
    assert found == {
        "images": 4,
        "classes": 3,
        "labelled": 3,
        "all_negative": 1,
        "unlabelled": 1,
        "unknown_cells": 5,
        "cardinality": 1.0,
        "support": {"cat": 1, "dog": 2, "owl": 0},
        "negatives": {"cat": 1, "dog": 1, "owl": 2},
        "soft_cells": 0,
        "labels_per_image": {"0": 1, "1": 1, "2": 1},
        "together": [["cat", "dog", 1]],
        "sizes": {"measured": 4, "unreadable": 0, "width": [10, 11, 13], "height": [20, 20, 20]},
    }


def test_the_page_says_the_same(capsys):
    assert stats(capsys, "labels.csv").splitlines() == [
        "labels.csv",
        "images                 4",
        "classes                3",
        "labelled               3",
        "of them with no class  1",
        "unlabelled             1",
        "unknown labels         5",
        "",
        "1.00 labels an image: 1 with 0, 1 with 1, 1 with 2",
        "",
        "class  present  absent  unknown   share",
        "cat          1       1        2  0.5000",
        "dog          2       1        1  0.6667",
        "owl          0       2        2  0.0000",
        "",
        "most often together       images",
        "cat                  dog       1",
        "",
        "sizes of 4 images in pixels: width 10 to 13 (median 11), height 20 to 20 (median 20)",
    ]


def test_images_that_cannot_be_read_are_counted_not_refused(capsys):
    Path("a.jpg").write_bytes(b"")
    assert json.loads(stats(capsys, "labels.csv", "--json"))["sizes"]["unreadable"] == 1
    assert "1 more cannot be read" in stats(capsys, "labels.csv")


def test_no_image_at_all_may_be_readable(capsys):
    for name in "abcd":
        Path(f"{name}.jpg").write_bytes(b"")
    assert "sizes: none can be read; 4 more" in stats(capsys, "labels.csv", "--picture", "p.png")


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_picture_is_drawn(capsys, suffix):
    stats(capsys, "labels.csv", "--picture", f"p.{suffix}")
    assert Path(f"p.{suffix}").stat().st_size > 5000
    if suffix == "png":
        with Image.open("p.png") as picture:
            assert picture.getbbox() is not None


def test_a_picture_of_no_known_format_is_refused(capsys):
    assert main(["data", "stats", "labels.csv", "--picture", "p.xyz"]) == 2
    assert "error: p.xyz: Format 'xyz' is not supported" in capsys.readouterr().err


def test_a_table_of_one_class_and_many_classes_can_be_drawn(capsys):
    names = [f"c{number}" for number in range(60)]
    Path("many.csv").write_text("image," + ",".join(names) + "\na.jpg" + ",1" * 60 + "\nb.jpg" + ",0" * 60 + "\n")
    Path("one.csv").write_text("image,cat\na.jpg,1\nb.jpg,0\n")
    for name in ("many", "one"):
        stats(capsys, f"{name}.csv", "--picture", f"{name}.png")
        assert Path(f"{name}.png").exists()


def test_options_of_the_reader_follow_the_path(capsys):
    Path("labels.csv").write_text("image,cat,dog,patient\na.jpg,1,-1,x\nb.jpg,-1,1,x\n")
    found = stats(capsys, "labels.csv", "--negative_value", "-1", "--group_column", "patient")
    assert "groups                 1" in found
    found = json.loads(stats(capsys, "labels.csv", "--json", "--unknown_value=-1", "--ignore_columns", "[patient]"))
    assert (found["unknown_cells"], found["classes"]) == (2, 2)


def test_options_of_the_reader_may_stand_before_the_path(capsys):
    found = json.loads(stats(capsys, "--ignore_columns", "[owl]", "--json", "--root=.", "labels.csv"))
    assert found["classes"] == 2


def test_the_reader_may_be_named(capsys):
    Path("labels.dat").write_text("image,cat\na.jpg,1\nb.jpg,0\n")
    assert json.loads(stats(capsys, "labels.dat", "--reader", "csv", "--json"))["images"] == 2


def test_the_source_may_be_written_as_in_a_configuration(capsys):
    source = "{class_path: csv, init_args: {path: labels.csv, ignore_columns: [owl]}}"
    assert json.loads(stats(capsys, source, "--json"))["support"] == {"cat": 1, "dog": 2}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["labels.csv", "--negativ_value", "0"], "no option '--negativ_value'; did you mean 'negative_value'?"),
        (["labels.csv", "--pictur", "p.png"], "no option '--pictur'; did you mean 'picture'?"),
        (["labels.csv", "b.csv"], "one source is expected; found 'b.csv' too"),
        ([], "the following arguments are required: PATH"),
        (["nowhere.csv"], "nowhere.csv: no such file or folder"),
        (["labels.csv", "--reader", "cvs"], "no reader is called 'cvs'; did you mean 'csv'?"),
        (["{path: labels.csv}"], "a source in braces is a reader"),
        (["{path: [}"], "the source is no YAML"),
        (
            ["{class_path: csv, init_args: {path: labels.csv}}", "--reader", "csv"],
            "the source says all about its reader",
        ),
        (
            ["{class_path: csv, init_args: {path: labels.csv, rooot: x}}"],
            "CsvReader has no option 'rooot'; did you mean",
        ),
        (["--pictur", "labels.csv"], "no option '--pictur'; did you mean 'picture'?"),
        (["labels.csv", "--picture", "p"], "p: has no suffix"),
        (["labels.csv", "--picture"], "expected one argument"),
        (["labels.csv", "--classes", "[cat"], "classes"),
    ],
)
def test_wrong_words_end_with_2_and_a_sentence(words, message, capsys):
    assert main(["data", "stats", *words]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize("words", [["data"], ["data", "stat"], ["data", "--json"]])
def test_an_unknown_action_names_those_there_are(words, capsys):
    assert main(words) == 2
    assert "mlic data takes one of stats, validate, convert, split" in capsys.readouterr().err


def test_help_is_one_page(capsys):
    assert main(["data", "stats", "--help"]) == 0
    assert "usage: mlic data ACTION PATH" in capsys.readouterr().out


def test_sizes_of_many_images_are_a_sample(capsys, monkeypatch, caplog):
    monkeypatch.setattr("mlic.verbs.data.stats._MEASURED", 2)
    with caplog.at_level(logging.INFO):
        assert "sizes of 2 of 4 images" in stats(capsys, "labels.csv")
