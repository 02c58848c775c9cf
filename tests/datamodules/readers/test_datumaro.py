import json
import logging
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mlic.datamodules.readers.datumaro import DatumaroReader
from mlic.datamodules.sources import installed_readers
from mlic.errors import LabelError

HOME = Path("photos")
TRAIN = HOME / "annotations/train.json"
VAL = HOME / "annotations/val.json"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working directory, so that messages hold short paths; with the images of two subsets."""
    monkeypatch.chdir(tmp_path)
    for name in ("train/a.jpg", "train/b.JPG", "train/sub/c d.png", "train/é.v1.jpg", "val/a.jpg"):
        add_image(f"images/{name}")
    (HOME / "annotations").mkdir()
    return tmp_path


def add_image(name):
    path = HOME / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def label(*ids, kind="label"):
    return [{"id": 0, "type": kind, "attributes": {}, "group": 0, "label_id": id_} for id_ in ids]


def item(id_, annotations=(), image="", **more):
    media = {"image": {"path": image, "size": [48, 64]}} if image is not None else {}
    return {"id": id_, "annotations": list(annotations), **media, **more}


def dump(*items, classes=("cat", "dog", "owl"), **more):
    labels = [{"name": name, "parent": "", "attributes": []} for name in classes]
    categories = {"label": {"label_groups": [], "labels": labels, "attributes": []}, "mask": {"colormap": []}}
    return {
        **{"dm_format_version": "1.0", "media_type": 2, "infos": {}, "categories": categories},
        **more,
        "items": list(items),
    }


def write(document, file=TRAIN):
    text = document if isinstance(document, str) else json.dumps(document, ensure_ascii=False)
    file.write_bytes(text.encode())
    return file


def read(*items, **options):
    return DatumaroReader(write(dump(*items)), **options).read()


def cells(table):
    return {path: row.tolist() for path, row in zip(table.paths, table.dense(), strict=True)}


def faults(*documents, path=TRAIN, **options):
    for file, document in zip((TRAIN, VAL), documents, strict=False):
        write(document, file)
    with pytest.raises(LabelError) as error:
        DatumaroReader(path, **options).read()
    return [line.removeprefix(f"{TRAIN}: ") for line in str(error.value).splitlines()]


REAL = (
    '\ufeff{"dm_format_version":"1.0","media_type":2,"infos":{"author":"x"},\r\n'
    '"categories":{"label":{"label_groups":[{"name":"g","group_type":"exclusive","labels":["owl","cat"]}],\r\n'
    '"labels":[{"name":"owl","parent":"","attributes":[]},{"name":" cat ","parent":"owl","attributes":["x"]},'
    '{"name":"dög 2","parent":""}],"attributes":[]},"points":{"items":[]}},\r\n'
    '"items":[{"id":"sub/c d","annotations":[{"id":0,"type":"label","attributes":{},"group":0,"label_id":2},'
    '{"id":1,"type":"label","attributes":{"score":0.5},"group":0,"label_id":0}],'
    '"attr":{"frame":3},"image":{"path":"sub\\\\c d.png","size":[48,64]}},\r\n'
    '{"id":"a","annotations":[{"id":0,"type":"label","label_id":1},{"id":1,"type":"caption","caption":"a cat"}],'
    '"image":{"path":"a.jpg"},"media":{"path":"a.jpg"}},\r\n'
    '{"id":"b","annotations":[],"image":{"path":"b.jpg"}},\r\n'
    '{"id":"é.v1","annotations":[{"id":0,"type":"bbox","label_id":0,"bbox":[1,2,3,4],"z_order":0},'
    '{"id":1,"type":"polygon","label_id":null,"points":[1,2,3,4,5,6]}],"image":{"path":""}},\r\n'
    '{"id":"a","annotations":[{"type":"label","label_id":1}]}]}\r\n\r\n'
)


class TestTheLayout:
    @pytest.mark.parametrize("path", [HOME, TRAIN])
    def test_it_is_read_to_the_last_cell(self, path, caplog):
        write(REAL)
        with caplog.at_level(logging.WARNING):
            table = DatumaroReader(path).read()
        assert table.classes == ("owl", "cat", "dög 2")
        assert cells(table) == {
            "images/train/sub/c d.png": [1, 0, 1],
            "images/train/a.jpg": [0, 1, 0],
            "images/train/b.JPG": [0, 0, 0],
            "images/train/é.v1.jpg": [0, 0, 0],
        }
        assert (table.num_unlabelled, table.num_all_negative) == (0, 2)
        assert table.root == HOME
        assert table.path(0).is_file()
        assert table.source == str(path)
        assert table.origins == {
            name: f"{TRAIN}: categories.label.labels[{position}]" for position, name in enumerate(table.classes)
        }
        assert caplog.messages == [
            f"{path}: annotations that are no labels are not read: 1 caption, 1 bbox, 1 polygon; with shapes: true "
            "those with a label_id mean that their class is present"
        ]

    def test_all_subsets_are_one_table(self):
        write(dump(item("a", label(0)), item("b", label(1))), TRAIN)
        write(dump(item("a", label(2))), VAL)
        (HOME / "annotations/.train.json").touch()
        (HOME / "annotations/notes.txt").touch()
        assert cells(DatumaroReader(HOME).read()) == {
            "images/train/a.jpg": [1, 0, 0],
            "images/train/b.JPG": [0, 1, 0],
            "images/val/a.jpg": [0, 0, 1],
        }

    def test_a_class_that_it_does_not_list_is_unknown(self):
        assert cells(read(item("a", label(1))).align(["bear", "dog", "cat", "owl"])) == {
            "images/train/a.jpg": [-1, 1, 0, 0]
        }

    def test_items_of_one_image_are_united(self):
        table = read(item("a", label(0)), item("a", label(2), image="./a.jpg"), item("a"))
        assert cells(table) == {"images/train/a.jpg": [1, 0, 1]}

    def test_an_image_of_several_subsets_is_told(self, caplog):
        for name in ("train", "val"):
            (HOME / "images" / name).rename(HOME / f"elsewhere {name}")
        add_image("images/a.jpg")
        write(dump(item("a", label(0))), TRAIN)
        write(dump(item("a", label(2)), item("a")), VAL)
        with caplog.at_level(logging.WARNING):
            assert cells(DatumaroReader(HOME).read()) == {"images/a.jpg": [1, 0, 1]}
        assert caplog.messages == ["photos: 1 images are in several subsets; their labels are united"]

    def test_an_old_dump_says_nothing_about_the_format(self):
        document = dump(item("a", label(1), image=None, media={"path": "a.jpg"}))
        del document["dm_format_version"], document["media_type"]
        assert cells(DatumaroReader(write(document)).read()) == {"images/train/a.jpg": [0, 1, 0]}

    def test_an_id_may_be_a_number(self):
        add_image("images/train/7.webp")
        assert list(read(item(7, label(0))).paths) == ["images/train/7.webp"]


class TestImages:
    @pytest.mark.parametrize(
        ("id_", "path"),
        [
            ("a", "a.jpg"),
            ("a", ""),
            ("a", "  "),
            ("a", None),
            ("any", "a.jpg"),
            ("a", "/home/ann/photos/images/train/a.jpg"),
            ("a", "C:\\photos\\images\\train\\a.jpg"),
            ("a", "photos/images/train/a.jpg"),
            ("a", "images/train/a.jpg"),
            ("sub/c d", "/home/ann/sub/c d.png"),
        ],
    )
    def test_one_is_found_by_its_path_or_by_its_id(self, id_, path):
        (name,) = read(item(id_, label(0), image=path)).paths
        assert name == ("images/train/sub/c d.png" if "sub" in id_ else "images/train/a.jpg")

    def test_one_is_not_found_by_an_id_that_its_path_does_not_end_with(self):
        (line,) = faults(dump(item("b", label(1)), item("a", label(0), image="other.jpg")))
        assert line == (
            "items[1]: no image 'images/train/other.jpg' below photos; expected a file there, or give root: the folder "
            "that the paths start from"
        )

    @pytest.mark.parametrize("images", ["images", "train", "."])
    def test_they_may_lie_in_other_folders(self, images):
        (HOME / "images").rename("old")
        add_image(f"{images}/a.jpg")
        assert read(item("a", label(0))).path(0) == HOME / images / "a.jpg"

    def test_the_file_may_lie_beside_them(self):
        file = write(dump(item("a", label(0), image="a.jpg")), HOME / "images/train/x.json")
        table = DatumaroReader(file).read()
        assert (table.root, list(table.paths)) == (HOME / "images/train", ["a.jpg"])

    @pytest.mark.parametrize("media", ["point_cloud", "video", "video_frame", "table_row"])
    def test_what_is_no_image_is_refused(self, media):
        other = item("x", image=None, **{media: {"path": "x.pcd"}}, media={"path": "x.pcd"})
        assert faults(dump(item("a", label(0)), other)) == [
            f"items[1]: is a {media}; expected an image; export the frames or views as images"
        ]

    def test_those_that_are_not_there_are_told(self):
        missing = "expected a file there, or give root: the folder that the paths start from"
        lines = faults(
            dump(item("a"), item("x"), item("y", image="y.jpg"), item("z", image="/z.jpg"), item("", image=""))
        )
        assert lines[:2] == [
            f"items[1]: no image 'images/train/x' below photos; {missing}",
            f"items[2]: no image 'images/train/y.jpg' below photos; {missing}",
        ]
        assert lines[2].startswith("items[3]: image '/z.jpg' lies outside the data root photos;")
        assert lines[3].startswith("items[4]: no image 'images/train/' below photos")
        assert lines[4] == "4 faults in all"


class TestOptions:
    def test_split_is_the_one_subset_to_read(self):
        write(dump(item("a", label(0))), TRAIN)
        write(dump(item("a", label(2)), classes=["x", "y", "z"]), VAL)
        table = DatumaroReader(HOME, split="val").read()
        assert cells(table) == {"images/val/a.jpg": [0, 0, 1]}
        assert table.classes == ("x", "y", "z")
        for split, hint in {"vla": "; did you mean 'val'?", "other": "; there are train, val"}.items():
            assert faults(path=HOME, split=split) == [f"photos/annotations: no subset '{split}'{hint}"]

    @pytest.mark.parametrize("kind", ["bbox", "polygon", "polyline", "mask", "points", "cuboid_3d", "ellipse"])
    def test_shapes_mean_presence_only_when_told(self, kind, caplog):
        shapes = [*label(0, None, kind=kind), {"type": "caption", "caption": "x"}]
        annotations = [*shapes, *label(2)]
        assert cells(read(item("a", annotations))) == {"images/train/a.jpg": [0, 0, 1]}
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert cells(read(item("a", annotations), shapes=True)) == {"images/train/a.jpg": [1, 0, 1]}
        assert caplog.messages == [
            f"{TRAIN}: annotations that are no labels are not read: 1 {kind}, 1 caption",
        ]

    def test_a_data_set_of_shapes_alone_is_refused_without_shapes(self):
        items = [item("a", label(0, 1, kind="bbox")), item("b", label(0, kind="mask"))]
        assert faults(dump(*items)) == [
            "no annotation is a label, but 2 bbox, 1 mask; give shapes: true if they mean that classes are present"
        ]
        assert cells(read(*items, shapes=True)) == {"images/train/a.jpg": [1, 1, 0], "images/train/b.JPG": [1, 0, 0]}

    def test_empty_is_negative_or_unlabelled(self):
        items = [item("a", label(0)), item("b"), item("é.v1", label(1, kind="bbox"))]
        assert read(*items).num_all_negative == 2
        assert cells(read(*items, empty="unlabelled")) == {
            "images/train/a.jpg": [1, 0, 0],
            "images/train/b.JPG": [-1, -1, -1],
            "images/train/é.v1.jpg": [-1, -1, -1],
        }
        assert read(*items, empty="unlabelled", shapes=True).num_unlabelled == 1

    def test_classes_give_the_order_and_other_names_are_told(self):
        table = read(item("a", label(0, 2)), classes=["owl", "dog", "cat"])
        assert table.classes == ("owl", "dog", "cat")
        assert cells(table) == {"images/train/a.jpg": [1, 0, 1]}
        assert faults(dump(item("a", label(0)), classes=["cat", "dgo"]), classes=["cat", "dog"]) == [
            "categories.label.labels[1]: class 'dgo' is not among the 2 classes; did you mean 'dog'?",
            "categories.label.labels: class 'dog' is not among them; did you mean 'dgo'?",
            "2 faults in all",
        ]

    @pytest.mark.parametrize("root", ["images", "images/train"])
    def test_root_holds_the_images_or_a_folder_for_each_subset(self, root):
        (HOME / root).rename("pictures")
        table = read(item("a", label(0)), root=Path("pictures"))
        assert table.root == Path("pictures")
        assert list(table.paths) == ["train/a.jpg" if root == "images" else "a.jpg"]

    def test_uris_and_paths_of_another_machine_are_mapped(self):
        (HOME / "images/train").rename("store")
        items = [
            item("x", label(0), image="s3://b/1/a.jpg"),
            item("y", label(1), image="/home/ann/b.jpg"),
            item("é.v1"),
        ]
        table = read(*items, uri_prefix={"s3://b/1/": Path("store"), "/home/ann/": Path("store")})
        assert cells(table) == {"a.jpg": [1, 0, 0], "b.JPG": [0, 1, 0], "é.v1.jpg": [0, 0, 0]}
        assert table.path(0).is_file()


class TestFaults:
    @pytest.mark.parametrize(
        ("label_id", "told"), [(3, "3"), (-1, "-1"), (None, "null"), (True, "true"), ("cat", '"cat"'), (1.0, "1.0")]
    )
    def test_a_label_that_is_not_there_is_told(self, label_id, told):
        assert faults(dump(item("b", label(0)), item("a", label(0, label_id)))) == [
            f"items[1].annotations[1].label_id is {told}; expected the position of a class, 0 to 2"
        ]

    def test_the_place_is_that_in_its_own_file(self):
        lines = faults(dump(item("a"), item("b", label(3))), dump(item("x"), item("a", label(4))), path=HOME)
        assert lines[0].startswith("items[1].annotations[0].label_id is 3")
        assert lines[1].startswith(f"{VAL}: items[0]: no image 'images/val/x' below photos")
        assert lines[2].startswith(f"{VAL}: items[1].annotations[0].label_id is 4")

    def test_names_of_classes_that_are_none_are_told(self):
        assert faults(dump(item("a", label(1)), classes=["cat", None, "cat"])) == [
            "categories.label.labels[1]: the name of a class is null; expected a text",
            "categories.label.labels[2]: class 'cat' is there twice, first at [0]",
            "2 faults in all",
        ]

    @pytest.mark.parametrize(
        ("classes", "message"),
        [
            (["cat", "van", "owl"], "categories.label.labels[1] is 'van', but 'dog' in train.json"),
            (["cat", "dog"], "categories.label.labels: 2 classes, but 3 in train.json"),
            (["cat", "dog", "owl", "x"], "categories.label.labels: 4 classes, but 3 in train.json"),
        ],
    )
    def test_subsets_with_other_classes_are_told_where_they_differ(self, classes, message):
        expected = "expected the same classes in the same order in all subsets, or give split: the one to read"
        assert faults(dump(item("a")), dump(item("a"), classes=classes), path=HOME) == [f"{VAL}: {message}; {expected}"]

    def test_all_files_that_are_faulty_are_told(self):
        assert faults('{"items": ', dump(classes=[]), path=HOME) == [
            "photos/annotations/train.json:1:11: no valid JSON: Expecting value; is the file cut short?",
            f"{VAL}: no class; expected them in categories.label.labels",
            "2 faults in all",
        ]

    @pytest.mark.parametrize(
        ("document", "message"),
        [
            (dump(), "no sample; expected at least one image"),
            (dump(item("a"), categories={}), "no class; expected them in categories.label.labels"),
            ({"categories": {}}, "object missing required field 'items'"),
            (dump({"annotations": []}), "items[0]: object missing required field 'id'"),
            (dump(item("a", [3])), "items[0].annotations[0]: expected 'object', got 'int'"),
            ([], "expected 'object', got 'array'"),
        ],
    )
    def test_a_file_without_samples_or_of_another_shape_is_told(self, document, message):
        assert faults(document) == [message]

    def test_a_folder_without_files_is_told(self):
        expected = "photos/annotations: no file that ends with .json; expected one for each subset"
        assert faults(path=HOME) == [expected]
        (HOME / "annotations").rmdir()
        assert faults(path=HOME) == [expected]

    def test_faults_leave_a_table_of_the_rest(self):
        write(dump(item("a", label(0, 9)), item("x", label(1)), item("b", label(2))))
        with pytest.raises(LabelError) as error:
            DatumaroReader(TRAIN).read()
        assert cells(error.value.table) == {"images/train/a.jpg": [1, 0, 0], "images/train/b.JPG": [0, 0, 1]}


class TestRecognition:
    @pytest.mark.parametrize(
        "document",
        [
            *(
                REAL,
                dump(),
                dump(item("a", label(0))),
                {"infos": {}, "categories": {"label": {"labels": []}}, "items": []},
            ),
            {"categories": {}, "items": [item("a")]},
        ],
    )
    def test_it_is_recognised_by_this_reader_alone(self, document):
        write(document)
        for path in (HOME, TRAIN):
            assert [name for name, reader in installed_readers().items() if reader.recognises(path)] == ["datumaro"]

    @pytest.mark.parametrize(
        "document",
        [
            *("", "{}", "[]", '{"items": []}', "dm_format_version", [dump()], '{"dm_format_version": "1.0"}\n' * 2),
            {"images": [{"id": 1}], "categories": [{"id": 1, "name": "label"}], "annotations": []},
        ],
    )
    def test_others_are_not(self, document):
        write(document)
        assert not DatumaroReader.recognises(TRAIN)
        assert not DatumaroReader.recognises(HOME)
        write(dump(), VAL)
        assert not DatumaroReader.recognises(HOME)

    def test_a_folder_without_files_is_not(self):
        assert not DatumaroReader.recognises(HOME)
        assert not DatumaroReader.recognises(Path("nowhere"))


names = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=8)
repeated = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
fuzzed = settings(repeated, max_examples=100)


@repeated
@given(st.data())
def test_any_table_is_read_back(data):
    classes = data.draw(st.lists(names, min_size=1, max_size=5, unique=True))
    rows = st.lists(st.sampled_from([0, 1]), min_size=len(classes), max_size=len(classes))
    items, expected = {"a": [], "b": []}, {}
    unlabelled = data.draw(st.booleans())
    with tempfile.TemporaryDirectory() as folder:
        for number in range(data.draw(st.integers(1, 5))):
            row, subset = data.draw(rows), data.draw(st.sampled_from(["a", "b"]))
            id_ = f'{data.draw(st.sampled_from(["", "sub/"]))}{number}\' ["é"].x'
            path = Path(folder, "images", subset, f"{id_}.jpg")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            present = data.draw(st.permutations([column for column, cell in enumerate(row) if cell]))
            items[subset].append(item(id_, label(*present), image=data.draw(st.sampled_from(["", None, f"{id_}.jpg"]))))
            expected[f"images/{subset}/{id_}.jpg"] = [-1] * len(classes) if unlabelled and not present else row
        Path(folder, "annotations").mkdir()
        for subset in items:
            write(json.dumps(dump(*items[subset], classes=classes)), Path(folder, "annotations", f"{subset}.json"))
        table = DatumaroReader(Path(folder), empty="unlabelled" if unlabelled else "negative").read()
    assert table.classes == tuple(classes)
    assert cells(table) == expected


@fuzzed
@given(st.binary(max_size=80))
@example(b'{"categories":{"label":{"labels":[{"name":"\\udc80"}]}},"items":[{"id":"\\udc80"}]}')
@example(b'{"categories":{"label":{"labels":[{"name":"a"}]}},"items":[{"id":"\\u0000/a"},{"id":"../../../../etc/x"}]}')
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
    TRAIN.write_bytes(data)
    assert isinstance(DatumaroReader.recognises(HOME), bool)
    for options in ({}, {"shapes": True, "empty": "unlabelled"}):
        try:
            outcome = DatumaroReader(HOME, **options).read().source
        except LabelError as error:
            outcome = str(error)
        assert outcome.startswith("photos")
