import json
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mlic.datamodules.readers.openmmlab import OpenMMLabReader
from mlic.datamodules.sources import installed_readers
from mlic.errors import LabelError

FILE = Path("annotations/train.json")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working directory, so that messages hold short paths; with some images in the folder train."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.JPG", "sub/c d.png", "é.jpg", "e.jpg"):
        path = tmp_path / "train" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def write(document, path=FILE):
    path.parent.mkdir(exist_ok=True)
    text = document if isinstance(document, str) else json.dumps(document, ensure_ascii=False)
    path.write_bytes(text.encode())
    return path


def data_set(*entries, classes=("cat", "dog", "owl"), **more):
    return {"metainfo": {"classes": list(classes)}, "data_list": list(entries), **more}


def read(document, **options):
    return OpenMMLabReader(write(document), **options).read()


def cells(table):
    return {path: row.tolist() for path, row in zip(table.paths, table.dense(), strict=True)}


def faults(document, **options):
    with pytest.raises(LabelError) as error:
        read(document, **options)
    return [line.removeprefix(f"{FILE}: ") for line in str(error.value).splitlines()]


REAL = (
    "\ufeff{\r\n"
    '  "metainfo": {"dataset_type": "photos", "classes": ["owl", " cat ", "dög 2"]},\r\n'
    '  "data_list": [\r\n'
    '    {"img_path": "sub\\\\c d.png", "gt_label": [2, 0], "height": 4, "width": 4},\r\n'
    '    {"img_path": "a.jpg", "gt_label": 1},\r\n'
    '    {"img_path": "b.jpg", "gt_label": []},\r\n'
    '    {"img_path": "é.jpg"},\r\n'
    '    {"img_path": "a.jpg", "gt_label": [1]},\r\n'
    '    {"img_path": "e.jpg", "gt_label": null}\r\n'
    "  ]\r\n}\r\n\r\n"
)


class TestTheLayout:
    def test_it_is_read_to_the_last_cell(self):
        table = read(REAL)
        assert table.classes == ("owl", "cat", "dög 2")
        assert cells(table) == {
            "sub/c d.png": [1, 0, 1],
            "a.jpg": [0, 1, 0],
            "b.JPG": [0, 0, 0],
            "é.jpg": [-1, -1, -1],
            "e.jpg": [-1, -1, -1],
        }
        assert (table.num_unlabelled, table.num_all_negative) == (2, 1)
        assert table.root == Path("train")
        assert table.path(0).is_file()
        assert table.source == str(FILE)
        assert table.origins == {
            name: f"{FILE}: metainfo.classes[{position}]" for position, name in enumerate(table.classes)
        }

    def test_a_class_that_the_file_does_not_list_is_unknown(self):
        table = read(data_set({"img_path": "a.jpg", "gt_label": [0]})).align(["cat", "dog", "owl", "bear"])
        assert cells(table) == {"a.jpg": [1, 0, 0, -1]}

    def test_classes_may_be_in_capital_letters_as_old_versions_have_them(self):
        document = {"metainfo": {"CLASSES": ["cat", "dog"]}, "data_list": [{"img_path": "a.jpg", "gt_label": [1]}]}
        assert read(document).origins["dog"] == f"{FILE}: metainfo.CLASSES[1]"
        assert cells(read(document)) == {"a.jpg": [0, 1]}

    def test_the_label_may_be_called_img_label_as_the_documents_once_did(self):
        assert cells(read(data_set({"img_path": "a.jpg", "img_label": [2]}))) == {"a.jpg": [0, 0, 1]}

    def test_scores_are_soft_labels(self):
        table = read(
            data_set({"img_path": "a.jpg", "gt_score": [1, 0.25, 0.0]}, {"img_path": "e.jpg", "gt_label": [2]})
        )
        assert cells(table) == {"a.jpg": [1, 0.25, 0], "e.jpg": [0, 0, 1]}

    def test_labels_and_scores_must_agree(self):
        entry = {"img_path": "a.jpg", "gt_label": [0], "gt_score": [1, 0, 0]}
        assert cells(read(data_set(entry))) == {"a.jpg": [1, 0, 0]}
        place = f"{FILE}: data_list[0]"
        assert faults(data_set({**entry, "gt_score": [0, 0.5, 0]})) == [
            f"data_list[0]: class 'cat' is absent in image 'a.jpg', but present at {place}; expected one of them"
        ]

    def test_entries_of_one_image_are_united(self):
        document = data_set({"img_path": "a.jpg", "gt_label": [0]}, {"img_path": "./a.jpg", "gt_label": [2]})
        assert cells(read(document)) == {"a.jpg": [1, 0, 1]}

    @pytest.mark.parametrize(
        ("file", "written"),
        [
            ("train.json", "train/a.jpg"),
            ("train.json", "a.jpg"),
            ("annotations/train.json", "train/a.jpg"),
            ("annotations/train.json", "a.jpg"),
            ("annotations/val.json", "a.jpg"),
            ("annotations/train.json", "../train/a.jpg"),
        ],
    )
    def test_images_are_found_where_they_usually_are(self, file, written):
        document = data_set({"img_path": written, "gt_label": [0]})
        table = OpenMMLabReader(write(document, Path(file))).read()
        assert table.path(0).resolve() == Path("train/a.jpg").resolve()


class TestOptions:
    def test_root_is_where_paths_start(self):
        Path("elsewhere").mkdir()
        Path("elsewhere/a.jpg").touch()
        table = read(data_set({"img_path": "a.jpg", "gt_label": [0]}), root=Path("elsewhere"))
        assert table.path(0) == Path("elsewhere/a.jpg")

    def test_classes_give_the_order(self):
        document = data_set({"img_path": "a.jpg", "gt_label": [0, 2]})
        table = read(document, classes=["owl", "dog", "cat"])
        assert table.classes == ("owl", "dog", "cat")
        assert cells(table) == {"a.jpg": [1, 0, 1]}

    def test_classes_other_than_those_of_the_file_are_told(self):
        document = data_set({"img_path": "a.jpg", "gt_label": [0]}, classes=["cat", "dgo", "age"])
        assert faults(document, classes=["cat", "dog"]) == [
            "metainfo.classes[1]: class 'dgo' is not among the 2 classes; did you mean 'dog'?",
            "metainfo.classes[2]: class 'age' is not among the 2 classes",
            "metainfo.classes: class 'dog' is not among them; did you mean 'dgo'?",
            "3 faults in all",
        ]

    def test_positions_are_those_of_classes_where_the_file_lists_none(self):
        document = {"data_list": [{"img_path": "a.jpg", "gt_label": [1]}]}
        assert cells(read(document, classes=["cat", "dog"])) == {"a.jpg": [0, 1]}
        expected = "give classes: the list that the numbers in gt_label point to"
        assert faults(document) == [f"metainfo lists no classes; {expected}"]
        assert faults({**document, "metainfo": {"classes": []}}) == [f"metainfo lists no classes; {expected}"]

    def test_uris_and_paths_of_another_machine_are_mapped(self):
        document = data_set(
            {"img_path": "s3://photos/2024/a.jpg", "gt_label": [0]}, {"img_path": "/home/ann/e.jpg", "gt_label": [1]}
        )
        table = read(document, uri_prefix={"s3://photos/2024/": Path("train"), "/home/ann/": Path("train")})
        assert cells(table) == {"a.jpg": [1, 0, 0], "e.jpg": [0, 1, 0]}
        assert faults(document)[0] == (
            "data_list[0]: image 's3://photos/2024/a.jpg' is a URI, and nothing is downloaded; fetch the images and "
            "give uri_prefix: {'s3://photos/': 'the local folder that holds what is below it'}"
        )


class TestFaults:
    @pytest.mark.parametrize(
        ("label", "message"),
        [
            ({"gt_label": [3]}, "gt_label[0] is 3; expected the position of a class, 0 to 2"),
            ({"gt_label": [0, -1]}, "gt_label[1] is -1; expected the position of a class, 0 to 2"),
            ({"gt_label": True}, "gt_label is true; expected the position of a class, 0 to 2"),
            ({"gt_label": 1.0}, "gt_label is 1.0; expected the position of a class, 0 to 2"),
            ({"gt_label": ["cat"]}, 'gt_label[0] is "cat"; expected the position of a class, 0 to 2'),
            ({"gt_label": [None]}, "gt_label[0] is null; expected the position of a class, 0 to 2"),
            ({"gt_label": [[0]]}, "gt_label[0] is [0]; expected the position of a class, 0 to 2"),
            ({"img_label": 7}, "img_label is 7; expected the position of a class, 0 to 2"),
            (
                {"gt_label": [0, 1, 0]},
                "gt_label is [0, 1, 0], in which a number repeats; expected the position of each class that is present "
                "once, not a 0 or 1 for each class",
            ),
            ({"gt_score": [0.5]}, "gt_score is [0.5]; expected 3 numbers between 0 and 1"),
            ({"gt_score": [0, 1, 1.5]}, "gt_score is [0, 1, 1.5]; expected 3 numbers between 0 and 1"),
            ({"gt_score": [0, 1, float("nan")]}, "gt_score is [0, 1, NaN]; expected 3 numbers between 0 and 1"),
            ({"gt_score": [0, 1, False]}, "gt_score is [0, 1, false]; expected 3 numbers between 0 and 1"),
            ({"gt_score": {"cat": 1}}, 'gt_score is {"cat": 1}; expected 3 numbers between 0 and 1'),
            (
                {"instances": [{"bbox": [0, 0, 1, 1], "bbox_label": 0}]},
                "instances, but no gt_label; expected a file for classification, not for detection",
            ),
        ],
    )
    def test_a_label_that_is_none_is_told(self, label, message):
        document = data_set({"img_path": "e.jpg", "gt_label": [0]}, {"img_path": "a.jpg", **label})
        assert faults(document) == [f"data_list[1]: {message}"]

    def test_names_of_classes_that_are_none_are_told(self):
        document = data_set({"img_path": "a.jpg", "gt_label": [4]}, classes=["cat", "", None, "cat ", 5])
        assert faults(document) == [
            'metainfo.classes[1]: the name of a class is ""; expected a text',
            "metainfo.classes[2]: the name of a class is null; expected a text",
            "metainfo.classes[3]: class 'cat' is there twice, first at [0]",
            "3 faults in all",
        ]

    def test_images_that_are_not_there_are_told(self):
        expected = "expected a file there, or give root: the folder that the paths start from"
        entries = ({"img_path": path, "gt_label": []} for path in ("a.jpg", "x.jpg", "../../x.jpg"))
        lines = faults(data_set(*entries, {"gt_label": []}))
        assert lines[0] == f"data_list[1]: no image 'x.jpg' below train; {expected}"
        assert lines[1].startswith("data_list[2]: image '../../x.jpg' lies outside the data root train;")
        assert lines[2] == "data_list[3]: the path of an image is blank; expected one"
        assert lines[3] == "3 faults in all"

    def test_all_faults_are_told_at_once_and_the_rest_is_a_table(self):
        document = data_set(
            {"img_path": "x.jpg", "gt_label": [9]}, {"img_path": "a.jpg", "gt_label": [1]}, classes="aab"
        )
        with pytest.raises(LabelError) as error:
            read(document)
        assert str(error.value).splitlines()[-1] == "3 faults in all"
        assert cells(error.value.table) == {"a.jpg": [1, 0]}

    @pytest.mark.parametrize(
        ("document", "message"),
        [
            (data_set(), "no sample; expected at least one image"),
            ({"metainfo": {"classes": ["a"]}}, "object missing required field 'data_list'"),
            (
                {"metainfo": {"classes": "a.txt"}, "data_list": []},
                "metainfo.classes: expected 'array | null', got 'str'",
            ),
            (
                {"metainfo": {}, "data_list": [{"img_path": 3}]},
                "data_list[0].img_path: expected 'str | null', got 'int'",
            ),
            ([], "expected 'object', got 'array'"),
        ],
    )
    def test_a_file_of_another_shape_is_told(self, document, message):
        assert faults(document) == [message]

    def test_a_file_that_is_cut_short_is_told(self):
        assert faults(REAL[:300])[0].endswith("is the file cut short?")


class TestRecognition:
    @pytest.mark.parametrize("document", [REAL, data_set(), {"data_list": [{"img_path": "a.jpg"}], "metainfo": {}}])
    def test_it_is_recognised_by_this_reader_alone(self, document):
        path = write(document)
        assert [name for name, reader in installed_readers().items() if reader.recognises(path)] == ["openmmlab"]

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{}",
            "[]",
            '{"data_list": []}',
            '[{"metainfo": {}}]',
            '{"metainfo": 1}\n{"metainfo": 2}',
            "metainfo,data_list",
        ],
    )
    def test_others_are_not(self, text):
        assert not OpenMMLabReader.recognises(write(text))
        assert not OpenMMLabReader.recognises(Path("annotations"))
        assert not OpenMMLabReader.recognises(Path("nowhere"))


names = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=8)
repeated = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
fuzzed = settings(repeated, max_examples=100)


@repeated
@given(st.data())
def test_any_table_is_read_back(data):
    classes = data.draw(st.lists(names, min_size=1, max_size=5, unique=True))
    rows = st.none() | st.lists(st.sampled_from([0, 1]), min_size=len(classes), max_size=len(classes))
    expected = {f'{number}\' "é".jpg': data.draw(rows) for number in range(data.draw(st.integers(1, 5)))}
    entries = []
    for path, row in expected.items():
        entry = {"img_path": path}
        if row is not None:
            entry["gt_label"] = data.draw(st.permutations([column for column, cell in enumerate(row) if cell]))
        entries.append(entry)
    with tempfile.TemporaryDirectory() as folder:
        for path in expected:
            Path(folder, path).touch()
        file = write(json.dumps(data_set(*entries, classes=classes)), Path(folder, "a.json"))
        table = OpenMMLabReader(file).read()
    assert table.classes == tuple(classes)
    assert cells(table) == {path: row or [-1] * len(classes) if row is None else row for path, row in expected.items()}


@fuzzed
@given(st.binary(max_size=80))
@example(b'{"metainfo":{"classes":["a"]},"data_list":[{"img_path":"\\udc80.jpg"}]}')
@example(b'{"metainfo":{"classes":["a"]},"data_list":[{"img_path":"\\u0000/a.jpg"}]}')
def test_any_bytes_are_a_table_or_a_label_error(data):
    check(data)


@fuzzed
@given(st.integers(0, 2**32))
def test_a_file_that_is_cut_or_changed_is_a_table_or_a_label_error(seed):
    rng, data = random.Random(seed), bytearray(REAL.encode())
    for _ in range(seed % 3):
        data[rng.randrange(len(data))] = rng.randrange(256)
    check(bytes(data[: rng.randrange(len(data))] if seed % 2 else data))


def check(data):
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_bytes(data)
    assert isinstance(OpenMMLabReader.recognises(FILE), bool)
    try:
        outcome = OpenMMLabReader(FILE).read().source
    except LabelError as error:
        outcome = str(error)
    assert outcome.startswith(str(FILE))
