import logging
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlic.datamodules.readers.matrix import MatrixReader
from mlic.datamodules.sources import installed_readers
from mlic.errors import LabelError

LIST, MATRIX = Path("set/list.txt"), Path("set/matrix.txt")
IMAGES = "a.jpg\nb.jpg\nsub/c.png\n"
ROWS = "0 1 0\n1 1 0\n0 0 0\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, so that messages hold short paths; with the folder of a data set, `set`."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.JPG", "sub/c.png", "my cat.jpg"):
        path = Path("set/images", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def write(text, path):
    Path(path).write_bytes(text if isinstance(text, bytes) else text.encode())
    return Path(path)


def read(images=IMAGES, rows=ROWS, **options):
    write(images, LIST)
    return MatrixReader(LIST, write(rows, MATRIX), **options).read()


def cells(table):
    return {path: row.tolist() for path, row in zip(table.paths, table.dense(), strict=True)}


def faults(images=IMAGES, rows=ROWS, **options):
    with pytest.raises(LabelError) as error:
        read(images, rows, **options)
    return str(error.value).splitlines()


def fault(images=IMAGES, rows=ROWS, **options):
    (line,) = faults(images, rows, **options)
    return line


def claimants(path):
    return [name for name, reader in installed_readers().items() if reader.recognises(path)]


@pytest.mark.usefixtures("folder")
class TestThePair:
    def test_a_real_pair_gives_this_table(self):
        write(b"\xef\xbb\xbfcat\r\ndog\r\nbig owl\r\n\r\n", "set/classes.txt")
        images = b"\xef\xbb\xbfa.jpg\r\n b.jpg \r\nsub\\c.PNG\r\nmy cat.jpg\r\na.jpg\r\n\r\n"
        table = read(images, b"\xef\xbb\xbf0 1 0\r\n1 1 0 \r\n0\t0\t0\r\n 0 0  1\r\n0 1 0\r\n\r\n \r\n")
        assert table.classes == ("cat", "dog", "big owl")
        assert cells(table) == {
            "a.jpg": [0, 1, 0],
            "b.JPG": [1, 1, 0],
            "sub/c.png": [0, 0, 0],
            "my cat.jpg": [0, 0, 1],
        }
        assert (table.num_unlabelled, table.num_all_negative) == (0, 1)
        assert table.root == Path("set/images")
        assert table.source == "set/list.txt"
        assert table.origins["big owl"] == "set/classes.txt:3"

    @pytest.mark.parametrize(
        "rows",
        [
            "0,1,0\n1,1,0\n0,0,0\n",
            "0, 1, 0\n1, 1, 0\n0, 0, 0\n",
            "0\t1\t0\n1\t1\t0\n0\t0\t0",
            "0.0 1.0 0.0\n1.0 1.0 0.0\n0.0 0.0 0.0\n",
            "0e+00 1.000e+00 0e+00\n1e+00 1e+00 0e+00\n0e+00 0e+00 0e+00\n",
        ],
    )
    def test_values_may_be_written_in_many_ways(self, rows):
        assert cells(read(rows=rows)) == {"a.jpg": [0, 1, 0], "b.JPG": [1, 1, 0], "sub/c.png": [0, 0, 0]}

    @pytest.mark.parametrize("width", [1, 2, 3, 4])
    def test_there_may_be_any_number_of_classes(self, width):
        row = [1, 0, 1, 1][:width]
        table = read("a.jpg\n", " ".join(map(str, row)))
        assert table.classes == tuple("0123"[:width])
        assert cells(table) == {"a.jpg": row}

    def test_the_matrix_is_found_beside_the_list_by_its_content(self, caplog):
        write(IMAGES, LIST)
        write(ROWS, MATRIX)
        write("0 1\n1 1\n", "set/other.txt")
        write("cat\ndog\nowl\n", "set/labels.txt")
        with caplog.at_level(logging.INFO):
            assert cells(MatrixReader(LIST).read())["b.JPG"] == [1, 1, 0]
        assert "the labels of set/list.txt are those of set/matrix.txt" in caplog.text

    def test_a_folder_that_holds_one_pair_stands_for_it(self):
        write(IMAGES, LIST)
        write(ROWS, MATRIX)
        assert cells(MatrixReader(Path("set")).read())["b.JPG"] == [1, 1, 0]

    def test_a_folder_with_several_pairs_is_refused_until_they_are_named(self):
        write(IMAGES, LIST)
        write(ROWS, MATRIX)
        write("a.jpg\nb.jpg\n", "set/val.txt")
        write("0 1 0\n1 1 1\n", "set/val.mat.txt")
        with pytest.raises(LabelError) as error:
            MatrixReader(Path("set")).read()
        assert str(error.value) == (
            "set: 2 lists of images with a matrix of as many lines (list.txt with matrix.txt, val.txt with "
            "val.mat.txt); expected one, or give path: the list, and matrix: the file of 0 and 1"
        )
        assert len(MatrixReader(Path("set"), matrix=Path("set/val.mat.txt")).read()) == 2
        assert len(MatrixReader(Path("set/val.txt")).read()) == 2

    def test_a_list_without_a_matrix_is_refused(self):
        write(IMAGES, LIST)
        with pytest.raises(LabelError) as error:
            MatrixReader(LIST).read()
        assert str(error.value) == (
            "set/list.txt: 0 files of 0 and 1 beside it with as many lines as list.txt; expected one, or give path: "
            "the list, and matrix: the file of 0 and 1"
        )

    def test_a_missing_file_is_told(self):
        write(IMAGES, LIST)
        with pytest.raises(LabelError, match=r"^set/none.txt: cannot be read \(No such file or directory\)"):
            MatrixReader(LIST, Path("set/none.txt")).read()
        with pytest.raises(LabelError, match=r"^none.txt: 0 files of 0 and 1 beside it"):
            MatrixReader(Path("none.txt")).read()

    def test_classes_put_the_columns_in_order(self):
        write("cat\ndog\nowl\n", "set/labels.txt")
        table = read(classes=["owl", "cat", "dog"])
        assert table.classes == ("owl", "cat", "dog")
        assert cells(table)["b.JPG"] == [0, 1, 1]
        assert faults(classes=["cat", "dog", "elk"]) == [
            "set/labels.txt: class 'elk' is not named; expected a name for each of the classes",
            "set/labels.txt:3: class 'owl' is not among the 3 classes",
            "2 faults in all",
        ]

    def test_names_and_root_may_be_elsewhere(self):
        write("cat\ndog\nowl\n", "names")
        table = read("images/a.jpg\n", "0 1 0\n", names=Path("names"), root=Path("set"))
        assert table.classes == ("cat", "dog", "owl")
        assert list(table.paths) == ["images/a.jpg"]

    def test_paths_of_a_bucket_are_mapped_to_a_folder(self):
        assert len(read("s3://b/a.jpg\n", "0 1\n", uri_prefix={"s3://b/": Path("set/images")})) == 1


@pytest.mark.usefixtures("folder")
class TestTheCount:
    @pytest.mark.parametrize("rows", ["0 1 0 1\n1 1 0 2\n0 0 0 0\n", "1 0 1 0\n2 1 1 0\n0 0 0 0\n"])
    @pytest.mark.parametrize("has_names", [True, False])
    def test_it_may_be_the_first_or_the_last_value_of_a_line(self, rows, has_names):
        if has_names:
            write("cat\ndog\nowl\n", "set/labels.txt")
        assert cells(read(rows=rows)) == {"a.jpg": [0, 1, 0], "b.JPG": [1, 1, 0], "sub/c.png": [0, 0, 0]}

    def test_it_may_exceed_a_digit(self):
        row = ["1"] * 12 + ["0"] * 3
        assert cells(read("a.jpg\n", " ".join([*row, "12"])))["a.jpg"] == list(map(int, row))
        assert cells(read("a.jpg\n", ",".join(["12", *row])))["a.jpg"] == list(map(int, row))

    def test_it_may_stand_behind_each_path(self):
        images = "a.jpg 1\nb.jpg\t2\nsub/c.png 0\n"
        assert cells(read(images)) == {"a.jpg": [0, 1, 0], "b.JPG": [1, 1, 0], "sub/c.png": [0, 0, 0]}

    def test_a_line_of_the_matrix_that_does_not_bear_it_out_is_told(self):
        write("cat\ndog\nowl\n", "set/labels.txt")
        assert faults(rows="0 1 0 1\n1 1 0 3\n0 0 0 x\n") == [
            "set/matrix.txt:2: the count is '3', but 2 values are 1; expected them to agree",
            "set/matrix.txt:3: the count is 'x', but 0 values are 1; expected them to agree",
            "2 faults in all",
        ]

    def test_a_line_of_the_list_that_does_not_bear_it_out_is_told(self):
        assert faults("a.jpg 1\nb.jpg 3\nsub/c.png\n") == [
            "set/list.txt:2: the count is '3', but 2 values are 1 at set/matrix.txt:2; expected them to agree",
            "set/list.txt:3: the count is '', but 0 values are 1 at set/matrix.txt:3; expected them to agree",
            "2 faults in all",
        ]

    def test_a_pair_whose_count_may_be_first_or_last_is_refused(self):
        write("cat\ndog\n", "set/labels.txt")
        assert fault(rows="1 0 1\n0 0 0\n1 0 1\n") == (
            "set/matrix.txt: the first and the last value of each line may be the number of its ones; take that out"
        )

    def test_without_names_a_value_above_1_is_a_count_only_where_most_lines_bear_it_out(self):
        assert fault(rows="0 1 0\n1 1 5\n0 0 0\n") == "set/matrix.txt:2: value 3 is '5'; expected 0 or 1"
        assert read(rows="0 1 0 1\n1 1 0 2\n0 0 0 0\n").num_classes == 3
        assert read(rows="0 1 0 1\n1 0 0 1\n0 0 0 0\n").num_classes == 4


@pytest.mark.usefixtures("folder")
class TestFaults:
    def test_unequal_numbers_of_lines_are_told(self):
        assert fault(rows="0 1 0\n1 1 0\n\n\n") == (
            "set/list.txt has 3 lines, but set/matrix.txt has 2; expected a line an image in both"
        )

    def test_another_number_of_values_than_names_is_told(self):
        write("cat\ndog\n", "set/labels.txt")
        assert fault(rows="0 1 0 1\n1 1 0 1\n1 1 1 1\n") == (
            "set/matrix.txt: the number of values on a line is 4; expected one for each of the 2 classes of "
            "labels.txt, and perhaps their count first or last"
        )

    def test_lines_that_are_not_like_the_others_are_told(self):
        images = "a.jpg\nb.jpg\n\nsub/c.png\nmy cat.jpg\nz.jpg\n"
        assert faults(images, "0 1 0\n1 7 0\n\n-1 0 1\n0 1\n1 1 x\n") == [
            "set/list.txt:3: the path of an image is blank; expected one",
            "set/list.txt:6: no image 'z.jpg' below set/images; expected a file there, or give root: the folder that "
            "the paths start from",
            "set/matrix.txt:2: value 2 is '7'; expected 0 or 1",
            "set/matrix.txt:3: a blank line; expected the labels of an image",
            "set/matrix.txt:4: value 1 is '-1'; expected 0 or 1",
            "set/matrix.txt:5: the number of values is 2; expected 3, as on the first line",
            "set/matrix.txt:6: value 3 is 'x'; expected 0 or 1",
            "7 faults in all",
        ]

    @pytest.mark.parametrize("row", ["0,,1", "0,1,", ",0,1"])
    def test_a_value_that_is_missing_is_told(self, row):
        place = row.split(",").index("") + 1
        assert fault("a.jpg\nb.jpg\n", f"0,1,1\n{row}\n") == f"set/matrix.txt:2: value {place} is ''; expected 0 or 1"

    def test_lines_of_one_image_must_not_contradict(self):
        assert fault("a.jpg\nb.jpg\na.jpg\n", "0 1\n1 1\n0 0\n") == (
            "set/list.txt:3: class '1' is absent in image 'a.jpg', but present at set/list.txt:1; expected one of them"
        )

    def test_a_path_that_leaves_the_root_is_refused(self):
        assert faults("../../a.jpg\nb.jpg\n", "0 1\n1 1\n")[0].startswith(
            "set/list.txt:1: image '../../a.jpg' lies outside the data root set/images"
        )

    def test_an_empty_pair_is_told(self):
        assert faults("\n", "\n") == [
            "set/list.txt: no sample; expected at least one image",
            "set/list.txt: no class; expected at least one",
            "2 faults in all",
        ]


@pytest.mark.usefixtures("folder")
class TestRecognition:
    @pytest.mark.parametrize("images", [IMAGES, "a.jpg 1\nb.jpg 2\nsub/c.png 0\n"])
    @pytest.mark.parametrize("rows", [ROWS, "0,1,1\n1,1,2\n0,0,0", "1 0 1\n2 1 1\n0 0 0\n\n"])
    def test_a_list_with_one_matrix_and_its_folder_are_recognised_and_by_no_other_reader(self, images, rows):
        write(images, LIST)
        write(rows, MATRIX)
        write("cat\ndog\nowl\n", "set/names.txt")
        assert claimants(LIST) == ["matrix"]
        assert claimants(Path("set")) == ["matrix"]
        assert claimants(MATRIX) == []
        assert claimants(Path("set/names.txt")) == []

    def test_two_matrices_for_a_list_are_not_clear(self):
        write(IMAGES, LIST)
        write(ROWS, MATRIX)
        write(ROWS, "set/again.txt")
        assert claimants(LIST) == []
        assert claimants(Path("set")) == []

    @pytest.mark.parametrize(
        ("images", "rows"),
        [
            (IMAGES, "0 1 0\n1 1 0\n"),
            (IMAGES, "0\n1\n0\n"),
            (IMAGES, "0 1 0\n1 1\n0 0 0\n"),
            (IMAGES, "0 2 0\n1 1 0\n0 0 0\n"),
            (IMAGES, "0 cat\n1 dog\n2 owl\n"),
            ("cat\ndog\nowl\n", ROWS),
            ("a.jpg cat\nb.jpg dog\nsub/c.png\n", ROWS),
            ("a.jpg 1\nb.jpg\nsub/c.png\n", ROWS),
            ("2008_000033  1\n2008_000034 -1\n2008_000035  0\n", ROWS),
            ("", ""),
        ],
    )
    def test_other_texts_are_not_claimed(self, images, rows):
        write(images, LIST)
        write(rows, MATRIX)
        assert not MatrixReader.recognises(LIST)
        assert not MatrixReader.recognises(Path("set"))

    def test_what_is_not_there_is_not_recognised(self):
        assert not MatrixReader.recognises(Path("nowhere"))
        assert not MatrixReader.recognises(Path("set/images"))

    def test_the_lines_of_large_files_are_counted(self):
        write("a.jpg\n" * 30_000, LIST)
        write("0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1\n" * 30_000 + "\n" * 9, MATRIX)
        assert MatrixReader.recognises(LIST)
        write("a.jpg\n" * 30_001, LIST)
        assert not MatrixReader.recognises(LIST)


NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["C"], exclude_characters='/\\"'), min_size=1, max_size=8
)
NAMES = NAMES.map(str.strip).filter(lambda name: name and name[0] not in ".0123456789" and "://" not in name)
quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
fuzz = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100)


@st.composite
def tables(draw):
    classes = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    paths = draw(st.lists(NAMES, min_size=1, max_size=5, unique_by=str.casefold))
    row = st.lists(st.sampled_from([0, 1]), min_size=len(classes), max_size=len(classes))
    return classes, {f"{path}.jpg": draw(row) for path in paths}


@quick
@given(tables(), st.sampled_from([" ", "\t", ",", ", "]), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_any_table_written_as_a_pair_is_read_back(table, separator, end, is_counted):
    classes, rows = table
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in rows:
            (folder / path).touch()
        images = [f"{path}\t{sum(row)}" if is_counted else path for path, row in rows.items()]
        write(end.join(images), folder / "list")
        write(end.join(separator.join(map(str, row)) for row in rows.values()) + end, folder / "matrix")
        write(end.join(classes), folder / "names")
        found = MatrixReader(folder / "list", folder / "matrix", names=folder / "names", root=folder).read()
    assert found.classes == tuple(classes)
    assert cells(found) == rows


@fuzz
@given(st.binary(max_size=60) | st.text("01,2\t \n-x\r.e+", max_size=60).map(str.encode), st.booleans())
def test_any_bytes_are_a_table_or_a_label_error(folder, data, is_list):
    assert_read_or_refused(data if is_list else IMAGES.encode(), ROWS.encode() if is_list else data)
    assert_read_or_refused(b"a.jpg" + b"\na.jpg" * data.strip().count(b"\n"), data)


@fuzz
@given(st.integers(0, 30), st.integers(0, 255), st.booleans(), st.booleans())
def test_a_pair_that_is_cut_or_damaged_is_a_table_or_a_label_error(folder, at, byte, is_cut, is_list):
    def damaged(text):
        data = text.encode()
        return data[:at] if is_cut else data[:at] + bytes([byte]) + data[at + 1 :]

    assert_read_or_refused(damaged(IMAGES) if is_list else IMAGES.encode(), ROWS.encode() if is_list else damaged(ROWS))


def assert_read_or_refused(images, rows):
    write(images, LIST)
    write(rows, MATRIX)
    MatrixReader.recognises(LIST)
    for reader in (MatrixReader(LIST, MATRIX), MatrixReader(LIST), MatrixReader(Path("set"))):
        outcome = read_or_refuse(reader)
        assert outcome.startswith("set") if isinstance(outcome, str) else len(outcome) > 0


def read_or_refuse(reader):
    try:
        return reader.read()
    except LabelError as error:
        return str(error)
