from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlic.datamodules.readers.sidecar import SidecarReader
from mlic.errors import LabelError
from mlic.suffixes import IMAGE_SUFFIXES

ROOT = Path("photos")
LABELS = ROOT / "image_labels_dir"


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A data set in the classic layout below the working directory, so that messages hold short paths."""
    monkeypatch.chdir(tmp_path)
    LABELS.mkdir(parents=True)
    (ROOT / "labels.txt").write_text("cat\ndog\nbig owl")
    add("one/car.jpg", "dog\nbig owl")
    add("two/deep/tree.png", "")
    add("sea.jpg", None)
    return tmp_path


def add(image, labels):
    path = ROOT / "images" / image
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    if labels is not None:
        (LABELS / f"{path.name}.txt").write_bytes(labels if isinstance(labels, bytes) else labels.encode())


def read(**options):
    return SidecarReader(ROOT, **options).read()


def cells(table):
    return {path.removeprefix("images/"): row.tolist() for path, row in zip(table.paths, table.dense(), strict=True)}


def faults(**options):
    with pytest.raises(LabelError) as error:
        read(**options)
    return str(error.value).splitlines()


@pytest.mark.usefixtures("photos")
class TestTheLayout:
    def test_images_of_which_none_has_a_label_file_are_refused(self):
        for file in LABELS.iterdir():
            file.unlink()
        assert faults() == [
            "photos/image_labels_dir: none of the 3 images has a label file; expected one for each labelled image, "
            "such as sea.jpg.txt"
        ]

    def test_the_error_has_the_table_of_what_is_right(self):
        add("one/car.jpg", "dog\nowl\n")
        with pytest.raises(LabelError) as error:
            read()
        assert cells(error.value.table) == {"one/car.jpg": [0, 1, 0], "sea.jpg": [-1] * 3, "two/deep/tree.png": [0] * 3}

    def test_what_is_not_listed_is_absent_and_an_image_without_file_is_unlabelled(self):
        table = read()
        assert table.classes == ("cat", "dog", "big owl")
        assert list(table.paths) == ["images/one/car.jpg", "images/sea.jpg", "images/two/deep/tree.png"]
        assert cells(table) == {"one/car.jpg": [0, 1, 1], "sea.jpg": [-1, -1, -1], "two/deep/tree.png": [0, 0, 0]}
        assert (table.num_unlabelled, table.num_all_negative) == (1, 1)
        assert table.path(0).is_file()
        assert table.source == "photos"
        assert table.origins["dog"] == "photos/labels.txt:2"

    def test_its_three_parts_may_have_other_names(self):
        (ROOT / "images").rename(ROOT / "pictures")
        LABELS.rename(ROOT / "notes")
        (ROOT / "labels.txt").rename(ROOT / "names.txt")
        table = read(images="pictures", labels="notes", names="names.txt")
        assert table.paths[0] == "pictures/one/car.jpg"
        assert table.row(0).tolist() == [0, 1, 1]

    def test_images_may_lie_in_the_folder_itself(self):
        assert "images/sea.jpg" in set(read(images=".").paths)

    @pytest.mark.parametrize("labels", [b"\xef\xbb\xbfdog\r\n", b" dog \r\n\r\n", b"\ndog\n \n", b"dog\rdog"])
    def test_byte_order_mark_line_ends_spaces_and_repeats_do_not_matter(self, labels):
        add("one/car.jpg", labels)
        (ROOT / "labels.txt").write_bytes(b"\xef\xbb\xbfcat \r\n\r\n dog\r\nbig owl\r\n\r\n")
        assert cells(read())["one/car.jpg"] == [0, 1, 0]

    @pytest.mark.parametrize("suffix", sorted(IMAGE_SUFFIXES))
    def test_every_kind_of_image_is_read_in_any_case(self, suffix):
        add(f"x{suffix}", "cat")
        add(f"y{suffix.upper()}", "cat")
        assert cells(read())[f"x{suffix}"] == cells(read())[f"y{suffix.upper()}"] == [1, 0, 0]

    def test_the_suffix_in_the_label_files_name_may_differ_in_case(self):
        (ROOT / "images/one/car.jpg").rename(ROOT / "images/one/car.JPG")
        (LABELS / "tree.png.txt").rename(LABELS / "tree.png.TXT")
        assert cells(read()) == {"one/car.JPG": [0, 1, 1], "sea.jpg": [-1] * 3, "two/deep/tree.png": [0] * 3}

    def test_a_label_file_goes_to_the_image_it_is_named_after_exactly(self):
        add("three/car.JPG", None)
        assert cells(read())["three/car.JPG"] == [-1, -1, -1]
        add("three/car.JPG", "cat")
        assert cells(read())["three/car.JPG"] == [1, 0, 0]
        assert cells(read())["one/car.jpg"] == [0, 1, 1]

    def test_hidden_files_and_what_is_no_image_are_no_samples(self):
        for name in ("._car.jpg", ".DS_Store", "notes.txt"):
            (ROOT / "images" / name).touch()
        (LABELS / ".DS_Store").touch()
        assert len(read()) == 3

    def test_linked_folders_are_read_once_even_in_a_circle(self, photos):
        (photos / "far").mkdir()
        (photos / "far" / "far.jpg").touch()
        (ROOT / "images/link").symlink_to(photos / "far")
        (ROOT / "images/one/circle").symlink_to(photos / "photos/images")
        assert list(read().paths).count("images/link/far.jpg") == 1
        assert len(read()) == 4


@pytest.mark.usefixtures("photos")
class TestFaults:
    def test_an_unknown_class_is_told_with_file_line_and_a_guess(self):
        add("one/car.jpg", "dog\n\ndgo")
        assert faults() == [
            "photos/image_labels_dir/car.jpg.txt:3: class 'dgo' is not among the 3 classes of labels.txt; "
            "did you mean 'dog'?"
        ]

    def test_a_label_file_without_image_is_told(self):
        (LABELS / "boat.jpg.txt").write_text("cat")
        (LABELS / "sea.txt").write_text("cat")
        (LABELS / "sea.jpg").write_text("cat")
        expected = "expected the file name of an image below photos/images and .txt, such as car.jpg.txt"
        assert faults() == [
            *(
                f"photos/image_labels_dir/{name}: there is no image for this label file; {expected}"
                for name in ("boat.jpg.txt", "sea.jpg", "sea.txt")
            ),
            "3 faults in all",
        ]

    def test_two_images_of_one_file_name_are_told(self):
        add("two/car.jpg", None)
        assert faults() == [
            "photos: 'images/one/car.jpg' and 'images/two/car.jpg' have one file name, so one label file; rename one"
        ]

    def test_a_class_that_is_there_twice_is_told(self):
        (ROOT / "labels.txt").write_text("cat\ndog\n\ncat \nbig owl\n")
        assert faults() == ["photos/labels.txt:4: class 'cat' is there twice, first on line 1"]

    def test_no_classes_and_no_images_are_told(self):
        (ROOT / "labels.txt").write_text("\n")
        for image in list(ROOT.glob("images/**/*.*")):
            image.unlink()
        for file in list(LABELS.iterdir()):
            file.unlink()
        assert faults() == [
            "photos/labels.txt: no class; expected one a line",
            "photos/images: no image; expected files that end with .bmp, .gif, .jpeg, .jpg, .png, .tif, .tiff, .webp",
            "2 faults in all",
        ]

    @pytest.mark.parametrize("part", ["images", "image_labels_dir", "labels.txt"])
    def test_a_part_that_is_missing_is_told(self, part):
        (ROOT / part).rename(ROOT / "elsewhere")
        (line,) = faults()
        kind = "text file" if part == "labels.txt" else "folder"
        assert line == f"photos/{part}: cannot be read (No such file or directory); expected a {kind}"

    def test_all_faults_are_told_at_once(self):
        add("one/car.jpg", b"cat\nd\xf6g\n")
        add("two/deep/tree.png", "owl\nbear")
        (LABELS / "boat.jpg.txt").touch()
        lines = faults()
        assert lines[0].startswith("photos/image_labels_dir/boat.jpg.txt: there is no image")
        assert lines[1].startswith("photos/image_labels_dir/car.jpg.txt:2: byte 0xf6 is not UTF-8")
        assert lines[2].startswith("photos/image_labels_dir/tree.png.txt:1: class 'owl' is not among the 3 classes")
        assert lines[3].startswith("photos/image_labels_dir/tree.png.txt:2: class 'bear' is not among the 3 classes")
        assert lines[4] == "4 faults in all"


def test_a_folder_with_classes_and_label_files_is_recognised(photos):
    assert SidecarReader.recognises(ROOT)
    assert not SidecarReader.recognises(ROOT / "images")
    assert not SidecarReader.recognises(ROOT / "labels.txt")
    assert not SidecarReader.recognises(Path("nowhere"))


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1)
repeated = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)


@repeated
@given(st.data())
def test_any_table_written_as_label_files_is_read_back(photos, data):
    classes = data.draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    (ROOT / "labels.txt").write_text("\n".join(classes), encoding="utf-8")
    expected = {}
    for image in ("one/car.jpg", "two/deep/tree.png", "sea.jpg"):
        row = data.draw(st.none() | st.lists(st.sampled_from([1, 0]), min_size=len(classes), max_size=len(classes)))
        file = LABELS / f"{Path(image).name}.txt"
        file.unlink(missing_ok=True)
        expected[image] = [-1] * len(classes) if row is None else row
        if row is not None:
            names = data.draw(st.permutations([name for name, cell in zip(classes, row, strict=True) if cell]))
            file.write_text(data.draw(st.sampled_from(["\n", "\r\n"])).join(names), encoding="utf-8", newline="")
    if all(cell == -1 for row in expected.values() for cell in row):
        return
    table = read()
    assert table.classes == tuple(classes)
    assert cells(table) == expected


@repeated
@given(st.binary(max_size=60), st.booleans())
def test_any_bytes_are_a_table_or_a_label_error(photos, data, names):
    (ROOT / "labels.txt").write_bytes(data if names else b"cat\ndog\nbig owl")
    (LABELS / "car.jpg.txt").write_bytes(b"dog" if names else data)
    outcome = read_or_refuse()
    assert outcome.startswith("photos/") if isinstance(outcome, str) else len(outcome) == 3


def read_or_refuse():
    try:
        return read()
    except LabelError as error:
        return str(error)
