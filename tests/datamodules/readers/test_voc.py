import logging
import os
import random
import tempfile
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlic.datamodules.annotations.xmlfiles import Elements
from mlic.datamodules.readers.voc import VocReader
from mlic.datamodules.readers.vocxml import VocAnnotation
from mlic.datamodules.sources import installed_readers
from mlic.errors import LabelError
from mlic.suffixes import is_image

HOME = Path("VOC2012")
NOTES = HOME / "Annotations"
MAIN = HOME / "ImageSets/Main"

DOG_AND_DIFFICULT_CAT = """\ufeff<?xml version="1.0" encoding="utf-8"?>\r
<annotation>\r
\t<folder>VOC2012</folder>\r
\t<filename>2008_000001.jpg</filename>\r
\t<source><database>The VOC2008 Database</database><annotation>PASCAL VOC2008</annotation></source>\r
\t<size><width>500</width><height>375</height><depth>3</depth></size>\r
\t<segmented>0</segmented>\r
\t<object>\r
\t\t<name> dog </name>\r
\t\t<pose>Left</pose>\r
\t\t<difficult>0</difficult>\r
\t\t<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>\r
\t\t<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>\r
\t</object>\r
\t<object><name>cat</name><difficult>1</difficult></object>\r
</annotation>\r
\r
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A small VOC2012 below the working directory, so that messages hold short paths."""
    monkeypatch.chdir(tmp_path)
    add("2008_000001", DOG_AND_DIFFICULT_CAT)
    add("2008_000002", note(("cat", 1), ("cat", 0), ("person", None)), image="2008_000002.JPG")
    add("2008_000003", "<annotation></annotation>")
    (HOME / "JPEGImages/2008_000004.jpg").touch()
    MAIN.mkdir(parents=True)
    (MAIN / "train.txt").write_bytes(b"\xef\xbb\xbf2008_000003\r\n 2008_000001 \r\n\r\n2008_000003\r\n")
    (MAIN / "val.txt").write_text("2008_000002\n")
    (MAIN / "cat_train.txt").write_bytes(b"\xef\xbb\xbf2008_000001  0\r\n2008_000003 -1\r\n\r\n")
    (MAIN / "cat_val.txt").write_text("2008_000002  1\n")
    (MAIN / "cat_trainval.txt").write_text("2008_000001  0\n2008_000002  1\n2008_000003 -1\n")
    (MAIN / "big_dog_train.txt").write_text("2008_000003 -1\n2008_000001  1\n2008_000001  1\n")
    (MAIN / "big_dog_val.txt").write_text("2008_000002 -1\n")
    return HOME


def note(*objects, filename="x.jpg"):
    """The XML of some objects, each a name and whether it is difficult, or None to leave that out."""
    text = ""
    for name, difficult in objects:
        inner = "" if difficult is None else f"<difficult>{difficult}</difficult>"
        text += f"<object><name>{escape(name)}</name>{inner}</object>\n"
    return f"<annotation><filename>{escape(filename)}</filename>\n{text}</annotation>"


def add(id_, xml, image=None, notes=NOTES, images=HOME / "JPEGImages"):
    images.mkdir(parents=True, exist_ok=True)
    (notes / f"{id_}.xml").parent.mkdir(parents=True, exist_ok=True)
    (notes / f"{id_}.xml").write_bytes(xml if isinstance(xml, bytes) else xml.encode())
    image = f"{id_}.jpg" if image is None else image
    if image:
        (images / image).parent.mkdir(parents=True, exist_ok=True)
        (images / image).touch()


def read(path=HOME, **options):
    return VocReader(Path(path), **options).read()


def cells(table):
    return {path: row.tolist() for path, row in zip(table.paths, table.dense(), strict=True)}


def faults(path=HOME, **options):
    with pytest.raises(LabelError) as error:
        read(path, **options)
    return str(error.value).splitlines()


@pytest.mark.usefixtures("home")
class TestXmlFiles:
    def test_an_object_is_present_a_difficult_one_unknown_and_another_class_absent(self):
        table = read()
        assert table.classes == ("cat", "dog", "person")
        assert cells(table) == {
            "2008_000001.jpg": [-1, 1, 0],
            "2008_000002.JPG": [1, 0, 1],
            "2008_000003.jpg": [0, 0, 0],
        }
        assert (table.num_unlabelled, table.num_all_negative) == (0, 1)
        assert table.root == HOME / "JPEGImages"
        assert table.path(0).is_file()
        assert table.source == "VOC2012"
        assert table.origins == {
            "dog": "VOC2012/Annotations/2008_000001.xml:9",
            "cat": "VOC2012/Annotations/2008_000001.xml:15",
            "person": "VOC2012/Annotations/2008_000002.xml:4",
        }

    def test_a_class_that_the_files_never_name_is_absent(self):
        assert read().align(["bird", "cat", "dog", "person"]).row(2).tolist() == [0, 0, 0, 0]

    @pytest.mark.parametrize("difficult", ["", "0", " 0 ", "False", None])
    def test_what_is_not_said_to_be_difficult_is_not(self, difficult):
        add("2008_000003", note(("dog", difficult)))
        assert cells(read())["2008_000003.jpg"] == [0, 1, 0]

    @pytest.mark.parametrize("difficult", ["1", "\n1\n", "true"])
    def test_a_class_whose_objects_are_all_difficult_is_unknown(self, difficult):
        add("2008_000003", note(("dog", difficult), ("dog", difficult)))
        assert cells(read())["2008_000003.jpg"] == [0, -1, 0]

    def test_difficult_counts_for_its_own_object_wherever_it_stands(self):
        objects = "<object><difficult>1</difficult><name>dog</name></object><object><name>cat</name></object>"
        add("2008_000003", f"<annotation>{objects}</annotation>")
        assert cells(read())["2008_000003.jpg"] == [1, -1, 0]

    def test_the_original_folder_may_be_named_or_the_one_around_it_or_that_of_the_xml_files(self):
        assert list(read(".").paths) == list(read(NOTES).paths) == list(read().paths)

    def test_two_sets_in_one_folder_are_refused(self, home):
        os.renames("VOC2012", "kit/VOC2012")
        add("000001", note(("dog", 0)), notes=Path("kit/VOC2007/Annotations"), images=Path("kit/VOC2007/JPEGImages"))
        assert faults("kit") == ["kit: holds VOC2007 and VOC2012; give the path of one"]
        assert len(read("kit/VOC2007")) == 1

    def test_the_split_is_a_list_of_ids_in_its_order(self):
        assert list(read(split="train").paths) == ["2008_000003.jpg", "2008_000001.jpg"]
        assert cells(read(split="val")) == {"2008_000002.JPG": [1, 1]}
        (MAIN / "mine.txt").write_text("2008_000002.jpg\n2008_000001.xml")
        assert list(read(split="mine").paths) == ["2008_000002.JPG", "2008_000001.jpg"]

    def test_classes_are_in_the_order_that_is_given(self):
        table = read(classes=["person", "dog", "cat", "bird"])
        assert table.classes == ("person", "dog", "cat", "bird")
        assert cells(table)["2008_000001.jpg"] == [0, 1, -1, 0]

    def test_paths_start_from_the_root_that_is_given(self):
        assert read(root=Path()).paths[0] == "VOC2012/JPEGImages/2008_000001.jpg"
        assert read(root=Path.cwd()).path(0).is_file()
        os.renames(HOME / "JPEGImages", "photos")
        assert read(root=Path("photos")).paths[0] == "2008_000001.jpg"

    def test_the_image_has_the_stem_of_the_xml_file_or_is_the_one_that_it_names(self):
        add("a", note(filename=r"C:\photos\b.png"), image="b.png")
        add("c", note(filename="b.png"), image="c.jpeg")
        add("d.v1", note(filename="missing"), image="d.v1.png")
        add("e", note(filename="e.png"), image="e.png")
        (HOME / "JPEGImages/e.jpg").touch()
        assert list(read().paths)[3:] == ["b.png", "c.jpeg", "d.v1.png", "e.png"]

    def test_xml_files_may_lie_in_folders(self):
        add("sub/a", note(("dog", 0)))
        (MAIN / "sub.txt").write_text("sub\\a")
        assert list(read(split="sub").paths) == ["sub/a.jpg"]
        add("deep/b", note(("dog", 0)), image="b.jpg")
        assert cells(read())["b.jpg"] == [0, 1, 0]

    def test_images_without_xml_file_and_xml_files_in_no_list_are_told(self, caplog):
        add("2008_000005", note())
        with caplog.at_level(logging.INFO):
            read()
        assert caplog.messages == [
            "VOC2012/JPEGImages: 1 images have no XML file, so they are not part of the table",
            "VOC2012/Annotations: 1 of 4 XML files are in no list of VOC2012/ImageSets/Main (in VOC2012 they belong to "
            "other tasks, and do not name every object); give a split to leave them out",
        ]

    def test_nothing_is_told_of_a_split(self, caplog):
        with caplog.at_level(logging.INFO):
            read(split="train")
        assert caplog.messages == []


@pytest.mark.usefixtures("home")
class TestOtherLayouts:
    @pytest.fixture
    def flat(self):
        for id_ in ("train/a", "valid/b", "c"):
            add(id_, note(("dog", 0)), notes=Path("flat"), images=Path("flat"))
        return Path("flat")

    def test_xml_files_may_lie_beside_their_images(self, flat):
        assert list(read(flat / "train").paths) == ["a.jpg"]
        table = read(flat)
        assert list(table.paths) == ["c.jpg", "train/a.jpg", "valid/b.jpg"]
        assert table.root == flat

    def test_the_split_may_be_a_folder(self, flat):
        assert list(read(flat, split="valid").paths) == ["valid/b.jpg"]
        assert faults(flat, split="test") == [
            "flat/ImageSets/Main/test.txt: there is no such list for the split 'test'; expected train or valid"
        ]
        assert faults(flat / "train", split="test")[0].endswith("for the split 'test'; leave split out")

    def test_folders_may_have_other_names(self):
        add("a", note(("dog", 0)), image="a.png", notes=Path("pets/annotations/xmls"), images=Path("pets/images"))
        table = read("pets")
        assert (table.root, list(table.paths)) == (Path("pets/images"), ["a.png"])
        assert VocReader.recognises(Path("pets"))

    def test_the_images_may_lie_in_a_folder_beside_the_xml_files(self):
        add("a", note(("dog", 0)), notes=Path("pets/notes"), images=Path("pets/images"))
        assert read("pets/notes").path(0) == Path("pets/images/a.jpg")


@pytest.mark.usefixtures("home")
class TestLists:
    def test_1_is_present_minus_1_absent_and_0_unknown(self):
        for options in ({}, {"split": "train"}):
            table = read(source="lists", **options)
            assert table.classes == ("big_dog", "cat")
            assert cells(table)["2008_000001.jpg"] == [1, -1]
            assert cells(table)["2008_000003.jpg"] == [0, 0]
        assert cells(read(source="lists"))["2008_000002.JPG"] == [0, 1]
        assert table.origins == {
            "big_dog": "VOC2012/ImageSets/Main/big_dog_train.txt",
            "cat": "VOC2012/ImageSets/Main/cat_train.txt",
        }
        assert table.root == HOME / "JPEGImages"

    def test_they_are_read_where_there_are_no_xml_files(self):
        os.renames(NOTES, "elsewhere")
        assert VocReader.recognises(HOME)
        assert cells(read(split="val")) == {"2008_000002.JPG": [0, 1]}

    def test_the_split_val_does_not_take_the_lists_of_trainval(self):
        assert cells(read(source="lists", split="trainval")).keys() == {f"2008_00000{i}.{s}" for i, s in IMAGES}
        assert read(source="lists", split="trainval").classes == ("cat",)

    def test_a_split_may_have_an_underscore_in_its_name(self):
        (MAIN / "cat_my_split.txt").write_text("2008_000001 1")
        table = read(source="lists", split="my_split")
        assert (table.classes, cells(table)) == (("cat",), {"2008_000001.jpg": [1]})

    def test_a_cell_that_no_list_names_is_unknown_and_counted(self, caplog):
        (MAIN / "big_dog_val.txt").unlink()
        assert cells(read(source="lists"))["2008_000002.JPG"] == [-1, 1]
        assert caplog.messages == [
            "VOC2012/ImageSets/Main: 1 labels are unknown, since the lists of the classes name different images"
        ]

    def test_an_image_of_which_nothing_is_known_is_unlabelled(self):
        (MAIN / "cat_val.txt").write_text("2008_000002 0")
        assert read(source="lists", split="val").num_unlabelled == 0
        (MAIN / "big_dog_val.txt").write_text("2008_000002 0")
        assert read(source="lists", split="val").num_unlabelled == 1

    def test_a_list_of_ids_with_an_underscore_in_its_name_is_passed_over(self, caplog):
        (MAIN / "my_train.txt").write_text("2008_000001\n")
        with caplog.at_level(logging.INFO):
            assert read(source="lists", split="train").classes == ("big_dog", "cat")
        assert caplog.messages == ["VOC2012/ImageSets/Main/my_train.txt: is not the list of a class, so it is not read"]

    def test_a_class_may_be_unknown_to_those_that_are_given(self):
        assert faults(source="lists", split="train", classes=["cat", "dog"]) == [
            "VOC2012/ImageSets/Main/big_dog_train.txt: class 'big_dog' is not among the 2 classes; did you mean 'dog'?"
        ]

    def test_lines_that_are_wrong_and_images_that_are_missing_are_told(self):
        (MAIN / "cat_val.txt").write_bytes(b"2008_000002 2\n2008_000002\n1\n2008_000009 1\n")
        (MAIN / "big_dog_val.txt").write_text("2008_000009 -1\n2008_000002 1\n2008_000002 -1\n")
        (MAIN / "owl_val.txt").write_bytes(b"2008_000002 1\n\xff\n")
        main = "VOC2012/ImageSets/Main"
        expected = "is no line of a class; expected an id and 1, -1 or 0"
        missing = "no image '2008_000009' below VOC2012/JPEGImages; expected a file there, or give root: the folder "
        assert faults(source="lists", split="val") == [
            f"{main}/big_dog_val.txt:1: {missing}that the paths start from",
            f"{main}/cat_val.txt:1: '2008_000002 2' {expected}",
            f"{main}/cat_val.txt:2: '2008_000002' {expected}",
            f"{main}/cat_val.txt:3: '1' {expected}",
            f"{main}/owl_val.txt:2: byte 0xff is not UTF-8; save the file as UTF-8 (it may be Windows-1252)",
            f"{main}/big_dog_val.txt:3: class 'big_dog' is absent in image '2008_000002.JPG', but present at "
            f"{main}/big_dog_val.txt:2; expected one of them",
            "6 faults in all",
        ]

    def test_without_lists_of_classes_nothing_can_be_read(self):
        expected = "no list of a class; expected files CLASS_{}.txt of lines such as '000033 -1'"
        assert faults(source="lists", split="mine") == [f"VOC2012/ImageSets/Main: {expected.format('mine')}"]
        for file in MAIN.glob("*_*.txt"):
            file.unlink()
        assert faults(source="lists") == [f"VOC2012/ImageSets/Main: {expected.format('SPLIT')}"]


IMAGES = ((1, "jpg"), (2, "JPG"), (3, "jpg"))


@pytest.mark.usefixtures("home")
class TestFaults:
    def test_all_are_told_at_once_each_with_its_line(self):
        add(
            "2008_000001", "<annotation>\n<object>\n</object><object><name>a</name><name>b</name></object></annotation>"
        )
        add("2008_000002", note(("dog", "yes"), ("", 0)), image="2008_000002.JPG")
        add("2008_000003", DOG_AND_DIFFICULT_CAT[:300])
        add("2008_000005", note(filename="5.jpg"), image="")
        add("2008_000006", "<annotations/>")
        add("2008_000007", '<!DOCTYPE annotation [<!ENTITY dog "dog">]><annotation/>')
        assert faults() == [
            "VOC2012/Annotations/2008_000001.xml:3: the object that ends here has no name; expected one",
            "VOC2012/Annotations/2008_000001.xml:3: the object that ends here has 2 names; expected one",
            "VOC2012/Annotations/2008_000002.xml:2: difficult is 'yes'; expected 1 or 0",
            "VOC2012/Annotations/2008_000002.xml:3: the name of a class is blank; expected one",
            "VOC2012/Annotations/2008_000003.xml:7:2: no valid XML: unclosed token; is the file cut short?",
            "VOC2012/Annotations/2008_000005.xml: no image '2008_000005' below VOC2012/JPEGImages; expected a file "
            "there, or give root: the folder that the paths start from",
            "VOC2012/Annotations/2008_000006.xml:1: the outermost element is 'annotations'; expected 'annotation'",
            "VOC2012/Annotations/2008_000007.xml:1: the DOCTYPE 'annotation' declares entities or the like; "
            "annotations need none, and one could make the file endless: take it out",
            "8 faults in all",
        ]

    def test_a_name_that_is_not_among_the_classes_is_told(self):
        assert faults(classes=["dog", "cats"]) == [
            "VOC2012/Annotations/2008_000001.xml:15: class 'cat' is not among the 2 classes; did you mean 'cats'?",
            "VOC2012/Annotations/2008_000002.xml:2: class 'cat' is not among the 2 classes; did you mean 'cats'?",
            "VOC2012/Annotations/2008_000002.xml:3: class 'cat' is not among the 2 classes; did you mean 'cats'?",
            "VOC2012/Annotations/2008_000002.xml:4: class 'person' is not among the 2 classes",
            "4 faults in all",
        ]

    def test_an_id_without_xml_file_or_image_is_told(self):
        (MAIN / "val.txt").write_text("2008_000002\n2008_000004\n2008_000001\n")
        (HOME / "JPEGImages/2008_000002.JPG").unlink()
        assert faults(split="val") == [
            "VOC2012/ImageSets/Main/val.txt:2: there is no annotation of '2008_000004'; expected "
            "VOC2012/Annotations/2008_000004.xml",
            "VOC2012/Annotations/2008_000002.xml: no image '2008_000002' below VOC2012/JPEGImages; expected a file "
            "there, or give root: the folder that the paths start from",
            "2 faults in all",
        ]

    def test_the_list_of_a_class_is_no_split(self):
        assert faults(split="cat_val") == [
            "VOC2012/ImageSets/Main/cat_val.txt:1: there is no annotation of '2008_000002  1'; expected "
            "VOC2012/Annotations/2008_000002  1.xml; is this the list of a class?"
        ]

    def test_a_split_that_is_not_there_or_empty_is_told(self):
        assert faults(split="test") == [
            "VOC2012/ImageSets/Main/test.txt: there is no such list for the split 'test'; expected train or val"
        ]
        (MAIN / "test.txt").touch()
        assert faults(split="test") == ["VOC2012/ImageSets/Main/test.txt: the list is empty; expected an id a line"]

    def test_two_files_about_one_image_are_told(self):
        add("2008_000009", note(filename="2008_000001.jpg"), image="")
        assert faults() == [
            "VOC2012/Annotations/2008_000009.xml: is about image '2008_000001.jpg', as is 2008_000001.xml; expected "
            "one file an image"
        ]

    def test_an_id_that_stands_for_two_images_is_told(self):
        (HOME / "JPEGImages/2008_000001.png").touch()
        add("2008_000001", note(filename=""))
        assert faults() == [
            "VOC2012/Annotations/2008_000001.xml: image '2008_000001' is one of '2008_000001.jpg' and "
            "'2008_000001.png'; write which"
        ]

    def test_a_filename_cannot_lead_out_of_the_folder(self):
        Path("secret.jpg").touch()
        add("2008_000009", note(filename="../../secret.jpg"), image="")
        assert faults()[0].startswith("VOC2012/Annotations/2008_000009.xml: no image '2008_000009' below")

    def test_a_folder_without_xml_files_is_told(self):
        Path("empty").mkdir()
        assert faults("empty", source="xml") == ["empty: no XML file; expected one for each annotated image"]
        assert faults("nowhere") == ["nowhere: cannot be read (No such file or directory); expected a folder"]

    def test_files_without_any_object_name_no_class(self):
        for file in NOTES.iterdir():
            file.write_text("<annotation/>")
        assert faults() == [
            "VOC2012: no class; expected at least one, or give classes: the names of those that there are"
        ]
        assert read(classes=["dog"]).num_all_negative == 3


@pytest.mark.usefixtures("home")
class TestRecognition:
    @pytest.mark.parametrize("path", [".", "VOC2012", "VOC2012/Annotations"])
    def test_it_is_read_by_voc_alone(self, path):
        readers = installed_readers()
        assert [name for name, reader in readers.items() if reader.recognises(Path(path))] == ["voc"]

    def test_xml_files_beside_their_images_are_read_by_voc_alone(self):
        for id_ in ("train/a", "train/b"):
            add(id_, note(("dog", 0)), notes=Path("flat"), images=Path("flat"))
        for path in ("flat", "flat/train"):
            recognised = [name for name, reader in installed_readers().items() if reader.recognises(Path(path))]
            assert recognised == ["voc"]

    @pytest.mark.parametrize("path", ["VOC2012/JPEGImages", "VOC2012/ImageSets/Main/train.txt", "nowhere", "empty"])
    def test_other_paths_are_not_its(self, path):
        Path("empty").mkdir()
        assert not VocReader.recognises(Path(path))

    def test_xml_files_of_another_kind_are_not_its(self):
        Path("cvat").mkdir()
        Path("cvat/annotations.xml").write_text("<annotations/>")
        Path("cvat/b.xml").write_bytes(b"\0")
        assert not VocReader.recognises(Path("cvat"))


def test_an_annotation_is_told_of_elements(home):
    assert isinstance(VocAnnotation(NOTES / "2008_000001.xml"), Elements)


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=8)
# What a file name can hold here: a short one, without what separates folders or makes a file hidden.
STEMS = st.text(st.characters(codec="utf-8", exclude_categories=["C"], exclude_characters="/\\:"), max_size=8)
# `a.jpg` means that image, not one called `a.jpg.jpg`.
STEMS = STEMS.filter(lambda stem: not is_image(f"x{stem}"))
repeated = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)


@repeated
@given(st.data())
def test_any_table_written_as_xml_files_is_read_back(data):
    classes = data.draw(st.lists(NAMES, min_size=1, max_size=4, unique=True).map(sorted))
    stems = data.draw(st.lists(STEMS, min_size=1, max_size=4, unique_by=lambda stem: stem.casefold()))
    row = st.lists(st.sampled_from([1, 0, -1]), min_size=len(classes), max_size=len(classes))
    expected = {f"x{number}{stem}.jpg": data.draw(row) for number, stem in enumerate(stems)}
    with tempfile.TemporaryDirectory() as folder:
        for path, cells_ in expected.items():
            objects = [(name, 0 if cell > 0 else 1) for name, cell in zip(classes, cells_, strict=True) if cell]
            objects += data.draw(st.lists(st.sampled_from(objects), max_size=2)) if objects else []
            xml = note(*data.draw(st.permutations(objects)), filename="another.jpg")
            home = Path(folder)
            add(path[:-4], xml, image=path, notes=home / "Annotations", images=home / "JPEGImages")
        table = VocReader(Path(folder), classes=classes).read()
    assert table.classes == tuple(classes)
    assert cells(table) == expected


@repeated
@given(st.data())
def test_any_table_written_as_lists_is_read_back(data):
    names = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"], exclude_characters="/\\"), min_size=1)
    classes = data.draw(st.lists(names.filter(lambda name: len(name) < 20), min_size=1, max_size=4, unique=True))
    ids = [f"{number:06}" for number in range(data.draw(st.integers(1, 4)))]
    with tempfile.TemporaryDirectory() as folder:
        main = Path(folder, "ImageSets/Main")
        main.mkdir(parents=True)
        Path(folder, "JPEGImages").mkdir()
        expected = {f"{id_}.jpg": [data.draw(st.sampled_from([1, 0, -1])) for _ in classes] for id_ in ids}
        for path in expected:
            Path(folder, "JPEGImages", path).touch()
        for column, name in enumerate(classes):
            lines = [f"{id_} { ({0: -1, -1: 0}.get(expected[f'{id_}.jpg'][column], 1)):2}" for id_ in ids]
            Path(main, f"{name}_train.txt").write_text("\n".join(data.draw(st.permutations(lines))))
        table = VocReader(Path(folder), split="train", classes=classes).read()
    assert table.classes == tuple(classes)
    assert cells(table) == expected


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=80), st.sampled_from([NOTES / "2008_000001.xml", MAIN / "train.txt", MAIN / "cat_train.txt"]))
def test_any_bytes_are_a_table_or_a_label_error(home, data, file):
    before = file.read_bytes()
    file.write_bytes(data)
    check_all_ways()
    file.write_bytes(before)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.sampled_from([NOTES / "2008_000001.xml", MAIN / "train.txt", MAIN / "cat_train.txt"]))
def test_a_file_that_is_cut_or_changed_is_a_table_or_a_label_error(home, seed, file):
    rng, before = random.Random(seed), file.read_bytes()
    data = bytearray(before[: rng.randrange(1, len(before))] if seed % 2 else before)
    for _ in range(seed % 3):
        data[rng.randrange(len(data))] = rng.randrange(256)
    file.write_bytes(data)
    check_all_ways()
    file.write_bytes(before)


def check_all_ways():
    assert isinstance(VocReader.recognises(HOME), bool)
    for options in ({}, {"split": "train"}, {"source": "lists"}):
        outcome = read_or_refuse(**options)
        assert outcome.startswith("VOC2012") if isinstance(outcome, str) else len(outcome) > 0


def read_or_refuse(**options):
    try:
        return read(**options)
    except LabelError as error:
        return str(error)
