import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlic.datamodules.readers.celeba import CelebaReader
from mlic.datamodules.sources import installed_readers
from mlic.errors import LabelError

FILE = "list_attr_celeba.txt"
PARTITION = "list_eval_partition.txt"
TEXT = "3\nBald Hat Smiling \n000001.jpg -1  1 -1\n000002.jpg  1 -1  1\n000003.jpg -1 -1 -1\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working directory, so that messages hold short paths; with the images 1 to 3."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for number in (1, 2, 3):
        add(f"img_align_celeba/{number:06}.jpg")
    return tmp_path / "work"


def add(path, text=""):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text, encoding="utf-8", newline="")


def read(text=TEXT, path=FILE, **options):
    add(path, text)
    return CelebaReader(Path(path), **options).read()


def cells(table):
    return {path[:6]: row.tolist() for path, row in zip(table.paths, table.dense(), strict=True)}


def faults(text=TEXT, **options):
    with pytest.raises(LabelError) as error:
        read(text, **options)
    return str(error.value).splitlines()


class TestTheFormat:
    def test_a_file_as_it_is_saved_gives_this_table(self):
        Path("img_align_celeba/000002.jpg").rename("img_align_celeba/000002.JPG")
        table = read(
            "\ufeff4\r\n5_o_Clock_Shadow  Ålt Bald \r\n000002.jpg -1  1 -1\r\n 000001.jpg  1 -1 -1 \r\n"
            ".\\000003.jpg\t-1\t-1\t-1\r\n\r\n000002.jpg -1  1 -1\r\n\r\n"
        )
        assert table.classes == ("5_o_Clock_Shadow", "Ålt", "Bald")
        assert list(table.paths) == ["000002.JPG", "000001.jpg", "000003.jpg"]
        assert table.dense().tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]
        assert (table.num_unlabelled, table.num_all_negative, table.num_unknown_cells) == (0, 1, 0)
        assert table.root == Path("img_align_celeba")
        assert table.path(0).is_file()
        assert table.origins == dict.fromkeys(table.classes, f"{FILE}:2")
        assert table.source == FILE
        assert not table.open_vocabulary

    def test_classes_may_be_told_and_ordered(self):
        assert cells(read(classes=["Smiling", "Bald", "Hat"]))["000001"] == [0, 0, 1]
        assert faults(classes=["Smiling", "bald", "Hat"]) == [
            f"{FILE}:2: class 'bald' is not among the names; did you mean 'Bald'?",
            f"{FILE}:2: class 'Bald' is not among the 3 classes; did you mean 'bald'?",
            "2 faults in all",
        ]

    @pytest.mark.parametrize(
        ("path", "images"),
        [
            (FILE, "img_align_celeba/img_align_celeba"),
            (FILE, "images"),
            (FILE, "."),
            (f"Anno/{FILE}", "Img/img_align_celeba"),
            (f"Anno/{FILE}", "img_align_celeba"),
            (f"Anno/{FILE}", "Img/img_celeba"),
        ],
    )
    def test_images_are_found_in_the_usual_places(self, path, images):
        Path("img_align_celeba").rename("elsewhere")
        for number in (1, 2, 3):
            add(f"{images}/{number:06}.jpg")
        table = read(path=path)
        assert table.paths[0] == "000001.jpg"
        assert table.path(0).is_file()
        assert len(CelebaReader(Path()).read()) == 3

    def test_their_root_may_be_told(self):
        Path("img_align_celeba").rename("elsewhere")
        assert len(read(root=Path("elsewhere"))) == 3


class TestSplits:
    @pytest.mark.parametrize("place", [".", "..", "Eval", "../Eval"])
    def test_a_split_has_the_images_of_the_partition(self, place):
        add(f"Anno/{place}/{PARTITION}", "\ufeff000001.jpg 0\r\n000002.jpg  2\r\n000003.jpg 1\r\n000004.jpg 1\r\n\r\n")
        path = f"Anno/{FILE}"
        for split, image in {"train": "000001", "test": "000002", "val": "000003"}.items():
            assert list(cells(read(path=path, split=split))) == [image]
        assert len(read(path=path)) == 3

    def test_images_of_other_splits_need_not_be_there(self):
        add(PARTITION, "000001.jpg 0\n000002.jpg 0\n000003.jpg 1\n")
        Path("img_align_celeba/000001.jpg").unlink()
        assert cells(read(split="val")) == {"000003": [0, 0, 0]}

    def test_an_image_that_it_does_not_list_is_told(self):
        add(PARTITION, "000001.jpg 0\n000003.jpg 1\n")
        assert faults(split="train") == [f"{FILE}:4: image '000002.jpg' is not in {PARTITION}; expected a line for it"]

    def test_a_split_without_images_is_told_beside_other_faults(self):
        add(PARTITION, "000001.jpg 0\n000002.jpg 0\n000003.jpg 1\n")
        assert faults(split="test") == [f"{FILE}: no image is in the split test; expected one of train, val"]
        assert faults(TEXT.replace("3\n", "4\n", 1), split="test")[:2] == [
            f"{FILE}: no image is in the split test; expected one of train, val",
            f"{FILE}:1: the file says that it has 4 images, but has 3; is the file cut short?",
        ]

    def test_its_faults_are_told(self):
        add(PARTITION, "000001.jpg 0\n000002.jpg 3\n000003.jpg\n000001.jpg 1\n")
        expected = "expected an image and 0 (train), 1 (val) or 2 (test)"
        assert faults(split="train") == [
            f"{PARTITION}:2: '000002.jpg 3'; {expected}",
            f"{PARTITION}:3: '000003.jpg'; {expected}",
            f"{PARTITION}:4: image '000001.jpg' is in val, but before in train; expected one",
            "3 faults in all",
        ]

    def test_it_must_be_there(self):
        assert faults(split="train") == [
            f"{PARTITION}: there is no such file, nor one above it or in Eval there, but split is given"
        ]


class TestFaults:
    def test_each_kind_is_told_with_its_line(self):
        text = (
            "x y\nBald Hat Bald\n000001.jpg 1 0 -1\n000001.jpg 1 -1\n\n000002.jpg 1 1 1 1 2\n000009.jpg 1 1 1\n"
            "000002.jpg 1 maybe 1\n000003.jpg 1 1 1\n"
        )
        assert faults(text) == [
            f"{FILE}:1: 'x y' is no number; expected the number of images",
            f"{FILE}:2: class 'Bald' is there twice; expected each class once",
            f"{FILE}:3: class 'Hat' is '0'; expected 1 (present) or -1 (absent)",
            f"{FILE}:4: 2 labels; expected 3, one for each name on line 2",
            f"{FILE}:6: class 'Bald' is '2'; expected 1 (present) or -1 (absent)",
            f"{FILE}:8: class 'Hat' is 'maybe'; expected 1 (present) or -1 (absent)",
            f"{FILE}:7: no image '000009.jpg' below img_align_celeba; expected a file there, or give root: the folder "
            "that the paths start from",
            "7 faults in all",
        ]

    @pytest.mark.parametrize(("number", "hint"), [("4", "; is the file cut short?"), ("02", "")])
    def test_a_number_that_does_not_fit_is_told(self, number, hint):
        assert faults(TEXT.replace("3\n", f"{number}\n", 1)) == [
            f"{FILE}:1: the file says that it has {number} images, but has 3{hint}"
        ]

    def test_lines_of_an_image_that_contradict_are_told(self):
        text = TEXT.replace("3\n", "5\n", 1) + "000001.jpg 1 1 -1\n000002.jpg 1 -1 1\n"
        assert faults(text) == [
            f"{FILE}:6: class 'Bald' is present in image '000001.jpg', but absent at {FILE}:3; expected one of them"
        ]

    @pytest.mark.parametrize(("text", "what"), [("", "the file is empty"), ("3\n\n", "no names")])
    def test_a_file_without_names_is_told(self, text, what):
        assert faults(text) == [f"{FILE}: {what}; expected the number of images, a line of names, and a line an image"]

    def test_a_file_without_images_is_told(self):
        assert faults("0\nBald Hat\n") == [f"{FILE}: no sample; expected at least one image"]

    def test_a_file_that_is_not_there_is_told(self):
        for path in ("no.txt", "."):
            with pytest.raises(LabelError, match=r"cannot be read \(No such file or directory\); expected a text file"):
                CelebaReader(Path(path)).read()


@pytest.mark.parametrize("path", [FILE, f"Anno/{FILE}", "attributes.txt"])
def test_only_this_reader_recognises_it(path):
    add(path, "\ufeff" + TEXT.replace("\n", "\r\n"))
    add(PARTITION, "000001.jpg 0\n")
    paths = [Path(path)] if path == "attributes.txt" else [Path(path), Path()]
    for known in paths:
        assert [name for name, reader in installed_readers().items() if reader.recognises(known)] == ["celeba"]


@pytest.mark.parametrize(
    "text", ["", "3\n", "000001.jpg 0\n000002.jpg 1\n", "3\na b\nc.jpg 0 1\n", "a b\nx 1 1\ny 1 1"]
)
def test_other_files_are_not_recognised(text):
    add("a.txt", text)
    for path in ("a.txt", ".", "nowhere"):
        assert not CelebaReader.recognises(Path(path))


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=8)
IMAGES = st.text("abcö,_-'#%+1", min_size=1, max_size=8).map(lambda name: f"{name}.jpg")
repeated = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)


@repeated
@given(st.data())
def test_any_table_is_read_back(data):
    images = data.draw(st.lists(IMAGES, min_size=1, max_size=6, unique=True))
    classes = data.draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    row = st.lists(st.sampled_from([1, 0]), min_size=len(classes), max_size=len(classes))
    expected = {image: data.draw(row) for image in images}
    gap = data.draw(st.sampled_from([" ", "  ", "\t"]))
    with tempfile.TemporaryDirectory() as folder:
        lines = [str(len(images)), gap.join(classes)]
        for image in images:
            Path(folder, image).touch()
            lines.append(gap.join([image, *("1" if cell else "-1" for cell in expected[image])]))
        path = Path(folder, FILE)
        path.write_text(data.draw(st.sampled_from(["\n", "\r\n"])).join(lines), encoding="utf-8", newline="")
        table = CelebaReader(path).read()
    assert table.classes == tuple(classes)
    assert dict(zip(table.paths, table.dense().tolist(), strict=True)) == expected


VALID = TEXT.encode()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100)
@given(st.data(), st.booleans())
def test_any_bytes_are_a_table_or_a_label_error(data, of_partition):
    valid = b"000001.jpg 0\n000002.jpg 0\n000003.jpg 1\n" if of_partition else VALID
    at = data.draw(st.integers(0, len(valid) - 1))
    changed = data.draw(
        st.binary(max_size=60)
        | st.just(valid[:at])
        | st.binary(min_size=1, max_size=2).map(lambda some: valid[:at] + some + valid[at + 1 :])
    )
    Path(FILE).write_bytes(VALID if of_partition else changed)
    Path(PARTITION).write_bytes(changed if of_partition else b"000001.jpg 0\n000002.jpg 0\n000003.jpg 1\n")
    CelebaReader.recognises(Path(FILE))
    outcome = read_or_refuse()
    assert outcome.startswith((FILE, PARTITION)) if isinstance(outcome, str) else 1 <= len(outcome) <= 2


def read_or_refuse():
    try:
        return CelebaReader(Path(FILE), split="train").read()
    except LabelError as error:
        return str(error)
