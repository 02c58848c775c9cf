import json
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mlic.datamodules.readers.fiftyone import FiftyOneReader
from mlic.datamodules.sources import installed_readers
from mlic.errors import LabelError

HOME = Path("photos")
FILE = HOME / "labels.json"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working directory, so that messages hold short paths; with the images of a data set."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.JPG", "c.v1.png", "sub/d e.jpg", "é.webp"):
        path = HOME / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def write(document, path=FILE):
    text = document if isinstance(document, str) else json.dumps(document, ensure_ascii=False)
    path.write_bytes(text.encode())
    return path


def data_set(labels, classes=("cat", "dog", "owl")):
    return {"classes": None if classes is None else list(classes), "labels": labels}


def read(document, **options):
    write(document)
    return FiftyOneReader(HOME, **options).read()


def cells(table):
    return {path: row.tolist() for path, row in zip(table.paths, table.dense(), strict=True)}


def faults(document, **options):
    with pytest.raises(LabelError) as error:
        read(document, **options)
    return [line.removeprefix(f"{FILE}: ") for line in str(error.value).splitlines()]


REAL = (
    "\ufeff{\r\n"
    '    "classes": ["owl", " cat ", "dög 2"],\r\n'
    '    "labels": {\r\n'
    '        "sub\\\\d e": [{"label": "dög 2", "confidence": 0.9}, {"label": 0, "attributes": {"x": 1}}],\r\n'
    '        "b": [],\r\n'
    '        "a": 1,\r\n'
    '        "c.v1": null,\r\n'
    '        "a.jpg": "cat",\r\n'
    '        "é": [" owl ", 2]\r\n'
    "    }\r\n}\r\n\r\n"
)


class TestTheLayout:
    @pytest.mark.parametrize("path", [HOME, FILE])
    def test_it_is_read_to_the_last_cell(self, path):
        write(REAL)
        table = FiftyOneReader(path).read()
        assert table.classes == ("owl", "cat", "dög 2")
        assert cells(table) == {
            "sub/d e.jpg": [1, 0, 1],
            "b.JPG": [0, 0, 0],
            "a.jpg": [0, 1, 0],
            "c.v1.png": [-1, -1, -1],
            "é.webp": [1, 0, 1],
        }
        assert (table.num_unlabelled, table.num_all_negative) == (1, 1)
        assert table.root == HOME / "data"
        assert table.path(0).is_file()
        assert table.source == str(path)
        assert table.origins == {name: f"{FILE}: classes[{at}]" for at, name in enumerate(table.classes)}

    @pytest.mark.parametrize("document", [data_set({"a": ["dog", "cat"], "b": "owl"}, classes=None), {"labels": {}}])
    def test_without_classes_they_are_the_names_sorted(self, document):
        document["labels"].update({"a": ["dog", "cat"], "b": {"label": "owl"}, "c.v1": []})
        table = read(document)
        assert table.classes == ("cat", "dog", "owl")
        assert cells(table) == {"a.jpg": [1, 1, 0], "b.JPG": [0, 0, 1], "c.v1.png": [0, 0, 0]}
        assert table.origins == {
            "cat": f"{FILE}: labels['a']",
            "dog": f"{FILE}: labels['a']",
            "owl": f"{FILE}: labels['b']",
        }

    def test_a_class_that_it_does_not_name_is_absent_only_where_it_lists_no_classes(self):
        classes = ["bear", "cat", "dog", "owl"]
        assert cells(read(data_set({"a": ["cat"]})).align(classes)) == {"a.jpg": [-1, 1, 0, 0]}
        assert cells(read(data_set({"a": ["cat"]}, None)).align(classes)) == {"a.jpg": [0, 1, 0, 0]}

    def test_entries_of_one_image_are_united(self):
        assert cells(read(data_set({"a": [0], "./a": [2], "a.jpg": None}))) == {"a.jpg": [1, 0, 1]}

    def test_the_file_may_have_another_name_and_images_lie_beside_it(self):
        (HOME / "data/a.jpg").rename(HOME / "a.jpg")
        table = FiftyOneReader(write(data_set({"a": [0]}), HOME / "train.json")).read()
        assert table.path(0) == HOME / "a.jpg"


class TestOptions:
    def test_root_is_where_paths_start(self):
        table = read(data_set({"d e": [0]}), root=HOME / "data/sub")
        assert table.path(0) == HOME / "data/sub/d e.jpg"

    def test_classes_give_the_order(self):
        table = read(data_set({"a": [0, "owl"]}), classes=["owl", "dog", "cat"])
        assert table.classes == ("owl", "dog", "cat")
        assert cells(table) == {"a.jpg": [1, 0, 1]}

    def test_classes_other_than_those_of_the_file_are_told(self):
        assert faults(data_set({"a": [0]}, ["cat", "dgo"]), classes=["cat", "dog"]) == [
            "classes[1]: class 'dgo' is not among the 2 classes; did you mean 'dog'?",
            "classes: class 'dog' is not among them; did you mean 'dgo'?",
            "2 faults in all",
        ]

    def test_positions_are_those_of_classes_where_the_file_lists_none(self):
        document = data_set({"a": [1, "owl"]}, None)
        assert cells(read(document, classes=["cat", "dog", "owl"])) == {"a.jpg": [0, 1, 1]}
        assert faults(document, classes=["cat", "owls"]) == [
            "labels['a']: class 'owl' is not among the 2 classes; did you mean 'owls'?"
        ]

    def test_shapes_mean_presence_only_when_told(self):
        boxes = [{"label": 0, "bounding_box": [0, 0, 0.5, 1]}, {"label": "owl", "points": [[[0, 0]]], "filled": True}]
        assert cells(read(data_set({"a": boxes, "b": []}), shapes=True)) == {"a.jpg": [1, 0, 1], "b.JPG": [0, 0, 0]}
        hint = "as for detection; give shapes: true if it means that its class is present"
        assert faults(data_set({"a": boxes})) == [
            f"labels['a'][0] holds bounding_box, {hint}",
            f"labels['a'][1] holds points, {hint}",
            "2 faults in all",
        ]

    def test_uris_and_paths_of_another_machine_are_mapped(self):
        document = data_set({"/home/ann/photos/sub/d e": [0], "gs://photos/a": [1]})
        prefixes = {"/home/ann/photos": HOME / "data", "gs://photos/": HOME / "data"}
        assert cells(read(document, uri_prefix=prefixes)) == {"sub/d e.jpg": [1, 0, 0], "a.jpg": [0, 1, 0]}


class TestFaults:
    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (3, " is 3; expected the position of a class, 0 to 2"),
            ([0, -1], "[1] is -1; expected the position of a class, 0 to 2"),
            ([True], "[0] is true; expected the position of a class, 0 to 2"),
            (1.0, " is 1.0; expected the position of a class, 0 to 2"),
            ([None], "[0] is null; expected the position of a class, 0 to 2"),
            ([[0]], "[0] is [0]; expected the position of a class, 0 to 2"),
            ([{"label": 9}], "[0] is 9; expected the position of a class, 0 to 2"),
            ({"confidence": 1}, ' is {"confidence": 1}; expected an object with a label'),
            ("dgo", ": class 'dgo' is not among the 3 classes; did you mean 'dog'?"),
            ([" "], ": class '' is not among the 3 classes"),
        ],
    )
    def test_a_label_that_is_none_is_told(self, value, message):
        assert faults(data_set({"b": [0], "a": value})) == [f"labels['a']{message}"]

    def test_a_position_without_classes_is_told(self):
        assert faults(data_set({"a": "cat", "b": [0, " "]}, None)) == [
            "labels['b'][0] is 0, but the file has no classes; expected a name, or give classes: a list",
            "labels['b']: the name of a class is blank; expected one",
            "2 faults in all",
        ]

    def test_names_of_classes_that_are_none_are_told(self):
        assert faults(data_set({"a": [2]}, ["cat", None, " cat"])) == [
            "classes[1]: the name of a class is null; expected a text",
            "classes[2]: class 'cat' is there twice, first at [0]",
            "2 faults in all",
        ]

    def test_images_that_are_not_there_or_not_clear_are_told(self):
        (HOME / "data/a.png").touch()
        lines = faults(data_set({"é": 0, "x": None, "a": [0], "": [0], "../../x": []}))
        expected = "expected a file there, or give root: the folder that the paths start from"
        assert lines[0] == f"labels['x']: no image 'x' below photos/data; {expected}"
        assert lines[1] == "labels['a']: image 'a' is one of 'a.jpg' and 'a.png'; write which"
        assert lines[2] == "labels['']: the path of an image is blank; expected one"
        assert lines[3].startswith("labels['../../x']: image '../../x' lies outside the data root photos/data;")
        assert lines[4] == "4 faults in all"

    @pytest.mark.parametrize(
        ("document", "message"),
        [
            (data_set({}), "photos: no sample; expected at least one image"),
            (data_set({"a": []}, []), "photos: no class; expected at least one"),
            (data_set({"a": 0}, []), "labels['a'] is 0; expected no label, since there are no classes"),
            ({"classes": ["a"]}, "object missing required field 'labels'"),
            (data_set([]), "labels: expected 'object', got 'array'"),
            ([], "expected 'object', got 'array'"),
        ],
    )
    def test_a_file_without_samples_or_of_another_shape_is_told(self, document, message):
        assert faults(document)[0] == message

    def test_a_file_that_is_not_there_is_told(self):
        with pytest.raises(LabelError) as error:
            FiftyOneReader(HOME).read()
        assert str(error.value) == f"{FILE}: cannot be read (No such file or directory); expected a JSON file"


class TestRecognition:
    @pytest.mark.parametrize(
        "document",
        [REAL, data_set({}), data_set({"categories": 1, "images[].file_name": []}), {"labels": {"a": ["x"]}}],
    )
    def test_it_is_recognised_by_this_reader_alone(self, document):
        write(document)
        for path in (HOME, FILE):
            assert [name for name, reader in installed_readers().items() if reader.recognises(path)] == ["fiftyone"]

    @pytest.mark.parametrize(
        "document",
        [
            *("", "{}", "[]", "labels", {"classes": []}, {"labels": []}, {"labels": ["a"]}, {"labels": [{"a": 1}]}),
            *({"file_name": "a.jpg", "labels": ["cat"]}, {"classes": [{"id": 1}], "labels": []}, [data_set({})]),
            '{"labels": {"a": 1}}\n{"labels": {"b": 1}}',
        ],
    )
    def test_others_are_not(self, document):
        write(document)
        assert not FiftyOneReader.recognises(FILE)
        assert not FiftyOneReader.recognises(HOME)
        assert not FiftyOneReader.recognises(Path("nowhere"))


names = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=8)
repeated = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
fuzzed = settings(repeated, max_examples=100)


@repeated
@given(st.data())
def test_any_table_is_read_back(data):
    classes = data.draw(st.lists(names, min_size=1, max_size=5, unique=True))
    rows = st.none() | st.lists(st.sampled_from([0, 1]), min_size=len(classes), max_size=len(classes))
    expected = {f'{number}\' ["é"].x': data.draw(rows) for number in range(data.draw(st.integers(1, 5)))}
    with tempfile.TemporaryDirectory() as folder:
        labels = {}
        Path(folder, "data").mkdir()
        for key, row in expected.items():
            Path(folder, "data", f"{key}.jpg").touch()
            columns = None if row is None else data.draw(st.permutations([at for at, cell in enumerate(row) if cell]))
            value = columns and [data.draw(st.sampled_from([at, classes[at], {"label": at}])) for at in columns]
            labels[key] = value[0] if value and len(value) == 1 and data.draw(st.booleans()) else value
        write(json.dumps(data_set(labels, classes)), Path(folder, "labels.json"))
        table = FiftyOneReader(Path(folder)).read()
    assert table.classes == tuple(classes)
    assert cells(table) == {f"{key}.jpg": [-1] * len(classes) if row is None else row for key, row in expected.items()}


@fuzzed
@given(st.binary(max_size=80))
@example(b'{"labels":{"\\u0000/a":"x"}}')
@example(b'{"labels":{"a":"\\udc80"}}')
@example(b'{"labels":{"a":1e999}}')
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
    FILE.write_bytes(data)
    assert isinstance(FiftyOneReader.recognises(HOME), bool)
    try:
        outcome = FiftyOneReader(HOME).read().source
    except LabelError as error:
        outcome = str(error)
    assert outcome.startswith("photos")
