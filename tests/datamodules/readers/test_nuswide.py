import logging
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlic.datamodules.readers.nuswide import NusWideReader
from mlic.datamodules.sources import installed_readers
from mlic.errors import LabelError

ROOT = Path("NUS-WIDE")
TRUTH = ROOT / "Groundtruth/TrainTestLabels"
ALL = ROOT / "Groundtruth/AllLabels"


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """The official tree below the working directory, so that messages hold short paths."""
    monkeypatch.chdir(tmp_path)
    for name in ("actor/0001_1.jpg", "actor/0002_2.JPG", "zoo/0003_3.jpg", "zoo/0004_4.jpg"):
        write("", ROOT / "Flickr" / name)
    write("\ufefflake\r\n toy \r\nzebra\r\n\r\n", ROOT / "ConceptsList/Concepts81.txt")
    write(
        "\ufeffactor\\0001_1.jpg\r\n actor\\0002_2.jpg \r\nzoo\\0003_3.jpg\r\n\r\n",
        ROOT / "ImageList/TrainImagelist.txt",
    )
    write("zoo\\0004_4.jpg\n", ROOT / "ImageList/TestImagelist.txt")
    for concept, train, test in (
        ("lake", "0\r\n1\r\n0\r\n\r\n", "1"),
        ("toy", " 1 \n1\n0\n\n", "0"),
        ("zebra", "0\n0\n0", "1\n"),
    ):
        write(train, TRUTH / f"Labels_{concept}_Train.txt")
        write(test, TRUTH / f"Labels_{concept}_Test.txt")
    return tmp_path


def write(text, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def write_all():
    write("zoo\\0004_4.jpg\nactor\\0001_1.jpg\n", ROOT / "ImageList/Imagelist.txt")
    for concept, labels in (("lake", "1\n0\n"), ("toy", "0\n1\n"), ("zebra", "1\n0\n")):
        write(labels, ALL / f"Labels_{concept}.txt")


def read(**options):
    return NusWideReader(ROOT, **options).read()


def cells(table):
    return {path: row.tolist() for path, row in zip(table.paths, table.dense(), strict=True)}


def faults(**options):
    with pytest.raises(LabelError) as error:
        read(**options)
    return str(error.value).splitlines()


def fault(**options):
    (line,) = faults(**options)
    return line


TRAIN = {"actor/0001_1.jpg": [0, 1, 0], "actor/0002_2.JPG": [1, 1, 0], "zoo/0003_3.jpg": [0, 0, 0]}
TEST = {"zoo/0004_4.jpg": [1, 0, 1]}


@pytest.mark.usefixtures("tree")
class TestTheTree:
    def test_the_training_images_give_this_table(self):
        table = read(split="train")
        assert table.classes == ("lake", "toy", "zebra")
        assert cells(table) == TRAIN
        assert (table.num_unlabelled, table.num_all_negative) == (0, 1)
        assert table.root == ROOT / "Flickr"
        assert table.source == "NUS-WIDE"
        assert table.origins["toy"] == "NUS-WIDE/ConceptsList/Concepts81.txt:2"

    def test_a_split_is_one_list_and_without_one_it_is_all_images(self):
        assert cells(read(split="test")) == TEST
        assert cells(read()) == TRAIN | TEST

    def test_all_images_are_those_of_their_own_list_where_there_is_one(self):
        write_all()
        assert cells(read()) == {"zoo/0004_4.jpg": [1, 0, 1], "actor/0001_1.jpg": [0, 1, 0]}

    def test_a_tree_of_one_side_is_read_and_told(self, caplog):
        (ROOT / "ImageList/TestImagelist.txt").unlink()
        assert cells(read()) == TRAIN
        assert "NUS-WIDE/ImageList: only the images of TrainImagelist.txt are there" in caplog.text
        assert fault(split="test").startswith("NUS-WIDE/ImageList/TestImagelist.txt: cannot be read")

    @pytest.mark.parametrize("split", ["val", "Train", ""])
    def test_another_split_is_refused(self, split):
        with pytest.raises(LabelError) as error:
            NusWideReader(ROOT, split=split)
        assert str(error.value) == f"split is '{split}'; expected train or test, or none for all images"

    @pytest.mark.parametrize("place", ["Concepts81.txt", "Groundtruth/concepts81.txt"])
    def test_the_concepts_may_lie_elsewhere(self, place):
        (ROOT / "ConceptsList/Concepts81.txt").rename(ROOT / place)
        assert read(split="test").origins["lake"] == f"NUS-WIDE/{place}:1"

    def test_the_tree_may_lie_one_folder_below(self, tree):
        shutil.move(ROOT, "inner")
        ROOT.mkdir()
        shutil.move("inner", ROOT / "nuswide")
        (ROOT / "other").mkdir()
        assert cells(read(split="train")) == TRAIN

    @pytest.mark.parametrize("folder", ["images", "../images", "."])
    def test_images_may_lie_in_one_folder(self, folder):
        (ROOT / folder).mkdir(exist_ok=True)
        for path in (ROOT / "Flickr").rglob("*.*"):
            path.rename(ROOT / folder / path.name)
        assert list(read(split="train").paths) == ["0001_1.jpg", "0002_2.JPG", "0003_3.jpg"]

    def test_the_folder_of_the_images_may_be_told(self):
        table = read(split="test", root=ROOT / "Flickr/zoo")
        assert (list(table.paths), table.root) == (["0004_4.jpg"], ROOT / "Flickr/zoo")

    def test_classes_put_the_concepts_in_order(self):
        table = read(split="train", classes=["zebra", "toy", "lake"])
        assert table.classes == ("zebra", "toy", "lake")
        assert cells(table)["actor/0001_1.jpg"] == [0, 1, 0]
        assert cells(table)["actor/0002_2.JPG"] == [0, 1, 1]
        assert faults(split="train", classes=["lake", "toy", "zerba"]) == [
            "NUS-WIDE/ConceptsList/Concepts81.txt: class 'zerba' is not named; expected a name for each of the classes",
            "NUS-WIDE/ConceptsList/Concepts81.txt:3: class 'zebra' is not among the 3 classes; did you mean 'zerba'?",
            "2 faults in all",
        ]

    def test_a_file_of_another_concept_is_not_read_and_told(self, caplog):
        write("x", TRUTH / "Labels_surf_Train.txt")
        with caplog.at_level(logging.INFO):
            assert cells(read(split="train")) == TRAIN
        assert "1 files of other concepts are not read: Labels_surf_Train.txt" in caplog.text


@pytest.mark.usefixtures("tree")
class TestValues:
    def test_a_number_that_is_neither_0_nor_1_is_an_unknown_cell_and_told_once(self, caplog):
        write("0\n-1130179\n0\n", TRUTH / "Labels_lake_Train.txt")
        write("7\n1\n2\n", TRUTH / "Labels_zebra_Train.txt")
        table = read(split="train")
        assert cells(table) == {
            "actor/0001_1.jpg": [0, 1, -1],
            "actor/0002_2.JPG": [-1, 1, 1],
            "zoo/0003_3.jpg": [0, 0, -1],
        }
        assert table.num_unknown_cells == 3
        assert [record.getMessage() for record in caplog.records] == [
            "NUS-WIDE/Groundtruth/TrainTestLabels/Labels_lake_Train.txt:2: the value is -1130179, neither 0 nor 1; "
            "cells of such values, which are unknown: 3"
        ]

    def test_minus_1_and_what_is_no_number_are_refused(self):
        write("0\n-1\n0\n", TRUTH / "Labels_lake_Train.txt")
        write("0\n\nx\n", TRUTH / "Labels_toy_Train.txt")
        start = "NUS-WIDE/Groundtruth/TrainTestLabels/Labels"
        assert faults(split="train") == [
            f"{start}_lake_Train.txt:2: the value is '-1'; expected 0 or 1 (-1 may mean absent or unknown)",
            f"{start}_toy_Train.txt:2: the value is ''; expected 0 or 1",
            f"{start}_toy_Train.txt:3: the value is 'x'; expected 0 or 1",
            "3 faults in all",
        ]

    def test_a_file_of_other_numbers_is_refused(self):
        write("zoo\\0004_4.jpg\n" * 50, ROOT / "ImageList/TestImagelist.txt")
        for concept in ("lake", "toy", "zebra"):
            write("1\n" * 50, TRUTH / f"Labels_{concept}_Test.txt")
        write("1\n" * 38 + "5\n" * 12, TRUTH / "Labels_toy_Test.txt")
        assert fault(split="test") == (
            "NUS-WIDE/Groundtruth/TrainTestLabels/Labels_toy_Test.txt: 12 of 50 values are neither 0 nor 1; expected a "
            "file of labels"
        )

    def test_many_bad_values_are_counted(self):
        count = 1000
        write("zoo\\0004_4.jpg\n" * count, ROOT / "ImageList/TestImagelist.txt")
        for concept in ("lake", "toy", "zebra"):
            write("-1\n" * count, TRUTH / f"Labels_{concept}_Test.txt")
        assert faults(split="test")[-1] == "3000 faults in all; the first 20 are above"


@pytest.mark.usefixtures("tree")
class TestFaults:
    def test_another_number_of_lines_is_told(self):
        write("0\n1\n", TRUTH / "Labels_lake_Train.txt")
        assert fault(split="train") == (
            "NUS-WIDE/Groundtruth/TrainTestLabels/Labels_lake_Train.txt has 2 lines, but "
            "NUS-WIDE/ImageList/TrainImagelist.txt has 3; expected a line an image in both"
        )

    def test_a_concept_without_a_file_is_told(self):
        (TRUTH / "Labels_toy_Train.txt").rename(TRUTH / "labels_TOY_train.txt")
        assert cells(read(split="train")) == TRAIN
        (TRUTH / "labels_TOY_train.txt").unlink()
        assert fault(split="train") == (
            "NUS-WIDE/Groundtruth/TrainTestLabels/Labels_toy_Train.txt: cannot be read (No such file or directory); "
            "expected the labels of 'toy'"
        )

    @pytest.mark.parametrize("name", ["ImageList/TrainImagelist.txt", "ConceptsList/Concepts81.txt"])
    def test_a_file_that_is_missing_is_told(self, name):
        (ROOT / name).unlink()
        missing = name.removeprefix("ConceptsList/")
        assert fault(split="train") == (
            f"NUS-WIDE/{missing}: cannot be read (No such file or directory); expected a text file"
        )

    def test_a_folder_that_is_no_such_tree_is_told(self):
        shutil.rmtree(ROOT / "ImageList")
        assert fault() == (
            "NUS-WIDE: there are no folders ImageList and Groundtruth in it; expected the official tree of NUS-WIDE"
        )

    def test_an_image_that_is_missing_is_told(self):
        (ROOT / "Flickr/zoo/0003_3.jpg").unlink()
        write("actor\\0001_1.jpg\n\nzoo\\0003_3.jpg\n", ROOT / "ImageList/TrainImagelist.txt")
        assert faults(split="train") == [
            "NUS-WIDE/ImageList/TrainImagelist.txt:2: the path of an image is blank; expected one",
            "NUS-WIDE/ImageList/TrainImagelist.txt:3: no image 'zoo\\0003_3.jpg' below NUS-WIDE/Flickr; expected a "
            "file there, or give root: the folder that the paths start from",
            "2 faults in all",
        ]

    def test_an_image_that_is_listed_twice_must_have_the_same_labels(self):
        write("actor\\0001_1.jpg\n", ROOT / "ImageList/TestImagelist.txt")
        lines = faults()
        assert lines[0] == (
            "NUS-WIDE/ImageList/TestImagelist.txt:1: class 'lake' is present in image 'actor/0001_1.jpg', but absent "
            "at NUS-WIDE/ImageList/TrainImagelist.txt:1; expected one of them"
        )
        assert len(lines) == 4
        write("0", TRUTH / "Labels_lake_Test.txt")
        write("1", TRUTH / "Labels_toy_Test.txt")
        write("0", TRUTH / "Labels_zebra_Test.txt")
        assert len(read()) == 3

    def test_a_path_that_leaves_the_root_is_refused(self):
        write("..\\..\\..\\0004_4.jpg\nzoo\\0004_4.jpg\nzoo\\0004_4.jpg\n", ROOT / "ImageList/TrainImagelist.txt")
        assert faults(split="train", root=ROOT / "Flickr")[0].startswith(
            "NUS-WIDE/ImageList/TrainImagelist.txt:1: image '..\\..\\..\\0004_4.jpg' lies outside the data root"
        )


def test_the_tree_is_recognised_and_by_no_other_reader(tree):
    for path in (ROOT, tree):
        assert [name for name, reader in installed_readers().items() if reader.recognises(path)] == ["nuswide"]
    for path in (ROOT / "ImageList", ROOT / "Groundtruth", ROOT / "ImageList/TrainImagelist.txt", Path("nowhere")):
        assert not NusWideReader.recognises(path)
    shutil.copytree(ROOT, "again")
    assert not NusWideReader.recognises(tree)


CONCEPTS = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters="/\\"), min_size=1, max_size=6
)
CONCEPTS = CONCEPTS.filter(lambda name: not name[0].isdigit())
quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
fuzz = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100)


@st.composite
def tables(draw):
    concepts = draw(st.lists(CONCEPTS, min_size=1, max_size=4, unique_by=str.casefold))
    row = st.lists(st.sampled_from([0, 1, 0, 1, -1]), min_size=len(concepts), max_size=len(concepts))
    folders = st.sampled_from(["actor", "zoo", "my dog", "übel"])
    numbers = draw(st.lists(st.integers(0, 99), min_size=1, max_size=5, unique=True))
    return concepts, {f"{draw(folders)}/{number:04}_9.jpg": draw(row) for number in numbers}


@quick
@given(tables(), st.sampled_from(["\n", "\r\n"]), st.sampled_from(["train", "test", None]))
def test_any_table_written_as_a_tree_is_read_back(table, end, split):
    concepts, rows = table
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for path in rows:
            write("", root / "Flickr" / path)
        suffix = {"train": "_Train", "test": "_Test", None: ""}[split]
        folder = root / "Groundtruth" / ("TrainTestLabels" if split else "AllLabels")
        images = {"train": "TrainImagelist.txt", "test": "TestImagelist.txt", None: "Imagelist.txt"}[split]
        write(end.join(path.replace("/", "\\") for path in rows) + end, root / "ImageList" / images)
        write(end.join(concepts), root / "Concepts81.txt")
        for column, concept in enumerate(concepts):
            # The value that stands for an unknown cell in the official files.
            values = (str(row[column]) if row[column] >= 0 else "-1130179" for row in rows.values())
            write(end.join(values) + end, folder / f"Labels_{concept}{suffix}.txt")
        found = NusWideReader(root, split=split).read()
    assert found.classes == tuple(concepts)
    assert cells(found) == rows


FILES = [
    "ImageList/TrainImagelist.txt",
    "ConceptsList/Concepts81.txt",
    "Groundtruth/TrainTestLabels/Labels_lake_Train.txt",
]


@fuzz
@given(st.sampled_from(FILES), st.binary(max_size=60) | st.text("01-\n \r.9ae\\", max_size=40).map(str.encode))
def test_any_bytes_are_a_table_or_a_label_error(tree, file, data):
    original = (ROOT / file).read_bytes()
    write(data, ROOT / file)
    outcome = read_or_refuse()
    write(original, ROOT / file)
    assert "NUS-WIDE" in outcome if isinstance(outcome, str) else len(outcome) > 0


@fuzz
@given(st.sampled_from(FILES), st.integers(0, 60), st.integers(0, 255), st.booleans())
def test_a_tree_that_is_cut_or_damaged_is_a_table_or_a_label_error(tree, file, at, byte, is_cut):
    original = (ROOT / file).read_bytes()
    write(original[:at] if is_cut else original[:at] + bytes([byte]) + original[at + 1 :], ROOT / file)
    outcome = read_or_refuse()
    write(original, ROOT / file)
    assert "NUS-WIDE" in outcome if isinstance(outcome, str) else len(outcome) > 0


def read_or_refuse():
    try:
        return read(split="train")
    except LabelError as error:
        return str(error)
