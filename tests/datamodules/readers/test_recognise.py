import logging
from pathlib import Path

import pytest
import yaml

from mlic.datamodules.readers.base import LabelReader
from mlic.datamodules.readers.csv import CsvReader
from mlic.datamodules.readers.folders import FoldersReader
from mlic.datamodules.readers.recognise import recognise
from mlic.datamodules.readers.sidecar import SidecarReader
from mlic.errors import LabelError

READERS = {"csv": CsvReader, "sidecar": SidecarReader}


class Greedy(LabelReader):
    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self):
        raise NotImplementedError

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return True


class Broken(Greedy):
    @classmethod
    def recognises(cls, path: Path) -> bool:
        raise RuntimeError("out of order")


@pytest.fixture(autouse=True)
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("photos/image_labels_dir").mkdir(parents=True)
    Path("photos/images").mkdir()
    Path("photos/images/a.jpg").touch()
    Path("photos/images/b.jpg").touch()
    Path("photos/image_labels_dir/b.jpg.txt").touch()
    Path("photos/labels.txt").write_text("cat")
    Path("photos/labels.csv").write_text("image,cat\nimages/a.jpg,1\n")


def refusal(path, readers):
    with pytest.raises(LabelError) as error:
        recognise(Path(path), readers)
    return str(error.value).splitlines()


def test_a_csv_file_is_read_by_csv_and_the_classic_layout_by_sidecar():
    assert recognise(Path("photos/labels.csv"), READERS).read().support().tolist() == [1]
    assert recognise(Path("photos"), READERS).read().num_unlabelled == 1


def test_a_name_that_is_too_long_for_any_file_is_none():
    assert "no such file or folder" in refusal(f"{'a' * 300}.csv", READERS)[0]


def test_a_reader_that_does_not_recognise_anything_takes_no_part():
    assert isinstance(recognise(Path("photos"), {"greedy": Greedy, "csv": CsvReader}), Greedy)


def test_what_nobody_recognises_is_told_with_the_lines_to_write():
    assert refusal("photos/images", READERS) == [
        "photos/images: its format is not recognised; say what it is:",
        "  train: {class_path: NAME, init_args: {path: photos/images}}",
        "where NAME is one of csv, sidecar",
    ]


def test_what_several_recognise_is_told_with_the_lines_to_write():
    assert refusal("photos/labels.csv", {**READERS, "greedy": Greedy}) == [
        "photos/labels.csv: may be csv or greedy; say which:",
        "  train: {class_path: csv, init_args: {path: photos/labels.csv}}",
        "  train: {class_path: greedy, init_args: {path: photos/labels.csv}}",
    ]


def test_a_folder_with_a_csv_file_in_it_is_told_to_be_named():
    Path("photos/labels.txt").unlink()
    assert refusal("photos", READERS) == ["photos: is a folder; name the annotation file in it: photos/labels.csv"]


def test_annotation_files_one_folder_down_are_told_too():
    Path("photos/labels.txt").unlink()
    Path("photos/train").mkdir()
    Path("photos/train/_classes.csv").write_text("filename, cat\n")
    Path("photos/notes.csv").mkdir()
    assert refusal("photos", READERS) == [
        "photos: is a folder; name the annotation file in it: photos/labels.csv or photos/train/_classes.csv"
    ]


def test_a_folder_of_data_sets_is_told_to_be_one_of_them():
    for side in ("train", "test"):
        for name in ("cat", "dog"):
            Path("tree", side, name).mkdir(parents=True)
            Path("tree", side, name, "a.jpg").touch()
    assert refusal("tree", {**READERS, "folders": FoldersReader}) == [
        f"tree: is a folder of data sets; name one: {Path('tree/test')} or {Path('tree/train')}"
    ]


def test_what_is_not_there_is_told():
    assert refusal("nowhere.csv", READERS) == [
        "nowhere.csv: no such file or folder; expected an annotation file, or the folder of a data set"
    ]


@pytest.mark.parametrize(
    "name", ["my photos", "it's", "a: b", "{x}", "-", "#1", "über, all", "2024", "no", "2024-01-02", "a\nb"]
)
def test_the_lines_to_write_are_yaml_whatever_the_path(name):
    Path(name).mkdir()
    with pytest.raises(LabelError) as error:
        recognise(Path(name), READERS)
    _, _, lines = str(error.value).partition("say what it is:\n")
    line = lines.splitlines()[0]
    assert yaml.safe_load(line) == {"train": {"class_path": "NAME", "init_args": {"path": name}}}


def test_a_broken_reader_hurts_nobody(caplog):
    with caplog.at_level(logging.WARNING):
        assert isinstance(recognise(Path("photos"), {**READERS, "broken": Broken}), SidecarReader)
    assert "the reader 'broken' failed to look at photos: RuntimeError('out of order')" in caplog.text
