import os
import random
import tempfile
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlic.datamodules.annotations.xmlfiles import Elements
from mlic.datamodules.readers.cvat import CvatReader
from mlic.datamodules.readers.cvatxml import CvatDocument
from mlic.datamodules.sources import installed_readers
from mlic.errors import LabelError

TASK = Path("task")
FILE = TASK / "annotations.xml"

EXPORT = """\ufeff<?xml version="1.0" encoding="utf-8"?>\r
<annotations>\r
  <version>1.1</version>\r
  <meta>\r
    <task>\r
      <id>7</id>\r
      <name>a task</name>\r
      <subset>Train</subset>\r
      <labels>\r
        <label>\r
          <name> sunny </name>\r
          <color>#33ddff</color>\r
          <type>any</type>\r
          <attributes><attribute><name>conf</name><values>high\nlow</values></attribute></attributes>\r
        </label>\r
        <label><name>car</name><attributes></attributes></label>\r
        <label><name>body</name><type>skeleton</type></label>\r
        <label><name>nose</name><type>points</type><parent>body</parent></label>\r
      </labels>\r
    </task>\r
  </meta>\r
  <image id="0" name="a.jpg" width="64" height="48">\r
    <tag label=" sunny " source="manual"><attribute name="conf">high</attribute></tag>\r
    <box label="car" source="manual" occluded="0" xtl="1" ytl="1" xbr="9" ybr="9" z_order="0"></box>\r
    <skeleton label="body"><points label="nose" points="1,1"></points></skeleton>\r
  </image>\r
  <image id="1" name="sub\\b.jpg" width="64" height="48"/>\r
  <image id="2" name="c.jpg" width="64" height="48"><mask label="car" rle="1, 2" /></image>\r
  <image id="3" name="a.jpg" width="64" height="48"><tag label="sunny"/><tag label="body"/></image>\r
</annotations>\r
\r
"""


@pytest.fixture
def task(tmp_path, monkeypatch):
    """An export below the working directory, so that messages hold short paths."""
    monkeypatch.chdir(tmp_path)
    write(EXPORT)
    add("images/a.jpg", "images/sub/b.jpg", "images/c.JPG")
    return TASK


def write(text, file=FILE):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())


def add(*images):
    for image in images:
        (TASK / image).parent.mkdir(parents=True, exist_ok=True)
        (TASK / image).touch()


def export(*images, labels=("sunny", "car"), kind="task"):
    """The XML of a task, a line a label and an image."""
    declared = "\n".join(f"<label><name>{escape(label)}</name></label>" for label in labels)
    body = "\n".join(images)
    return (
        f"<annotations><meta><{kind}><labels>\n{declared}\n</labels></{kind}></meta>\n{body}\n</annotations>"
        if labels
        else f"<annotations>\n{body}\n</annotations>"
    )


def image(name, *tags, subset=None, kind="tag"):
    where = "" if subset is None else f" subset={quoteattr(subset)}"
    inner = "".join(f"<{kind} label={quoteattr(tag)}/>" for tag in tags)
    return f"<image name={quoteattr(name)}{where}>{inner}</image>"


def read(path=TASK, **options):
    return CvatReader(Path(path), **options).read()


def cells(table):
    return {path: row.tolist() for path, row in zip(table.paths, table.dense(), strict=True)}


def faults(path=TASK, **options):
    with pytest.raises(LabelError) as error:
        read(path, **options)
    return str(error.value).splitlines()


@pytest.mark.usefixtures("task")
class TestTheExport:
    def test_tags_are_present_and_an_image_without_tags_has_no_class(self, caplog):
        table = read()
        assert table.classes == ("sunny", "car", "body")
        assert cells(table) == {"a.jpg": [1, 0, 1], "sub/b.jpg": [0, 0, 0], "c.JPG": [0, 0, 0]}
        assert (table.num_unlabelled, table.num_all_negative) == (0, 2)
        assert table.root == TASK / "images"
        assert table.path(0).is_file()
        assert table.source == "task/annotations.xml"
        assert table.origins == {
            "sunny": "task/annotations.xml:11",
            "car": "task/annotations.xml:17",
            "body": "task/annotations.xml:18",
        }
        assert caplog.messages == [
            "task: 1 images are named again; each has the tags of all its entries",
            "task/annotations.xml: 3 shapes in 2 images are not read, only tags are; shapes: true counts them as tags",
        ]

    def test_the_file_may_be_named_itself_and_have_another_name(self):
        assert cells(read(FILE)) == cells(read())
        FILE.rename(TASK / "notes.xml")
        assert cells(read(TASK / "notes.xml"))["a.jpg"] == [1, 0, 1]

    def test_an_image_without_tags_may_be_unlabelled(self):
        table = read(empty="unlabelled")
        assert cells(table) == {"a.jpg": [1, 0, 1], "sub/b.jpg": [-1] * 3, "c.JPG": [-1] * 3}
        assert (table.num_unlabelled, table.num_all_negative) == (2, 0)

    @pytest.mark.parametrize(
        "kind", ["box", "polygon", "polyline", "points", "mask", "cuboid", "skeleton", "ellipse", "tag"]
    )
    def test_shapes_count_if_that_is_asked_for(self, kind, caplog):
        write(export(image("a.jpg", "car", "car", kind=kind), image("c.jpg")))
        assert cells(read(shapes=True)) == {"a.jpg": [0, 1], "c.JPG": [0, 0]}
        assert caplog.messages == []
        assert cells(read(shapes=True, empty="unlabelled")) == {"a.jpg": [0, 1], "c.JPG": [-1, -1]}

    def test_the_points_of_a_skeleton_are_no_shapes_of_their_own(self):
        assert cells(read(shapes=True)) == {"a.jpg": [1, 1, 1], "sub/b.jpg": [0, 0, 0], "c.JPG": [0, 1, 0]}

    def test_images_may_lie_beside_the_file(self):
        for path in sorted((TASK / "images").iterdir()):
            path.rename(TASK / path.name)
        assert read().path(0) == TASK / "a.jpg"

    def test_the_root_may_be_given(self):
        os.renames(TASK / "images", "photos")
        assert read(root=Path("photos")).path(1) == Path("photos/sub/b.jpg")

    def test_a_class_that_is_not_declared_is_unknown(self):
        table = read(classes=["bird", "body", "car", "sunny"])
        assert table.classes == ("bird", "body", "car", "sunny")
        assert cells(table)["a.jpg"] == [-1, 1, 0, 1]
        assert read().align(["bird", *read().classes]).row(0).tolist() == [-1, 1, 0, 1]

    def test_utf_16_is_read_too(self):
        write(EXPORT.replace('encoding="utf-8"', 'encoding="utf-16"').removeprefix("\ufeff").encode("utf-16"))
        assert CvatReader.recognises(TASK)
        assert cells(read())["a.jpg"] == [1, 0, 1]


@pytest.mark.usefixtures("task")
class TestClasses:
    @pytest.mark.parametrize("kind", ["task", "project", "job"])
    def test_they_are_what_task_project_or_job_declare(self, kind):
        write(export(image("a.jpg", "car"), kind=kind))
        assert read().classes == ("sunny", "car")

    def test_the_task_comes_before_the_project_and_that_before_the_job(self):
        kinds = {kind: f"<{kind}><labels><label><name>{kind}</name></label></labels></{kind}>" for kind in KINDS}
        for count in (3, 2):
            meta = "".join(kinds[kind] for kind in reversed(KINDS[-count:]))
            write(f"<annotations><meta>{meta}</meta>{image('a.jpg')}</annotations>")
            assert read().classes == (KINDS[-count],)

    def test_they_may_be_declared_after_the_images(self):
        meta = "<meta><task><labels><label><name>car</name></label></labels></task></meta>"
        write(f"<annotations>{image('a.jpg', 'car')}{meta}</annotations>")
        assert cells(read()) == {"a.jpg": [1]}

    def test_where_none_is_declared_they_are_those_used_sorted_by_name(self):
        write(export(image("a.jpg", "sunny"), image("c.jpg", "car"), labels=()))
        table = read()
        assert (table.classes, cells(table)) == (("car", "sunny"), {"a.jpg": [0, 1], "c.JPG": [1, 0]})
        assert table.origins["car"] == "task/annotations.xml:3"
        assert read(classes=["sunny", "car"]).classes == ("sunny", "car")
        assert faults(classes=["sunny"]) == ["task/annotations.xml:3: class 'car' is not among the 1 classes"]
        assert table.align(["bird", "car", "sunny"]).row(0).tolist() == [0, 0, 1]


KINDS = ("task", "project", "job")


@pytest.mark.usefixtures("task")
class TestSubsets:
    @pytest.fixture
    def project(self, task):
        entries = [image("a.jpg", "car", subset="Train"), image("a.jpg", subset="Val"), image("d.jpg", subset="Val")]
        write(export(*entries, kind="project"))
        add("images/Train/a.jpg", "images/Val/a.jpg", "images/Val/d.jpg")

    @pytest.mark.usefixtures("project")
    def test_each_has_a_folder(self):
        assert cells(read()) == {"Train/a.jpg": [0, 1], "Val/a.jpg": [0, 0], "Val/d.jpg": [0, 0]}

    @pytest.mark.usefixtures("project")
    def test_one_may_be_read_alone(self):
        assert list(read(split="Val").paths) == ["Val/a.jpg", "Val/d.jpg"]
        assert read(split="Val").classes == ("sunny", "car")
        assert faults(split="val") == [
            "task/annotations.xml: no image is in the subset 'val'; expected Train or Val; did you mean 'Val'?"
        ]

    def test_the_folder_of_what_has_no_subset_may_be_called_default(self):
        os.renames(TASK / "images", TASK / "x")
        os.renames(TASK / "x", TASK / "images/default")
        assert read().path(0) == TASK / "images/default/a.jpg"

    def test_a_task_may_have_one_as_a_whole(self):
        assert len(read(split="Train")) == 3

    def test_a_file_without_any_has_no_split(self):
        write(export(image("a.jpg")))
        assert faults(split="Train") == [
            "task/annotations.xml: no image is in the subset 'Train'; it has no subsets: leave split out"
        ]


@pytest.mark.usefixtures("task")
class TestFaults:
    def test_all_are_told_at_once_each_with_its_line(self):
        write(
            export(
                image("a.jpg", "sunny", "cars"),
                image("b.jpg", "car"),
                "<image><tag label='car'/></image>",
                "<image name='c.jpg'><tag/><box/></image>",
                image("../secret.jpg"),
                labels=("sunny", "car", "sunny", ""),
            )
        )
        Path("secret.jpg").touch()
        file = "task/annotations.xml"
        assert faults() == [
            f"{file}:4: class 'sunny' is there twice, first on line 2",
            f"{file}:5: a label has no name; expected one",
            f"{file}:10: a tag has no label; expected one",
            f"{file}:8: no image 'b.jpg' below task/images; expected a file there, or give root: the folder that the "
            "paths start from",
            f"{file}:9: the path of an image is blank; expected one",
            f"{file}:11: image '../secret.jpg' lies outside the data root task/images; expected one below it, or give "
            "root: a folder that holds all images",
            f"{file}:7: class 'cars' is not among the 2 classes; did you mean 'car'?",
            "7 faults in all",
        ]

    def test_a_declared_label_that_is_not_among_the_classes_is_told(self):
        assert faults(classes=["sunny", "bodies"]) == [
            "task/annotations.xml:17: class 'car' is not among the 2 classes",
            "task/annotations.xml:18: class 'body' is not among the 2 classes; did you mean 'bodies'?",
            "2 faults in all",
        ]

    def test_the_file_of_a_video_is_refused(self):
        write("<annotations>\n<meta/>\n<track id='0' label='car'><box frame='0'/></track></annotations>")
        assert CvatReader.recognises(TASK)
        assert faults() == [
            "task/annotations.xml:3: a track, so this is 'CVAT for video'; export it as 'CVAT for images 1.1'"
        ]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (EXPORT[:500], "task/annotations.xml:18:9: no valid XML: no element found; is the file cut short?"),
            ("", "task/annotations.xml:1:1: no valid XML: no element found; is the file cut short?"),
            ("<zoo/>", "task/annotations.xml:1: the outermost element is 'zoo'; expected 'annotations'"),
            (
                '<!DOCTYPE annotations [<!ENTITY a "a">]><annotations/>',
                "task/annotations.xml:1: the DOCTYPE 'annotations' declares entities or the like; annotations need "
                "none, and one could make the file endless: take it out",
            ),
        ],
    )
    def test_a_file_that_is_no_export_is_told(self, text, message):
        write(text)
        assert faults() == [message]

    def test_a_file_without_images_or_classes_is_told(self):
        write("<annotations/>")
        assert faults() == [
            "task/annotations.xml: no sample; expected at least one image",
            "task/annotations.xml: no class; expected at least one",
            "2 faults in all",
        ]

    def test_a_file_that_is_not_there_is_told(self):
        FILE.unlink()
        expected = "cannot be read (No such file or directory); expected an XML file"
        assert faults() == [f"task/annotations.xml: {expected}"]
        assert faults("nowhere.xml") == [f"nowhere.xml: {expected}"]


@pytest.mark.usefixtures("task")
class TestRecognition:
    @pytest.mark.parametrize("path", [TASK, FILE])
    def test_it_is_read_by_cvat_alone(self, path):
        assert [name for name, reader in installed_readers().items() if reader.recognises(path)] == ["cvat"]

    @pytest.mark.parametrize("path", [TASK / "images", TASK / "images/a.jpg", Path("nowhere")])
    def test_other_paths_are_not_its(self, path):
        assert not CvatReader.recognises(path)

    @pytest.mark.parametrize("text", ["<annotation/>", "", "{}", "<annotations"])
    def test_other_files_are_not_its(self, text):
        write(text)
        assert not CvatReader.recognises(TASK)


def test_a_document_is_told_of_elements(task):
    assert isinstance(CvatDocument(FILE, count_shapes=False), Elements)


# What XML can hold; spaces around a name are no part of it.
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=8)
STEMS = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"], exclude_characters="/\\:"), max_size=8
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.data())
def test_any_table_written_as_an_export_is_read_back(data):
    classes = data.draw(st.lists(TEXTS, min_size=1, max_size=4, unique=True))
    stems = data.draw(st.lists(STEMS, min_size=1, max_size=4, unique_by=lambda stem: stem.casefold()))
    row = st.lists(st.sampled_from([1, 0]), min_size=len(classes), max_size=len(classes))
    expected = {f"sub {number}/x{stem}.jpg": data.draw(row) for number, stem in enumerate(stems)}
    kind = data.draw(st.sampled_from(["tag", "box"]))
    encoding = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    images = []
    with tempfile.TemporaryDirectory() as folder:
        for path, row_ in expected.items():
            tags = [name for name, cell in zip(classes, row_, strict=True) if cell]
            images.append(image(path, *data.draw(st.permutations(tags + tags[:1])), kind=kind))
            Path(folder, "images", path).parent.mkdir(parents=True)
            Path(folder, "images", path).touch()
        write(export(*images, labels=classes).encode(encoding), Path(folder, "annotations.xml"))
        table = read(folder, shapes=kind == "box", empty="unlabelled")
    assert table.classes == tuple(classes)
    assert cells(table) == {path: row_ if any(row_) else [-1] * len(classes) for path, row_ in expected.items()}


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=80))
def test_any_bytes_are_a_table_or_a_label_error(task, data):
    write(data)
    assert read_or_refuse()


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32))
def test_a_file_that_is_cut_or_changed_is_a_table_or_a_label_error(task, seed):
    rng, whole = random.Random(seed), EXPORT.encode()
    data = bytearray(whole[: rng.randrange(1, len(whole))] if seed % 2 else whole)
    for _ in range(seed % 4):
        data[rng.randrange(len(data))] = rng.randrange(256)
    write(bytes(data))
    assert read_or_refuse()


def read_or_refuse():
    assert isinstance(CvatReader.recognises(TASK), bool)
    try:
        return len(read()) > 0
    except LabelError as error:
        return str(error).startswith("task")
