import json
import logging
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mlic.datamodules.readers.azure import AzureReader
from mlic.datamodules.sources import installed_readers
from mlic.errors import LabelError

FILE = Path("train.jsonl")
STORE = "azureml://subscriptions/1-2/resourcegroups/g/workspaces/w/datastores/photos/paths/"
IMGS = Path("imgs")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working directory, so that messages hold short paths; with some images in the folder imgs."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.JPG", "sub/c d.png", "é.jpg", "e.jpg"):
        path = IMGS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def write(*entries, path=FILE):
    text = "\n".join(entry if isinstance(entry, str) else json.dumps(entry, ensure_ascii=False) for entry in entries)
    path.write_bytes(text.encode())
    return path


def image(url, *label, **more):
    return {"image_url": url, **({"label": label[0]} if label else {}), **more}


def read(*entries, **options):
    return AzureReader(write(*entries), **options).read()


def cells(table):
    return {path: row.tolist() for path, row in zip(table.paths, table.dense(), strict=True)}


def faults(*entries, **options):
    with pytest.raises(LabelError) as error:
        read(*entries, **options)
    return str(error.value).splitlines()


REAL = (
    f'\ufeff{{"image_url": "{STORE}sub/c d.png", "image_details": {{"width": "400px", "height": 258}}, '
    '"label": ["dög 2", "cat"]}\r\n'
    f'{{"image_url":"{STORE}a.jpg","image_details":{{"format":"jpg"}},"label":[" owl "],"label_confidence":[1.0]}}\r\n'
    "\r\n"
    f'{{"image_url":"{STORE}b.jpg","label":[]}} \r\n'
    f'{{"image_url":"{STORE}é.jpg"}}\r\n'
    f'{{"image_url":"{STORE}a.jpg","label":["owl"]}}\r\n'
    f'{{"image_url":"{STORE}e.jpg","label":null}}\r\n'
    "\r\n"
)


class TestTheLayout:
    def test_it_is_read_to_the_last_cell(self):
        table = read(REAL, uri_prefix={STORE: IMGS})
        assert table.classes == ("cat", "dög 2", "owl")
        assert cells(table) == {
            "sub/c d.png": [1, 1, 0],
            "a.jpg": [0, 0, 1],
            "b.JPG": [0, 0, 0],
            "é.jpg": [-1, -1, -1],
            "e.jpg": [-1, -1, -1],
        }
        assert (table.num_unlabelled, table.num_all_negative) == (2, 1)
        assert table.root == IMGS.absolute()
        assert table.path(0).is_file()
        assert table.source == str(FILE)
        assert table.origins == {"cat": f"{FILE}:1", "dög 2": f"{FILE}:1", "owl": f"{FILE}:2"}

    def test_a_class_that_the_file_does_not_name_is_absent(self):
        assert cells(read(image("imgs/a.jpg", ["cat"])).align(["bear", "cat"])) == {"imgs/a.jpg": [0, 1]}

    @pytest.mark.parametrize("written", ["imgs/a.jpg", "imgs\\a.jpg", "./imgs/a.JPG", "a.jpg"])
    @pytest.mark.parametrize("file", ["train.jsonl", "imgs/train.jsonl"])
    def test_plain_paths_are_files(self, file, written):
        table = AzureReader(
            write(image(written, ["cat"]), path=Path(file)), root=None if "imgs" in written else IMGS
        ).read()
        assert table.path(0).resolve() == Path("imgs/a.jpg").resolve()

    def test_lines_of_one_image_are_united(self):
        table = read(
            image("imgs/a.jpg", ["cat"]), image("imgs/b.jpg"), image("imgs/a.jpg", "owl"), image("imgs/b.jpg", [])
        )
        assert cells(table) == {"imgs/a.jpg": [1, 1], "imgs/b.JPG": [0, 0]}

    def test_a_file_of_single_labels_is_told_once(self, caplog):
        with caplog.at_level(logging.WARNING):
            table = read(image("imgs/a.jpg", "cat"), image("imgs/e.jpg", " dog "), image("imgs/b.jpg"))
        assert cells(table) == {"imgs/a.jpg": [1, 0], "imgs/e.jpg": [0, 1], "imgs/b.JPG": [-1, -1]}
        assert caplog.messages == [
            f"{FILE}: each label is one name, not a list, so each image has one class: the file is for single labels"
        ]

    def test_one_list_is_enough_for_several_labels(self, caplog):
        with caplog.at_level(logging.WARNING):
            read(image("imgs/a.jpg", "cat"), image("imgs/e.jpg", []))
        assert caplog.messages == []


class TestOptions:
    def test_root_is_where_plain_paths_start(self):
        table = read(image("a.jpg", ["cat"]), root=IMGS)
        assert table.path(0) == IMGS / "a.jpg"

    def test_classes_give_the_order_and_other_names_are_told(self):
        entry = image("imgs/a.jpg", ["cat", "owl"])
        table = read(entry, classes=["owl", "dog", "cat"])
        assert table.classes == ("owl", "dog", "cat")
        assert cells(table) == {"imgs/a.jpg": [1, 0, 1]}
        assert faults(entry, image("imgs/e.jpg", "ow"), classes=["cat", "owl"]) == [
            f"{FILE}:2: class 'ow' is not among the 2 classes; did you mean 'owl'?"
        ]

    def test_shapes_mean_presence_only_when_told(self):
        box = {"label": "cat", "topX": 0.1, "topY": 0.2, "bottomX": 0.3, "bottomY": 0.4, "isCrowd": 0}
        polygon = {"label": "owl", "isCrowd": 0, "polygon": [[0.1, 0.2, 0.3]]}
        entries = [image("imgs/a.jpg", [box, polygon, box]), image("imgs/e.jpg", [])]
        assert cells(read(*entries, shapes=True)) == {"imgs/a.jpg": [1, 1], "imgs/e.jpg": [0, 0]}
        expected = "expected a name, or give shapes: true if a box or polygon means that its class is present"
        assert faults(image("imgs/a.jpg", [box, "cat"])) == [
            f"{FILE}:1: label[0] is an object, as for detection; {expected}"
        ]

    @pytest.mark.parametrize(
        ("url", "prefix"),
        [
            (f"{STORE}imgs/a.jpg", STORE),
            ("azureml://datastores/photos/paths/imgs/a.jpg", "azureml://datastores/photos/paths/"),
            ("AmlDatastore://photos/imgs/a.jpg", "AmlDatastore://photos/"),
            ("https://ann.blob.core.windows.net/photos/imgs/a.jpg", "https://ann.blob.core.windows.net/"),
        ],
    )
    def test_a_uri_needs_the_prefix_that_the_message_tells(self, url, prefix):
        assert faults(image(url, ["cat"]), image("imgs/a.jpg", [])) == [
            f"{FILE}:1: image '{url}' is a URI, and nothing is downloaded; fetch the images and give uri_prefix: "
            f"{{'{prefix}': 'the local folder that holds what is below it'}}"
        ]
        below = Path("photos") if "https" in url else Path()
        (Path("store") / below).mkdir(parents=True)
        IMGS.rename(Path("store") / below / "imgs")
        table = read(image(url, ["cat"]), uri_prefix={prefix: Path("store")})
        assert table.path(0) == (Path("store") / below / "imgs/a.jpg").absolute()


class TestFaults:
    @pytest.mark.parametrize(
        ("label", "message"),
        [
            (3, "label is 3; expected the name of a class"),
            (["cat", None], "label[1] is null; expected the name of a class"),
            ([["cat"]], 'label[0] is ["cat"]; expected the name of a class'),
            ([""], "the name of a class is blank; expected one"),
            (
                {"label": "cat"},
                "label is an object, as for detection; expected a name, or give shapes: true if a box or polygon means "
                "that its class is present",
            ),
        ],
    )
    def test_a_label_that_is_none_is_told(self, label, message):
        assert faults(image("imgs/e.jpg", ["cat"]), "", image("imgs/a.jpg", label)) == [f"{FILE}:3: {message}"]

    def test_a_shape_without_a_name_is_told(self):
        assert faults(image("imgs/a.jpg", [{"topX": 1}]), shapes=True) == [
            f'{FILE}:1: label[0] is {{"topX": 1}}; expected the name of a class',
        ]

    def test_all_faults_are_told_at_once_and_the_rest_is_a_table(self):
        with pytest.raises(LabelError) as error:
            read(image("imgs/a.jpg", ["cat"]), '{"image_url": 3}', '"x', image("", ["owl"]), image("x.jpg", [3]), "[]")
        missing = "expected a file there, or give root: the folder that the paths start from"
        assert str(error.value).splitlines() == [
            f"{FILE}:2: image_url: expected 'str', got 'int'",
            f"{FILE}:3: column 1: no valid JSON: Unterminated string starting at; is the file cut short?",
            f"{FILE}:4: the path of an image is blank; expected one",
            f"{FILE}:5: no image 'x.jpg' below .; {missing}",
            f"{FILE}:5: label[0] is 3; expected the name of a class",
            f"{FILE}:6: expected 'object', got 'array'",
            "6 faults in all",
        ]
        assert cells(error.value.table) == {"imgs/a.jpg": [1, 0]}

    def test_a_file_without_lines_has_no_sample(self):
        assert faults("")[0] == f"{FILE}: no sample; expected at least one image"

    def test_a_file_that_is_not_there_is_told(self):
        with pytest.raises(LabelError, match=r"^none\.jsonl: cannot be read \(No such file or directory\)"):
            AzureReader(Path("none.jsonl")).read()


class TestRecognition:
    @pytest.mark.parametrize(
        "text",
        [REAL, '{"image_url": "a.jpg", "label": "cat"}', '{"image_url": "a.jpg", "image_details": {"width": 400}}\n'],
    )
    def test_it_is_recognised_by_this_reader_alone(self, text):
        path = write(text)
        assert [name for name, reader in installed_readers().items() if reader.recognises(path)] == ["azure"]

    @pytest.mark.parametrize(
        "text",
        [
            *("", "{}", "[]", "image_url,label\na.jpg,cat\n", '[{"image_url": "a.jpg", "label": "cat"}]'),
            '{"file_name": "a.jpg", "image_url": "https://x.org/a.jpg", "label": "cat"}\n' * 2,
            '{"imageGcsUri": "gs://b/a.jpg", "classificationAnnotations": [{"displayName": "cat"}]}\n' * 2,
            '{"data": {"image_url": "a.jpg"}, "label": "cat"}\n' * 2,
        ],
    )
    def test_others_are_not(self, text):
        assert not AzureReader.recognises(write(text))
        assert not AzureReader.recognises(IMGS)
        assert not AzureReader.recognises(Path("nowhere"))


names = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=8)
repeated = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
fuzzed = settings(repeated, max_examples=100)


@repeated
@given(st.data())
def test_any_table_is_read_back(data):
    classes = sorted(data.draw(st.lists(names, min_size=1, max_size=5, unique=True)))
    rows = st.none() | st.lists(st.sampled_from([0, 1]), min_size=len(classes), max_size=len(classes))
    expected = {f'{number}\' "é".jpg': data.draw(rows) for number in range(data.draw(st.integers(1, 5)))}
    entries = []
    for path, row in expected.items():
        labels = None if row is None else [name for name, cell in zip(classes, row, strict=True) if cell]
        value = labels and data.draw(st.permutations(labels))
        entries.append(image(path, value[0] if value and len(value) == 1 and data.draw(st.booleans()) else value))
    with tempfile.TemporaryDirectory() as folder:
        for path in expected:
            Path(folder, path).touch()
        table = AzureReader(write(*map(json.dumps, entries), path=Path(folder, "a.jsonl")), classes=classes).read()
    assert table.classes == tuple(classes)
    assert cells(table) == {path: [-1] * len(classes) if row is None else row for path, row in expected.items()}


@fuzzed
@given(st.binary(max_size=80))
@example(b'{"image_url":"\\udc80.jpg","label":"\\udc80"}')
@example(b'{"image_url":"\\u0000/a.jpg","label":1e999}')
@example(b'{"image_url":"://","label":[]}')
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
    assert isinstance(AzureReader.recognises(FILE), bool)
    try:
        outcome = AzureReader(FILE, uri_prefix={STORE: IMGS}).read().source
    except LabelError as error:
        outcome = str(error)
    assert outcome.startswith(str(FILE))
