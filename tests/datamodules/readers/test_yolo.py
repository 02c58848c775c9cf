import logging
import os
import random
import re
import shutil
import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlic.datamodules.readers.yolo import YoloReader
from mlic.datamodules.sources import installed_readers
from mlic.errors import LabelError

SET = Path("coco8")
CONFIG = SET / "data.yaml"

DATA_YAML = """\ufeff# a comment\r
path: ../datasets/coco8  # of another machine\r
train: images/train\r
val: images/val\r
test:  # none\r
\r
nc: 3\r
names:\r
  0: cat\r
  2: no\r
  1: ' big dog '\r
\r
"""


@pytest.fixture
def coco8(tmp_path, monkeypatch):
    """A small data set below the working directory, so that messages hold short paths."""
    monkeypatch.chdir(tmp_path)
    write(CONFIG, DATA_YAML)
    add("images/train/a.jpg", "\ufeff0 0.5 0.5 0.2 0.2\r\n 2\t.5 1e-1 0.2 0.2 \r\n0 0.5 0.5 0.2 0.2\r\n\r\n")
    add("images/train/b.PNG", "1 0.1 0.1 0.9 0.1 0.9 0.9 0.1 0.9")
    add("images/train/sub/c.jpg", "")
    add("images/val/d.v1.jpg", "0 0.5 0.5 0.2 0.2 7\n")
    add("images/val/e.jpg", None)
    return SET


def write(file, content):
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_bytes(content if isinstance(content, bytes) else content.encode())


def add(image, labels, folder=SET):
    """An image, and its label file unless that is None."""
    path = Path(folder, image)
    write(path, b"")
    if labels is not None:
        before, images, after = f"/{image}".rpartition("/images/")
        label = f"{before}/labels/{after}" if images else image
        write(Path(folder, label.lstrip("/")).with_suffix(".txt"), labels)


def read(path=SET, **options):
    return YoloReader(Path(path), **options).read()


def cells(table):
    return {path: row.tolist() for path, row in zip(table.paths, table.dense(), strict=True)}


def faults(path=SET, **options):
    with pytest.raises(LabelError) as error:
        read(path, **options)
    return str(error.value).splitlines()


def fault(path=SET, **options):
    (line,) = faults(path, **options)
    return line


@pytest.mark.usefixtures("coco8")
class TestADataYaml:
    def test_what_is_in_a_label_file_is_present_and_an_image_without_one_has_no_class(self):
        table = read()
        assert table.classes == ("cat", "big dog", "no")
        assert cells(table) == {
            "images/train/a.jpg": [1, 0, 1],
            "images/train/b.PNG": [0, 1, 0],
            "images/train/sub/c.jpg": [0, 0, 0],
            "images/val/d.v1.jpg": [1, 0, 0],
            "images/val/e.jpg": [0, 0, 0],
        }
        assert (table.num_unlabelled, table.num_all_negative) == (0, 2)
        assert table.root == SET
        assert table.path(0).is_file()
        assert table.source == "coco8/data.yaml"
        assert table.origins == {
            "cat": "coco8/data.yaml:9",
            "big dog": "coco8/data.yaml:11",
            "no": "coco8/data.yaml:10",
        }

    def test_the_file_may_be_named_itself_and_have_another_name(self):
        CONFIG.rename(SET / "coco.yml")
        assert cells(read(SET / "coco.yml")).keys() == cells(read(SET / "coco.yml", split=None)).keys()
        assert YoloReader.recognises(SET / "coco.yml")

    def test_a_split_is_an_entry(self):
        assert list(read(split="val").paths) == ["images/val/d.v1.jpg", "images/val/e.jpg"]
        assert len(read(split="train")) == 3

    @pytest.mark.parametrize(
        ("names", "expected"),
        [
            ("[cat, 'big dog', no]", ("cat", "big dog", "no")),
            ("\n- cat\n- yes\n- 1.0", ("cat", "yes", "1.0")),
            ("{'0': x, '1': y, 2: ~}", ("x", "y", "~")),
            ("[&a cat, '*a', null]", ("cat", "*a", "null")),
        ],
    )
    def test_names_are_a_list_or_a_mapping_and_taken_as_they_are_written(self, names, expected):
        write(CONFIG, f"train: images/train\nnames: {names}\n")
        assert read().classes == expected

    @pytest.mark.parametrize(
        "entry",
        [
            "images/train",
            "./images/train/",
            r"images\train",
            "../images/train",
            "[images/train]",
            "/content/sets/coco8/images/train",
            r"C:\sets\images\train",
            "\n- images/train/sub\n- images/train",
            "train.txt",
            "/content/sets/train.txt",
        ],
    )
    def test_an_entry_is_a_folder_folders_or_a_list_also_of_another_machine(self, entry):
        write(SET / "train.txt", "\n".join(sorted(path for path in cells(read(split="train")))))
        write(CONFIG, f"train: {entry}\nnames: [cat, big dog, no]")
        assert sorted(read().paths) == ["images/train/a.jpg", "images/train/b.PNG", "images/train/sub/c.jpg"]

    @pytest.mark.parametrize(
        "start", ["", "./", "images/train/", "data/images/train/", "/content/coco8/images/train/", "images\\train\\"]
    )
    def test_a_list_may_be_written_in_many_ways(self, start):
        start = start if "train" in start else f"{start}images/train/"
        lines = f"\ufeff{start}b.png\r\n\r\n {start}a.jpg \r\n{start}a.jpg\r\n"
        write(SET / "train.txt", lines)
        write(CONFIG, "train: train.txt\nnames: [cat, big dog, no]")
        assert cells(read()) == {"images/train/b.PNG": [0, 1, 0], "images/train/a.jpg": [1, 0, 1]}

    def test_a_list_may_start_from_its_own_folder(self):
        write(SET / "images/train/list.txt", "a.jpg\n./sub/c.jpg")
        write(CONFIG, "train: images/train/list.txt\nnames: [cat, big dog, no]")
        assert list(read().paths) == ["images/train/a.jpg", "images/train/sub/c.jpg"]

    def test_path_says_where_the_entries_start(self):
        write("configs/coco8.yaml", "path: ../coco8\ntrain: images/train\nnames: [cat, dog, owl]")
        table = read("configs/coco8.yaml")
        assert (len(table), table.path(0).is_file()) == (3, True)
        write("configs/coco8.yaml", f"path: {SET.absolute()}\ntrain: images/train\nnames: [cat, dog, owl]")
        assert read("configs/coco8.yaml").paths[0] == "images/train/a.jpg"

    def test_a_path_that_is_not_there_is_told_and_the_folder_of_the_file_taken(self, caplog):
        with caplog.at_level(logging.INFO):
            read()
        assert caplog.messages == [
            "coco8/data.yaml: the folder '../datasets/coco8' is not there, so paths start from coco8"
        ]

    def test_the_root_may_be_given(self):
        assert read(root=Path()).paths[0] == "coco8/images/train/a.jpg"
        write("configs/coco8.yaml", "train: images/train\nnames: [cat, dog, owl]")
        assert read("configs/coco8.yaml", root=SET).paths[0] == "images/train/a.jpg"
        assert cells(read("configs/coco8.yaml", root=SET))["images/train/a.jpg"] == [1, 0, 1]

    def test_an_entry_that_is_not_there_is_left_out_of_all_and_told(self, caplog):
        write(CONFIG, "train: images/train\ntest: ../test/images\nnames: [cat, dog, owl]")
        assert len(read()) == 3
        assert caplog.messages == ["coco8/data.yaml:2: '../test/images' of test is not there, so it is left out"]
        assert fault(split="test") == (
            "coco8/data.yaml:2: '../test/images' of test is not there; expected a folder of images, or a txt file that "
            "lists them"
        )

    def test_an_image_of_two_entries_is_one_sample(self):
        write(CONFIG, "train: images\nval: images/val\nnames: [cat, dog, owl]")
        assert len(read()) == 5

    def test_a_class_that_has_no_name_in_the_file_is_unknown(self):
        table = read(classes=["no", "owl", "cat", "big dog"])
        assert cells(table)["images/train/a.jpg"] == [1, -1, 1, 0]
        assert faults(classes=["cats", "big dog"]) == [
            "coco8/data.yaml:9: class 'cat' is not among the 2 classes; did you mean 'cats'?",
            "coco8/data.yaml:10: class 'no' is not among the 2 classes",
            "2 faults in all",
        ]

    def test_names_may_come_from_another_file_or_from_the_user(self):
        write(CONFIG, "train: images/train\nnc: 3")
        assert fault() == (
            "coco8/data.yaml: the classes have no names; expected names in data.yaml, or a file classes.txt or "
            "obj.names; or give classes"
        )
        assert read(classes=["cat", "dog", "owl"]).row(0).tolist() == [1, 0, 1]
        write(SET / "classes.txt", "x\r\ny\r\nz\r\n\r\n")
        assert read().classes == ("x", "y", "z")


@pytest.mark.usefixtures("coco8")
class TestLabelFiles:
    @pytest.mark.parametrize(
        ("image", "label"),
        [
            ("images/a.jpg", "labels/a.txt"),
            ("images/a.jpg", "labels/a.TXT"),
            ("train/images/a.jpg", "train/labels/a.txt"),
            ("images/train/images/a.jpg", "images/train/labels/a.txt"),
            ("images/train/a.jpg", "images/train/a.txt"),
            ("photos/a.jpg", "photos/a.txt"),
            ("a.jpg", "a.txt"),
        ],
    )
    def test_labels_stands_for_the_last_images_of_the_path_or_the_file_lies_beside(self, image, label):
        write(Path("new", image), "")
        write(Path("new", label), "1 .5 .5 .2 .2")
        write("new/data.yaml", "train: .\nnames: [cat, dog]")
        assert cells(read("new")) == {image: [0, 1]}

    def test_the_folder_of_labels_may_lie_beside_the_data_root(self):
        add("images/a.jpg", "1 .5 .5 .2 .2", folder="new")
        write("new/images/data.yaml", "train: .\nnames: [cat, dog]")
        assert cells(read("new/images")) == {"a.jpg": [0, 1]}

    @pytest.mark.parametrize(
        ("labels", "row"),
        [
            (b"0 0.5 0.5 0.2 0.2", [1, 0, 0]),
            (b"\r\n\r\n  1 0 1 0 1\r\n", [0, 1, 0]),
            (b"1 0 1 0 1\r2 0 1 0 1", [0, 1, 1]),
            (b"2 -0.1 +1. .5 1E+2 0.9\n2 0 0 0 0\n1 0 0 0 0", [0, 1, 1]),
            (b"01 0.5 0.5 0.2 0.2", [0, 1, 0]),
            (b"\n \n\t\n", [0, 0, 0]),
        ],
    )
    def test_a_line_is_a_position_and_numbers(self, labels, row):
        write(SET / "labels/train/a.txt", labels)
        assert cells(read())["images/train/a.jpg"] == row

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("3 0 0 1 1", "class '3' is none of the 3; expected 0 to 2"),
            ("-1 0 0 1 1", "class '-1' is none of the 3; expected 0 to 2"),
            ("1.0 0 0 1 1", "class '1.0' is none of the 3; expected 0 to 2"),
            ("99999999999999999999 0 0 1 1", "class '99999999999999999999' is none of the 3; expected 0 to 2"),
            ("cat 0 0 1 1", "class 'cat' is none of the 3; expected 0 to 2"),
            ("²  0 0 1 1", "class '²' is none of the 3; expected 0 to 2"),
            ("1", "a line of 1 columns; expected a class and a box, such as '1 0.5 0.5 0.2 0.2'"),
            ("1 0 0 1", "a line of 4 columns; expected a class and a box, such as '1 0.5 0.5 0.2 0.2'"),
            ("1 0 0 1 nan", "'nan' is no number; expected a class and numbers"),
            ("1 0,5 0 1 1", "'0,5' is no number; expected a class and numbers"),
            ("1 0 0 1 1 x", "'x' is no number; expected a class and numbers"),
            ("1 0 0 1 1\0", "'1\0' is no number; expected a class and numbers"),
        ],
    )
    def test_another_line_is_told(self, line, message):
        write(SET / "labels/train/a.txt", f"0 0 0 1 1\n\n{line}\n")
        assert fault() == f"coco8/labels/train/a.txt:3: {message}"

    def test_all_faults_are_told_at_once(self):
        write(SET / "labels/train/a.txt", b"\xff\xfe0\n1 0 0 1 1\n7 0 0 1 1\n")
        write(SET / "labels/train/x.txt", "")
        write(SET / "labels/val/e.v2.txt", "0 0 0 1 1")
        write(SET / "labels/test/sub/f.txt", "0 0 0 1 1")
        write(CONFIG, "train: images/train\nval: images/val\ntest: images/test\nnames: [a, b, c]")
        (SET / "images/test").mkdir()
        (SET / "labels/val/e.txt").mkdir()
        expected = "there is no image for this label file; expected coco8/images"
        assert faults() == [
            "coco8/labels/train/a.txt:1: class '\ufffd\ufffd0' is none of the 3; expected 0 to 2",
            "coco8/labels/train/a.txt:3: class '7' is none of the 3; expected 0 to 2",
            "coco8/labels/val/e.txt: cannot be read (Is a directory); expected the labels of an image",
            f"coco8/labels/train/x.txt: {expected}/train/x.jpg or the like",
            f"coco8/labels/val/e.v2.txt: {expected}/val/e.v2.jpg or the like",
            f"coco8/labels/test/sub/f.txt: {expected}/test/sub/f.jpg or the like",
            "6 faults in all",
        ]

    def test_a_split_does_not_see_the_label_files_of_the_others(self):
        write(SET / "labels/val/x.txt", "")
        assert len(read(split="train")) == 3

    def test_a_label_file_belongs_to_an_image_even_if_the_list_does_not_name_that(self):
        write(SET / "train.txt", "images/train/a.jpg")
        write(CONFIG, "train: train.txt\nnames: [cat, big dog, no]")
        assert list(read().paths) == ["images/train/a.jpg"]
        write(SET / "labels/train/x.txt", "")
        assert fault().startswith("coco8/labels/train/x.txt: there is no image for this label file")

    def test_names_of_classes_and_hidden_files_are_no_label_files(self):
        for name in ("labels/train/classes.txt", "labels/train/._a.txt", "labels/classes.txt", "images/train/._a.jpg"):
            write(SET / name, "cat\n")
        assert len(read()) == 5

    def test_a_pipe_and_a_file_of_no_sensible_size_are_told(self):
        (SET / "labels/train/a.txt").unlink()
        os.mkfifo(SET / "labels/train/a.txt")
        write(SET / "labels/train/b.txt", b" " * (17 << 20))
        expected = "expected the labels of an image"
        assert faults() == [
            f"coco8/labels/train/a.txt: cannot be read (it is not a file); {expected}",
            f"coco8/labels/train/b.txt: cannot be read (it has more than 16 MiB); {expected}",
            "2 faults in all",
        ]

    def test_a_large_file_is_read_to_its_end(self):
        write(SET / "labels/train/a.txt", b"0 0 0 1 1\n" * 20_000 + b"1 0 0 1 1")
        assert cells(read())["images/train/a.jpg"] == [1, 1, 0]

    def test_a_folder_of_label_files_that_cannot_be_read_is_not_taken_for_one_without_any(self):
        shutil.rmtree(SET / "labels/val")
        (SET / "labels/val").symlink_to("val")
        assert faults() == [
            "coco8/labels/val: cannot be read (Too many levels of symbolic links); expected a folder of label files"
        ]

    def test_images_of_which_none_has_a_label_file_are_refused(self):
        os.renames(SET / "labels", "elsewhere")
        assert fault() == (
            "coco8: none of the 5 images has a label file; expected labels/a.txt for images/a.jpg, or a.txt beside "
            "a.jpg"
        )


@pytest.mark.usefixtures("coco8")
class TestOtherLayouts:
    def test_images_labels_and_a_file_of_names_are_enough(self):
        CONFIG.unlink()
        write(SET / "classes.txt", "\ufeffcat\r\nbig dog \r\nno\r\n\r\n")
        table = read()
        assert (table.classes, len(table)) == (("cat", "big dog", "no"), 5)
        assert table.origins["no"] == "coco8/classes.txt:3"
        assert list(read(split="val").paths) == ["images/val/d.v1.jpg", "images/val/e.jpg"]
        assert YoloReader.recognises(SET)

    def test_each_split_may_have_a_folder_of_its_own(self):
        write("robo/data.yaml", "train: ../train/images\nval: ../valid/images\n\nnc: 2\nnames: ['cat', 'dog']\n")
        write("robo/README.roboflow.txt", "hello")
        add("train/images/a.jpg", "1 0 0 1 1", folder="robo")
        add("valid/images/b.jpg", "0 0 0 1 1", folder="robo")
        assert cells(read("robo")) == {"train/images/a.jpg": [0, 1], "valid/images/b.jpg": [1, 0]}
        Path("robo/data.yaml").rename("robo/obj.names")
        write("robo/obj.names", "cat\ndog")
        assert cells(read("robo")) == {"train/images/a.jpg": [0, 1], "valid/images/b.jpg": [1, 0]}
        assert list(read("robo", split="valid").paths) == ["valid/images/b.jpg"]

    def test_darknet_and_cvat_keep_images_and_labels_in_one_folder(self):
        for side, name in (("train", "a"), ("valid", "b")):
            add(f"obj_{side}_data/{name}.jpg", "1 0 0 1 1", folder="dark")
            write(f"dark/{side}.txt", f"data/obj_{side}_data/{name}.jpg\n")
        write("dark/obj.names", "cat\ndog\n")
        write("dark/obj.data", "classes = 2\nnames = data/obj.names\ntrain = data/train.txt\n")
        assert cells(read("dark")) == {"obj_train_data/a.jpg": [0, 1], "obj_valid_data/b.jpg": [0, 1]}
        assert list(read("dark", split="valid").paths) == ["obj_valid_data/b.jpg"]
        assert YoloReader.recognises(Path("dark"))

    def test_all_may_lie_in_one_folder(self):
        add("a.jpg", "1 0 0 1 1", folder="flat")
        add("b.jpg", None, folder="flat")
        write("flat/classes.txt", "cat\ndog\n")
        write("flat/notes.txt", "seen by Ann")
        assert YoloReader.recognises(Path("flat"))
        assert cells(read("flat")) == {"a.jpg": [0, 1], "b.jpg": [0, 0]}
        write("flat/c.txt", "1 0 0 1 1")
        assert fault("flat") == "flat/c.txt: there is no image for this label file; expected flat/c.jpg or the like"

    def test_a_split_that_is_nowhere_is_told(self):
        assert fault(split="tset") == "coco8/data.yaml: there is no split 'tset'; expected train or val"
        assert fault(split="vall").endswith("expected train or val; did you mean 'val'?")
        CONFIG.unlink()
        write(SET / "obj.names", "cat")
        assert fault(split="x") == (
            "coco8/obj.names: there is no split 'x'; expected images/x, x/images, x.txt or obj_x_data"
        )


@pytest.mark.usefixtures("coco8")
class TestFaultsOfTheConfiguration:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "coco8/data.yaml: is empty; expected one document"),
            ("cat", "coco8/data.yaml: holds no keys; expected names, train and val"),
            ("- a\n- b", "coco8/data.yaml: holds no keys; expected names, train and val"),
            ("names: *x", "coco8/data.yaml:1: refers to 'x', which is nowhere above"),
            ("a: 1\n---\nb: 2", "coco8/data.yaml: has several documents; expected one document"),
            (
                "names: cat",
                "coco8/data.yaml:1: 'names' is 'cat'; expected a list, or a mapping from positions to names",
            ),
            (
                "names: [a]\ntrain: {a: b}",
                "coco8/data.yaml:2: 'train' is no path; expected a folder of images, a list of folders, or a txt file "
                "that lists images",
            ),
            (
                "names: [a]\ntrain: [images/train, [b]]",
                "coco8/data.yaml:2: 'train' is no path; expected a folder of images, a list of folders, or a txt file "
                "that lists images",
            ),
            (
                "names: [a]\ntrain: images/trian",
                "coco8/data.yaml: none of its train, val and test is there; expected a folder of images, or a txt file "
                "that lists them",
            ),
            (
                b"names: [\xff]",
                "coco8/data.yaml:1: byte 0xff is not UTF-8; save the file as UTF-8 (it may be Windows-1252)",
            ),
            ("# " + "x" * 1_100_000, "coco8/data.yaml: longer than 1048576 characters; expected a configuration"),
        ],
    )
    def test_they_are_told_with_their_place(self, text, message):
        write(CONFIG, text)
        assert fault() == message

    @pytest.mark.parametrize(
        "text", ["names: [a\ntrain: x", "a: 1\n\tb: 2", "\n\0", "[" * 300_000, "? " * 300_000, "a: " * 9]
    )
    def test_what_is_no_yaml_is_told_in_the_words_of_its_parser(self, text):
        write(CONFIG, text)
        assert re.match(r"coco8/data\.yaml(:\d+:\d+)?: no valid YAML: ", fault())

    def test_faulty_names_are_all_told(self):
        write(CONFIG, "train: images/train\nnc: 4\ntrain: images/train\nnames: [cat, dog, '',\n cat, [x]]")
        assert faults() == [
            "coco8/data.yaml:3: the key 'train' is there twice; expected it once",
            "coco8/data.yaml:2: nc is 4, but there are 5 names; expected as many",
            "coco8/data.yaml:4: a class has no name; expected one",
            "coco8/data.yaml:5: class 'cat' is there twice, first on line 4",
            "coco8/data.yaml:5: a class has no name; expected one",
            "5 faults in all",
        ]

    def test_positions_without_a_name_are_told(self):
        write(CONFIG, "train: images/train\nnames:\n  0: a\n  1: b\n  3: c\n  x: d\n  1: e\n  2.5: f\n")
        assert faults() == [
            "coco8/data.yaml:6: the key 'x' of names is no position; expected 0, 1, 2 ...",
            "coco8/data.yaml:7: position 1 of names is there twice; expected one name",
            "coco8/data.yaml:8: the key '2.5' of names is no position; expected 0, 1, 2 ...",
            "coco8/data.yaml:5: names has position 3, but none 2; expected 0, 1, 2 ...",
            "4 faults in all",
        ]

    def test_references_may_refer_to_each_other_without_end(self):
        levels = "".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]\n" for i in range(1, 30))
        write(CONFIG, f"l0: &l0 [x, x]\n{levels}self: &self [*self]\ntrain: images/train\nnames: [a, b, c]")
        assert read().classes == ("a", "b", "c")
        write(CONFIG, f"l0: &l0 [x, x]\n{levels}train: images/train\nnames: *l29")
        assert faults()[-2:] == ["coco8/data.yaml:29: a class has no name; expected one", "9 faults in all"]

    def test_a_file_of_names_with_a_hole_or_twice_the_same_is_told(self):
        CONFIG.unlink()
        write(SET / "classes.txt", "a\n\nb\n")
        assert fault() == ("coco8/classes.txt:2: a blank line, so the positions of the names below it are not clear")
        write(SET / "classes.txt", "a\nb\na\n")
        assert fault() == "coco8/classes.txt:3: class 'a' is there twice, first on line 1"
        write(SET / "classes.txt", "\n")
        assert faults()[0] == "coco8/classes.txt: no class; expected one a line"

    def test_an_image_that_a_list_names_and_that_is_missing_is_told_with_its_line(self):
        write(SET / "train.txt", "images/train/a.jpg\n\nimages/train/z.jpg\nhttps://host/z.jpg\n")
        write(CONFIG, "train: train.txt\nnames: [cat, big dog, no]")
        there = "expected a file there, or give root: the folder that the paths start from"
        lines = faults()
        assert lines[0] == f"coco8/train.txt:3: no image 'images/train/z.jpg' below coco8; {there}"
        assert lines[1].startswith("coco8/train.txt:4: image 'https://host/z.jpg' is a URI, and nothing is downloaded")

    def test_endless_paths_take_no_time(self):
        write(SET / "train.txt", f"{'a/' * 300_000}a.jpg\n{'b' * 300_000}/a.jpg\n\0/a.jpg\nimages/\0.jpg\n")
        write(CONFIG, "train: train.txt\nnames: [cat, big dog, no]")
        assert faults()[-1] == "4 faults in all"
        write(CONFIG, f"train: /{'a/' * 300_000}\nnames: [cat, big dog, no]")
        assert fault().startswith("coco8/data.yaml: none of its train, val and test is there")
        write(CONFIG, 'train: "a\\0b"\npath: "\\0"\nnames: [cat, big dog, no]')
        assert fault().startswith("coco8/data.yaml: none of its train, val and test is there")

    def test_what_lies_outside_the_data_root_is_refused(self):
        add("images/a.jpg", "0 0 0 1 1", folder="other")
        write(CONFIG, "train: ../other/images\nnames: [cat, big dog, no]")
        assert fault() == (
            "coco8/data.yaml:1: '../other/images' of train lies outside the data root coco8; expected a folder below "
            "it; give root: a folder that holds all images"
        )
        assert cells(read(root=Path())) == {"other/images/a.jpg": [1, 0, 0]}
        write(SET / "train.txt", "../other/images/a.jpg")
        write(CONFIG, "train: train.txt\nnames: [cat, big dog, no]")
        assert faults()[0].startswith("coco8/train.txt:1: image '../other/images/a.jpg' lies outside the data root")

    def test_what_is_not_there_is_told(self):
        assert fault("nowhere.yaml") == "nowhere.yaml: cannot be read (No such file or directory); expected a text file"
        CONFIG.unlink()
        assert fault().startswith("coco8: the classes have no names; expected names in data.yaml")


@pytest.mark.usefixtures("coco8")
class TestRecognition:
    @pytest.mark.parametrize("path", [SET, CONFIG])
    def test_it_is_read_by_yolo_alone(self, path):
        assert [name for name, reader in installed_readers().items() if reader.recognises(path)] == ["yolo"]

    @pytest.mark.parametrize("names", ["classes.txt", "obj.names", "labels/classes.txt"])
    def test_a_folder_without_data_yaml_is_read_by_yolo_alone(self, names):
        CONFIG.unlink()
        write(SET / names, "cat\nbig dog\nno\n")
        assert [name for name, reader in installed_readers().items() if reader.recognises(SET)] == ["yolo"]

    @pytest.mark.parametrize(
        "path", ["coco8/images", "coco8/labels", "coco8/labels/train/a.txt", "nowhere", "other.yaml"]
    )
    def test_other_paths_are_not_its(self, path):
        write("other.yaml", "a.jpg: [cat]\nnames.jpg: [dog]\n")
        assert not YoloReader.recognises(Path(path))


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=8)
STEMS = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"], exclude_characters="/\\:"), max_size=8
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.data())
def test_any_table_written_in_the_layout_is_read_back(data):
    classes = data.draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    stems = data.draw(st.lists(STEMS, min_size=1, max_size=4, unique_by=lambda stem: stem.casefold()))
    row = st.lists(st.sampled_from([1, 0]), min_size=len(classes), max_size=len(classes))
    folder_of = st.sampled_from(["images/train", "images", "images/x y/images"])
    expected = {f"{data.draw(folder_of)}/{number}{stem}.jpg": data.draw(row) for number, stem in enumerate(stems)}
    names = classes if data.draw(st.booleans()) else dict(enumerate(classes))
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder, "data.yaml"), yaml.safe_dump({"train": "images", "names": names}, allow_unicode=True))
        for number, (path, row_) in enumerate(expected.items()):
            found = [column for column, cell in enumerate(row_) if cell]
            lines = [f"{column} 0.5 0.25 1e-3 {column}" for column in data.draw(st.permutations(found + found[:1]))]
            end = data.draw(st.sampled_from(["\n", "\r\n"]))
            add(path, end.join(lines) if lines or number == 0 else data.draw(st.sampled_from([None, ""])), folder)
        table = read(folder)
    assert table.classes == tuple(classes)
    assert cells(table) == expected


FUZZED = (CONFIG, SET / "labels/train/a.txt", SET / "train.txt")


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60), st.sampled_from(FUZZED))
def test_any_bytes_are_a_table_or_a_label_error(coco8, data, file):
    fuzz(file, data)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.sampled_from(FUZZED))
def test_a_file_that_is_cut_or_changed_is_a_table_or_a_label_error(coco8, seed, file):
    rng, whole = random.Random(seed), file.read_bytes() if file.exists() else b"images/train/a.jpg\nimages/val/e.jpg\n"
    data = bytearray(whole[: rng.randrange(1, len(whole))] if seed % 2 else whole)
    for _ in range(seed % 4):
        data[rng.randrange(len(data))] = rng.randrange(256)
    fuzz(file, bytes(data))


def fuzz(file, data):
    before = {path: path.read_bytes() for path in (CONFIG, file) if path.exists()}
    if file.name == "train.txt":
        write(CONFIG, "train: train.txt\nnames: [a, b, c]")
    write(file, data)
    assert isinstance(YoloReader.recognises(SET), bool)
    outcome = read_or_refuse()
    if file not in before:
        file.unlink()
    for path, content in before.items():
        path.write_bytes(content)
    assert outcome.startswith("coco8") if isinstance(outcome, str) else len(outcome) > 0


def read_or_refuse():
    try:
        return read()
    except LabelError as error:
        return str(error)
