"""What is written is read back: all of it where the format can carry it, and what is lost is what was said to be."""

import importlib
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlic.datamodules.sources import installed_readers
from mlic.errors import LabelError
from mlic.labels import LabelTable
from mlic.verbs.data.convert import _FORMATS, read_back

# What every format can hold: nothing that a reader strips, and no control characters.
NAMES = st.text("abcÄé日 ,;|'\"&<>[]-_./0", min_size=1, max_size=6).filter(lambda name: name == name.strip())
SUFFIXES = {"csv": "csv", "openimages": "csv", "jsonl": "jsonl", "cvat": "xml"}
STEMS = ["a", "b c", "ü", "d.v2", "e,f", "g'h", "日", "x&y"]

SAYS_UNLABELLED = {"csv", "coco", "jsonl", "labelstudio", "fiftyone", "openmmlab"}
SAYS_UNKNOWN = {"csv", "coco", "jsonl", "openimages"}


@st.composite
def tables(draw, values=(1, 0, -1), soft=False, folders=("", "sub/")):
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    paths = [f"{folder}{stem}.jpg" for folder in folders for stem in STEMS]
    paths = draw(st.lists(st.sampled_from(paths), min_size=1, max_size=8, unique=True))
    cells = st.sampled_from([*values, *([0.25, 0.9] if soft else [])])
    labels = [[draw(cells) for _ in names] for _ in paths]
    return LabelTable.from_dense(paths, names, np.array(labels, np.float32 if soft else np.int8), root=Path())


def there_and_back(name: str, table: LabelTable):
    """Writes and reads, in a folder with all images; returns what was read, and what was said to be lost."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "sub").mkdir()
        for path in table.paths:
            (root / path).touch()
        table = LabelTable.from_dense(
            table.paths, table.classes, table.dense(), root=root, groups=table.groups, source="table"
        )
        output = root / f"labels.{SUFFIXES.get(name, 'json')}"
        written = importlib.import_module(f"mlic.datamodules.writers.{name}").write(table, output)
        source = read_back(table, output, written)
        init_args = {
            key: Path(value) if key in ("path", "root") else value for key, value in source["init_args"].items()
        }
        return installed_readers()[source["class_path"]](**init_args).read(), written.lost


def cells(table):
    return {
        path: {name: float(value) for name, value in zip(table.classes, row, strict=True)}
        for path, row in zip(table.paths, table.dense(), strict=True)
    }


@pytest.mark.parametrize("name", _FORMATS)
@settings(max_examples=40)
@given(data=st.data())
def test_known_labels_come_back_from_every_format(name, data):
    table = data.draw(tables(values=(1, 0), folders=("",) if name == "openimages" else ("", "sub/")))
    found, lost = there_and_back(name, table)
    assert found.classes == table.classes
    assert list(found.paths) == list(table.paths)
    assert found.dense().tolist() == table.dense().tolist()
    assert [word for word in lost if "order of the classes" not in word] == []


@pytest.mark.parametrize("name", sorted(SAYS_UNKNOWN - {"openimages"}))
@settings(max_examples=40)
@given(table=tables())
def test_unknown_labels_come_back_where_the_format_has_a_word_for_them(name, table):
    found, _ = there_and_back(name, table)
    assert (found.classes, list(found.paths)) == (table.classes, list(table.paths))
    assert found.dense().tolist() == table.dense().tolist()


@settings(max_examples=40)
@given(table=tables(folders=("",)))
def test_open_images_holds_all_but_the_unlabelled_images(table):
    if not table.num_labelled:
        return
    found, lost = there_and_back("openimages", table)
    labelled = table.take(np.flatnonzero(table.is_labelled))
    assert (found.classes, list(found.paths)) == (labelled.classes, list(labelled.paths))
    assert found.dense().tolist() == labelled.dense().tolist()
    assert any("unlabelled images are left out" in word for word in lost) == (table.num_unlabelled > 0)


@pytest.mark.parametrize("name", sorted(SAYS_UNLABELLED - {"csv", "coco", "jsonl"}))
@settings(max_examples=40)
@given(table=tables())
def test_unlabelled_images_come_back_and_other_unknown_labels_are_said_to_become_absent(name, table):
    found, lost = there_and_back(name, table)
    labels = table.dense()
    labels[table.is_labelled] = np.maximum(labels[table.is_labelled], 0)
    assert (found.classes, list(found.paths)) == (table.classes, list(table.paths))
    assert found.dense().tolist() == labels.tolist()
    changed = int((labels != table.dense()).sum())
    said = [word for word in lost if "are written as absent" in word]
    assert said == ([f"{changed} unknown labels of labelled images are written as absent"] if changed else [])


@pytest.mark.parametrize("name", ["datumaro", "cvat"])
def test_formats_without_a_word_for_unlabelled_images_leave_them_out_and_say_so(name):
    labels = np.array([[1, 0], [-1, -1], [-1, 1]], np.int8)
    table = LabelTable.from_dense(["a.jpg", "b.jpg", "c.jpg"], ["cat", "dog"], labels, root=Path())
    found, lost = there_and_back(name, table)
    assert cells(found) == {"a.jpg": {"cat": 1, "dog": 0}, "c.jpg": {"cat": 0, "dog": 1}}
    assert lost == [
        "1 unlabelled images are left out: it has no word for them",
        "1 unknown labels of labelled images are written as absent",
    ]


@pytest.mark.parametrize("name", ["csv", "jsonl"])
@settings(max_examples=40)
@given(table=tables(soft=True))
def test_soft_labels_come_back_from_csv_and_json_lines(name, table):
    found, _ = there_and_back(name, table)
    assert (found.classes, list(found.paths)) == (table.classes, list(table.paths))
    assert found.dense().tolist() == table.dense().tolist()


@pytest.mark.parametrize("name", sorted(set(_FORMATS) - {"csv", "jsonl"}))
def test_other_formats_say_that_soft_labels_are_hardened(name):
    table = LabelTable.from_dense(["a.jpg"], ["cat", "dog"], np.array([[0.9, 0.2]], np.float32), root=Path())
    found, lost = there_and_back(name, table)
    assert cells(found) == {"a.jpg": {"cat": 1, "dog": 0}}
    assert "soft labels are written as present above 0.5, as absent below, as unknown at 0.5" in lost


@pytest.mark.parametrize("name", _FORMATS)
def test_groups_come_back_from_csv_and_are_said_to_be_lost_elsewhere(name):
    labels = np.array([[1, 0], [0, 1]], np.int8)
    table = LabelTable.from_dense(["a.jpg", "b.jpg"], ["cat", "group"], labels, root=Path(), groups=["anna", ""])
    found, lost = there_and_back(name, table)
    assert (None if found.groups is None else list(found.groups)) == (["anna", ""] if name == "csv" else None)
    assert ("the groups" in lost) == (name != "csv")


def test_a_csv_whose_classes_are_called_like_its_own_columns_comes_back():
    table = LabelTable.from_present(["a.jpg", "b.jpg"], ["image", "path", "labels"], [["image"], []], root=Path())
    assert cells(there_and_back("csv", table)[0]) == cells(table)


@pytest.mark.parametrize("path", ["sub/a.jpg", "a.png"])
def test_open_images_refuses_images_that_have_no_image_id(path):
    table = LabelTable.from_present([path], ["cat"], [["cat"]], root=Path(), source="x")
    with pytest.raises(LabelError, match="has no ImageID: Open Images has"):
        there_and_back("openimages", table)


def test_fiftyone_refuses_images_that_differ_in_their_suffix_only():
    table = LabelTable.from_present(["a.jpg", "a.png"], ["cat"], [["cat"], []], root=Path(), source="x")
    with pytest.raises(LabelError, match=r"'a\.jpg' and 'a\.png' differ in their suffix only"):
        there_and_back("fiftyone", table)


def test_coco_of_known_labels_is_plain_coco(tmp_path):
    table = LabelTable.from_present(["a.jpg", "b.jpg"], ["cat", "dog"], [["dog"], []], root=tmp_path)
    importlib.import_module("mlic.datamodules.writers.coco").write(table, tmp_path / "x.json")
    assert json.loads((tmp_path / "x.json").read_text()) == {
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 2, "iscrowd": 0}],
    }


@pytest.mark.parametrize("name", ["a\rb", "a\nb", "a;b", "a\tb"])
def test_csv_keeps_names_that_would_end_a_cell_or_a_row(name):
    table = LabelTable.from_dense(["a.jpg"], ["cat", name], np.array([[1, 0]], np.int8), root=Path())
    assert there_and_back("csv", table)[0].classes == ("cat", name)
