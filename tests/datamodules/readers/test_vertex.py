import csv
import io
import json
import logging
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlic.datamodules.readers.vertex import VertexReader
from mlic.datamodules.sources import installed_readers
from mlic.errors import LabelError

PREFIX = {"gs://b/": Path("photos")}
USE = "aiplatform.googleapis.com/ml_use"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working directory, so that messages hold short paths; with what is in the bucket below photos."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.jpg", "sub/c.JPG", "d d.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def read(text, name="import.csv", **options):
    Path(name).write_text(text, encoding="utf-8", newline="")
    return VertexReader(Path(name), **{"uri_prefix": PREFIX, **options}).read()


def item(image, labels=None, use=None, **more):
    content = {"imageGcsUri": f"gs://b/{image}", **more}
    if labels is not None:
        content["classificationAnnotations"] = [{"displayName": label} for label in labels]
    if use is not None:
        content["dataItemResourceLabels"] = {USE: use}
    return json.dumps(content, ensure_ascii=False) + "\n"


def read_items(*items, **options):
    return read("".join(items), "import.jsonl", **options)


def cells(table):
    return {path: row.tolist() for path, row in zip(table.paths, table.dense(), strict=True)}


def faults(*arguments, how=read, **options):
    with pytest.raises(LabelError) as error:
        how(*arguments, **options)
    return str(error.value).splitlines()


class TestCsv:
    def test_an_import_file_as_it_is_saved_gives_this_table(self):
        table = read(
            "\ufefftraining,gs://b/a.jpg,cat,dog\r\n"
            "gs://b/b.jpg, cat\r\n"
            ' TEST , gs://b/sub/c.jpg ,"big, old öwl",,\r\n'
            "UNASSIGNED,gs://b/d d.png\r\n"
            "Training,gs://b/a.jpg,cat\r\n"
            "\r\n"
        )
        assert table.classes == ("big, old öwl", "cat", "dog")
        assert cells(table) == {"a.jpg": [0, 1, 1], "b.jpg": [0, 1, 0], "sub/c.JPG": [1, 0, 0], "d d.png": [-1, -1, -1]}
        assert (table.num_unlabelled, table.num_all_negative) == (1, 0)
        assert table.root == Path("photos").absolute()
        assert table.path(2).is_file()
        assert table.origins == {"big, old öwl": "import.csv:3", "cat": "import.csv:1", "dog": "import.csv:1"}
        assert table.source == "import.csv"
        assert table.open_vocabulary

    def test_lines_of_one_image_are_united(self):
        assert cells(read("gs://b/a.jpg\ngs://b/a.jpg,dog\ngs://b/b.jpg,cat\ngs://b/a.jpg,cat\n")) == {
            "a.jpg": [1, 1],
            "b.jpg": [1, 0],
        }

    @pytest.mark.parametrize("use", ["train", "TRAIN", "training", "Training"])
    def test_a_first_cell_is_what_it_is_by_the_second(self, use):
        assert read(f"{use},gs://b/a.jpg,{use}\n", split="train").classes == (use,)

    def test_a_line_without_image_and_a_cell_too_many_are_told(self):
        assert faults("image,label\ngs://b/a.jpg,cat\ntest,new,gs://b/b.jpg,cat\n") == [
            "import.csv:1: no cell of 'image,label' is the URI of an image, such as gs://bucket/a.jpg",
            "import.csv:3: 2 cells stand before the image, test, new; expected at most its ml_use",
            "2 faults in all",
        ]

    def test_a_quotation_mark_that_is_left_open_is_told(self):
        assert faults('gs://b/a.jpg,cat\ngs://b/b.jpg,"dog\n') == [
            "import.csv:2: unexpected end of data; is a quotation mark left open?"
        ]

    def test_lines_are_right_below_quoted_line_breaks(self):
        (line,) = faults('gs://b/a.jpg,"c\nat"\ngs://b/x.jpg,cat\n')
        assert line.startswith("import.csv:3: no image 'gs://b/x.jpg' below ")

    @pytest.mark.parametrize("box", ["cat,0.1,0.2,,,0.3,0.4,,", "cat,0.1,0.2,0.3,0.2,0.3,0.4,0.1,0.4"])
    def test_boxes_are_refused_or_mean_presence(self, box):
        assert faults(f"gs://b/a.jpg,{box}\n") == [
            "import.csv:1: 'cat' is a box, as for detection; expected labels of the whole image, or shapes: true if a "
            "box means that its class is present"
        ]
        assert cells(read(f"gs://b/a.jpg,{box}\n", shapes=True)) == {"a.jpg": [1]}

    def test_classes_may_be_called_by_numbers(self):
        assert read("gs://b/a.jpg,0,1,2,3,4,5,6,7\n").num_classes == 8


class TestJsonLines:
    def test_an_export_as_it_is_saved_gives_this_table(self):
        table = read(
            "\ufeff"
            + item("a.jpg", ["cat", " dög "], "training").replace("\n", "\r\n")
            + item("b.jpg", ["cat"])
            + item("sub/c.jpg", [], "test")
            + "\r\n"
            + item("d d.png")
            + item("a.jpg", ["cat"], "TRAINING", annotationResourceLabels={"x": 1})
            + "\r\n",
            "import.jsonl",
        )
        assert table.classes == ("cat", "dög")
        assert cells(table) == {"a.jpg": [1, 1], "b.jpg": [1, 0], "sub/c.JPG": [-1, -1], "d d.png": [-1, -1]}
        assert (table.num_unlabelled, table.num_all_negative) == (2, 0)
        assert table.origins == {"cat": "import.jsonl:1", "dög": "import.jsonl:1"}
        assert table.open_vocabulary

    def test_single_labels_are_read_too(self):
        table = read_items(
            item("a.jpg", classificationAnnotation={"displayName": "cat"}),
            item("b.jpg", classificationAnnotation={"displayName": "dog"}, classificationAnnotations=None),
        )
        assert cells(table) == {"a.jpg": [1, 0], "b.jpg": [0, 1]}

    def test_boxes_are_refused_or_mean_presence(self):
        line = item("a.jpg", boundingBoxAnnotations=[{"displayName": "cat", "xMin": 0.1}])
        assert faults(line, how=read_items) == [
            "import.jsonl:1: 'cat' is a box, as for detection; expected labels of the whole image, or shapes: true if "
            "a box means that its class is present"
        ]
        assert cells(read_items(line, shapes=True)) == {"a.jpg": [1]}

    def test_faults_are_told_with_their_lines(self):
        assert faults(
            item("a.jpg", ["cat"]),
            '{"imageGcsUri": 7}\n',
            '{"classificationAnnotations": []}\n',
            '{"imageGcsUri": "gs://b/a.jpg", "classificationAnnotations": ["cat"]}\n',
            item("a.jpg", [" "]),
            item("a.jpg", ["cat"], "tset"),
            item("a.jpg", ["cat"], 7),
            '{"imageGcsUri": \n',
            how=read_items,
        ) == [
            "import.jsonl:2: imageGcsUri: expected 'str', got 'int'",
            "import.jsonl:3: object missing required field 'imageGcsUri'",
            "import.jsonl:4: classificationAnnotations[0]: expected 'object', got 'str'",
            "import.jsonl:5: the name of a class is blank; expected one",
            'import.jsonl:6: ml_use is "tset"; expected training, validation, test or unassigned; '
            "did you mean 'test'?",
            "import.jsonl:7: ml_use is 7; expected training, validation, test or unassigned",
            "import.jsonl:8: column 16: no valid JSON: Expecting value; is the file cut short?",
            "7 faults in all",
        ]


LINES = ["train,gs://b/a.jpg,cat", "Validation,gs://b/b.jpg,dog", "TEST,gs://b/sub/c.jpg,cat", "gs://b/d d.png,owl"]
ITEMS = [
    *(item("a.jpg", ["cat"], "train"), item("b.jpg", ["dog"], "Validation")),
    *(item("sub/c.jpg", ["cat"], "TEST"), item("d d.png", ["owl"])),
]


@pytest.mark.parametrize("text", ["\n".join(LINES), "".join(ITEMS)])
class TestBothForms:
    @pytest.mark.parametrize(
        ("split", "expected"),
        [("train", {"a.jpg": [1, 0, 0]}), ("val", {"b.jpg": [0, 1, 0]}), ("test", {"sub/c.JPG": [1, 0, 0]})],
    )
    def test_a_split_has_its_own_lines_and_the_classes_of_all(self, text, split, expected, caplog):
        Path("photos/d d.png").unlink()
        table = read(text, split=split)
        assert table.classes == ("cat", "dog", "owl")
        assert cells(table) == expected
        assert caplog.messages == ["import.csv: 1 lines are left out, since they have no ml_use and split is given"]

    def test_a_split_without_lines_is_told(self, text):
        text = text.replace("Validation", "train")
        assert faults(text, split="val")[0] == (
            "import.csv: split is val, but no line has that ml_use; there is ml_use test and ml_use train and no ml_use"
        )

    def test_an_image_in_two_splits_is_told(self, text):
        again = text.splitlines()[0].replace("train", "test")
        assert faults(f"{text.strip()}\n{again}\n") == [
            "import.csv:5: image 'gs://b/a.jpg' has ml_use test, but ml_use train on line 1; expected one"
        ]

    def test_classes_may_be_told_and_ordered(self, text):
        table = read(text, classes=["owl", "new", "dog", "cat"])
        assert cells(table)["b.jpg"] == [0, 0, 1, 0]
        assert faults(text, classes=["dog", "cats", "owl"]) == [
            "import.csv:1: class 'cat' is not among the 3 classes; did you mean 'cats'?",
            "import.csv:3: class 'cat' is not among the 3 classes; did you mean 'cats'?",
            "2 faults in all",
        ]

    def test_nothing_is_downloaded(self, text):
        assert faults(text, uri_prefix=None)[0] == (
            "import.csv:1: image 'gs://b/a.jpg' is a URI, and nothing is downloaded; fetch the images and give "
            "uri_prefix: {'gs://b/': 'the local folder that holds what is below it'}"
        )

    def test_a_missing_image_and_one_outside_the_root_are_told(self, text):
        lines = faults(text.replace("a.jpg", "x.jpg").replace("b.jpg", "../b.jpg"))
        root = Path("photos").absolute()
        expected = "expected a file there, or give root: the folder that the paths start from"
        assert lines == [
            f"import.csv:1: no image 'gs://b/x.jpg' below {root}; {expected}",
            "import.csv:2: image 'gs://b/../b.jpg' lies outside photos, which 'gs://b/' stands for",
            "2 faults in all",
        ]

    def test_paths_are_told_from_the_root(self, text, folder):
        assert read(text, root=folder).paths[0] == "photos/a.jpg"

    @pytest.mark.parametrize("sign", ["", "\ufeff", "\r\n\r\n"])
    def test_only_this_reader_recognises_it(self, text, sign):
        path = Path("import.csv" if text.startswith("train") else "import.jsonl")
        path.write_text(sign + text, encoding="utf-8", newline="")
        assert [name for name, reader in installed_readers().items() if reader.recognises(path)] == ["vertex"]


@pytest.mark.parametrize("text", ["gs://b/a.jpg", "gs://b/a.jpg,cat", "UNASSIGNED,gs://b/a.jpg,cat;dog;owl,x"])
def test_a_csv_file_is_recognised_by_its_first_line(text):
    Path("import.CSV").write_text(text)
    assert VertexReader.recognises(Path("import.CSV"))


@pytest.mark.parametrize("text", ["", "image,label\ngs://b/a.jpg,cat", "a.jpg,cat", "cat,gs://b/a.jpg", '{"a": 1}'])
def test_other_files_are_not_recognised(text):
    for name in ("import.csv", "import.jsonl"):
        Path(name).write_text(text)
        assert not VertexReader.recognises(Path(name))
    assert not VertexReader.recognises(Path("photos"))
    assert not VertexReader.recognises(Path("nowhere"))


def test_a_file_without_lines_and_a_file_that_is_not_there_are_told():
    assert faults("\n") == [
        "import.csv: no sample; expected at least one image",
        "import.csv: no class; expected at least one",
        "2 faults in all",
    ]
    with pytest.raises(LabelError) as error:
        VertexReader(Path("no.csv")).read()
    assert str(error.value) == "no.csv: cannot be read (No such file or directory); expected a text file"


def test_nothing_is_told_of_a_split_that_covers_all(caplog):
    caplog.set_level(logging.INFO)
    read("\n".join(LINES[:3]), split="test")
    assert caplog.messages == []


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=8).filter(
    lambda name: "://" not in name
)
PATHS = st.text("abcö é,_-'#%+", min_size=1, max_size=8).map(lambda name: f"{name}x.jpg")
repeated = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)


@repeated
@given(st.data(), st.booleans())
def test_any_table_is_read_back(data, is_json):
    paths = data.draw(st.lists(PATHS, min_size=1, max_size=5, unique_by=str.strip))
    classes = data.draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    labels = {path: data.draw(st.lists(st.sampled_from(classes), unique=True)) for path in paths}
    used = sorted({name for names in labels.values() for name in names})
    if not used:
        return
    uses = {path: data.draw(st.sampled_from(["", "TRAINING", "Test", "unassigned"])) for path in paths}
    with tempfile.TemporaryDirectory() as folder:
        for path in paths:
            Path(folder, path).touch()
        lines = io.StringIO()
        rows = csv.writer(lines)
        for path in paths:
            if is_json:
                lines.write(item(path, labels[path], uses[path]))
            else:
                rows.writerow([*filter(None, [uses[path]]), f"gs://b/{path}", *labels[path]])
        file = Path(folder, "import.jsonl" if is_json else "import.csv")
        file.write_text(lines.getvalue(), encoding="utf-8", newline="")
        assert VertexReader.recognises(file)
        table = VertexReader(file, uri_prefix={"gs://b": Path(folder)}).read()
    assert table.classes == tuple(used)
    assert cells(table) == {
        path: [int(name in labels[path]) for name in used] if labels[path] else [-1] * len(used) for path in paths
    }


VALID = ["\n".join(LINES).encode(), "".join(ITEMS).encode()]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100)
@given(st.sampled_from(VALID), st.data())
def test_any_bytes_are_a_table_or_a_label_error(valid, data):
    at = data.draw(st.integers(0, len(valid) - 1))
    changed = data.draw(
        st.binary(max_size=60)
        | st.just(valid[:at])
        | st.binary(min_size=1, max_size=2).map(lambda some: valid[:at] + some + valid[at + 1 :])
    )
    path = Path("import.csv")
    path.write_bytes(changed)
    VertexReader.recognises(path)
    outcome = read_or_refuse(path)
    assert outcome.startswith("import.csv") if isinstance(outcome, str) else 1 <= len(outcome) <= 4


def read_or_refuse(path):
    try:
        return VertexReader(path, uri_prefix=PREFIX).read()
    except LabelError as error:
        return str(error)
