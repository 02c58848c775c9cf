import shutil
from pathlib import Path

import pytest
from PIL import Image

from mlic.datamodules.inspection import inspect_sides
from mlic.datamodules.readers.base import LabelReader
from mlic.datamodules.readers.csv import CsvReader
from mlic.errors import Faults, LabelError
from mlic.labels import LabelTable


@pytest.fixture(autouse=True)
def desk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate("abcdef"):
        Image.new("RGB", (10, 20), (number * 40, 0, 0)).save(f"{name}.jpg")


def findings(**texts):
    readers = {}
    for side, text in texts.items():
        Path(f"{side}.csv").write_text(text)
        readers[side] = CsvReader(Path(f"{side}.csv"), group_column="group" if "group" in text else None)
    return [tuple(finding[:3]) for finding in inspect_sides(readers)]


def test_nothing_is_wrong_with_good_data():
    assert findings(train="image,cat,dog\na.jpg,1,0\nb.jpg,0,1\n", val="image,cat,dog\nc.jpg,1,0\nd.jpg,0,1\n") == []


def test_each_fault_of_the_file_is_an_error_of_its_own():
    found = findings(train="image,cat,dog\na.jpg,1,0\nb.jpg,0,maybe\nx.jpg,0,1\n")
    errors = [message for severity, kind, message in found if (severity, kind) == ("error", "annotation")]
    assert [message.split(": ")[0] for message in errors] == ["train.csv:4", "train.csv:3"]


def test_damaged_images_are_told_whatever_else_is_wrong():
    Path("b.jpg").write_bytes(Path("b.jpg").read_bytes()[:300])
    Path("c.jpg").write_bytes(b"")
    found = findings(train="image,cat\na.jpg,1\nb.jpg,0\nc.jpg,0\n")
    assert [(severity, kind) for severity, kind, _ in found] == [("error", "image")] * 2
    assert found[0][2].startswith("b.jpg: not an image that can be read (truncated JPEG")
    assert found[1][2].startswith("c.jpg: empty, 0 bytes")


def test_images_of_one_content_are_told_with_the_classes_in_which_they_differ():
    Path("b.jpg").write_bytes(Path("a.jpg").read_bytes())
    same, other = "image,cat,dog\na.jpg,1,0\nb.jpg,1,0\nc.jpg,0,1\n", "image,cat,dog\na.jpg,1,0\nb.jpg,1,1\nc.jpg,0,1\n"
    assert findings(train=same) == [
        ("warning", "duplicate", "train.csv: 2 images (a.jpg, b.jpg) have the same content; keep one of them")
    ]
    assert findings(train=other) == [
        (
            "warning",
            "duplicate",
            "train.csv: 2 images (a.jpg, b.jpg) have the same content; they contradict each other in 1 class (dog); "
            "keep one of them",
        )
    ]


def test_an_image_on_both_sides_is_found_by_its_content_under_any_name():
    Path("e.jpg").write_bytes(Path("a.jpg").read_bytes())
    head = "image,cat\n"
    found = findings(
        train=head + "a.jpg,1\nb.jpg,0\n", val=head + "e.jpg,1\nc.jpg,0\n", test=head + "b.jpg,0\nd.jpg,1\n"
    )
    advice = "what is measured on images that were trained on is too good; take them out of one side"
    assert found == [
        ("warning", "sides", f"1 image (a.jpg = e.jpg) are in both train and val; {advice}"),
        ("warning", "sides", f"1 image (b.jpg = b.jpg) are in both train and test; {advice}"),
    ]


def test_a_group_on_both_sides_is_told():
    head = "image,cat,group\n"
    found = findings(train=head + "a.jpg,1,anna\nb.jpg,0,\n", val=head + "c.jpg,1,anna\nd.jpg,0,\n")
    assert found == [("warning", "sides", "1 group (anna) are in both train and val; keep each on one side")]


def test_classes_without_positives_or_negatives_are_told_where_they_are_named():
    found = findings(train="image,cat,dog,owl\na.jpg,1,0,1\nb.jpg,1,0,0\n")
    assert found == [
        (
            "warning",
            "class",
            "train.csv:1: class 'cat' has no known negative in train.csv: a model learns that it is always there",
        ),
        ("warning", "class", "train.csv:1: class 'dog' has no positive in train.csv: nothing can be learnt about it"),
    ]


def test_classes_of_val_are_held_against_those_of_train():
    found = findings(train="image,cat,dog\na.jpg,1,0\nb.jpg,0,1\n", val="image,cat,dgo\nc.jpg,1,0\nd.jpg,0,1\n")
    assert found == [
        ("error", "annotation", "val.csv:1: class 'dgo' is not among the 2 classes; did you mean 'dog'?"),
        ("warning", "class", "val.csv: lacks 1 class (dog) of train, unknown on the val side"),
    ]


@pytest.mark.parametrize(("one", "other"), [("Cat", "cat"), ("dark spot", "dark_spot"), ("a-b", "ab"), ("ﬁsh", "fish")])
def test_names_that_differ_by_case_or_spaces_are_told(one, other):
    found = findings(train=f"image,{one},{other}\na.jpg,1,0\nb.jpg,0,1\n")
    how = "differ by case, spaces, hyphens or underscores only"
    message = f"classes '{one}' and '{other}' {how}; if they are one, give merge"
    assert found == [("warning", "name", message)]


class Halfway(LabelReader):
    """Fails, and gives what it has."""

    def __init__(self, path: Path, partial: bool) -> None:
        self.partial = partial

    def read(self) -> LabelTable:
        faults = Faults()
        for number in range(25):
            faults.add(f"x:{number}: wrong")
        table = LabelTable.from_present(["a.jpg", "nowhere.jpg"], ["cat"], [["cat"], []], root=Path(), source="x")
        faults.raise_if_any(table if self.partial else None)
        raise LabelError("never")


def test_what_could_be_read_of_a_faulty_file_is_looked_at():
    found = list(inspect_sides({"train": Halfway(Path(), partial=True)}))
    assert [finding.kind for finding in found] == ["annotation"] * 21 + ["image"]
    assert found[20].message == "5 more of this file, counted but not told; first mend those above"
    assert sum(finding.number for finding in found) == 26
    assert found[21].message == "nowhere.jpg: no such file"


def test_where_nothing_could_be_read_it_is_said_that_the_images_were_not_looked_at():
    found = list(inspect_sides({"train": Halfway(Path(), partial=False)}))
    assert found[-1].message == "the images of train were not looked at: first mend what is above"


def test_a_file_on_two_sides_is_named_even_where_a_copy_of_it_is_on_one():
    shutil.copy("a.jpg", "copy.jpg")
    found = findings(
        train="image,cat\na.jpg,1\nb.jpg,0\ncopy.jpg,1\n",
        val="image,cat\na.jpg,1\nc.jpg,0\n",
    )
    assert any("1 image (a.jpg = a.jpg) are in both train and val" in message for _, _, message in found)
