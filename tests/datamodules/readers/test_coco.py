import json
import logging
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlic.datamodules.readers.coco import CocoReader
from mlic.datamodules.readers.cocofile import positions_of
from mlic.datamodules.sources import installed_readers
from mlic.errors import LabelError

FILE = "data/annotations/instances_train2017.json"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working directory, so that messages hold short paths; with the images a.jpg to d.jpg of train2017."""
    monkeypatch.chdir(tmp_path)
    touch(*(f"data/train2017/{name}.jpg" for name in "abcd"))
    return tmp_path


def touch(*names):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def write(document, path=FILE, **options):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    text = document if isinstance(document, str) else json.dumps(document, ensure_ascii=False, **options)
    Path(path).write_bytes(text.encode())
    return Path(path)


def image(number, name=None, **more):
    return {"id": number, "file_name": name or f"{'abcd'[number]}.jpg", "width": 64, "height": 48, **more}


def category(number, name, **more):
    return {"id": number, "name": name, "supercategory": "thing", **more}


def annotation(image, category, **more):
    return {"id": 7, "image_id": image, "category_id": category, "bbox": [1, 1, 5, 5.5], "area": 25, **more}


def coco(images=None, categories=None, annotations=()):
    """Returns a document; by default of images 0 and 1, and the classes cat, 1, and dog, 3."""
    return {
        "info": {"year": 2017},
        "licenses": [{"id": 1, "name": "x", "url": "http://x.org"}],
        "images": [image(0), image(1)] if images is None else images,
        "annotations": list(annotations),
        "categories": [category(3, "dog"), category(1, "cat")] if categories is None else categories,
    }


def read(document, path=FILE, **options):
    return CocoReader(write(document, path), **options).read()


def cells(table):
    return {path: row.tolist() for path, row in zip(table.paths, table.dense(), strict=True)}


def faults(document, **options):
    with pytest.raises(LabelError) as error:
        read(document, **options)
    return str(error.value).splitlines()


def fault(document, **options):
    (line,) = faults(document, **options)
    return line


class TestTheTable:
    def test_a_real_layout_is_read_by_its_path_alone(self):
        touch("data/train2017/sub/Ä b.JPG")
        document = {
            "images": [image(7, "sub\\Ä b.jpg "), image(9, "b.jpg"), image(8, "a.jpg")],
            "categories": [category(90, " brush"), category(2, "person "), category(13, "Zebra – größer")],
            "annotations": [
                annotation(8, 2, iscrowd=0, segmentation=[[1.5, 2, 3, 4]]),
                annotation(7, 90, iscrowd=1, segmentation={"counts": [1, 2], "size": [48, 64]}),
                annotation(8, 2),
                annotation(8, 13, iscrowd=None),
            ],
        }
        text = "\ufeff" + json.dumps(document, indent=1, ensure_ascii=False).replace("\n", "\r\n") + "\r\n\r\n"
        table = read(text)
        assert table.classes == ("person", "Zebra – größer", "brush")
        assert list(table.paths) == ["sub/Ä b.JPG", "b.jpg", "a.jpg"]
        assert table.dense().tolist() == [[0, 0, 1], [0, 0, 0], [1, 1, 0]]
        assert (table.num_unlabelled, table.num_all_negative) == (0, 1)
        assert (table.root, table.source, table.open_vocabulary) == (Path("data/train2017"), FILE, False)
        assert all(table.path(i).is_file() for i in range(3))
        assert table.origins == {
            "brush": f"{FILE}: categories[0]",
            "person": f"{FILE}: categories[1]",
            "Zebra – größer": f"{FILE}: categories[2]",
        }

    def test_an_image_without_annotations_is_kept_as_all_negative(self):
        assert cells(read(coco(annotations=[annotation(1, 3)]))) == {"a.jpg": [0, 0], "b.jpg": [0, 1]}
        assert read(coco()).num_all_negative == 2

    @pytest.mark.parametrize("absent", [{}, {"annotations": None}])
    def test_images_of_a_file_without_annotations_are_unlabelled(self, absent):
        document = coco()
        del document["annotations"]
        assert read({**document, **absent}).num_unlabelled == 2

    def test_annotations_with_nothing_but_ids_are_enough(self):
        document = coco(annotations=[{"id": 1, "image_id": 0, "category_id": 3}, {"image_id": 1, "category_id": 1}])
        assert cells(read(document)) == {"a.jpg": [0, 1], "b.jpg": [1, 0]}

    def test_a_class_without_annotations_is_a_class_without_positives(self):
        categories = [category(0, "animals", supercategory="none"), category(1, "cat", supercategory="animals")]
        table = read(coco(categories=categories, annotations=[annotation(0, 1)]))
        assert (table.classes, table.support().tolist()) == (("animals", "cat"), [0, 1])

    @pytest.mark.parametrize("iscrowd", [1, True, 1.0])
    def test_a_crowd_is_present_or_unknown_as_the_user_says(self, iscrowd):
        crowd = [annotation(0, 1, iscrowd=iscrowd), annotation(0, 3, iscrowd=iscrowd), annotation(0, 3, iscrowd=0)]
        document = coco(annotations=[*crowd, annotation(1, 1), annotation(1, 3, iscrowd=None)])
        assert cells(read(document)) == {"a.jpg": [1, 1], "b.jpg": [1, 1]}
        assert cells(read(document, crowd="unknown")) == {"a.jpg": [-1, 1], "b.jpg": [1, 1]}

    def test_ids_may_be_texts(self):
        document = coco(
            [image("x", "a.jpg"), image("1", "b.jpg"), image(1, "c.jpg")],
            [category("b", "bear"), category("a", "ape"), category(5, "cat"), category("5", "dog")],
            [annotation("1", "b"), annotation(1, 5), annotation("x", "5")],
        )
        table = read(document)
        assert table.classes == ("cat", "dog", "ape", "bear")
        assert cells(table) == {"a.jpg": [0, 1, 0, 0], "b.jpg": [0, 0, 0, 1], "c.jpg": [1, 0, 0, 0]}

    @pytest.mark.parametrize("far", [2**40, 2**63, 10**30, -(2**63), -(10**30)])
    def test_ids_may_be_far_apart(self, far):
        document = coco([image(far, "a.jpg"), image(0, "b.jpg")], annotations=[annotation(far, 1), annotation(0, 3)])
        assert cells(read(document)) == {"a.jpg": [1, 0], "b.jpg": [0, 1]}
        assert cells(read(coco(categories=[category(far, "x")], annotations=[annotation(1, far)])))["b.jpg"] == [1]

    def test_images_that_are_listed_twice_are_united(self):
        document = coco([image(0), image(1, "./a.jpg")], annotations=[annotation(0, 1), annotation(1, 3)])
        assert cells(read(document)) == {"a.jpg": [1, 1]}

    def test_numbers_that_are_none_are_read(self):
        document = coco(annotations=[annotation(0, 1, score=float("nan")), annotation(1, 3)])
        assert cells(read(document)) == {"a.jpg": [1, 0], "b.jpg": [0, 1]}

    def test_a_long_file_is_read_as_a_short_one(self):
        rng = np.random.default_rng(0)
        touch(*(f"data/train2017/{i}.jpg" for i in range(500)))
        labels = rng.random((500, 20)) < 0.3
        pairs = rng.permutation(np.argwhere(labels)).tolist()
        document = coco(
            [image(i * 7, f"{i}.jpg") for i in range(500)],
            [category(i * 3, f"class {i:02}") for i in range(20)],
            [annotation(row * 7, column * 3, segmentation=[[0.25] * 40]) for row, column in [*pairs, *pairs[:99]]],
        )
        table = read(document)
        assert Path(FILE).stat().st_size > 1_000_000
        assert (table.dense() == labels).all()


class TestClasses:
    def test_classes_that_are_given_have_their_order(self):
        table = read(coco(annotations=[annotation(0, 1)]), classes=["dog", "cat"])
        assert (table.classes, table.row(0).tolist()) == (("dog", "cat"), [0, 1])

    def test_a_class_that_the_file_does_not_have_is_unknown(self):
        table = read(coco(annotations=[annotation(0, 1)]), classes=["owl", "cat", "dog"])
        assert cells(table) == {"a.jpg": [-1, 1, 0], "b.jpg": [-1, 0, 0]}

    def test_a_class_that_is_not_among_them_is_left_out_if_no_image_has_it(self, caplog):
        with caplog.at_level(logging.INFO):
            table = read(coco(annotations=[annotation(0, 1)]), classes=["cat"])
        assert cells(table) == {"a.jpg": [1], "b.jpg": [0]}
        assert caplog.messages == [f"{FILE}: no image has dog, and 'classes' does not name it: left out"]

    def test_a_class_that_is_not_among_them_is_a_fault_if_an_image_has_it(self):
        document = coco(annotations=[annotation(0, 3)])
        assert fault(document, classes=["cat", "dogs"]) == (
            f"{FILE}: categories[0]: class 'dog' is not among the 2 classes; did you mean 'dogs'?"
        )


class TestLvis:
    def test_what_an_image_does_not_tell_is_unknown(self):
        categories = [category(i, f"c{i}") for i in range(1, 6)]
        told = {"neg_category_ids": [1, 2], "not_exhaustive_category_ids": [3, 5]}
        nothing = {"neg_category_ids": [], "not_exhaustive_category_ids": []}
        images = [image(0, **told), image(1, **nothing), image(2, **nothing), image(3)]
        annotations = [annotation(0, 3), annotation(0, 4), annotation(1, 5), annotation(3, 1)]
        table = read(coco(images, categories, annotations))
        assert cells(table) == {
            "a.jpg": [0, 0, 1, 1, -1],
            "b.jpg": [-1, -1, -1, -1, 1],
            "c.jpg": [-1, -1, -1, -1, -1],
            "d.jpg": [1, 0, 0, 0, 0],
        }
        assert table.num_unlabelled == 1

    def test_not_exhaustive_alone_makes_classes_unknown(self):
        document = coco([image(0, not_exhaustive_category_ids=[1, 3])], annotations=[annotation(0, 1)])
        assert cells(read(document)) == {"a.jpg": [1, -1]}

    def test_an_image_may_be_named_by_its_url_alone(self):
        url = {"coco_url": "http://images.cocodataset.org/train2017/000000391895.jpg"}
        touch("data/train2017/000000391895.jpg")
        document = coco([{"id": 0, "neg_category_ids": [1], "not_exhaustive_category_ids": [], **url}])
        table = read(document, "data/annotations/lvis_v1_train.json")
        assert (table.root, cells(table)) == (Path("data"), {"train2017/000000391895.jpg": [0, -1]})

    def test_a_class_that_is_present_and_negative_is_told(self):
        document = coco([image(0, neg_category_ids=[3])], annotations=[annotation(0, 1), annotation(0, 3)])
        assert fault(document) == (
            f"{FILE}: images[0]: class 'dog' is absent in image 'a.jpg', but present at {FILE}: annotations[1]; "
            "expected one of them"
        )

    def test_ids_that_no_category_has_are_told(self):
        told = {"neg_category_ids": [1, 5], "not_exhaustive_category_ids": ["1"]}
        assert faults(coco([image(0), image(1, **told)])) == [
            f"{FILE}: images[1]: neg_category_ids names 5, which is no id of 'categories'; expected one of them",
            f"{FILE}: images[1]: not_exhaustive_category_ids names '1', which is no id of 'categories'; "
            "expected one of them",
            "2 faults in all",
        ]

    def test_a_class_is_used_where_it_is_said_to_be_absent(self):
        document = coco([image(0, neg_category_ids=[3])], annotations=[annotation(0, 1)])
        assert fault(document, classes=["cat"]).startswith(f"{FILE}: categories[0]: class 'dog' is not among")


class TestWhereImagesAre:
    @pytest.mark.parametrize(
        ("file", "place"),
        [
            ("set/_annotations.coco.json", "set"),
            ("set/annotations/instances_val2017.json", "set/val2017"),
            ("set/annotations/instances_val2017.json", "set/images/val2017"),
            ("set/annotations/instances_default.json", "set/images"),
            ("set/annotations/val.json", "set/val"),
            ("set/train.json", "set/train"),
            ("set/train.json", "set/images/train"),
            ("set/result.json", "set/images"),
            ("set/labels.json", "set/data"),
        ],
    )
    def test_the_usual_places_are_looked_at(self, file, place):
        touch(f"{place}/x.jpg", f"{place}/y.jpg")
        table = read(coco([image(0, "x.jpg"), image(1, "y.jpg")]), file)
        assert (table.root, list(table.paths)) == (Path(place), ["x.jpg", "y.jpg"])

    def test_names_with_folders_start_from_the_folder_above_too(self):
        table = read(coco([image(0, "train2017/a.jpg")]))
        assert (table.root, list(table.paths)) == (Path("data"), ["train2017/a.jpg"])

    def test_the_root_may_be_told(self):
        table = read(coco([image(0, "data/train2017/a.jpg")]), root=Path())
        assert (table.root, list(table.paths)) == (Path(), ["data/train2017/a.jpg"])

    def test_paths_may_have_a_prefix(self, folder):
        document = coco([image(0, "s3://bucket/coco/a.jpg")])
        table = read(document, uri_prefix={"s3://bucket/coco/": Path("data/train2017")})
        assert (table.root, list(table.paths)) == (folder / "data/train2017", ["a.jpg"])
        assert "images[0]: image 's3://bucket/coco/a.jpg' is a URI, and nothing is downloaded" in faults(document)[0]


class TestFaults:
    def test_all_are_told_at_once_each_with_its_place(self):
        document = coco(
            [image(0), image(1, "no.jpg"), image(0, "c.jpg"), image(2, "../../../x.jpg"), {"id": 4}],
            [category(1, "cat"), category(3, "dog"), category(5, "cat "), category(3, "owl"), category(8, " ")],
            [annotation(0, 1), annotation(9, 1), annotation(0, 2), annotation("0", 1), {"image_id": 0}, {"id": 1}],
        )
        there = "expected a file there, or give root: the folder that the paths start from"
        below = "expected one below it, or give root: a folder that holds all images"
        assert faults(document) == [
            f"{FILE}: categories[2]: class 'cat' is there twice, also at {FILE}: categories[0]; expected each once",
            f"{FILE}: categories[4]: the name of a class is blank; expected one",
            f"{FILE}: categories[3]: id 3 is there twice, first at {FILE}: categories[1]; expected each once",
            f"{FILE}: images[2]: id 0 is there twice, first at {FILE}: images[0]; expected each once",
            f"{FILE}: images[1]: no image 'no.jpg' below data/train2017; {there}",
            f"{FILE}: images[3]: image '../../../x.jpg' lies outside the data root data/train2017; {below}",
            f"{FILE}: images[4]: the path of an image is blank; expected one",
            f"{FILE}: annotations[1]: image_id is 9, which is no id of 'images'; expected one of them",
            f"{FILE}: annotations[3]: image_id is '0', which is no id of 'images'; expected one of them",
            f"{FILE}: annotations[5]: has no image_id; expected one",
            f"{FILE}: annotations[2]: category_id is 2, which is no id of 'categories'; expected one of them",
            f"{FILE}: annotations[4]: has no category_id; expected one",
            f"{FILE}: annotations[5]: has no category_id; expected one",
            "13 faults in all",
        ]

    def test_many_are_counted(self):
        lines = faults(coco(annotations=[annotation(5, 1)] * 3000))
        assert lines[0].startswith(f"{FILE}: annotations[0]: image_id is 5, which is no id of 'images'")
        assert lines[20] == "3000 faults in all; the first 20 are above"

    def test_what_is_right_comes_with_the_error(self):
        with pytest.raises(LabelError) as error:
            read(coco(annotations=[annotation(0, 1), annotation(0, 99)]))
        assert cells(error.value.table) == {"a.jpg": [1, 0], "b.jpg": [0, 0]}

    def test_a_captions_file_is_refused_with_a_hint(self):
        captions = {"images": [image(0)], "annotations": [{"id": 1, "image_id": 0, "caption": "A cat."}]}
        assert fault(captions) == (
            f"{FILE}: there are no 'categories', so no classes, as in a captions file; expected an instances file, "
            "such as instances_train2017.json"
        )

    def test_no_classes_and_no_images_are_told(self):
        assert faults(coco([], [])) == [
            f"{FILE}: no sample; expected at least one image",
            f"{FILE}: no class; expected at least one",
            "2 faults in all",
        ]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('{"images": [{"id": 0', ":1:21: no valid JSON: Expecting ',' delimiter; is the file cut short?"),
            ("{}", ": object missing required field 'images'"),
            ('{"images": [{"file_name": "a.jpg"}]}', ": images[0]: object missing required field 'id'"),
            (
                '{"images": [], "annotations": [{"image_id": 1, "category_id": 1.5}]}',
                ": annotations[0].category_id: expected 'int | str | null', got 'float'",
            ),
            ('{"images": [], "categories": [{"id": 1}]}', ": categories[0]: object missing required field 'name'"),
        ],
    )
    def test_what_is_no_such_file_is_told_with_the_place(self, text, message):
        assert fault(text) == f"{FILE}{message}"

    def test_a_file_that_is_not_there_is_told(self):
        with pytest.raises(LabelError, match=r"no\.json: cannot be read \(No such file or directory\)"):
            CocoReader(Path("no.json")).read()


class TestFolders:
    @pytest.mark.parametrize("name", ["set/_annotations.coco.json", "set/annotations/instances_default.json"])
    def test_a_folder_stands_for_the_one_file_in_it(self, name):
        touch("set/a.jpg", "set/images/a.jpg")
        write(coco([image(0)], annotations=[annotation(0, 3)]), name)
        write({"items": []}, "set/annotations/other.json")
        assert CocoReader.recognises(Path("set"))
        assert cells(CocoReader(Path("set")).read()) == {"a.jpg": [0, 1]}

    def test_instances_come_before_captions_and_key_points(self):
        write(coco(annotations=[annotation(0, 1)]))
        for name in ("captions", "person_keypoints"):
            write(coco(), f"data/annotations/{name}_train2017.json")
        assert CocoReader(Path("data")).read().support().tolist() == [1, 0]

    def test_several_files_are_told(self):
        write(coco())
        write(coco(), "data/annotations/instances_val2017.json")
        with pytest.raises(LabelError) as error:
            CocoReader(Path("data")).read()
        names = f"{FILE}, data/annotations/instances_val2017.json"
        assert str(error.value) == f"data: holds 2 COCO files; name one: {names}"

    def test_a_folder_without_any_is_told(self):
        with pytest.raises(LabelError) as error:
            CocoReader(Path("data")).read()
        assert str(error.value) == "data: holds no COCO file, nor does its 'annotations'; expected one"
        assert not CocoReader.recognises(Path("data"))


class TestRecognition:
    def recognised(self, path):
        return [name for name, reader in installed_readers().items() if reader.recognises(Path(path))]

    @pytest.mark.parametrize("order", [["images", "annotations", "categories"], ["annotations", "images"], ["images"]])
    @pytest.mark.parametrize("ends", ["", "\ufeff"])
    def test_a_coco_file_is_coco_alone(self, order, ends):
        document = coco(annotations=[annotation(0, 1)])
        write(ends + json.dumps({key: document[key] for key in order}))
        assert self.recognised(FILE) == ["coco"]

    def test_a_folder_with_one_is_coco_alone(self):
        write(coco(annotations=[annotation(0, 1)]))
        touch("set/a.jpg")
        write(coco([image(0)]), "set/_annotations.coco.json")
        assert self.recognised("data") == self.recognised("set") == ["coco"]

    def test_lvis_and_an_empty_file_are_coco_alone(self):
        categories = [category(i, f"class {i}", definition="x" * 100) for i in range(1203)]
        write({"categories": categories, "images": [{"id": 1, "coco_url": "http://x.org/train2017/1.jpg"}]})
        write({"images": [], "annotations": [], "categories": []}, "empty.json")
        assert self.recognised(FILE) == self.recognised("empty.json") == ["coco"]

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "[]",
            "images",
            '{"items": [], "categories": {"label": {"labels": [{"id": 1, "name": "x"}]}}}',
            '{"categories": [{"id": 0, "name": "car"}], "info": {"year": 2024}}',
            '{"images": ["a.jpg"], "labels": [1]}',
            '[{"image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4], "score": 0.5}]',
            '{"images": [{"id": 1, "file_name": "a.jpg"}]}\n{"images": []}',
        ],
    )
    def test_other_files_are_not(self, text):
        write(text, "other.json")
        assert not CocoReader.recognises(Path("other.json"))
        assert not CocoReader.recognises(Path("no.json"))


def test_ids_are_looked_up_alike_whatever_they_are():
    known = {5: 0, -2: 1, 700: 2, "5": 3, 10**30: 4}
    wanted = [5, -2, 700, "5", 10**30, 6, "x", None, -3, 701, 2**62]
    expected = [0, 1, 2, 3, 4, -1, -1, -1, -1, -1, -1]
    assert positions_of(np.array(wanted, object), known).tolist() == expected
    numbers = [5, -2, 700, 6, -3, 701, 2**62, -(2**63), 2**63 - 1]
    for those in (known, {5: 0, -2: 1, 700: 2}):
        assert positions_of(np.array(numbers), those).tolist() == [0, 1, 2, -1, -1, -1, -1, -1, -1]
    assert positions_of(np.array(numbers), {"5": 3}).tolist() == [-1] * 9
    assert positions_of(np.array(numbers), {}).tolist() == [-1] * 9
    assert positions_of(np.empty(0, np.int64), known).tolist() == []


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1)
IDS = st.integers() | st.integers(0, 99) | st.text(max_size=3)
FOLDERS = st.sampled_from(["", "sub/", "ä b/c/"])
repeated = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)


@st.composite
def tables(draw):
    """Returns classes, image names and a matrix of 1, 0 and -1 with, per image, whether it is one of LVIS."""
    classes = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    stems = draw(st.lists(st.text("ab ä.-'%é", min_size=1, max_size=4), min_size=1, max_size=4, unique=True))
    names = [f"{draw(FOLDERS)}x{at}{stem}.jpg" for at, stem in enumerate(stems)]
    lvis = draw(st.lists(st.booleans(), min_size=len(names), max_size=len(names)))
    cell = st.sampled_from([1, 0, -1])
    matrix = [draw(st.lists(cell, min_size=len(classes), max_size=len(classes))) for _ in names]
    return classes, names, matrix, lvis


@repeated
@given(tables(), st.data())
def test_any_table_is_read_back(table, data):
    classes, names, matrix, lvis = table
    ids = data.draw(st.lists(IDS, min_size=len(classes), max_size=len(classes), unique_by=repr))
    ids.sort(key=lambda one: (isinstance(one, str), one))
    image_ids = data.draw(st.lists(IDS, min_size=len(names), max_size=len(names), unique_by=repr))
    images, annotations = [], []
    for name, row, number, is_lvis in zip(names, matrix, image_ids, lvis, strict=True):
        said = {value: [one for one, cell in zip(ids, row, strict=True) if cell == value] for value in (1, 0, -1)}
        more = {"neg_category_ids": said[0]} if is_lvis else {"not_exhaustive_category_ids": said[-1]}
        images.append({"id": number, "file_name": name, **more})
        annotations += [{"image_id": number, "category_id": one, "x": "},{"} for one in said[1]]
    document = {
        "images": images,
        "annotations": data.draw(st.permutations(annotations + annotations[:2])),
        "categories": data.draw(st.permutations([category(*pair) for pair in zip(ids, classes, strict=True)])),
    }
    with tempfile.TemporaryDirectory() as folder:
        touch(*(f"{folder}/images/{name}" for name in names))
        found = read(document, f"{folder}/instances.json")
    assert found.classes == tuple(classes)
    assert cells(found) == dict(zip(names, matrix, strict=True))


def outcome(data):
    with tempfile.TemporaryDirectory() as folder:
        touch(f"{folder}/a.jpg", f"{folder}/b.jpg")
        path = Path(folder, "instances.json")
        path.write_bytes(data)
        CocoReader.recognises(path)
        for crowd in ("present", "unknown"):
            found = read_or_refuse(CocoReader(path, crowd=crowd))
            assert found.startswith(str(path)) if isinstance(found, str) else len(found) > 0


def read_or_refuse(reader):
    try:
        return reader.read()
    except LabelError as error:
        return str(error)


VALID = json.dumps(
    coco(
        [image(0, neg_category_ids=[1]), image(1, coco_url="http://x/y/b.jpg")],
        annotations=[annotation(0, 3, iscrowd=0), annotation(1, 1, iscrowd=1)],
    )
).encode()
BYTES = st.binary(max_size=60) | st.text('{}[]":,0 \\iaN').map(str.encode)


@settings(max_examples=100)
@given(BYTES, st.sampled_from([b"", b'{"images": [', b'{"images": [], "annotations": [']))
def test_any_bytes_are_a_table_or_a_label_error(data, start):
    outcome(start + data)


@settings(max_examples=100)
@given(
    st.integers(0, len(VALID)),
    st.binary(max_size=2) | st.sampled_from([b"null", b"1e9", b'"', b"{", b"]"]),
    st.booleans(),
)
def test_a_broken_file_is_a_table_or_a_label_error(at, put, cut):
    outcome(VALID[:at] + put + (b"" if cut else VALID[at + 1 :]))
