import base64
import csv
import io
import json
import logging
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlic.datamodules.readers.labelstudio import LabelStudioReader
from mlic.datamodules.sources import installed_readers
from mlic.errors import LabelError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working directory, so that messages hold short paths; with the images a.jpg to d.jpg."""
    monkeypatch.chdir(tmp_path)
    for name in "abcd":
        touch(f"{name}.jpg")
    return tmp_path


def touch(*paths):
    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch()


def result(*names, control="tags", kind="choices"):
    value = {} if kind == "choices" else {"x": 1.5, "y": 2, "width": 10, "height": 20.0, "rotation": 0}
    return {
        **{"id": "f3kQ", "from_name": control, "to_name": "image", "type": kind, "origin": "manual"},
        "value": {**value, kind: list(names)},
    }


def annotation(*results, **more):
    return {
        **{"id": 5, "completed_by": 1, "result": list(results), "was_cancelled": False, "ground_truth": False},
        **{"created_at": "2024-03-01T10:00:00.123456Z", "updated_at": "2024-03-01T10:00:00.123456Z", "lead_time": 4.2},
        **more,
    }


def chosen(*names, **more):
    return annotation(*([result(*names)] if names else []), **more)


def task(image, *annotations, number=1, **more):
    return {
        **{"id": number, "annotations": list(annotations), "file_upload": "ab12cd34-a.jpg", "drafts": []},
        **{"predictions": [], "data": {"image": image}, "meta": {}, "created_at": "2024-03-01T09:00:00Z", "project": 3},
        **more,
    }


def write(document, path="export.json", **options):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(document, **options), encoding="utf-8")
    return Path(path)


def read(*tasks, **options):
    return LabelStudioReader(write(list(tasks)), **options).read()


def cells(table):
    return {path: row.tolist() for path, row in zip(table.paths, table.dense(), strict=True)}


def faults(document, **options):
    with pytest.raises(LabelError) as error:
        LabelStudioReader(document if isinstance(document, Path) else write(document), **options).read()
    return str(error.value).splitlines()


def fault(*tasks, **options):
    (line,) = faults(list(tasks), **options)
    return line


class TestJson:
    def test_an_export_is_read_as_it_comes(self):
        touch("images/ab12cd34-a.jpg", "images/imgs/c.JPG")
        touch("images/sub folder/é.jpg")
        tasks = [
            task("/data/upload/3/ab12cd34-a.jpg", chosen("dog", " cat "), number=7),
            task("/data/upload/3/00000000-b.jpg", number=8),
            task("/data/local-files/?d=imgs/c.jpg", chosen(), number="nine"),
            task("/data/local-files/?d=sub%20folder%5C%C3%A9.jpg", chosen("owl"), number=10),
            task("/data/local-files/?d=sub%20folder/%C3%A9.jpg", chosen("owl"), number=11),
            task("/data/upload/3/11111111-d.jpg", chosen("cat", was_cancelled=True), number=12),
        ]
        touch("images/b.jpg", "images/d.jpg")
        text = json.dumps(tasks, indent=2).replace("\n", "\r\n") + "\r\n\r\n"
        Path("export.json").write_bytes(b"\xef\xbb\xbf" + text.encode())
        table = LabelStudioReader(Path("export.json")).read()
        assert table.classes == ("cat", "dog", "owl")
        assert cells(table) == {
            "ab12cd34-a.jpg": [1, 1, 0],
            "b.jpg": [-1, -1, -1],
            "imgs/c.JPG": [0, 0, 0],
            "sub folder/é.jpg": [0, 0, 1],
            "d.jpg": [-1, -1, -1],
        }
        assert (table.num_unlabelled, table.num_all_negative) == (2, 1)
        assert (table.root, table.source) == (Path("images"), "export.json")
        assert table.origins == {
            "cat": "export.json: task 7",
            "dog": "export.json: task 7",
            "owl": "export.json: task 10",
        }
        assert table.open_vocabulary

    def test_a_task_without_annotations_is_unlabelled_and_an_empty_annotation_says_none(self):
        table = read(task("a.jpg", chosen("cat")), task("b.jpg"), task("c.jpg", chosen()))
        assert cells(table) == {"a.jpg": [1], "b.jpg": [-1], "c.jpg": [0]}

    def test_a_skipped_annotation_does_not_count(self, caplog):
        with caplog.at_level(logging.INFO):
            table = read(
                task("a.jpg", chosen("cat"), chosen("dog", was_cancelled=True)),
                task("b.jpg", chosen("dog", was_cancelled=True), chosen(skipped=True)),
                task("c.jpg", chosen(was_cancelled=None)),
            )
        assert cells(table) == {"a.jpg": [1], "b.jpg": [-1], "c.jpg": [0]}
        assert caplog.messages == ["export.json: passed over 3 skipped annotations"]

    def test_predictions_say_nothing_but_are_counted(self, caplog):
        tasks = [
            task("a.jpg", chosen("cat"), predictions=[{"result": [result("dog")], "score": 0.9}, {"result": []}]),
            task("b.jpg", predictions=[17]),
        ]
        with caplog.at_level(logging.INFO):
            assert cells(read(*tasks)) == {"a.jpg": [1], "b.jpg": [-1]}
        assert caplog.messages == ["export.json: passed over 3 predictions"]

    def test_old_exports_have_completions(self):
        tasks = [
            {
                "id": 1,
                "data": {"image": "a.jpg"},
                "completions": [{"id": 1, "result": [result("cat")], "created_at": 5}],
            },
            {"id": 2, "data": {"image": "b.jpg"}, "completions": []},
            {"id": 3, "data": {"image": "c.jpg"}, "completions": [{"id": 1001, "result": []}]},
            {"id": 4, "data": {"image": "d.jpg"}},
        ]
        assert cells(read(*tasks)) == {"a.jpg": [1], "b.jpg": [-1], "c.jpg": [0], "d.jpg": [-1]}

    def test_ids_may_be_missing_and_numbers_python_has_may_be_there(self):
        document = [
            {"data": {"image": "a.jpg"}, "annotations": [{"result": [result("cat")], "lead_time": float("nan")}]}
        ]
        assert cells(LabelStudioReader(write(document)).read()) == {"a.jpg": [1]}
        document[0]["data"] = {"image": "x.jpg"}
        assert faults(Path(write(document)))[0].startswith("export.json: task 1 of 1: no image 'x.jpg' below .;")

    def test_several_results_of_a_control_are_united(self):
        assert cells(read(task("a.jpg", annotation(result("cat"), result("dog"))))) == {"a.jpg": [1, 1]}

    def test_the_steps_of_a_nested_choice_are_joined(self):
        table = read(task("a.jpg", annotation(result(["animal", "cat"], ["plant"]))))
        assert table.classes == ("animal/cat", "plant")

    def test_a_lone_choice_may_be_no_list_and_no_choice_may_be_null(self):
        results = [
            {**result(), "value": {"choices": "cat"}},
            {**result(), "value": {"choices": None}},
            {**result(), "value": None},
        ]
        assert cells(read(task("a.jpg", annotation(*results)))) == {"a.jpg": [1]}

    def test_classes_may_be_told_and_ordered(self):
        table = read(task("a.jpg", chosen("cat")), classes=["dog", "cat"])
        assert (table.classes, cells(table)) == (("dog", "cat"), {"a.jpg": [0, 1]})
        assert fault(task("a.jpg", chosen("cta")), classes=["dog", "cat"]) == (
            "export.json: task 1: class 'cta' is not among the 2 classes; did you mean 'cat'?"
        )

    def test_all_faults_are_told_at_once_with_their_tasks(self):
        tasks = [
            task("no.jpg", chosen("cat"), number=4),
            task("a.jpg", annotation(result(7)), number=5),
            task("b.jpg", annotation({**result(), "value": {"choices": {"cat": 1}}}), number=6),
            task("c.jpg", chosen(" "), number="x7"),
            task(None, number=8),
            task(["a.jpg", "b.jpg"], number=9),
            task("", number=10),
            task("data:image/png;base64," + "A" * 500, number=11),
            {"id": 12, "annotations": []},
            task("../secret.jpg", number=13),
        ]
        assert faults(tasks) == [
            "export.json: task 5: choices holds 7; expected a name",
            "export.json: task 6: choices is {'cat': 1}; expected a list of names",
            "export.json: task 12: it has no 'data'; expected the image there",
            "export.json: task 4: no image 'no.jpg' below .; expected a file there, or give root: the folder that the "
            "paths start from",
            "export.json: task x7: the name of a class is blank; expected one",
            "export.json: task 8: its data has no 'image'; expected an image there, or give image_key",
            "export.json: task 9: 'image' is ['a.jpg', 'b.jpg']; expected the path or URI of one image",
            "export.json: task 10: its data has no 'image'; expected an image there, or give image_key",
            f"export.json: task 11: 'image' is an image as text ('data:image/png;base64,{'A' * 74}...), which is not "
            "read; save it as a file",
            "export.json: task 13: image '../secret.jpg' lies outside the data root .; expected one below it, or give "
            "root: a folder that holds all images",
            "10 faults in all",
        ]

    def test_what_is_no_export_is_told(self):
        Path("export.json").write_text('[{"id": 1, "data": {"image": "a.jpg"}, "annotations": [{"resu')
        assert faults(Path("export.json"))[0].startswith("export.json:1:")
        assert faults([]) == ["export.json: no task; expected a list with at least one"]
        assert faults({"images": []}) == ["export.json: expected `array`, got `object`".replace("`", "'")]
        assert faults([{"id": 1, "data": {"image": "a.jpg"}, "annotations": [{"result": 7}]}]) == [
            "export.json: [0].annotations[0].result: expected 'array | null', got 'int'"
        ]
        assert faults([task("a.jpg")]) == [
            "export.json: no class; expected at least one, or give classes: the names of those that there are"
        ]
        assert faults(Path("no.json"))[0].startswith("no.json: cannot be read (No such file or directory)")


class TestSeveralAnnotators:
    def test_by_majority_what_exactly_half_say_is_unknown(self, caplog):
        with caplog.at_level(logging.WARNING):
            table = read(
                task("a.jpg", chosen("cat", "dog"), chosen("cat", "owl")),
                task("b.jpg", chosen("cat", "dog"), chosen("cat"), chosen()),
                task("c.jpg", chosen("owl"), chosen()),
            )
        assert cells(table) == {"a.jpg": [1, -1, -1], "b.jpg": [1, 0, 0], "c.jpg": [0, 0, -1]}
        assert caplog.messages == [
            "export.json: 3 labels are unknown, since half of the annotators of an image say present and half absent"
        ]

    def test_the_latest_is_the_one_that_was_edited_last(self):
        late = {"created_at": "2024-01-01T00:00:00Z", "updated_at": "2024-12-01T02:00:00+02:00"}
        early = {"created_at": "2024-06-01T00:00:00Z", "updated_at": "2024-12-01T00:30:00+01:00"}
        tasks = [
            task("a.jpg", chosen("cat", **late), chosen("dog", **early)),
            task(
                "b.jpg",
                chosen("cat", updated_at=None),
                chosen("dog", created_at="2020-01-01T00:00:00", updated_at=None),
            ),
            task(
                "c.jpg", chosen("cat", created_at=1.5e9, updated_at=None), chosen("dog", created_at=10, updated_at=None)
            ),
            task("d.jpg", *(chosen(name, created_at="once", updated_at=None) for name in ("dog", "cat"))),
        ]
        table = read(*tasks, policy="latest")
        assert (table.classes, set(map(tuple, cells(table).values()))) == (("cat", "dog"), {(1, 0)})

    def test_the_union_is_what_anybody_says(self):
        table = read(task("a.jpg", chosen("cat"), chosen("dog"), chosen()), policy="union")
        assert cells(table) == {"a.jpg": [1, 1]}

    @pytest.mark.parametrize("policy", ["majority", "latest", "union"])
    def test_the_ground_truth_alone_counts_where_there_is_one(self, policy):
        annotations = [chosen("cat", ground_truth=True), chosen("dog"), chosen("dog")]
        assert cells(read(task("a.jpg", *annotations), policy=policy)) == {"a.jpg": [1, 0]}

    def test_tasks_of_one_image_are_annotations_of_one_image(self):
        tasks = [task("a.jpg", chosen("cat")), task("./a.jpg", chosen("dog"), number=2), task("a.jpg", number=3)]
        assert cells(read(*tasks)) == {"a.jpg": [-1, -1]}


class TestSeveralControls:
    TASKS = (
        task("a.jpg", annotation(result("cat"), result("sunny", control="weather"))),
        task("b.jpg", annotation(result("rainy", control="weather"))),
    )

    def test_which_one_is_meant_must_be_told(self):
        assert fault(*self.TASKS) == (
            "export.json: 'tags' and 'weather' hold choices; give from_name: the one whose choices are the labels, or "
            "a list"
        )

    def test_the_one_that_is_told_counts(self, caplog):
        with caplog.at_level(logging.INFO):
            assert cells(read(*self.TASKS, from_name="tags")) == {"a.jpg": [1], "b.jpg": [0]}
        assert caplog.messages == ["export.json: passed over 2 choices of 'weather'"]

    def test_several_may_be_told(self):
        table = read(*self.TASKS, from_name=["tags", "weather"])
        assert (table.classes, cells(table)) == (("cat", "rainy", "sunny"), {"a.jpg": [1, 0, 1], "b.jpg": [0, 1, 0]})

    def test_one_that_is_not_there_is_told(self):
        assert fault(*self.TASKS, from_name="tag") == "export.json: no control is called 'tag'; did you mean 'tags'?"
        assert fault(*self.TASKS, from_name=["tags", "xyz"]) == (
            "export.json: no control is called 'xyz'; there are tags, weather"
        )


class TestShapes:
    BOXES = (result("car", control="box", kind="rectanglelabels"), result("bus", control="poly", kind="polygonlabels"))

    def test_they_say_nothing_unless_asked_for_but_are_counted(self, caplog):
        other = [
            {"from_name": "species", "type": "taxonomy", "value": {"taxonomy": [["a", "b"]]}},
            {"from_name": "note", "type": "textarea", "value": {"text": ["hello"]}},
            {"type": "relation", "from_id": "x", "to_id": "y", "direction": "right"},
        ]
        tasks = [
            task("a.jpg", annotation(result("cat"), *self.BOXES, *other)),
            task("b.jpg", annotation(self.BOXES[0])),
        ]
        with caplog.at_level(logging.INFO):
            assert cells(read(*tasks)) == {"a.jpg": [1], "b.jpg": [0]}
        assert caplog.messages == [
            "export.json: passed over 2 rectanglelabels of 'box', 1 polygonlabels of 'poly', 1 taxonomy of 'species', "
            "1 textarea of 'note', 1 relation of ''"
        ]

    def test_they_are_presence_if_asked_for(self):
        table = read(task("a.jpg", annotation(result("cat"), *self.BOXES)), task("b.jpg", chosen()), shapes=True)
        assert (table.classes, cells(table)) == (("bus", "car", "cat"), {"a.jpg": [1, 1, 1], "b.jpg": [0, 0, 0]})
        assert read(task("a.jpg", annotation(*self.BOXES)), shapes=True, from_name="box").classes == ("car",)

    def test_a_file_with_nothing_else_is_refused_until_it_is_said(self):
        assert fault(task("a.jpg", annotation(*self.BOXES)), classes=["car", "bus"]) == (
            "export.json: no choices, but 1 rectanglelabels, 1 polygonlabels; give shapes: true to take the label of "
            "each as present"
        )


class TestImages:
    def paths(self, *images, **options):
        tasks = [task(image, chosen("cat"), number=number) for number, image in enumerate(images, 1)]
        return list(read(*tasks, **options).paths)

    def refusals(self, *images, **options):
        """The faults of tasks with these images, which follow one that is right."""
        touch("a.jpg", *(f"{folder}/a.jpg" for folder in [options.get("root")] if folder))
        tasks = [task(image, chosen("cat"), number=number) for number, image in enumerate(images, 1)]
        return faults([*tasks, task("a.jpg", number=99)], **options)

    def test_an_upload_keeps_its_prefix_if_there_is_such_a_file(self):
        touch("ab12cd34-a.jpg")
        assert self.paths("/data/upload/3/ab12cd34-a.jpg", "/data/upload/ffffffff-b.jpg") == ["ab12cd34-a.jpg", "b.jpg"]
        assert self.paths("http://localhost:8080/data/upload/3/ffffffff-b.jpg") == ["b.jpg"]

    @pytest.mark.parametrize(
        ("below", "path"),
        [
            ("upload/3", "upload/3/ab12cd34-x.jpg"),
            ("media/upload/3", "upload/3/ab12cd34-x.jpg"),
            ("images", "ab12cd34-x.jpg"),
        ],
    )
    def test_uploads_are_found_where_label_studio_keeps_and_exports_them(self, below, path):
        touch(f"{below}/ab12cd34-x.jpg")
        assert self.paths("/data/upload/3/ab12cd34-x.jpg") == [path]

    def test_an_upload_may_be_written_with_percent_signs(self):
        touch("größe 1.jpg")
        assert self.paths("/data/upload/1/0a0b0c0d-gr%C3%B6%C3%9Fe%201.jpg") == ["größe 1.jpg"]

    def test_two_uploads_are_not_taken_for_one_file(self):
        assert self.refusals("/data/upload/3/00000001-a.jpg", "/data/upload/3/00000002-a.jpg") == [
            "export.json: task 2: '/data/upload/3/00000002-a.jpg' and '/data/upload/3/00000001-a.jpg' may both be "
            "'a.jpg'; expected the uploaded files with their prefixes"
        ]

    def test_a_missing_upload_is_told_with_where_it_was_looked_for(self):
        assert self.refusals("/data/upload/3/ab12cd34-x.jpg") == [
            "export.json: task 1: no image '/data/upload/3/ab12cd34-x.jpg'; looked for 'upload/3/ab12cd34-x.jpg', "
            "'3/ab12cd34-x.jpg', 'ab12cd34-x.jpg', 'x.jpg' below .; give root: the folder that one of them starts from"
        ]

    def test_local_files_start_from_the_root(self):
        touch("far/imgs/100%.jpg", "far/imgs/a+b.jpg")
        root = {"root": Path("far")}
        assert self.paths("/data/local-files/?d=imgs/100%25.jpg", **root) == ["imgs/100%.jpg"]
        assert self.paths("data/local-files?d=imgs/a+b.jpg&x=1", **root) == ["imgs/a+b.jpg"]
        assert self.paths("http://h:8080/data/local-files/?d=imgs/a%2Bb.jpg", **root) == ["imgs/a+b.jpg"]

    def test_local_files_may_not_leave_the_root(self):
        touch("far/imgs/x.jpg")
        (line,) = self.refusals("/data/local-files/?d=..%2Fa.jpg", root=Path("far/imgs"))
        assert line.startswith(
            "export.json: task 1: no image '/data/local-files/?d=..%2Fa.jpg'; looked for '../a.jpg',"
        )

    @pytest.mark.parametrize(
        "uri",
        ["s3://b/sub/x.jpg", "gs://b/sub/x.jpg", "https://h.org/sub/x.jpg?token=1#f", "https://h.org/sub/x%2Ejpg"],
    )
    def test_uris_are_mapped_to_folders(self, uri):
        touch("far/sub/x.jpg")
        prefix = uri[: uri.index("sub/")]
        assert self.paths(uri, uri_prefix={prefix: Path("far")}) == ["sub/x.jpg"]

    def test_a_uri_without_a_map_is_told_with_what_to_write(self):
        assert self.refusals("s3://b/x.jpg") == [
            "export.json: task 1: image 's3://b/x.jpg' is a URI, and nothing is downloaded; fetch the images and give "
            "uri_prefix: {'s3://b/': 'the local folder that holds what is below it'}"
        ]

    def test_a_uri_that_label_studio_hides_is_read(self):
        touch("far/x.jpg")
        hidden = base64.b64encode(b"s3://b/x.jpg").decode()
        for image in (f"/tasks/3/resolve/?fileuri={hidden}", f"/tasks/3/presign/?fileuri={hidden}"):
            assert self.paths(image, uri_prefix={"s3://b": Path("far")}) == ["x.jpg"]

    def test_the_key_is_the_one_whose_values_look_like_images(self):
        data = {"source": "camera 1", "number": 3, "tags": ["x"], "pic_of_day": "/data/upload/3/ab12cd34-a.jpg"}
        assert list(read(task("", chosen("cat"), data=data)).paths) == ["a.jpg"]
        assert list(read(task("", chosen("cat"), data={**data, "image": "b.jpg"})).paths) == ["b.jpg"]
        assert list(read(task("", chosen("cat"), data={"note": "n", "url": "a"})).paths) == ["a.jpg"]

    def test_which_key_is_meant_may_have_to_be_told(self):
        both = task("", chosen("cat"), data={"front": "a.jpg", "back": "b.jpg"})
        assert fault(both) == (
            "export.json: 'front' and 'back' of the tasks' data may hold the image; give image_key: one of them"
        )
        assert list(read(both, image_key="back").paths) == ["b.jpg"]
        assert fault(both, image_key="bakc") == "export.json: the data of the tasks has no 'bakc'; did you mean 'back'?"
        assert fault(task("", data={"text": "hello", "n": 1})) == (
            "export.json: nothing in the tasks' data looks like an image; there are text, n; give image_key: what "
            "holds it"
        )


ABOUT = {"annotator": 1, "created_at": "2024-03-01T10:00:00Z", "updated_at": "2024-03-01T10:00:00Z", "lead_time": 4.5}


def record(image, number, tags=None, annotation_id=5, control="tags", **data):
    said = {} if tags is None else {control: tags}
    return {"image": image, **data, "id": number, **said, "annotation_id": annotation_id, **ABOUT}


def as_csv(records, path="export.csv", delimiter=",", ends="\r\n"):
    """Writes what Label Studio does: sorted columns, quoted texts, JSON where there is more than text."""
    rows = [
        {name: json.dumps(value) if isinstance(value, dict | list) else value for name, value in each.items()}
        for each in records
    ]
    stream = io.StringIO()
    names = sorted({name for row in rows for name in row})
    writer = csv.DictWriter(stream, names, quoting=csv.QUOTE_NONNUMERIC, delimiter=delimiter, lineterminator=ends)
    writer.writeheader()
    writer.writerows(rows)
    Path(path).write_bytes(b"\xef\xbb\xbf" + stream.getvalue().encode() + ends.encode())
    return Path(path)


WRITERS = {
    "json": write,
    "csv": as_csv,
    "tsv": lambda records: as_csv(records, "export.tsv", delimiter="\t", ends="\n"),
}


@pytest.mark.parametrize("write_as", WRITERS.values(), ids=WRITERS)
class TestRecords:
    def test_an_export_is_read_as_it_comes(self, write_as):
        path = write_as(
            [
                record("/data/upload/3/ab12cd34-a.jpg", 1, {"choices": ["dog", "cat"]}, camera="front"),
                record("/data/upload/3/ab12cd34-b.jpg", 2, "cat", camera="back"),
                record("/data/upload/3/ab12cd34-c.jpg", 3, annotation_id=6),
                record("/data/upload/3/ab12cd34-d.jpg", 4, annotation_id=None, camera="back"),
            ]
        )
        table = LabelStudioReader(path).read()
        assert table.classes == ("cat", "dog")
        assert cells(table) == {"a.jpg": [1, 1], "b.jpg": [1, 0], "c.jpg": [0, 0], "d.jpg": [-1, -1]}
        assert (table.num_unlabelled, table.num_all_negative, table.root) == (1, 1, Path())
        assert table.origins["dog"] == (f"{path}: task 1" if path.suffix == ".json" else f"{path}:2")

    def test_records_of_one_task_are_its_annotations(self, write_as):
        records = [
            record("a.jpg", 1, "cat"),
            {**record("a.jpg", 1, {"choices": ["cat", "dog"]}), "updated_at": "2024-04-01T10:00:00Z"},
            record("a.jpg", 1, "cat"),
            record("b.jpg", 2, "dog"),
            record("b.jpg", 2),
        ]
        path = write_as(records)
        assert cells(LabelStudioReader(path).read()) == {"a.jpg": [1, 0], "b.jpg": [0, -1]}
        assert cells(LabelStudioReader(path, policy="latest").read())["a.jpg"] == [1, 1]
        assert cells(LabelStudioReader(path, policy="union").read()) == {"a.jpg": [1, 1], "b.jpg": [0, 1]}

    def test_which_column_is_meant_may_have_to_be_told(self, write_as):
        path = write_as([{**record("a.jpg", 1, {"choices": ["cat", "dog"]}, control="zoo"), "weather": "sunny"}])
        if path.suffix == ".json":  # the order tells data from controls
            document = json.loads(path.read_text())
            document[0] = {
                "image": "a.jpg",
                "id": 1,
                "zoo": document[0]["zoo"],
                "weather": "sunny",
                "annotation_id": 5,
                **ABOUT,
            }
            write(document)
        assert faults(path) == [
            f"{path}: 'weather' and 'zoo' hold choices; give from_name: the one whose choices are the labels, or a list"
        ]
        assert LabelStudioReader(path, from_name="zoo").read().classes == ("cat", "dog")
        assert LabelStudioReader(path, from_name=["zoo", "weather"]).read().classes == ("cat", "dog", "sunny")
        assert faults(path, from_name="wether") == [f"{path}: no control is called 'wether'; did you mean 'weather'?"]

    def test_what_has_a_value_where_nobody_annotated_is_data(self, write_as):
        path = write_as(
            [{**record("a.jpg", 1, "cat"), "who": "ann"}, {**record("b.jpg", 2, annotation_id=None), "who": "bob"}]
        )
        assert cells(LabelStudioReader(path).read()) == {"a.jpg": [1], "b.jpg": [-1]}

    def test_data_that_would_be_called_as_the_control_is_no_control(self, write_as):
        path = write_as([{**record("", 1, "cat", control="image"), "_data_image": "a.jpg"}])
        assert cells(LabelStudioReader(path).read()) == {"a.jpg": [1]}

    def test_shapes_are_presence_if_asked_for(self, write_as):
        boxes = [{"x": 1, "rectanglelabels": ["car"], "original_width": 3}, {"x": 2, "rectanglelabels": ["bus"]}]
        path = write_as([{**record("a.jpg", 1, "cat"), "box": boxes}, record("b.jpg", 2)])
        if path.suffix == ".json":
            write(
                [
                    {"image": "a.jpg", "id": 1, "tags": "cat", "box": boxes, "annotation_id": 5, **ABOUT},
                    record("b.jpg", 2),
                ]
            )
        assert cells(LabelStudioReader(path).read()) == {"a.jpg": [1], "b.jpg": [0]}
        table = LabelStudioReader(path, shapes=True).read()
        assert (table.classes, cells(table)["a.jpg"]) == (("bus", "car", "cat"), [1, 1, 1])

    def test_a_list_of_texts_may_mean_two_things(self, write_as):
        path = write_as([record("a.jpg", 1, ["animal", "cat"])])
        place = "task 1" if path.suffix == ".json" else "2"
        assert faults(path)[0].replace(" ", "").startswith(f"{path}:{place}:".replace(" ", ""))
        assert faults(path)[0].endswith(
            "'tags' is ['animal', 'cat'], which may be one nested choice or several; export the project as JSON"
        )
        path = write_as([record("a.jpg", 1, ["cat", {"choices": ["dog", ["big", "owl"]]}])])
        assert LabelStudioReader(path).read().classes == ("big/owl", "cat", "dog")

    def test_a_value_that_no_control_has_is_told(self, write_as):
        path = write_as([record("a.jpg", 1, {"x": 1})])
        assert faults(path, from_name="tags")[0].endswith(": 'tags' is {'x': 1}; expected choices")

    def test_without_ids_of_annotations_a_record_without_a_label_is_unlabelled(self, write_as):
        path = write_as([{"image": "a.jpg", "id": 1, "tags": "cat"}, {"image": "b.jpg", "id": 2}])
        assert cells(LabelStudioReader(path).read()) == {"a.jpg": [1], "b.jpg": [-1]}

    def test_it_says_what_the_json_export_says(self, write_as):
        path = write_as([record("a.jpg", 1, "cat"), record("a.jpg", 1), record("b.jpg", 2, annotation_id=None)])
        tasks = [task("a.jpg", chosen("cat"), chosen()), task("b.jpg")]
        assert cells(LabelStudioReader(path).read()) == cells(read(*tasks)) == {"a.jpg": [-1], "b.jpg": [-1]}


class TestFaultsOfRecords:
    def test_rows_that_are_no_csv_are_told_with_their_lines(self):
        Path("export.csv").write_text(
            'id,image,tags,annotation_id\n1,a.jpg,cat,5\n2,b.jpg\n3,no.jpg,cat,6\n4,"c.jpg,x,7\n'
        )
        assert faults(Path("export.csv")) == [
            "export.csv:3: 2 cells, but the header names 4 columns",
            "export.csv:5: unexpected end of data; is a quotation mark left open?",
            "export.csv:4: no image 'no.jpg' below .; expected a file there, or give root: the folder that the paths "
            "start from",
            "3 faults in all",
        ]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "export.csv: the file is empty; expected a header and a row an image"),
            ("id,image\n\n", "export.csv: no task; expected at least one"),
            ("id,image,image\n", "export.csv:1: column 'image' is there twice; expected each name once"),
        ],
    )
    def test_files_without_records_are_told(self, text, message):
        Path("export.csv").write_text(text)
        assert faults(Path("export.csv")) == [message]

    def test_no_records_in_json(self):
        assert faults([{}])[0] == "export.json: task 1 of 1: it has no 'data'; expected the image there"


class TestRecognition:
    @pytest.mark.parametrize(
        "make",
        [
            lambda: write([task("a.jpg", chosen("cat"))]),
            lambda: write([task("a.jpg")], indent=2),
            lambda: write([{"id": 1, "completions": [{"result": [result("x" * 70_000)]}], "data": {"image": "a.jpg"}}]),
            lambda: write([record("a.jpg", 1, "cat")]),
            lambda: as_csv([record("a.jpg", 1, "cat")]),
            lambda: as_csv([record("a.jpg", 1, {"choices": ["cat", "dog"]})], "EXPORT.TSV", delimiter="\t"),
        ],
    )
    def test_an_export_is_recognised_by_this_reader_alone(self, make):
        path = make()
        assert [name for name, reader in installed_readers().items() if reader.recognises(path)] == ["labelstudio"]

    @pytest.mark.parametrize(
        "text", ["", "[]", "{}", '{"annotations": [], "images": []}', "image,cat\na.jpg,1\n", "\0"]
    )
    def test_other_files_are_not(self, text):
        for name in ("x.json", "x.csv"):
            Path(name).write_text(text)
            assert not LabelStudioReader.recognises(Path(name))
        assert not LabelStudioReader.recognises(Path("nowhere.json"))
        assert not LabelStudioReader.recognises(Path())


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1).map(str.strip).filter(bool)
FILES = st.text(
    st.characters(codec="utf-8", exclude_characters="/\\", exclude_categories=["Cc", "Z"]), min_size=1, max_size=8
)
quick = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def tables(draw):
    classes = sorted(draw(st.lists(NAMES, min_size=1, max_size=4, unique=True)))
    images = draw(st.lists(FILES.map(lambda name: f"{name}.jpg"), min_size=1, max_size=4, unique_by=str.casefold))
    row = st.none() | st.lists(st.sampled_from([1, 0]), min_size=len(classes), max_size=len(classes))
    return classes, {image: draw(row) for image in images}


def present(classes, row):
    return [name for name, cell in zip(classes, row, strict=True) if cell]


@quick
@given(tables(), st.sampled_from(["upload", "local", "plain", "uri"]))
def test_any_table_written_as_json_is_read_back(table, kind):
    classes, rows = table
    written = {
        "upload": lambda image: f"/data/upload/1/0123abcd-{image}",
        "local": lambda image: "/data/local-files/?d=" + "".join(f"%{byte:02X}" for byte in image.encode()),
        "plain": lambda image: image,
        "uri": lambda image: f"s3://bucket/{image}",
    }[kind]
    with tempfile.TemporaryDirectory() as place:
        tasks = []
        for image, row in rows.items():
            touch(Path(place, image))
            said = [] if row is None else [chosen(*present(classes, row))]
            tasks.append(task(written(image), *said))
        path = write(tasks, Path(place, "export.json"), ensure_ascii=False)
        found = LabelStudioReader(
            path, classes=classes, uri_prefix={"s3://bucket": Path(place)}, root=Path(place)
        ).read()
    assert found.classes == tuple(classes)
    assert cells(found) == {image: [-1] * len(classes) if row is None else row for image, row in rows.items()}


@quick
@given(tables(), st.sampled_from(["json", "csv", "tsv"]))
def test_any_table_written_as_records_is_read_back(table, kind):
    classes, rows = table
    names = [present(classes, row) if row else row for row in rows.values()]
    if any(len(each) == 1 and each[0].startswith(("{", "[")) for each in names if each):
        return  # a name that may be JSON
    with tempfile.TemporaryDirectory() as place:
        records = []
        for image, said in zip(rows, names, strict=True):
            touch(Path(place, image))
            value = None if not said else said[0] if len(said) == 1 else {"choices": said}
            records.append(record(image, 1, value, annotation_id=None if said is None else 3))
        path = Path(place, f"export.{kind}")
        if kind == "json":
            write(records, path)
        else:
            as_csv(records, path, delimiter="\t" if kind == "tsv" else ",")
        found = LabelStudioReader(path, classes=classes, from_name="tags").read()
    assert cells(found) == {image: [-1] * len(classes) if row is None else row for image, row in rows.items()}


VALID = {
    "export.json": json.dumps([task("a.jpg", chosen("cat", "dog")), task("b.jpg"), task("c.jpg", chosen())]).encode(),
    "min.json": json.dumps([record("a.jpg", 1, "cat"), record("b.jpg", 2, {"choices": ["a", "b"]})]).encode(),
    "export.csv": (
        b"annotation_id,annotator,id,image,lead_time,tags\n5,1,1,a.jpg,2,cat\n"
        b'6,1,2,b.jpg,2,"{""choices"":[""a"",""b""]}"\n'
    ),
}
often = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def outcome(name, data):
    Path(name).write_bytes(data)
    LabelStudioReader.recognises(Path(name))
    try:
        return len(LabelStudioReader(Path(name)).read())
    except LabelError as error:
        return str(error)


@often
@given(st.binary(max_size=100), st.sampled_from(sorted(VALID)))
def test_any_bytes_are_a_table_or_a_label_error(data, name):
    assert outcome(name, data)


@often
@given(st.sampled_from(sorted(VALID)), st.data())
def test_a_file_that_is_cut_or_damaged_is_a_table_or_a_label_error(name, data):
    valid = VALID[name]
    at = data.draw(st.integers(0, len(valid) - 1))
    damage = data.draw(st.none() | st.binary(min_size=1, max_size=3))
    assert outcome(name, valid[:at] + (b"" if damage is None else damage + valid[at + len(damage) :]))
