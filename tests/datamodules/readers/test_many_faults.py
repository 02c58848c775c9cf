import difflib
from pathlib import Path

import pytest

from mlic.datamodules.annotations.classlist import ClassList
from mlic.datamodules.readers.celeba import CelebaReader
from mlic.datamodules.readers.csv import CsvReader
from mlic.datamodules.readers.folders import FoldersReader
from mlic.errors import LabelError

WRONG = [f"class {number:03d}" for number in range(60)]
WANTED = [f"Class {number:03d}!" for number in range(60)]


@pytest.fixture(autouse=True)
def searches(tmp_path, monkeypatch):
    """The searches for a name like another, which take long where there are thousands of names."""
    monkeypatch.chdir(tmp_path)
    Path("a.jpg").touch()
    found, search = [], difflib.get_close_matches

    def noted(name, *others, **options):
        found.append(name)
        return search(name, *others, **options)

    monkeypatch.setattr(difflib, "get_close_matches", noted)
    return found


def written(name, text):
    Path(name).write_text(text, encoding="utf-8")
    return Path(name)


def one_hot():
    return written("labels.csv", f"image,{','.join(WRONG)}\na.jpg{',1' * len(WRONG)}\n")


def lists():
    return written("labels.csv", "image,labels\n" + "".join(f"a.jpg,{name}\n" for name in WRONG))


def celeba():
    names = " ".join(WRONG).replace("class ", "class_")
    return written("list_attr_celeba.txt", f"1\n{names}\na.jpg{' 1' * len(WRONG)}\n")


def folders():
    for name in WRONG:
        Path("set", name).mkdir(parents=True)
    Path("set", WRONG[0], "a.jpg").touch()
    return Path("set")


READERS = {
    "columns": lambda: CsvReader(one_hot(), classes=WANTED),
    "uncertain": lambda: CsvReader(one_hot(), uncertain=dict.fromkeys(WANTED, "ignore")),
    "lists": lambda: CsvReader(lists(), label_column="labels", delimiter=",", classes=WANTED),
    "celeba": lambda: CelebaReader(celeba(), classes=WANTED),
    "folders": lambda: FoldersReader(folders(), classes=WANTED),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_name_like_another_is_looked_for_only_for_faults_that_are_shown(reader, searches):
    with pytest.raises(LabelError, match="the first 20 are above") as caught:
        READERS[reader]().read()
    assert str(caught.value).count("did you mean") == len(searches) == 20


def test_a_list_of_classes_looks_for_no_more_names_than_are_shown(searches):
    assert len(ClassList(WRONG, "classes", WANTED).faults) == 120
    assert len(searches) == 20


def test_contradictions_beyond_those_that_are_shown_are_counted():
    cells = [",".join(digit * 30) for digit in "01"]
    path = written("labels.csv", f"image,{','.join(WRONG[:30])}\n" + "".join(f"a.jpg,{row}\n" for row in cells))
    with pytest.raises(LabelError) as caught:
        CsvReader(path).read()
    assert str(caught.value).splitlines()[19:] == [
        "labels.csv:3: class 'class 019' is present in image 'a.jpg', but absent on line 2; expected rows of one image "
        "to agree",
        "30 faults in all; the first 20 are above",
    ]
    assert caught.value.table.dense().tolist() == [[-1] * 30]
