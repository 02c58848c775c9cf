import logging
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlic.datamodules.readers import openimagesrows, openimagessayings
from mlic.datamodules.readers.openimages import OpenImagesReader
from mlic.datamodules.sources import installed_readers
from mlic.errors import LabelError

HEADER = "ImageID,Source,LabelName,Confidence\n"
NAME = "train-annotations-human-imagelabels.csv"
A, B, C, D = "000a1249af2bc5f0", "000b1249af2bc5f0", "000c1249af2bc5f0", "fff01249af2bc5f0"
PLANE, BREAD, TOAST, CAT = "/m/0cmf2", "/m/09728", "/m/0k4j", "/m/01yrx"
DESCRIPTIONS = f'{PLANE},Airplane\n{BREAD},Bread\n{TOAST},Bread\n{CAT},"Cat, dömestic"\n'


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working directory, so that messages hold short paths; with the images A to D below train."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for name in (A, B, C, D):
        add(f"train/{name}.jpg")
    return tmp_path / "work"


def add(path, text=""):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text, encoding="utf-8", newline="")


def read(rows, path=NAME, header=HEADER, **options):
    add(path, header + rows)
    return OpenImagesReader(Path(path), **options).read()


def cells(table):
    return {Path(path).stem[:4]: row.tolist() for path, row in zip(table.paths, table.dense(), strict=True)}


def faults(rows, **options):
    with pytest.raises(LabelError) as error:
        read(rows, **options)
    return str(error.value).splitlines()


def row(image, label, confidence, source="verification"):
    return f"{image},{source},{label},{confidence}\n"


class TestTheFormat:
    def test_an_export_as_it_is_saved_gives_this_table(self, caplog):
        Path(f"train/{B}.jpg").rename(f"train/{B}.JPG")
        add("class-descriptions.csv", "\ufeff" + DESCRIPTIONS.replace("\n", "\r\n") + "\r\n")
        rows = [
            f"{A},verification,{PLANE},1",
            f"{A},verification,{BREAD},0",
            f" {A} , verification , {CAT} ,0 ",
            f"{A},crowdsource-verification,{PLANE},1",
            f"{B},verification,{CAT},1.0",
            f'"{C}","verification","{PLANE}","0"',
            f"{C},verification,{CAT},0",
            f"{C},verification,{TOAST},0",
            f"{D},machine,{CAT},0.7",
            "",
        ]
        table = read("\r\n".join(["", *rows, ""]), header="\ufeff" + HEADER.strip())
        assert table.classes == ("Airplane", "Bread", "Cat, dömestic")
        assert list(table.paths) == [f"train/{A}.jpg", f"train/{B}.JPG", f"train/{C}.jpg", f"train/{D}.jpg"]
        assert cells(table) == {"000a": [1, 0, 0], "000b": [-1, -1, 1], "000c": [0, 0, 0], "fff0": [-1, -1, -1]}
        assert (table.num_unlabelled, table.num_all_negative, table.num_unknown_cells) == (1, 1, 5)
        assert table.root == Path()
        assert table.path(1).is_file()
        assert table.origins == {"Airplane": f"{NAME}:2", "Bread": f"{NAME}:3", "Cat, dömestic": f"{NAME}:4"}
        assert table.source == NAME
        assert not table.open_vocabulary
        assert caplog.messages == [
            f"{NAME}: 1 rows of Source machine say nothing; give machine_confidence to take them from it on as present"
        ]

    def test_what_is_not_listed_is_unknown_even_in_another_file_with_other_classes(self):
        table = read(row(A, PLANE, 1) + row(B, CAT, 0))
        assert cells(table) == {"000a": [-1, 1], "000b": [0, -1]}
        assert table.align(["/m/01yrx", "/m/0cmf2", "new"]).dense().tolist() == [[-1, 1, -1], [0, -1, -1]]

    def test_what_contradicts_is_unknown_and_counted(self, caplog):
        table = read(row(A, PLANE, 1) + row(A, CAT, 1) + row(A, PLANE, 0) + row(B, CAT, 0) + row(B, CAT, 0))
        assert cells(table) == {"000a": [1, -1], "000b": [0, -1]}
        assert caplog.messages == [f"{NAME}: 1 labels are said to be present and absent, so they are unknown"]

    def test_rows_of_an_image_need_not_follow_each_other(self):
        table = read(row(A, PLANE, 1) + row(B, PLANE, 0) + row(A, CAT, 0) + row(B, CAT, 1))
        assert cells(table) == {"000a": [0, 1], "000b": [1, 0]}

    @pytest.mark.parametrize("size", [1, 30, 50, 64, 1000])
    def test_blocks_of_any_size_give_the_same_table(self, size, monkeypatch):
        rows = "".join(row(image, label, at % 2) for at, image in enumerate([A, B, C, D]) for label in [PLANE, CAT])
        expected = read(rows)
        monkeypatch.setattr(openimagesrows, "_BYTES", size)
        monkeypatch.setattr(openimagesrows, "_ROWS", 2)
        for text in (rows, rows.rstrip("\n"), rows.replace("\n", "\r\n"), rows.replace(A, f'"{A}"')):
            assert cells(read(text)) == cells(expected)

    def test_labels_of_any_length_are_told_apart(self, monkeypatch):
        monkeypatch.setattr(openimagesrows, "_BYTES", 200)
        monkeypatch.setattr(openimagessayings, "_REMEMBERED", 3)
        labels = [
            "a",
            "b",
            "aa",
            "ab",
            "/m/abcdefgh",
            "/m/abcdefgi",
            *("x" * n + end for n in (20, 90) for end in "yz"),
        ]
        table = read("".join(row(A, label, at % 2) for at, label in enumerate(labels)) * 3)
        assert dict(zip(table.classes, table.row(0).tolist(), strict=True)) == {
            label: at % 2 for at, label in enumerate(labels)
        }

    def test_images_may_have_names_of_any_length(self):
        names = ["a", "b", "ab", "c" * 30, "d" * 30]
        for name in names:
            add(f"train/{name}.jpg")
        table = read("".join(row(name, PLANE, 1) for name in names))
        assert list(table.paths) == [f"train/{name}.jpg" for name in names]


class TestMachines:
    ROWS = row(A, PLANE, 1) + row(A, CAT, 0.8, "machine") + row(A, BREAD, 0.3, "machine") + row(B, CAT, 0.5, "Machine")

    def test_their_rows_are_left_out_and_counted_and_their_images_unlabelled(self, caplog):
        table = read(self.ROWS)
        assert table.classes == (PLANE,)
        assert cells(table) == {"000a": [1], "000b": [-1]}
        assert "3 rows of Source machine say nothing" in caplog.text

    def test_from_a_confidence_on_they_are_present_and_the_others_say_nothing(self, caplog):
        caplog.set_level(logging.INFO)
        table = read(self.ROWS, machine_confidence=0.5)
        assert table.classes == (CAT, PLANE)
        assert cells(table) == {"000a": [1, 1], "000b": [1, -1]}
        assert caplog.messages == [f"{NAME}: 1 rows of Source machine say nothing, being below machine_confidence 0.5"]

    def test_what_people_said_beats_what_a_machine_did(self, caplog):
        rows = row(A, CAT, 1, "machine") + row(A, CAT, 0) + row(A, PLANE, 0) + row(A, PLANE, 0.9, "machine")
        assert cells(read(rows + row(B, CAT, 0.9, "machine"), machine_confidence=0.9)) == {
            "000a": [0, 0],
            "000b": [1, -1],
        }
        assert caplog.messages == []

    def test_a_confidence_that_is_none_is_refused(self):
        with pytest.raises(LabelError) as error:
            OpenImagesReader(Path(NAME), machine_confidence=70.0)
        assert str(error.value) == "machine_confidence is 70; expected a number from 0 to 1"


class TestDescriptions:
    ROWS = row(A, PLANE, 1) + row(A, TOAST, 0) + row(B, BREAD, 1)

    @pytest.mark.parametrize(
        "path",
        [
            "class-descriptions.csv",
            "oidv6-class-descriptions.csv",
            "oidv7-class-descriptions.csv",
            "class-descriptions-boxable.csv",
            "oidv7-class-descriptions-boxable.csv",
            "Class-Descriptions.CSV",
            "../class-descriptions.csv",
            "../metadata/classes.csv",
        ],
    )
    @pytest.mark.parametrize("header", ["", "LabelName,DisplayName\n"])
    def test_they_are_found_by_themselves_with_and_without_header(self, path, header):
        add(path, header + DESCRIPTIONS)
        assert cells(read(self.ROWS)) == {"000a": [1, 0], "000b": [-1, 1]}

    def test_the_full_and_the_newest_are_preferred(self):
        add("class-descriptions-boxable.csv", f"{PLANE},boxable\n")
        add("oidv6-class-descriptions.csv", f"{PLANE},six\n")
        add("oidv7-class-descriptions.csv", f"{PLANE},seven\n")
        assert read(row(A, PLANE, 1)).classes == ("seven",)

    def test_they_may_be_given(self):
        add("names/own.csv", DESCRIPTIONS)
        assert read(self.ROWS, descriptions=Path("names/own.csv")).classes == ("Airplane", "Bread")

    def test_without_them_labels_are_classes_by_themselves(self, caplog):
        assert read(self.ROWS).classes == (BREAD, PLANE, TOAST)
        assert caplog.messages == []

    def test_labels_of_one_name_are_one_class_and_told(self, caplog):
        caplog.set_level(logging.INFO)
        add("class-descriptions.csv", DESCRIPTIONS)
        assert cells(read(self.ROWS + row(C, BREAD, 0) + row(C, TOAST, 1)))["000c"] == [-1, -1]
        assert f"class-descriptions.csv: 1 classes stand for several labels each: {TOAST} and {BREAD} are 'Bread'" in (
            caplog.messages
        )

    def test_a_label_without_name_is_a_class_by_itself_and_counted(self, caplog):
        add("class-descriptions.csv", f"{PLANE},Airplane\n{BREAD}, \n")
        assert read(self.ROWS).classes == (BREAD, TOAST, "Airplane")
        assert caplog.messages == [
            f"class-descriptions.csv: 2 labels have no display name, such as {TOAST}; they are classes by themselves"
        ]

    def test_their_faults_are_told(self):
        add("class-descriptions.csv", f'{PLANE},Airplane\n{CAT},Cat,dog\n\n{PLANE},Plane\n{BREAD},"Bread\n')
        assert faults(self.ROWS) == [
            "class-descriptions.csv:2: 3 cells; expected two, such as /m/0cmf2,Airplane",
            f"class-descriptions.csv:4: '{PLANE}' is 'Plane', but before 'Airplane'",
            "class-descriptions.csv:5: unexpected end of data; is a quotation mark left open?",
            "3 faults in all",
        ]

    def test_classes_may_be_told_by_their_names(self):
        add("class-descriptions.csv", DESCRIPTIONS)
        assert cells(read(self.ROWS, classes=["Cat", "Bread", "Airplane"])) == {"000a": [-1, 0, 1], "000b": [-1, 1, -1]}
        assert faults(self.ROWS + row(B, TOAST, 1), classes=["Airplanes", "Bread"]) == [
            f"{NAME}:2: class 'Airplane' is not among the 2 classes; did you mean 'Airplanes'?"
        ]


class TestImages:
    @pytest.mark.parametrize(
        ("annotations", "image", "path"),
        [
            ("train-annotations-human-imagelabels.csv", "images/train/{}.jpg", "train/{}.jpg"),
            ("validation-annotations-human-imagelabels.csv", "validation/{}.jpg", "validation/{}.jpg"),
            ("oidv7-val-annotations-human-imagelabels.csv", "validation/{}.jpg", "validation/{}.jpg"),
            ("validation-annotations-human-imagelabels.csv", "val/{}.jpg", "val/{}.jpg"),
            ("oidv6-test-annotations.csv", "data/test/{}.jpg", "test/{}.jpg"),
            ("annotations/test-annotations.csv", "test/{}.jpg", "test/{}.jpg"),
            ("csv/test-annotations.csv", "images/test/{}.jpg", "test/{}.jpg"),
            ("test/annotations-human.csv", "images/test/{}.jpg", "test/{}.jpg"),
            ("test-labels.csv", "test_e/{}.jpg", "test_e/{}.jpg"),
            ("test/labels/classifications.csv", "test/data/{}.jpg", "{}.jpg"),
            ("labels.csv", "{}.jpg", "{}.jpg"),
            ("labels.csv", "images/{}.jpg", "{}.jpg"),
        ],
    )
    def test_they_are_found_in_the_usual_places(self, annotations, image, path):
        name = "e00a1249af2bc5f0"
        add(image.format(name))
        table = read(row(name, CAT, 1), path=annotations)
        assert list(table.paths) == [path.format(name)]
        assert table.path(0).is_file()

    @pytest.mark.parametrize(("root", "path"), [("far", "train/{}.jpg"), ("far/train", "{}.jpg")])
    def test_their_root_may_be_told(self, root, path):
        name = "e00a1249af2bc5f0"
        add(f"far/train/{name}.jpg")
        table = read(row(name, CAT, 1), root=Path(root))
        assert (list(table.paths), table.root) == ([path.format(name)], Path(root))

    def test_a_missing_one_is_told_once_with_what_to_do(self):
        assert faults(row(A, CAT, 1) + row("0", CAT, 1) + row(B, CAT, 1) + row("0", PLANE, 1)) == [
            f"{NAME}:3: no image 'train/0.jpg' below .; expected a file there, or give root: the folder that the paths "
            "start from; or give missing: skip to leave out the images that are not there"
        ]

    def test_missing_ones_may_be_left_out_with_the_classes_that_only_they_have(self, caplog):
        rows = row("0", BREAD, 1) + row(A, CAT, 1) + row("1", CAT, 0) + row("0", CAT, 1) + row(B, PLANE, 0)
        table = read(rows, missing="skip")
        assert table.classes == (CAT, PLANE)
        assert cells(table) == {"000a": [1, -1], "000b": [-1, 0]}
        assert caplog.messages == [f"{NAME}: 2 images are left out, since they are not below ."]

    def test_a_few_of_many_are_found_even_if_the_first_hundred_are_missing(self):
        Path("train").rename("images")
        Path("images").rename("parts")
        add(f"images/train/{A}.jpg")
        rows = "".join(row(f"{number:016x}", CAT, 1) for number in range(200))
        assert list(read(rows + row(A, CAT, 0), missing="skip").paths) == [f"train/{A}.jpg"]

    def test_none_at_all_is_a_fault(self):
        assert faults(row("0", CAT, 1), missing="skip") == [
            f"{NAME}: no sample; expected at least one image",
            f"{NAME}: no class; expected at least one",
            "2 faults in all",
        ]


class TestFaults:
    def test_each_kind_is_told_with_its_line(self):
        rows = (
            row(A, CAT, 1)
            + row(A, CAT, 0.5)
            + row(A, CAT, "yes", "machine")
            + row(A, "", 1)
            + f"{A},verification,{CAT}\n\n"
            + f"{A},verification,{CAT},1,0\n"
            + row(" ", CAT, 1)
            + row("../a", CAT, 1)
        )
        rest = "only a row of Source machine holds another number"
        assert faults(rows) == [
            f"{NAME}:3: Confidence is '0.5'; expected 1 (present) or 0 (absent): {rest}",
            f"{NAME}:4: Confidence is 'yes'; expected a number from 0 to 1",
            f"{NAME}:5: LabelName is blank; expected the identifier of a label, such as /m/0cmf2",
            f"{NAME}:6: 3 cells; expected four: ImageID,Source,LabelName,Confidence",
            f"{NAME}:8: 5 cells; expected four: ImageID,Source,LabelName,Confidence",
            f"{NAME}:9: ImageID is blank; expected the name of an image",
            f"{NAME}:10: ImageID is '../a'; expected the name of an image, without its folder",
            "7 faults in all",
        ]

    def test_lines_are_right_in_all_blocks_and_below_quoted_line_breaks(self, monkeypatch):
        monkeypatch.setattr(openimagesrows, "_BYTES", 100)
        fine = row(A, CAT, 1) * 10
        told = faults(fine + row("x", CAT, 1) + fine + row(A, CAT, 7) + fine + row("y", CAT, 1))
        assert [line.partition("'")[0] for line in told] == [
            f"{NAME}:12: no image ",
            f"{NAME}:23: Confidence is ",
            f"{NAME}:34: no image ",
            "3 faults in all",
        ]
        broken = f'{A},"veri\nfication",{CAT},1\n'
        assert faults(fine + broken + fine + row(A, CAT, 7))[0].startswith(f"{NAME}:24: Confidence is '7'")

    def test_a_quotation_mark_that_is_left_open_is_told(self):
        assert faults(row(A, CAT, 1) + f'{A},"verification,{CAT},1\n') == [
            f"{NAME}:3: unexpected end of data; is a quotation mark left open?"
        ]

    def test_a_line_that_is_not_utf8_is_told(self):
        Path(NAME).write_bytes(HEADER.encode() + row(A, CAT, 1).encode() + b"\xff,verification,/m/1,1\n")
        with pytest.raises(LabelError, match=rf"{NAME}:3: byte 0xff is not UTF-8"):
            OpenImagesReader(Path(NAME)).read()

    def test_other_columns_are_told(self):
        expected = "expected ImageID,Source,LabelName,Confidence"
        assert faults("", header="image,cat\n") == [f"{NAME}:1: the columns are image,cat; {expected}"]
        boxes = HEADER.strip() + ",XMin,XMax,YMin,YMax\n"
        hint = "these are boxes: give the file of image-level labels"
        assert faults("", header="\n" + boxes) == [f"{NAME}:2: the columns are {boxes.strip()}; {expected}; {hint}"]
        assert faults("", header="") == [f"{NAME}: the file is empty; {expected} and a row a label"]

    def test_a_file_that_is_not_there_is_told(self):
        with pytest.raises(LabelError) as error:
            OpenImagesReader(Path("no.csv")).read()
        assert str(error.value) == "no.csv: cannot be read (No such file or directory); expected a text file"

    def test_what_could_be_read_comes_with_the_error(self):
        with pytest.raises(LabelError) as error:
            read(row(A, CAT, 1) + row("x", CAT, 1))
        assert len(error.value.table) == 1


@pytest.mark.parametrize("header", [HEADER, "\ufeff" + HEADER.replace("\n", "\r\n"), HEADER.replace(",", " , ")])
def test_only_this_reader_recognises_it(header):
    add(NAME, header + row(A, CAT, 1))
    assert [name for name, reader in installed_readers().items() if reader.recognises(Path(NAME))] == ["openimages"]


def test_other_files_are_not_recognised():
    add("a.csv", "image,cat\na.jpg,1\n")
    add("class-descriptions.csv", DESCRIPTIONS)
    for path in ("a.csv", "class-descriptions.csv", "train", "nowhere"):
        assert not OpenImagesReader.recognises(Path(path))


LABELS = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=12)
IMAGES = st.text("0123456789abcdef-_ö", min_size=1, max_size=20)
repeated = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)


@repeated
@given(st.data())
def test_any_table_is_read_back(data):
    images = data.draw(st.lists(IMAGES, min_size=1, max_size=6, unique=True))
    labels = data.draw(st.lists(LABELS, min_size=1, max_size=5, unique=True))
    wanted = {
        (image, label): data.draw(st.sampled_from([1, 0, -1]), label="cell") for image in images for label in labels
    }
    listed = data.draw(st.permutations([cell for cell, value in wanted.items() if value >= 0]))
    named = sorted({label for _, label in listed})
    if not listed:
        return
    with tempfile.TemporaryDirectory() as folder:
        for image in images:
            Path(folder, f"{image}.jpg").touch()
        text = "".join(
            ",".join(quoted(cell) for cell in (image, "verification", label, str(wanted[image, label]))) + "\n"
            for image, label in listed
        )
        path = Path(folder, "labels.csv")
        path.write_text(HEADER + text, encoding="utf-8")
        table = OpenImagesReader(path).read()
    assert table.classes == tuple(named)
    assert list(table.paths) == [f"{image}.jpg" for image in dict.fromkeys(image for image, _ in listed)]
    for path, found in zip(table.paths, table.dense(), strict=True):
        assert found.tolist() == [wanted[path.removesuffix(".jpg"), label] for label in named]


def quoted(cell):
    return '"' + cell.replace('"', '""') + '"' if set('",') & set(cell) else cell


def read_or_refuse():
    try:
        return OpenImagesReader(Path(NAME), machine_confidence=0.5, missing="skip").read()
    except LabelError as error:
        return str(error)


VALID = (HEADER + row(A, PLANE, 1) + row(A, CAT, 0) + row(B, PLANE, 0.5, "machine") + f'"{C}",v,{CAT},1\n').encode()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100)
@given(
    st.binary(max_size=80).map(lambda data: HEADER.encode() + data)
    | st.binary(max_size=80)
    | st.integers(0, len(VALID)).map(lambda end: VALID[:end])
    | st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)).map(
        lambda flip: VALID[: flip[0]] + bytes([flip[1]]) + VALID[flip[0] + 1 :]
    ),
    st.booleans(),
)
def test_any_bytes_are_a_table_or_a_label_error(data, of_descriptions):
    Path(NAME).write_bytes(VALID if of_descriptions else data)
    Path("class-descriptions.csv").write_bytes(data if of_descriptions else DESCRIPTIONS.encode())
    outcome = read_or_refuse()
    assert outcome.startswith((NAME, "class-descriptions.csv")) if isinstance(outcome, str) else len(outcome) <= 3
    OpenImagesReader.recognises(Path(NAME))
    Path("class-descriptions.csv").unlink()
