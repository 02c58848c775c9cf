import builtins
import csv
import json
import logging
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from mlic.datamodules.readers.imagefolder import ImageFolderReader
from mlic.datamodules.sources import installed_readers
from mlic.errors import LabelError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working directory, so that messages hold short paths; with the images a.jpg to d.jpg."""
    monkeypatch.chdir(tmp_path)
    touch(*(f"{name}.jpg" for name in "abcd"))
    return tmp_path


def touch(*paths):
    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch()


def write(text, path="metadata.jsonl", encoding="utf-8"):
    """Writes a file, a row a line unless it is text already."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(text, str):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in text)
    path.write_bytes(text.encode(encoding))
    return path


def write_parquet(columns, path="metadata.parquet", **metadata):
    table = pa.table(columns)
    parquet.write_table(table.replace_schema_metadata({**metadata}), path)
    return Path(path)


def rows(*labels, **more):
    return [{"file_name": f"{name}.jpg", "labels": value, **more} for name, value in zip("abcd", labels, strict=False)]


def read(text, path="metadata.jsonl", **options):
    return ImageFolderReader(write(text, path), **options).read()


def cells(table):
    return {path: row.tolist() for path, row in zip(table.paths, table.dense(), strict=True)}


def faults(text, path="metadata.jsonl", **options):
    with pytest.raises(LabelError) as error:
        ImageFolderReader(write(text, path) if text is not None else Path(path), **options).read()
    return str(error.value).splitlines()


def fault(text, path="metadata.jsonl", **options):
    (line,) = faults(text, path, **options)
    return line


class TestLists:
    def test_a_data_set_is_read_as_it_comes(self):
        touch("train/sub/0001.PNG", "train/größe 2.jpg", "train/c.jpg", "train/d.jpg", "train/e.jpg")
        lines = [
            '{"file_name": "sub\\\\0001.png", "labels": ["dog", " cat "], "text": "x"}',
            ' {"file_name": "größe 2.jpg", "labels": []} ',
            '{"file_name": "c.jpg", "labels": null}',
            '{"file_name": "d.jpg"}',
            '{"file_name": "e.jpg", "labels": ["dog"]}',
            '{"labels": ["owl", "owl"], "file_name": "./e.jpg"}',
            "",
        ]
        path = write("\ufeff" + "\r\n".join(lines) + "\r\n", "train/metadata.jsonl")
        table = ImageFolderReader(path).read()
        assert table.classes == ("cat", "dog", "owl")
        assert cells(table) == {
            "sub/0001.PNG": [1, 1, 0],
            "größe 2.jpg": [0, 0, 0],
            "c.jpg": [-1, -1, -1],
            "d.jpg": [-1, -1, -1],
            "e.jpg": [0, 1, 1],
        }
        assert (table.num_unlabelled, table.num_all_negative) == (2, 1)
        assert (table.root, table.source) == (Path("train"), str(path))
        assert table.origins == {"cat": f"{path}:1", "dog": f"{path}:1", "owl": f"{path}:6"}
        assert table.open_vocabulary

    def test_a_lone_name_is_a_list_of_one(self):
        assert cells(read(rows("cat", ["dog"]))) == {"a.jpg": [1, 0], "b.jpg": [0, 1]}

    def test_columns_may_be_called_label_and_end_with_file_name(self):
        assert cells(read([{"image_file_name": "a.jpg", "mask_file_name": "m.png", "label": ["cat"]}])) == {
            "a.jpg": [1]
        }
        assert cells(read([{"photo_file_name": "a.jpg", "label": "cat"}])) == {"a.jpg": [1]}
        assert cells(read([{"File_Name": "a.jpg", "Labels": "cat"}])) == {"a.jpg": [1]}

    def test_columns_may_be_told(self):
        row = {"file_name": "a.jpg", "shot": "b.jpg", "labels": ["x"], "tags": ["cat"]}
        table = read([row], image_column="shot", label_column="tags")
        assert (table.classes, cells(table)) == (("cat",), {"b.jpg": [1]})

    def test_classes_may_be_told_and_ordered(self):
        table = read(rows(["cat"]), classes=["dog", "cat"])
        assert (table.classes, cells(table)) == (("dog", "cat"), {"a.jpg": [0, 1]})
        assert fault(rows(["cta"]), classes=["dog", "cat"]) == (
            "metadata.jsonl:1: class 'cta' is not among the 2 classes; did you mean 'cat'?"
        )


LABEL = {"names": ["cat", "dog"], "_type": "ClassLabel"}


class TestNumbers:
    def test_they_stand_for_the_names_that_are_told(self):
        table = read(rows([2, 0], [], 1, "owl", None), names=["dog", "cat", "owl"])
        assert table.classes == ("dog", "cat", "owl")
        assert cells(table) == {"a.jpg": [1, 0, 1], "b.jpg": [0, 0, 0], "c.jpg": [0, 1, 0], "d.jpg": [0, 0, 1]}

    def test_names_may_be_a_file(self):
        Path("names.txt").write_bytes(b"\xef\xbb\xbfdog\r\n big cat \r\n\r\n")
        assert read(rows([1.0]), names=Path("names.txt")).row(0).tolist() == [0, 1]
        Path("names.txt").write_text("dog\n\ndog\n")
        assert fault(rows([1]), names=Path("names.txt")) == "names.txt:3: class 'dog' is there twice, first on line 1"
        Path("names.txt").write_text("\n")
        assert fault(rows([1]), names=Path("names.txt")) == "names.txt: no class; expected one a line"

    def test_they_are_positions_in_the_classes_where_nothing_else_is_told(self):
        assert read(rows([1]), classes=["dog", "cat"]).row(0).tolist() == [0, 1]
        table = read(rows([0]), names=["cat", "dog"], classes=["dog", "cat"])
        assert (table.classes, table.row(0).tolist()) == (("dog", "cat"), [0, 1])

    def test_without_names_they_are_refused_once(self):
        assert fault(rows(["cat"], [3, 4], [5])) == (
            "metadata.jsonl:2: the labels are numbers, such as 3; give names: those of the classes, in order, or a "
            "file with a name a line"
        )

    def test_one_that_has_no_name_is_told(self):
        assert faults(rows([2], -1), names=["cat", "dog"]) == [
            "metadata.jsonl:1: 2 is no class; expected 0 to 1, the numbers of the names",
            "metadata.jsonl:2: -1 is no class; expected 0 to 1, the numbers of the names",
            "2 faults in all",
        ]

    def test_a_1_or_0_for_each_class_is_not_taken_for_numbers(self):
        assert fault(rows([0, 1, 0]), names=["cat", "dog", "owl"]) == (
            "metadata.jsonl:1: [0, 1, 0] has a number twice; expected the positions of the classes that are present, "
            "not a 1 or 0 for each class"
        )

    @pytest.mark.parametrize(
        ("file", "text"),
        [
            (
                "dataset_infos.json",
                json.dumps({"default": {"features": {"labels": {"feature": LABEL, "_type": "Sequence"}}}}),
            ),
            ("dataset_info.json", json.dumps({"features": {"labels": LABEL}})),
            ("dataset_info.json", json.dumps({"features": {"labels": [LABEL]}})),
            (
                "README.md",
                "---\ndataset_info:\n  features:\n  - name: image\n    dtype: image\n  - name: labels\n    sequence:\n"
                "      class_label:\n        names:\n          '0': cat\n          '1': dog\n---\nPets\n",
            ),
            (
                "README.md",
                "---\r\ndataset_info:\r\n- config_name: x\r\n  features:\r\n  - {name: labels, dtype: {class_label: "
                "{names: [cat, dog]}}}\r\n---",
            ),
        ],
    )
    def test_the_data_set_may_tell_their_names(self, file, text, caplog):
        write(text, f"pets/{file}")
        touch("pets/train/a.jpg")
        path = write(rows([1]), "pets/train/metadata.jsonl")
        with caplog.at_level(logging.INFO):
            for each in (Path("pets"), path):
                table = ImageFolderReader(each).read()
                assert (table.classes, table.row(0).tolist()) == (("cat", "dog"), [0, 1])
        assert caplog.messages[0] == f"pets: the classes are those that {Path('pets', file)} tells"

    @pytest.mark.parametrize(
        "text",
        [
            "---\ndataset_info: [\n---\n",
            "---\ndataset_info: {features: {labels: {names: [1, 2]}}}\n---\n",
            "---\ndataset_info: {features: [{name: labels, dtype: {class_label: {names: {x: cat}}}}]}\n---\n",
            "no card",
            "---\n" + "[" * 1000 + "\n---\n",
        ],
    )
    def test_what_tells_none_is_passed_over(self, text):
        write(text, "README.md")
        write("[" * 9, "dataset_infos.json")
        assert "give names" in fault(rows([1]))


class TestMappings:
    def test_a_class_that_is_not_named_is_unknown(self):
        table = read(rows({"cat": 1, "dog": 0}, {"dog": 0.25}, {}, {"cat": None, "owl": True}))
        assert table.classes == ("cat", "dog", "owl")
        assert cells(table) == {
            "a.jpg": [1, 0, -1],
            "b.jpg": [-1, 0.25, -1],
            "c.jpg": [-1, -1, -1],
            "d.jpg": [-1, -1, 1],
        }
        assert not table.open_vocabulary

    def test_lists_may_stand_beside_them(self):
        assert cells(read(rows({"cat": 0}, ["dog"], []))) == {"a.jpg": [0, -1], "b.jpg": [0, 1], "c.jpg": [0, 0]}

    def test_rows_of_one_image_complete_each_other_but_must_not_contradict(self):
        both = [{"file_name": "a.jpg", "labels": {"cat": 1}}, {"file_name": "a.jpg", "labels": {"dog": 0.5, "cat": 1}}]
        assert cells(read(both)) == {"a.jpg": [1, 0.5]}
        both[1]["labels"] = {"cat": 0}
        assert fault(both) == (
            "metadata.jsonl:2: class 'cat' is absent in image 'a.jpg', but present at metadata.jsonl:1; expected one "
            "of them"
        )

    @pytest.mark.parametrize("label", [-1, 2, 1.5, "yes", [1]])
    def test_another_label_is_told(self, label):
        assert faults(rows({"cat": label}))[0] == (
            f"metadata.jsonl:1: 'cat' is {label}; expected 1, 0, a probability between, or null for unknown"
        )


class TestCsv:
    def read(self, text, **options):
        return read(text, "metadata.csv", **options)

    def fault(self, text, **options):
        return fault(text, "metadata.csv", **options)

    def test_a_data_set_is_read_as_it_comes(self):
        Path("c.jpg").rename("c.JPG")
        text = (
            "\ufefffile_name, labels ,text\r\n"
            'a.jpg,"[""cat"", ""dog""]",x\r\n'
            "b.jpg, cat ,\r\n"
            "c.jpg,[],\r\n"
            "d.jpg,,\r\n"
            ".\\b.jpg,\"['dog']\",\r\n\r\n ,,\r\n"
        )
        table = self.read(text)
        assert table.classes == ("cat", "dog")
        assert cells(table) == {"a.jpg": [1, 1], "b.jpg": [1, 1], "c.JPG": [0, 0], "d.jpg": [-1, -1]}
        assert table.origins["dog"] == "metadata.csv:2"

    def test_cells_may_hold_mappings_and_numbers(self):
        table = self.read(
            'file_name,label\na.jpg,"{""cat"": 0.5}"\nb.jpg,1\nc.jpg,1.0\nd.jpg,"[0, 1]"\n', names=["cat", "dog"]
        )
        assert cells(table) == {"a.jpg": [0.5, -1], "b.jpg": [0, 1], "c.jpg": [0, 1], "d.jpg": [1, 1]}
        assert self.fault("file_name,label\na.jpg,7\n").startswith("metadata.csv:2: the labels are numbers, such as 7;")
        assert self.read("file_name,label\na.jpg,7\n", names=["3", "7"]).row(0).tolist() == [0, 1]

    @pytest.mark.parametrize("cell", ["", "?", "nan", "NaN"])
    def test_a_blank_is_unlabelled(self, cell):
        assert cells(self.read(f"file_name,label\na.jpg,{cell}\nb.jpg,cat\n")) == {"a.jpg": [-1], "b.jpg": [1]}

    @pytest.mark.parametrize("cell", ["None", "null", "N/A"])
    def test_what_may_be_none_or_not_labelled_is_refused(self, cell):
        assert self.fault(f"file_name,label\na.jpg,{cell}\nb.jpg,cat\n") == (
            f"metadata.csv:2: '{cell}' may mean no class or not labelled; expected [], or a blank"
        )

    @pytest.mark.parametrize("cell", ["[cat]", "['cat' 'dog']", "{cat}", "[" * 200 + "]"])
    def test_a_list_that_is_none_is_told(self, cell):
        shown = cell if len(cell) <= 60 else cell[:57] + "..."
        assert self.fault(f"file_name,label\na.jpg,{cell}\nb.jpg,cat\n") == (
            f'metadata.csv:2: {shown} is no list; expected one such as ["cat", "dog"]'
        )

    def test_a_name_may_have_a_comma(self):
        assert self.read('file_name,label\na.jpg,"tench, Tinca"\nb.jpg,cat\n').classes == ("cat", "tench, Tinca")

    def test_a_cell_that_looks_like_several_names_of_a_list_is_refused(self):
        assert "'cat|dog' may be one label or several" in self.fault(
            'file_name,labels\na.jpg,"[""cat"", ""owl""]"\nb.jpg,cat|dog\n'
        )

    @pytest.mark.parametrize("delimiter", [",", "|", ";"])
    def test_a_cell_that_looks_like_several_names_of_other_cells_is_refused(self, delimiter):
        assert self.fault(f'file_name,label\na.jpg,cat\nb.jpg,"cat{delimiter}dog"\n') == (
            f'metadata.csv:3: \'cat{delimiter}dog\' may be one label or several; write a list, such as ["cat", "dog"], '
            f"or read the file with class_path: csv and delimiter: '{delimiter}'"
        )
        known = ["cat", f"cat{delimiter}dog"]
        assert self.read(f'file_name,label\na.jpg,cat\nb.jpg,"cat{delimiter}dog"\n', names=known).num_classes == 2

    def test_rows_that_are_no_csv_are_told(self):
        text = 'file_name,label\na.jpg\nno.jpg,cat\nb.jpg,cat,dog\nc.jpg,"cat\n'
        assert faults(text, "metadata.csv") == [
            "metadata.csv:2: 1 cells, but the header names 2 columns",
            "metadata.csv:3: no image 'no.jpg' below .; expected a file there, or give root: the folder that the paths "
            "start from",
            "metadata.csv:4: 3 cells, but the header names 2 columns",
            "metadata.csv:5: unexpected end of data; is a quotation mark left open?",
            "4 faults in all",
        ]


class TestParquet:
    def test_lists_of_names(self):
        labels = [["dog", "cat"], [], None, ["dog"]]
        path = write_parquet(
            {"file_name": ["a.jpg", "b.jpg", "c.jpg", ".\\d.jpg"], "labels": labels, "n": [1, 2, 3, 4]}
        )
        table = ImageFolderReader(path).read()
        assert table.classes == ("cat", "dog")
        assert cells(table) == {"a.jpg": [1, 1], "b.jpg": [0, 0], "c.jpg": [-1, -1], "d.jpg": [0, 1]}
        assert table.origins == dict.fromkeys(("cat", "dog"), "metadata.parquet:1")

    def test_more_rows_than_are_read_at_a_time(self):
        path = write_parquet({"file_name": ["a.jpg", "b.jpg"] * 2500, "label": ["cat", "dog"] * 2500})
        assert cells(ImageFolderReader(path).read()) == {"a.jpg": [1, 0], "b.jpg": [0, 1]}

    @pytest.mark.parametrize("kind", [pa.list_(pa.int64()), pa.list_(pa.int8(), 1), pa.large_list(pa.uint32())])
    def test_numbers_have_the_names_that_the_file_tells(self, kind):
        features = {"labels": {"feature": {"names": ["dog", "cat"], "_type": "ClassLabel"}, "_type": "List"}}
        columns = {"file_name": ["a.jpg", "b.jpg"], "labels": pa.array([[1], None], kind)}
        path = write_parquet(columns, huggingface=json.dumps({"info": {"features": features}}))
        table = ImageFolderReader(path).read()
        assert (table.classes, cells(table)) == (("dog", "cat"), {"a.jpg": [0, 1], "b.jpg": [-1, -1]})

    def test_a_map_and_a_struct_are_mappings(self):
        labels = pa.array([[("cat", 0.5)], [], None], pa.map_(pa.string(), pa.float64()))
        path = write_parquet({"file_name": ["a.jpg", "b.jpg", "c.jpg"], "labels": labels})
        assert cells(ImageFolderReader(path).read()) == {"a.jpg": [0.5], "b.jpg": [-1], "c.jpg": [-1]}
        path = write_parquet(
            {"file_name": ["a.jpg", "b.jpg"], "labels": [{"cat": 1, "dog": None}, {"cat": 0, "dog": 1}]}
        )
        assert cells(ImageFolderReader(path).read()) == {"a.jpg": [1, -1], "b.jpg": [0, 1]}

    IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])

    def test_of_an_image_the_path_is_read(self):
        images = pa.array([{"bytes": b"x" * 9, "path": "a.jpg"}, {"bytes": None, "path": "b.jpg"}], self.IMAGE)
        path = write_parquet({"image": images, "label": pa.array(["cat", "dog"]).dictionary_encode()}, "x.parquet")
        assert cells(ImageFolderReader(path).read()) == {"a.jpg": [1, 0], "b.jpg": [0, 1]}

    @pytest.mark.parametrize("name", ["x.jpg", None])
    def test_images_that_are_nowhere_but_inside_are_told(self, name):
        images = pa.array([{"bytes": b"x", "path": name}], self.IMAGE)
        write_parquet({"image": images, "labels": [["cat"]]})
        assert fault(None, "metadata.parquet") == (
            "metadata.parquet: its images are inside the file, which are not read; save them as files, and name these "
            "in a column file_name"
        )

    def test_without_pyarrow_it_says_what_to_install(self, monkeypatch):
        write_parquet({"file_name": ["a.jpg"], "labels": [["cat"]]})
        there = builtins.__import__

        def imports(name, *rest):
            if name.startswith("pyarrow"):
                raise ImportError(name)
            return there(name, *rest)

        monkeypatch.setattr(builtins, "__import__", imports)
        assert ImageFolderReader.recognises(Path("metadata.parquet"))
        assert fault(None, "metadata.parquet") == (
            'metadata.parquet: Parquet is read with pyarrow, which is not installed; pip install "mlic[parquet]"'
        )

    def test_what_is_no_parquet_is_told(self):
        assert fault("PAR1 and nothing PAR1", "metadata.parquet").startswith("metadata.parquet: no valid Parquet: ")
        assert (
            fault(None, "no.parquet")
            == "no.parquet: cannot be read (No such file or directory); expected a Parquet file"
        )


class TestPaths:
    @pytest.mark.parametrize(
        ("written", "wrong"),
        [
            ("../a.jpg", "leads out of the folder"),
            ("sub\\..\\a.jpg", "leads out of the folder"),
            ("/etc/a.jpg", "is an absolute path"),
            ("C:\\a.jpg", "is an absolute path"),
            ("https://example.org/a.jpg", "is a URL"),
            ("zip://a.jpg::b.zip", "is a URL"),
        ],
    )
    def test_those_that_lead_elsewhere_are_refused(self, written, wrong):
        assert faults([{"file_name": written, "labels": ["cat"]}, *rows(["cat"])]) == [
            f"metadata.jsonl:1: image '{written}' {wrong}; expected a path relative to the metadata file"
        ]

    def test_those_that_are_missing_are_told(self):
        text = [
            {"file_name": "no.jpg", "labels": []},
            {"labels": ["cat"]},
            {"file_name": "", "labels": []},
            {"file_name": 3},
        ]
        assert faults([*text, *rows(["cat"])]) == [
            "metadata.jsonl:1: no image 'no.jpg' below .; expected a file there, or give root: the folder that the "
            "paths start from",
            "metadata.jsonl:2: it has no 'file_name'; expected an image, or give image_column: what names it",
            "metadata.jsonl:3: the path of an image is blank; expected one",
            "metadata.jsonl:4: it has no 'file_name'; expected an image, or give image_column: what names it",
            "4 faults in all",
        ]

    def test_the_root_stands_for_the_folder(self):
        touch("far/train/x.jpg")
        write([{"file_name": "x.jpg", "labels": ["cat"]}], "notes/train/metadata.jsonl")
        table = ImageFolderReader(Path("notes"), root=Path("far")).read()
        assert (list(table.paths), table.root) == (["train/x.jpg"], Path("far"))
        table = ImageFolderReader(Path("notes/train/metadata.jsonl"), root=Path("far/train")).read()
        assert list(table.paths) == ["x.jpg"]

    def test_other_files_may_lie_beside_the_folder_of_images(self):
        touch("images/x.jpg", "val/y.jpg")
        assert read([{"file_name": "x.jpg", "labels": ["cat"]}], "train.jsonl").root == Path("images")
        assert read([{"file_name": "y.jpg", "labels": ["cat"]}], "val.jsonl").root == Path("val")


class TestFolders:
    @pytest.fixture(autouse=True)
    def pets(self):
        for split, name in {"train": "a", "valid": "b", "test": "c"}.items():
            touch(f"pets/{split}/{name}.jpg")
            write([{"file_name": f"{name}.jpg", "labels": [name]}], f"pets/{split}/metadata.jsonl")

    def paths(self, **options):
        return list(ImageFolderReader(Path("pets"), **options).read().paths)

    def test_all_splits_are_one_table(self):
        table = ImageFolderReader(Path("pets")).read()
        assert cells(table) == {"test/c.jpg": [0, 0, 1], "train/a.jpg": [1, 0, 0], "valid/b.jpg": [0, 1, 0]}
        assert (table.root, table.source) == (Path("pets"), "pets")
        assert table.origins["b"] == "pets/valid/metadata.jsonl:1"

    @pytest.mark.parametrize("word", ["valid", "val", "validation", "dev", "Val"])
    def test_a_split_may_be_called_otherwise(self, word):
        assert self.paths(split=word) == ["valid/b.jpg"]

    def test_a_split_that_is_not_there_is_told(self):
        assert fault(None, "pets", split="fold1") == "pets: no split 'fold1'; there are test, train, validation"

    def test_splits_may_lie_in_data_and_have_any_name(self):
        Path("hub").mkdir()
        Path("pets").rename("hub/data")
        touch("hub/fold1/d.jpg")
        write([{"file_name": "d.jpg", "labels": ["a"]}], "hub/fold1/metadata.csv.jsonl").rename(
            "hub/fold1/metadata.jsonl"
        )
        table = ImageFolderReader(Path("hub")).read()
        assert list(table.paths) == ["data/test/c.jpg", "data/train/a.jpg", "data/valid/b.jpg", "fold1/d.jpg"]
        assert list(ImageFolderReader(Path("hub"), split="fold1").read().paths) == ["fold1/d.jpg"]
        assert ImageFolderReader.recognises(Path("hub"))

    def test_one_file_may_have_the_images_of_all_splits(self):
        names = {"train/a.jpg": "a", "valid\\b.jpg": "b", "./test/c.jpg": "c"}
        for split in ("train", "valid", "test"):
            Path(f"pets/{split}/metadata.jsonl").unlink()
        write([{"file_name": path, "labels": [name]} for path, name in names.items()], "pets/metadata.jsonl")
        assert self.paths() == ["train/a.jpg", "valid/b.jpg", "test/c.jpg"]
        assert self.paths(split="val") == ["valid/b.jpg"]
        assert fault(None, "pets", split="fold") == "pets: no split 'fold'; there are test, train, validation"

    def test_a_file_is_of_the_split_in_its_name_or_its_folders(self):
        assert list(ImageFolderReader(Path("pets/train/metadata.jsonl"), split="train").read().paths) == ["a.jpg"]
        path = write(rows(["cat"]), "test_labels.jsonl")
        assert len(ImageFolderReader(path, split="test").read()) == 1
        assert fault(None, "test_labels.jsonl", split="train") == "test_labels.jsonl: no split 'train'; there are test"

    def test_two_files_in_one_folder_are_refused(self):
        write("file_name,labels\na.jpg,cat\n", "pets/train/metadata.csv")
        assert fault(None, "pets") == (
            "pets/train/metadata.jsonl: there is metadata.csv, too; expected one of them, or give one as path"
        )

    def test_a_folder_without_a_file_is_told(self):
        Path("bare").mkdir()
        assert fault(None, "bare") == (
            "bare: there is no metadata.csv, metadata.jsonl or metadata.parquet, nor one in a folder in it"
        )


class TestFaults:
    def test_what_lists_the_labels_must_be_clear(self):
        assert fault([{"file_name": "a.jpg", "labels": [], "label": "x"}]) == (
            "metadata.jsonl:1: 'labels' and 'label' may both be the label's; give label_column: one of them"
        )
        assert fault([{"left_file_name": "a.jpg", "right_file_name": "b.jpg", "label": "x"}]) == (
            "metadata.jsonl:1: 'left_file_name' and 'right_file_name' may both be the image's; give image_column: one "
            "of them"
        )

    def test_rows_without_labels_are_told(self):
        assert faults([{"file_name": "a.jpg", "tags": ["cat"]}])[0] == (
            "metadata.jsonl: no row has 'labels' or 'label'; there are file_name, tags; give label_column: what lists "
            "the labels"
        )
        assert faults([{"file_name": "a.jpg", "tags": ["cat"]}], label_column="tag")[0] == (
            "metadata.jsonl: no row has 'tag'; did you mean 'tags'?; give label_column: what lists the labels"
        )

    def test_a_test_split_may_have_no_labels_where_the_classes_are_known(self):
        assert cells(read([{"file_name": "a.jpg"}], classes=["cat"])) == {"a.jpg": [-1]}

    @pytest.mark.parametrize("value", [True, [None], [["cat"]], [1.5]])
    def test_what_is_no_label_is_told(self, value):
        shown = value[0] if isinstance(value, list) else value
        assert faults([*rows(value), *rows(["cat"])])[0] == (
            f"metadata.jsonl:1: {shown!r} is no label; expected the name or the number of a class"
        )

    def test_a_number_that_is_none_is_unlabelled(self):
        assert cells(read('{"file_name": "a.jpg", "label": NaN}\n{"file_name": "b.jpg", "label": "cat"}')) == {
            "a.jpg": [-1],
            "b.jpg": [1],
        }

    def test_lines_that_are_no_json_are_told_together_with_the_rest(self):
        lines = faults(
            '{"file_name": "a.jpg", "labels": ["cat"]}\n{"file_name": \n[1]\n{"file_name": "b.jpg", "labels": [""]}'
        )
        assert lines[0].startswith("metadata.jsonl:2: ")
        assert lines[1].startswith("metadata.jsonl:3: expected 'object', got 'array'")
        assert lines[2:] == ["metadata.jsonl:4: the name of a class is blank; expected one", "3 faults in all"]

    def test_a_mapping_that_names_a_class_twice_is_told(self):
        assert faults(rows({"cat": 1, " cat": 0}))[0] == (
            "metadata.jsonl:1: {'cat': 1, ' cat': 0} names a class twice; expected it once"
        )

    def test_nothing_at_all(self):
        assert faults("")[-1] == "2 faults in all"
        assert fault(None, "no.jsonl").startswith("no.jsonl: cannot be read (No such file or directory)")


class TestRecognition:
    @pytest.mark.parametrize(
        "make",
        [
            lambda: write(rows(["cat"], [])),
            lambda: write(rows(["cat"]), "train.jsonl"),
            lambda: write(rows(["cat"], []), "train.json"),
            lambda: write("\ufefffile_name,labels\r\na.jpg,cat\r\n", "metadata.csv"),
            lambda: write("text;image_file_name;label\nx;a.jpg;cat\n", "metadata.csv"),
            lambda: write_parquet({"file_name": ["a.jpg"], "labels": [["cat"]]}),
            lambda: write_parquet({"image": [{"bytes": b"", "path": "a.jpg"}], "label": [0]}, "train-0-of-1.parquet"),
            lambda: write(rows(["cat"]), "pets/metadata.jsonl").parent,
            lambda: write(rows(["cat"]), "pets/train/metadata.jsonl").parent.parent,
            lambda: write("file_name,label\na.jpg,cat\n", "pets/test/metadata.csv").parent.parent,
        ],
    )
    def test_a_data_set_is_recognised_by_this_reader_alone(self, make):
        path = make()
        touch("pets/train/a.jpg", "pets/test/a.jpg")
        assert [name for name, reader in installed_readers().items() if reader.recognises(path)] == ["imagefolder"]

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("metadata.csv", "file_name,cat,dog\na.jpg,1,0\n"),
            ("metadata.csv", "image,labels\na.jpg,cat\n"),
            ("train.csv", "file_name,labels\na.jpg,cat\n"),
            ("metadata.jsonl", '{"file_name": "a.jpg", "text": "a cat"}\n'),
            ("x.jsonl", '{"image_url": "a.jpg", "label": ["cat"]}\n'),
            ("x.json", '{"images": [{"file_name": "a.jpg"}], "labels": []}'),
            ("x.json", '{"file_name": "a.jpg", "labels": []}'),
            ("x.parquet", "PAR1labelfile_name"),
            ("x.parquet", ""),
            ("metadata.jsonl", "\0"),
        ],
    )
    def test_other_files_are_not(self, name, text):
        write(text, f"x/{name}")
        assert not ImageFolderReader.recognises(Path("x", name))
        assert not ImageFolderReader.recognises(Path("x"))
        assert not ImageFolderReader.recognises(Path("x/nowhere.jsonl"))


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1).map(str.strip).filter(bool)
FILES = st.text(
    st.characters(codec="utf-8", exclude_characters="/\\", exclude_categories=["Cc", "Z"]), min_size=1, max_size=8
)
quick = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def tables(draw, label):
    """Classes, and a row of labels for each image, of which None is an unlabelled one."""
    classes = sorted(draw(st.lists(NAMES, min_size=1, max_size=4, unique=True)))
    images = draw(st.lists(FILES.map(lambda name: f"{name}.jpg"), min_size=1, max_size=4, unique_by=str.casefold))
    row = st.none() | st.lists(label, min_size=len(classes), max_size=len(classes))
    return classes, {image: draw(row) for image in images}


def expected(classes, labels):
    return {image: [-1] * len(classes) if row is None else row for image, row in labels.items()}


def written(classes, row, numbers):
    names = range(len(classes)) if numbers else classes
    return None if row is None else [name for name, label in zip(names, row, strict=True) if label]


@quick
@given(tables(st.sampled_from([1, 0])), st.sampled_from(["jsonl", "csv", "parquet"]), st.booleans())
def test_any_table_of_lists_is_read_back(table, kind, numbers):
    classes, labels = table
    with tempfile.TemporaryDirectory() as place:
        touch(*(Path(place, image) for image in labels))
        lists = [written(classes, row, numbers) for row in labels.values()]
        path = Path(place, f"metadata.{kind}")
        if kind == "jsonl":
            write([{"file_name": image, "labels": said} for image, said in zip(labels, lists, strict=True)], path)
        elif kind == "csv":
            with path.open("w", encoding="utf-8", newline="") as stream:
                lines = csv.writer(stream)
                lines.writerow(["file_name", "labels"])
                cells_of = ["" if said is None else json.dumps(said) for said in lists]
                lines.writerows(zip(labels, cells_of, strict=True))
        else:
            kinds = pa.list_(pa.int64() if numbers else pa.string())
            write_parquet({"file_name": list(labels), "labels": pa.array(lists, kinds)}, path)
        found = ImageFolderReader(path, names=classes).read()
    assert (found.classes, cells(found)) == (tuple(classes), expected(classes, labels))


@quick
@given(tables(st.sampled_from([1, 0, -1, 0.5, 0.25])), st.booleans())
def test_any_table_with_unknown_and_soft_labels_is_read_back(table, in_csv):
    classes, labels = table
    said = {
        image: None if row is None else {name: label for name, label in zip(classes, row, strict=True) if label != -1}
        for image, row in labels.items()
    }
    with tempfile.TemporaryDirectory() as place:
        touch(*(Path(place, image) for image in labels))
        if in_csv:
            path = Path(place, "metadata.csv")
            with path.open("w", encoding="utf-8", newline="") as stream:
                lines = csv.writer(stream)
                lines.writerow(["file_name", "labels"])
                lines.writerows((image, "" if row is None else json.dumps(row)) for image, row in said.items())
        else:
            path = write([{"file_name": image, "labels": row} for image, row in said.items()], Path(place, "x.jsonl"))
        found = ImageFolderReader(path, classes=classes).read()
    assert cells(found) == expected(classes, labels)


VALID = {
    "metadata.jsonl": b'{"file_name": "a.jpg", "labels": ["cat"]}\n{"file_name": "b.jpg", "labels": {"cat": 0.5}}\n',
    "metadata.csv": b'file_name,labels\na.jpg,"[""cat"", ""dog""]"\nb.jpg,dog\nc.jpg,\n',
}
often = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def parquet_bytes(tmp_path_factory):
    path = tmp_path_factory.mktemp("parquet") / "x.parquet"
    features = {"labels": {"feature": {"names": ["cat", "dog"], "_type": "ClassLabel"}, "_type": "Sequence"}}
    columns = {"file_name": ["a.jpg", "b.jpg", "c.jpg"], "labels": [[0], [1, 0], None]}
    return write_parquet(columns, path, huggingface=json.dumps({"info": {"features": features}})).read_bytes()


def outcome(name, data):
    Path(name).write_bytes(data)
    ImageFolderReader.recognises(Path(name))
    try:
        return len(ImageFolderReader(Path(name)).read())
    except LabelError as error:
        return str(error)


@often
@given(st.binary(max_size=100), st.sampled_from(["metadata.jsonl", "metadata.csv", "metadata.parquet"]))
def test_any_bytes_are_a_table_or_a_label_error(data, name):
    assert outcome(name, data)


@often
@given(st.sampled_from([*sorted(VALID), "metadata.parquet"]), st.data())
def test_a_file_that_is_cut_or_damaged_is_a_table_or_a_label_error(parquet_bytes, name, data):
    valid = VALID.get(name, parquet_bytes)
    at = data.draw(st.integers(0, len(valid) - 1))
    damage = data.draw(st.none() | st.binary(min_size=1, max_size=3))
    assert outcome(name, valid[:at] + (b"" if damage is None else damage + valid[at + len(damage) :]))
