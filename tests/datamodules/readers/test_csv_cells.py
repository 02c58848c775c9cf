"""Soft labels, what -1 means class by class, and what is read of a faulty file all the same."""

import contextlib
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlic.datamodules.readers.csv import CsvReader
from mlic.errors import LabelError
from mlic.parts import spec


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in "abcd":
        (tmp_path / f"{name}.jpg").touch()
    return tmp_path


def read(text, **options):
    Path("labels.csv").write_bytes(text.encode())
    return CsvReader(Path("labels.csv"), **options).read()


def refusal(text, **options):
    with pytest.raises(LabelError) as error:
        read(text, **options)
    return error.value


def fault(text, **options):
    (line,) = str(refusal(text, **options)).splitlines()
    return line


def cells(table):
    return {path: row.tolist() for path, row in zip(table.paths, table.dense(), strict=True)}


class TestSoftLabels:
    TEXT = "image,cat,dog\r\na.jpg,0.75, 1\r\nb.jpg,.5,0\r\nc.jpg,,2.5e-1\r\nd.jpg,?,NaN\r\n"

    def test_numbers_between_0_and_1_are_soft_when_told_so(self):
        table = read(self.TEXT, soft=True)
        assert table.is_soft
        assert cells(table) == {"a.jpg": [0.75, 1], "b.jpg": [0.5, 0], "c.jpg": [-1, 0.25], "d.jpg": [-1, -1]}
        assert (table.support().tolist(), table.negatives().tolist(), table.num_unlabelled) == ([1, 1], [0, 2], 1)

    def test_they_are_refused_otherwise_with_what_to_give(self):
        assert str(refusal("image,cat,dog\na.jpg,0.7,1\nb.jpg,1,0\nc.jpg,0,0\n")) == (
            "labels.csv:2: column 'cat' holds '0.7'; expected 1 (present), 0 (absent) or blank (unknown), or give "
            "ignore_columns: ['cat'] if it is no class, or soft: true if labels may be probabilities"
        )
        assert str(refusal("image,cat\na.jpg,0.7\nb.jpg,0.2\n")) == (
            "labels.csv:2: column 'cat' holds '0.7' and 1 more cells that are no labels; if they are probabilities, "
            "give soft: true; if it is no class, give ignore_columns: ['cat']; if its cells list labels, "
            "label_column: 'cat'"
        )

    def test_a_number_outside_0_to_1_is_refused_all_the_same(self):
        assert "column 'cat' holds '1.2'; expected 1 (present)" in fault(
            "image,cat,dog\na.jpg,1.2,0.5\nb.jpg,1,0\nc.jpg,0,0\n", soft=True
        )
        assert "holds -1, which may mean absent or unknown" in fault("image,cat\na.jpg,-1\nb.jpg,0.4\n", soft=True)

    def test_a_table_without_fractions_is_as_ever(self):
        table = read("image,cat,dog\na.jpg,1,0\nb.jpg,,1.0\n", soft=True)
        assert (table.is_soft, table.values.dtype) == (False, np.int8)

    def test_a_column_called_label_may_hold_them(self):
        assert cells(read("image,label\na.jpg,0.75\nb.jpg,0\n", soft=True)) == {"a.jpg": [0.75], "b.jpg": [0]}

    def test_rows_of_one_image_complete_each_other_and_must_agree(self):
        table = read("image,cat,dog\na.jpg,0.75,\na.jpg,0.75,0.5\na.jpg,,\n", soft=True)
        assert cells(table) == {"a.jpg": [0.75, 0.5]}
        assert fault("image,cat\na.jpg,0.75\na.jpg,1\n", soft=True) == (
            "labels.csv:3: class 'cat' is present in image 'a.jpg', but 0.75 on line 2; expected rows of one image to "
            "agree"
        )

    def test_they_may_be_told_to_mean_something_else(self):
        assert cells(read("image,cat\na.jpg,0.5\nb.jpg,0\n", unknown_value=0.5)) == {"a.jpg": [-1], "b.jpg": [0]}

    def test_a_column_that_lists_labels_has_none(self):
        assert fault("image,labels\na.jpg,cat\n", soft=True) == (
            "labels.csv:1: soft is about a column a class, but 'labels' lists labels"
        )

    def test_many_blocks_of_rows_keep_their_order(self, monkeypatch):
        monkeypatch.setattr("mlic.datamodules.readers.csvonehot._BLOCK", 4)
        table = read(self.TEXT, soft=True)
        assert cells(table) == {"a.jpg": [0.75, 1], "b.jpg": [0.5, 0], "c.jpg": [-1, 0.25], "d.jpg": [-1, -1]}

    @settings(max_examples=50)
    @given(
        st.lists(
            st.lists(
                st.sampled_from([0.0, 1.0, -1.0]) | st.floats(2.0**-10, 1 - 2.0**-10, width=32), min_size=3, max_size=3
            ),
            min_size=1,
            max_size=4,
        )
    )
    def test_any_soft_table_is_read_back(self, labels):
        text = "image,cat,dog,owl\n"
        for name, row in zip("abcd", labels, strict=False):
            text += f"{name}.jpg,{','.join('?' if label == -1 else repr(label) for label in row)}\n"
        assert read(text, soft=True).dense().tolist() == labels


class TestUncertain:
    TEXT = "image,cat,dog,owl\na.jpg,-1,-1,0\nb.jpg,1,-1.0,1\n"

    @pytest.mark.parametrize(("policy", "label"), [("ignore", -1), ("positive", 1), ("negative", 0)])
    def test_it_says_what_minus_1_means_in_every_class(self, policy, label):
        assert cells(read(self.TEXT, uncertain=policy)) == {"a.jpg": [label, label, 0], "b.jpg": [1, label, 1]}

    def test_it_may_say_so_class_by_class(self):
        table = read(self.TEXT, uncertain={"cat": "positive", "dog": "negative"})
        assert cells(table) == {"a.jpg": [1, 0, 0], "b.jpg": [1, 0, 1]}

    @pytest.mark.parametrize(("option", "label"), [("unknown_value", -1), ("negative_value", 0)])
    def test_another_option_says_what_it_means_in_the_others(self, option, label):
        assert cells(read(self.TEXT, uncertain={"cat": "positive"}, **{option: -1})) == {
            "a.jpg": [1, label, 0],
            "b.jpg": [1, label, 1],
        }

    def test_it_is_not_guessed_for_a_class_that_is_not_named(self):
        assert fault(self.TEXT, uncertain={"cat": "positive"}) == (
            "labels.csv:2: column 'dog' holds -1, which may mean absent or unknown; expected uncertain to name 'dog' "
            "too, or give unknown_value: -1 for the others"
        )

    def test_a_class_that_is_not_there_is_told(self):
        assert fault(self.TEXT, uncertain={"cta": "positive"}, unknown_value=-1) == (
            "labels.csv:1: uncertain names class 'cta', which has no column; did you mean 'cat'?"
        )

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (
                {"uncertain": "postive"},
                "uncertain is 'postive'; expected ignore (unknown), positive (present) or negative (absent); did you "
                "mean 'positive'?",
            ),
            (
                {"uncertain": {"cat": "U-Ones"}},
                "uncertain of 'cat' is 'U-Ones'; expected ignore (unknown), positive (present) or negative (absent)",
            ),
            (
                {"uncertain": "ignore", "negative_value": -1},
                "uncertain is 'ignore', and another option says what -1 means too; give one of them",
            ),
        ],
    )
    def test_what_it_cannot_be_is_told(self, options, message):
        with pytest.raises(LabelError) as error:
            CsvReader(Path("labels.csv"), **options)
        assert str(error.value) == message

    def test_a_column_that_lists_labels_has_no_minus_1(self):
        assert fault("image,labels\na.jpg,cat\n", uncertain="ignore") == (
            "labels.csv:1: uncertain is about a column a class, but 'labels' lists labels"
        )

    def test_a_blank_beside_it_is_unknown(self):
        assert cells(read("image,cat\na.jpg,\nb.jpg,-1\nc.jpg,1\n", uncertain="positive"))["a.jpg"] == [-1]

    def test_a_checkpoint_can_carry_it(self):
        Path("labels.csv").write_text(self.TEXT)
        reader = CsvReader(
            Path("labels.csv"), uncertain={"cat": "positive"}, unknown_value=-1, uri_prefix={"s3://b/": Path("x")}
        )
        assert spec(reader)["init_args"]["uri_prefix"] == {"s3://b/": "x"}


class TestWhatIsRightOfAFaultyFile:
    def test_faulty_cells_are_unknown_and_faulty_rows_are_left_out(self):
        error = refusal(
            "image,cat,dog\na.jpg,1,maybe\nno.jpg,1,1\nb.jpg,0,-1\nc.jpg\nd.jpg,1,0\nd.jpg,0,\n,1,1\n",
            negative_value="",
        )
        assert [line.split(":")[1] for line in str(error).splitlines()[:-1]] == ["3", "5", "8", "2", "4", "7"]
        assert str(error).splitlines()[-1] == "6 faults in all"
        assert cells(error.table) == {"a.jpg": [1, -1], "b.jpg": [0, -1], "d.jpg": [-1, 0]}
        assert (error.table.source, error.table.origins["cat"]) == ("labels.csv", "labels.csv:1")

    def test_fractions_are_unknown_unless_they_are_wanted(self):
        assert cells(refusal("image,cat\na.jpg,0.7\nb.jpg,1\nc.jpg,0\n").table) == {
            "a.jpg": [-1],
            "b.jpg": [1],
            "c.jpg": [0],
        }

    def test_labels_that_may_not_be_are_left_out_of_a_list(self):
        text = 'image,labels\na.jpg,"cat,dgo"\nb.jpg,dog\nno.jpg,cat\nc.jpg,\nd.jpg,None\n'
        error = refusal(text, classes=["cat", "dog"])
        assert len(str(error).splitlines()) == 4
        assert cells(error.table) == {"a.jpg": [1, 0], "b.jpg": [0, 1], "c.jpg": [0, 0], "d.jpg": [-1, -1]}

    def test_rows_up_to_the_first_line_that_is_no_csv_are_there(self):
        assert cells(refusal('image,cat\na.jpg,1\nb.jpg,0\nc.jpg,"1\n').table) == {"a.jpg": [1], "b.jpg": [0]}

    @pytest.mark.parametrize("text", ["", "image,cat\n", "image,cat,cat\na.jpg,1,1\n", "image,cat\nno.jpg,1\n"])
    def test_there_is_no_table_without_images_or_classes(self, text):
        assert refusal(text).table is None

    def test_there_is_no_table_of_labels_that_nobody_knows_how_to_separate(self):
        assert refusal('image,labels\na.jpg,"cat,dog"\nb.jpg,cat|dog\n').table is None


CONTENT = (
    b"\xef\xbb\xbfimage,cat,dog,owl,group\r\na.jpg,1,0,,x\r\n"
    b'b.jpg,0.5,-1,"1",y\r\n\r\nc.jpg, 1, True,?,\r\nd.JPG,0,0,0,x\r\n'
)


@settings(max_examples=150)
@given(
    st.integers(0, len(CONTENT)), st.lists(st.tuples(st.integers(0, len(CONTENT) - 1), st.integers(0, 255)), max_size=4)
)
def test_a_damaged_file_is_a_table_or_a_label_error(length, flips):
    data = bytearray(CONTENT)
    for at, byte in flips:
        data[at] = byte
    with tempfile.TemporaryDirectory() as folder:
        for name in "abcd":
            Path(folder, f"{name}.jpg").touch()
        path = Path(folder, "labels.csv")
        path.write_bytes(data[:length])
        for options in ({}, {"soft": True, "uncertain": "ignore", "group_column": "group"}, {"preset": "planet"}):
            assert CsvReader.recognises(path) in (True, False)
            with contextlib.suppress(LabelError):
                assert len(CsvReader(path, **options).read()) > 0
