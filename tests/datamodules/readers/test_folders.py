import logging
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlic.datamodules.readers.folders import FoldersReader
from mlic.datamodules.sources import installed_readers
from mlic.errors import LabelError

ROOT = Path("photos")


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder of folders below the working directory, so that messages hold short paths."""
    monkeypatch.chdir(tmp_path)
    add("dog/1.jpg", b"one")
    add("cat/2.JPG", b"two")
    add("big owl/deep/er/3.png", b"three")
    return tmp_path


def add(name, content=b""):
    path = ROOT / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def read(**options):
    return FoldersReader(ROOT, **options).read()


def cells(table):
    return {path: row.tolist() for path, row in zip(table.paths, table.dense(), strict=True)}


def faults(**options):
    with pytest.raises(LabelError) as error:
        read(**options)
    return str(error.value).splitlines()


def fault(**options):
    (line,) = faults(**options)
    return line


@pytest.mark.usefixtures("photos")
class TestTheFolders:
    def test_an_image_is_of_the_class_whose_folder_it_is_in_at_any_depth(self):
        add("dog/more/.hidden/4.jpg")
        table = read()
        assert table.classes == ("big owl", "cat", "dog")
        assert list(table.paths) == ["big owl/deep/er/3.png", "cat/2.JPG", "dog/1.jpg"]
        assert table.dense().tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
        assert (table.num_unlabelled, table.num_all_negative) == (0, 0)
        assert (table.root, table.source) == (ROOT, "photos")
        assert table.origins == {"big owl": "photos/big owl", "cat": "photos/cat", "dog": "photos/dog"}

    def test_a_class_that_has_no_folder_is_absent(self):
        assert read().align(["cat", "dog", "big owl", "elk"]).dense()[:, 3].tolist() == [0, 0, 0]

    def test_hidden_files_are_nothing_and_others_are_counted(self, caplog):
        add("cat/.hidden.jpg")
        add("cat/notes.txt")
        add("cat/deep/Thumbs.db")
        add(".git/x.jpg")
        with caplog.at_level(logging.INFO):
            assert len(read()) == 3
        assert "photos: 2 files that are no images are not read" in caplog.text

    def test_a_folder_without_images_is_a_class_without_positives_and_told(self, caplog):
        (ROOT / "elk").mkdir()
        table = read()
        assert table.classes == ("big owl", "cat", "dog", "elk")
        assert table.support().tolist() == [1, 1, 1, 0]
        assert "photos: no image is in the folders of 1 classes: elk" in caplog.text

    def test_classes_may_be_told_and_ordered(self, caplog):
        table = read(classes=["dog", "cat", "big owl", "elk"])
        assert table.classes == ("dog", "cat", "big owl", "elk")
        assert cells(table)["dog/1.jpg"] == [1, 0, 0, 0]
        assert "no image is in the folders of 1 classes: elk" in caplog.text
        assert fault(classes=["dog", "cat", "big owls"]) == (
            "photos/big owl: class 'big owl' is not among the 3 classes; did you mean 'big owls'?"
        )


@pytest.mark.usefixtures("photos")
class TestOneImageInSeveralFolders:
    def link(self, new, old):
        (ROOT / new).parent.mkdir(exist_ok=True)
        (ROOT / new).symlink_to(Path("..") / old)

    def hard_link(self, new, old):
        os.link(ROOT / old, ROOT / new)

    def copy(self, new, old):
        add(new, (ROOT / old).read_bytes())

    @pytest.mark.parametrize("again", ["link", "hard_link", "copy"])
    def test_it_is_one_sample_with_all_their_classes(self, again, caplog):
        getattr(self, again)("big owl/x.jpg", "dog/1.jpg")
        getattr(self, again)("cat/y.jpg", "dog/1.jpg")
        with caplog.at_level(logging.INFO):
            table = read()
        assert cells(table) == {
            "big owl/deep/er/3.png": [1, 0, 0],
            "big owl/x.jpg": [1, 1, 1],
            "cat/2.JPG": [0, 1, 0],
        }
        assert "photos: 2 files are the same image as another, by a link or by content" in caplog.text
        assert "single-label" not in caplog.text

    def test_links_and_copies_of_one_image_are_one(self):
        self.copy("cat/y.jpg", "dog/1.jpg")
        self.link("big owl/z.jpg", "cat/y.jpg")
        self.hard_link("big owl/deep/w.jpg", "dog/1.jpg")
        assert cells(read())["big owl/deep/w.jpg"] == [1, 1, 1]
        assert len(read()) == 3

    def test_a_link_may_lead_out_of_the_folder(self, photos):
        (photos / "pool.jpg").write_bytes(b"pool")
        for name in ("cat", "dog"):
            (ROOT / name / "p.jpg").symlink_to(photos / "pool.jpg")
        assert cells(read())["cat/p.jpg"] == [0, 1, 1]

    def test_a_folder_that_is_a_link_is_read(self):
        (ROOT / "animal").symlink_to("cat")
        table = read()
        assert table.classes == ("animal", "big owl", "cat", "dog")
        assert cells(table)["animal/2.JPG"] == [1, 0, 1, 0]

    def test_a_circle_of_links_has_an_end(self):
        (ROOT / "cat/circle").symlink_to(Path("../cat"))
        assert len(read()) == 3

    def test_copies_in_one_folder_are_one_sample(self):
        self.copy("dog/2.jpg", "dog/1.jpg")
        assert list(read().paths) == ["big owl/deep/er/3.png", "cat/2.JPG", "dog/1.jpg"]

    def test_images_of_one_size_are_not_the_same(self):
        same_end = b"x" * 10_000
        add("dog/1.jpg", b"a" + same_end)
        add("cat/2.JPG", b"b" + same_end)
        add("big owl/4.jpg", same_end + b"c")
        assert len(read()) == 4

    def test_empty_files_are_not_the_same(self):
        add("dog/5.jpg")
        add("cat/5.jpg")
        assert len(read()) == 5

    def test_data_in_which_no_image_has_two_labels_is_warned_of(self, caplog):
        read()
        assert "photos: no image is in the folders of two classes; is this single-label data?" in caplog.text


@pytest.mark.usefixtures("photos")
class TestFaults:
    def test_images_beside_the_folders_are_told(self):
        add("x.jpg")
        add("y.png")
        add("notes.md")
        assert fault() == ("photos/x.jpg: 2 images are in no folder of a class; expected each in the folder of a class")

    def test_a_link_to_nothing_and_a_circle_are_told(self):
        (ROOT / "cat/x.jpg").symlink_to("nowhere.jpg")
        (ROOT / "dog/y.jpg").symlink_to("y.jpg")
        assert faults() == [
            "photos/cat/x.jpg: cannot be read (No such file or directory); expected an image, or a link to one",
            "photos/dog/y.jpg: cannot be read (Too many levels of symbolic links); expected an image, or a link to one",
            "2 faults in all",
        ]

    def test_a_pipe_does_not_make_it_wait(self):
        os.mkfifo(ROOT / "cat/x.jpg")
        assert fault() == "photos/cat/x.jpg: is no file; expected an image, or a link to one"

    def test_folders_without_an_image_are_told(self):
        for path in list(ROOT.rglob("*.*")):
            path.unlink()
        assert fault() == "photos: no image in the folders of the classes; expected at least one"

    def test_a_folder_without_folders_is_told(self, photos):
        (photos / "empty").mkdir()
        with pytest.raises(LabelError, match=r"^empty: no folder in it; expected one for each class$"):
            FoldersReader(Path("empty")).read()
        with pytest.raises(
            LabelError, match=r"^none: cannot be read \(No such file or directory\); expected a folder$"
        ):
            FoldersReader(Path("none")).read()
        with pytest.raises(LabelError, match=r"^photos/cat/2.JPG: cannot be read \(Not a directory\)"):
            FoldersReader(ROOT / "cat/2.JPG").read()

    def test_a_folder_whose_name_is_no_text_is_told(self):
        Path(os.fsdecode(b"photos/d\xf6g")).mkdir()
        assert fault() == "photos: the name of the folder 'd\\udcf6g' is no text; rename it"

    def test_the_error_carries_what_could_be_read(self):
        add("x.jpg")
        with pytest.raises(LabelError) as error:
            read()
        assert len(error.value.table) == 3


class TestRecognition:
    def test_folders_of_images_are_recognised_and_by_no_other_reader(self, photos):
        add("dog/7.jpg")
        add("big owl/8.jpg")
        add("README.txt")
        add("LICENSE.txt")
        add("elk/9.jpg")
        (ROOT / "yak").mkdir()
        assert [name for name, reader in installed_readers().items() if reader.recognises(ROOT)] == ["folders"]
        assert not FoldersReader.recognises(ROOT / "dog")
        assert not FoldersReader.recognises(ROOT / "dog/7.jpg")
        assert not FoldersReader.recognises(photos / "nowhere")

    @pytest.mark.parametrize(
        "name",
        [
            *("labels.txt", "labels.json", "a.jsonl", "labels.csv", "t.TSV", "annotations.xml", "data.yaml", "x.yml"),
            *("metadata.parquet", "ImageSets/Main/x", "Annotations/x", "JPEGImages/x.jpg", "annotations/x", "labels/x"),
            *("image_labels_dir/x", "ImageList/x", "Groundtruth/x", "cat/_classes.csv", "dog/1.txt", "x.jpg"),
            *("train/x.jpg", "val/x.jpg"),
        ],
    )
    def test_what_may_be_of_another_format_is_not_claimed(self, photos, name):
        add("elk/9.jpg")
        assert FoldersReader.recognises(ROOT)
        add(name)
        if name == "train/x.jpg":  # the name of a class, as long as it is alone
            assert FoldersReader.recognises(ROOT)
            add("test/x.jpg")
        if name == "val/x.jpg":
            add("train2017/x.jpg")
        assert not FoldersReader.recognises(ROOT)

    @pytest.mark.parametrize(
        "names", [["images", "data"], ["train", "valid", "test"], ["Images"], ["train2017", "val2017"], ["cat"], []]
    )
    def test_folders_that_are_no_classes_are_not_claimed(self, tmp_path, monkeypatch, names):
        monkeypatch.chdir(tmp_path)
        ROOT.mkdir()
        for name in names:
            add(f"{name}/x.jpg")
        assert not FoldersReader.recognises(ROOT)

    def test_folders_of_which_few_have_images_are_not_claimed(self, photos):
        add("elk/9.jpg")
        for name in ("src", "docs", "tests", "build", "tools"):
            (ROOT / name).mkdir()
        assert not FoldersReader.recognises(ROOT)


NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="/"), min_size=1, max_size=8
)
NAMES = NAMES.filter(lambda name: not name.startswith("."))
quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
fuzz = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100)


@st.composite
def tables(draw):
    classes = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    # The format cannot say that an image has no class.
    present = st.sets(st.sampled_from(classes), min_size=1)
    return sorted(classes), {name: draw(present) for name in names}


@quick
@given(tables(), st.sampled_from([os.link, os.symlink, None]), st.data())
def test_any_table_written_as_folders_is_read_back(table, link, data):
    classes, present = table
    expected = {}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for folder in classes:
            (root / folder).mkdir()
        for number, (image, names) in enumerate(present.items()):
            first, *others = data.draw(st.permutations(sorted(names)))
            source = root / first / f"{image}.jpg"
            source.write_bytes(bytes([number]))
            for other in others:
                copy = root / other / f"{image}.jpg"
                copy.write_bytes(bytes([number])) if link is None else link(source, copy)
            path = min(f"{folder}/{image}.jpg" for folder in names)
            expected[path] = [int(folder in names) for folder in classes]
        found = FoldersReader(root).read()
    assert found.classes == tuple(classes)
    assert cells(found) == dict(sorted(expected.items()))


@fuzz
@given(st.lists(st.text("ab/.jpgtx\\ \udcf6", min_size=1, max_size=12), max_size=6))
def test_any_files_are_a_table_or_a_label_error(names):
    with tempfile.TemporaryDirectory() as name:
        for file in names:
            path = Path(name, *file.strip("/").split("/"))
            if not path.resolve().is_relative_to(Path(name).resolve()):
                continue
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
            except OSError:
                continue
        FoldersReader.recognises(Path(name))
        outcome = read_or_refuse(Path(name))
        assert outcome.startswith(name) if isinstance(outcome, str) else len(outcome) > 0


def read_or_refuse(path):
    try:
        return FoldersReader(path).read()
    except LabelError as error:
        return str(error)
