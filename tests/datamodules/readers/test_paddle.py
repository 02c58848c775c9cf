import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlic.datamodules.readers.paddle import PaddleReader
from mlic.datamodules.sources import installed_readers
from mlic.errors import LabelError

LIST = Path("train_list.txt")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, so that messages hold short paths; with images in `images/`."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.JPG", "sub/c.png", "my cat.jpg", "d.jpg"):
        path = Path("images", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def write(text, path=LIST):
    Path(path).write_bytes(text if isinstance(text, bytes) else text.encode())
    return Path(path)


def read(text, **options):
    return PaddleReader(write(text), **options).read()


def cells(table):
    return {path: row.tolist() for path, row in zip(table.paths, table.dense(), strict=True)}


def faults(text, **options):
    with pytest.raises(LabelError) as error:
        read(text, **options)
    return str(error.value).splitlines()


def fault(text, **options):
    (line,) = faults(text, **options)
    return line


def claimants(path):
    return [name for name, reader in installed_readers().items() if reader.recognises(path)]


REAL = b"\xef\xbb\xbfa.jpg\t0,1,0\r\n b.jpg\t1,1,0 \r\nsub\\c.PNG\t0, 0, 0\r\nmy cat.jpg\t0,0,1\r\na.jpg\t0,1,0\r\n\r\n"


@pytest.mark.usefixtures("folder")
class TestAZeroOrOneForEachClass:
    def test_a_real_list_gives_this_table(self):
        write("cat\r\ndog\r\nbig owl\r\n", "labels.txt")
        table = read(REAL)
        assert table.classes == ("cat", "dog", "big owl")
        assert cells(table) == {
            "a.jpg": [0, 1, 0],
            "b.JPG": [1, 1, 0],
            "sub/c.png": [0, 0, 0],
            "my cat.jpg": [0, 0, 1],
        }
        assert (table.num_unlabelled, table.num_all_negative) == (0, 1)
        assert table.root == Path("images")
        assert table.source == "train_list.txt"
        assert table.origins == {"cat": "labels.txt:1", "dog": "labels.txt:2", "big owl": "labels.txt:3"}
        assert not table.open_vocabulary

    def test_classes_without_a_name_are_numbered(self):
        table = read("a.jpg\t0,1\nb.jpg\t1,1\n")
        assert table.classes == ("0", "1")
        assert table.origins == {"0": "train_list.txt", "1": "train_list.txt"}
        assert not table.open_vocabulary

    @pytest.mark.parametrize("line", ["a.jpg 0,1,1", "a.jpg 0 1 1", "a.jpg\t0 1 1", "a.jpg   0,  1,1", "a.jpg 0,1.0,1"])
    def test_the_labels_may_be_separated_by_commas_or_spaces(self, line):
        assert cells(read(f"{line}\n")) == {"a.jpg": [0, 1, 1]}

    def test_a_line_that_is_not_like_the_first_is_told(self):
        assert faults("a.jpg\t0,1,0\nb.jpg\t0,1\nd.jpg\nmy cat.jpg\t0,1,0,1\n") == [
            "train_list.txt:2: the number of values is 2; expected 3, as on the first line",
            "train_list.txt:3: the number of values is 0; expected 3, as on the first line",
            "train_list.txt:4: the number of values is 4; expected 3, as on the first line",
            "3 faults in all",
        ]

    def test_a_line_that_does_not_fit_the_names_is_told(self):
        write("cat\ndog\n", "classes.txt")
        assert fault("a.jpg\t0,1\nb.jpg\t0,1,0\n") == (
            "train_list.txt:2: the number of values is 3; expected one for each of the 2 classes of classes.txt"
        )

    @pytest.mark.parametrize(
        ("labels", "at", "value"), [("0,2", 2, "2"), ("-1,0", 1, "-1"), ("1,", 2, ""), ("1,x", 2, "x")]
    )
    def test_a_value_that_is_not_0_or_1_is_told(self, labels, at, value):
        assert fault(f"b.jpg\t0,1\na.jpg\t{labels}\n") == f"train_list.txt:2: value {at} is '{value}'; expected 0 or 1"

    def test_lines_of_one_image_must_not_contradict(self):
        assert fault("a.jpg\t0,1\nb.jpg\t0,1\na.jpg\t0,0\n") == (
            "train_list.txt:3: class '1' is absent in image 'a.jpg', but present at train_list.txt:1; expected one of "
            "them"
        )

    def test_all_faults_are_told_at_once(self):
        lines = faults("a.jpg\t0,1\nz.jpg\t0,1\nb.jpg\t0,3\nb.jpg\t1\n", classes=["cat", "dog", "owl"])
        assert len(lines) == 6
        assert lines[0] == "train_list.txt:1: the number of values is 2; expected one for each of the 3 classes"
        assert lines[2].startswith("train_list.txt:2: the number of values is 2")
        assert lines[1].startswith("train_list.txt:2: no image 'z.jpg' below images")


@pytest.mark.usefixtures("folder")
class TestTheNumbersOfTheClasses:
    def test_what_is_not_listed_is_absent_and_a_path_alone_is_all_negative(self):
        table = read(b'\xef\xbb\xbfa.jpg 0 3\r\nb.jpg 2\r\n"my cat.jpg" 1 0\r\nsub\\c.png\r\n\r\n')
        assert table.classes == ("0", "1", "2", "3")
        assert cells(table) == {
            "a.jpg": [1, 0, 0, 1],
            "b.JPG": [0, 0, 1, 0],
            "my cat.jpg": [1, 1, 0, 0],
            "sub/c.png": [0, 0, 0, 0],
        }
        assert (table.num_unlabelled, table.num_all_negative) == (0, 1)
        assert table.open_vocabulary

    def test_a_name_may_be_quoted_without_its_suffix(self):
        assert cells(read('"my cat".jpg 1 0\n"a".jpg 1\n')) == {"my cat.jpg": [1, 1], "a.jpg": [0, 1]}

    def test_names_come_from_the_file_of_datumaro(self):
        write("cat\ndog\nowl\n", "synsets.txt")
        table = read("a.jpg 0 2\nb 2\n")
        assert table.classes == ("cat", "dog", "owl")
        assert cells(table) == {"a.jpg": [1, 0, 1], "b.JPG": [0, 0, 1]}
        assert not table.open_vocabulary

    def test_lines_of_one_image_are_united(self):
        assert cells(read("a.jpg 0\nb.jpg 2\na.jpg 2\na.jpg\n")) == {"a.jpg": [1, 0, 1], "b.JPG": [0, 0, 1]}

    def test_a_number_beyond_the_names_is_told(self):
        write("cat\ndog\n", "labels.txt")
        assert faults("a.jpg 0 2\nb.jpg 7\n") == [
            "train_list.txt:1: class 2 is not among the 2 classes of labels.txt, which are 0 to 1",
            "train_list.txt:2: class 7 is not among the 2 classes of labels.txt, which are 0 to 1",
            "2 faults in all",
        ]

    def test_what_is_no_number_is_told(self):
        assert faults("a.jpg 0 2\nb.jpg x 1\nd.jpg -1 0\n") == [
            "train_list.txt:2: 'x' is not the number of a class; expected lines such as 'a.jpg 0 3'",
            "train_list.txt:3: '-1' is not the number of a class; expected lines such as 'a.jpg 0 3'",
            "2 faults in all",
        ]

    def test_a_number_that_no_class_can_have_takes_no_memory(self):
        assert fault("a.jpg 0 2\nb.jpg 999999999\nd.jpg 1\n") == (
            "train_list.txt:2: class 999999999 is beyond 99999, the last that may go without a name; give names"
        )

    def test_a_number_that_is_there_twice_is_told(self):
        assert fault("a.jpg 0 1 0\nb.jpg 2 3\n") == (
            "train_list.txt:1: the number of a class is there twice; expected each once, or give form: multi_hot if "
            "each is a 0 or 1"
        )


@pytest.mark.usefixtures("folder")
class TestTheForm:
    @pytest.mark.parametrize("text", ["a.jpg 0\nb.jpg 1\n", "a.jpg 0 1\nb.jpg 1 0\n", "a.jpg\t1\n"])
    def test_a_list_that_may_be_of_both_forms_is_refused(self, text):
        assert fault(text) == (
            "train_list.txt: each line has just one of 0 and 1, or both, which may be the numbers of classes or a 0 or "
            "1 for each class; give form: indices, or form: multi_hot"
        )
        assert claimants(LIST) == []

    def test_it_may_be_told(self):
        assert cells(read("a.jpg 0\nb.jpg 1\n", form="indices")) == {"a.jpg": [1, 0], "b.JPG": [0, 1]}
        assert cells(read("a.jpg 0\nb.jpg 1\n", form="multi_hot")) == {"a.jpg": [0], "b.JPG": [1]}
        assert cells(read("a.jpg\t0,3\n", form="indices")) == {"a.jpg": [1, 0, 0, 1]}

    def test_a_plain_list_of_images_is_refused(self):
        write("cat\n", "labels.txt")
        assert fault("a.jpg\nb.jpg\n") == (
            "train_list.txt: no line has a label; expected lines such as 'a.jpg<TAB>0,1,0' or 'a.jpg 0 3', or give "
            "form: indices if no image has any class"
        )
        assert cells(read("a.jpg\nb.jpg\n", form="indices")) == {"a.jpg": [0], "b.JPG": [0]}

    def test_an_empty_list_is_refused(self):
        assert faults("\n \n") == [
            "train_list.txt: no sample; expected at least one image",
            "train_list.txt: no class; expected at least one",
            "2 faults in all",
        ]


@pytest.mark.usefixtures("folder")
class TestNamesAndOtherOptions:
    @pytest.mark.parametrize("name", ["labels.txt", "label_list.txt", "label.txt", "classes.txt", "class_names.txt"])
    def test_a_label_map_may_number_its_names_in_any_order(self, name):
        write("\ufeff1 big dog\r\n0 cat\r\n2 3 wheeler\r\n\r\n", name)
        table = read("a.jpg\t0,1,0\n")
        assert table.classes == ("cat", "big dog", "3 wheeler")
        assert table.origins["cat"] == f"{name}:2"

    def test_names_that_begin_with_numbers_are_no_label_map(self):
        write("2 door\n4 door\n", "labels.txt")
        assert read("a.jpg\t0,1\n").classes == ("2 door", "4 door")

    def test_they_may_be_elsewhere(self):
        Path("meta").mkdir()
        write("x\ny\n", "labels.txt")
        write("cat\ndog\n", "meta/names.txt")
        assert read("a.jpg\t0,1\n", names=Path("meta/names.txt")).classes == ("cat", "dog")
        assert fault("a.jpg\t0,1\n", names=Path("none.txt")) == (
            "none.txt: cannot be read (No such file or directory); expected a text file"
        )

    def test_a_list_that_is_called_as_names_are_names_nothing(self):
        write("a.jpg\t0,1\nb.jpg\t0,0\n", "labels.txt")
        assert PaddleReader(Path("labels.txt")).read().classes == ("0", "1")
        assert read("a.jpg\t0,1\n").classes == ("0", "1")

    def test_all_faults_of_the_names_are_told(self):
        write("cat\ndog\n\ncat\ndog\n", "labels.txt")
        assert faults("a.jpg\t0,1,0,0\n") == [
            "labels.txt:4: class 'cat' is there twice, first on line 1",
            "labels.txt:5: class 'dog' is there twice, first on line 2",
            "2 faults in all",
        ]

    def test_a_label_map_that_leaves_a_number_out_is_told(self):
        write("0 cat\n2 dog\n", "labels.txt")
        assert fault("a.jpg\t0,1\n") == "labels.txt:2: the number is 2; expected each of 0 to 1 once"

    def test_names_without_a_name_are_told(self):
        write("\n", "names.txt")
        assert fault("a.jpg\t0,1\n", names=Path("names.txt")) == "names.txt: no class; expected one a line"

    def test_classes_put_the_columns_in_order(self):
        write("cat\ndog\n", "labels.txt")
        table = read("a.jpg\t0,1\nb.jpg\t0,0\n", classes=["dog", "cat"])
        assert table.classes == ("dog", "cat")
        assert cells(table) == {"a.jpg": [1, 0], "b.JPG": [0, 0]}
        assert table.origins["dog"] == "labels.txt:2"

    def test_classes_that_are_not_those_of_the_names_are_told(self):
        write("cat\ndgo\n", "labels.txt")
        assert faults("a.jpg\t0,1\n", classes=["dog", "cat"]) == [
            "labels.txt: class 'dog' is not named; expected a name for each of the classes",
            "labels.txt:2: class 'dgo' is not among the 2 classes; did you mean 'dog'?",
            "2 faults in all",
        ]

    def test_classes_name_the_columns_where_no_file_does(self):
        assert read("a.jpg 0 1\nb.jpg 1 2\n", classes=["cat", "dog", "owl"]).classes == ("cat", "dog", "owl")

    def test_the_folder_of_the_images_may_be_told(self):
        table = read("images/a.jpg 0 2\n", root=Path())
        assert list(table.paths) == ["images/a.jpg"]
        assert faults("a.jpg\t0,1\n", root=Path()) == [
            "train_list.txt:1: no image 'a.jpg' below .; expected a file there, or give root: the folder that the "
            "paths start from",
        ]

    def test_paths_of_a_bucket_are_mapped_to_a_folder(self):
        prefix = {"s3://bucket/photos/": Path("images")}
        assert list(read("s3://bucket/photos/sub/c.png\t0,1\n", uri_prefix=prefix).paths) == ["sub/c.png"]
        assert faults("s3://bucket/a.jpg\t0,1\n")[0].startswith("train_list.txt:1: image 's3://bucket/a.jpg' is a URI")

    def test_a_path_that_leaves_the_root_is_refused(self):
        assert faults("../../a.jpg\t0,1\nb.jpg\t0,1\n")[0].startswith(
            "train_list.txt:1: image '../../a.jpg' lies outside the data root images"
        )

    @pytest.mark.parametrize("text", [b"a.jpg\t0,1\nb\xff.jpg\t0,1\n", "a.jpg\t0,1\n".encode("utf-16")])
    def test_a_list_that_is_not_utf_8_is_refused(self, text):
        assert "UTF-8" in fault(text)


@pytest.mark.usefixtures("folder")
class TestRecognition:
    @pytest.mark.parametrize(
        "text",
        [
            REAL,
            "a.jpg\t0,1\n",
            "a.jpg 0,1\nb.jpg 0,0",
            "a.jpg 0 1 1\nb.jpg 0 0 1\n",
            "a.jpg 0 3\n",
            '"my cat.jpg" 1 2\nb.jpg\n',
        ],
    )
    @pytest.mark.parametrize("name", ["train_list.txt", "train.lst", "multilabel"])
    def test_a_list_is_recognised_by_its_content_and_by_no_other_reader(self, text, name):
        assert claimants(write(text, name)) == ["paddle"]

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "a.jpg\nb.jpg\n",
            "cat\ndog\n",
            "0 cat\n1 dog\n",
            "a.jpg 0\nb.jpg 5\n",
            "2\ncat dog\na.jpg -1  1\n",
            "a.jpg -1  1\nb.jpg  1 -1\n",
            "2008_000033  1\n2008_000034 -1\n",
            "0 0.5 0.5 0.1 0.1\n",
            "a.jpg 10 20 110 120\nb.jpg 0 5 9 14\n",
            "a.jpg 0,1,20,30,2 3,4,5,6,0\n",
            "a.jpg cat\nb.jpg dog\n",
            "a.jpg\tcat,dog\n",
            "gs://bucket/a.jpg,cat,dog\n",
            '{"a.jpg": [0, 1]}\n',
            "0,1,0\n1,1,0\n",
            b"a.jpg\t0,1\n\xff\n",
            b"\x00a.jpg\t0,1\n",
        ],
    )
    def test_a_text_of_someone_else_is_not_claimed(self, text):
        assert not PaddleReader.recognises(write(text))

    def test_a_list_that_goes_on_beyond_what_is_looked_at_is_recognised(self):
        assert PaddleReader.recognises(write("a.jpg\t0,1,0\n" * 20_000))

    def test_what_is_no_file_is_not_recognised(self):
        assert not PaddleReader.recognises(Path("images"))
        assert not PaddleReader.recognises(Path("nowhere.txt"))
        assert not PaddleReader.recognises(write("a.jpg\t0,1\n", "list.csv"))


NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters='/\\:".,'), min_size=1, max_size=8
)
PATHS = st.tuples(
    st.sampled_from(["", "sub/", "my photos/"]),
    NAMES,
    st.sampled_from(["", " 1", " b"]),
    st.sampled_from([".jpg", ".PNG"]),
)
quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
fuzz = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100)


def fold(names):
    return len({name.casefold() for name in names}) == len(names)


@st.composite
def tables(draw):
    classes = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    paths = draw(st.lists(PATHS.map("".join), min_size=1, max_size=5, unique=True).filter(fold))
    row = st.lists(st.sampled_from([0, 1]), min_size=len(classes), max_size=len(classes))
    return classes, {path: draw(row) for path in paths}


@quick
@given(tables(), st.sampled_from(["multi_hot", "indices"]), st.booleans(), st.sampled_from(["\n", "\r\n"]))
def test_any_table_written_as_a_list_is_read_back(table, form, with_map, end):
    classes, rows = table
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = []
        for path, row in rows.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).touch()
            present = " ".join(str(column) for column, cell in enumerate(row) if cell)
            lines.append(f"{path}\t{','.join(map(str, row))}" if form == "multi_hot" else f'"{path}" {present}')
        names = [f"{number} {name}" for number, name in enumerate(classes)] if with_map else classes
        (folder / "names").write_text(end.join(names), encoding="utf-8", newline="")
        (folder / "list").write_text(end.join(lines), encoding="utf-8", newline="")
        found = PaddleReader(folder / "list", names=folder / "names", form=form).read()
    assert found.classes == tuple(classes)
    assert cells(found) == rows


@fuzz
@given(
    st.binary(max_size=80) | st.text('a.jpg01,2\t \n"\\-x\r/', max_size=60).map(str.encode),
    st.sampled_from(["indices", None]),
)
def test_any_bytes_are_a_table_or_a_label_error(folder, data, form):
    outcome = read_or_refuse(write(data), form)
    assert isinstance(outcome, str) or len(outcome) > 0


@fuzz
@given(st.integers(0, len(REAL)), st.integers(0, 255), st.booleans())
def test_a_list_that_is_cut_or_damaged_is_a_table_or_a_label_error(folder, at, byte, is_cut):
    outcome = read_or_refuse(write(REAL[:at] if is_cut else REAL[:at] + bytes([byte]) + REAL[at + 1 :]), None)
    assert isinstance(outcome, str) or len(outcome) > 0


def read_or_refuse(path, form):
    PaddleReader.recognises(path)
    try:
        return PaddleReader(path, form=form).read()
    except LabelError as error:
        return str(error)
