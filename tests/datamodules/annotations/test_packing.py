import csv
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mlic.datamodules.annotations.packing import Packer
from mlic.datamodules.annotations.rows import Rows
from mlic.datamodules.annotations.spellings import FRACTION, UNREADABLE, Spellings
from mlic.datamodules.readers import csv as csv_reader
from mlic.datamodules.readers.csv import CsvReader
from mlic.errors import LabelError

WORDS = ["1.0", "0.0", "-1", "-1.0", "True", "False", "no"]
SINGLE = ["1", "0", "", "?", " 1", "1 ", "  0", "\t", "\0", "\1", "\2", "\x1f", "x", "é", "7", "-"]
LONG = ["0.5", ".0", "1.05", "1.0.0", "1.0 ", " True", "True.0", "-1.01", "TRUE", "n o", "yes", "nan", "\ufeff1", "１"]
CELLS = st.sampled_from([*SINGLE, *LONG, *WORDS])


def packer(count, separator=",", seen=tuple(WORDS), **options):
    return Packer(separator, count, Spellings(options.get("negative"), options.get("unknown")), seen)


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("1,0,?", [1, 0, 255]),
        (" 1, 0, 1", [1, 0, 1]),
        ("1,,0", [1, 251, 0]),
        (",,", [251, 251, 251]),
        ("1.0,0.0,-1", [1, 0, 254]),
        ("True,,-1.0", [1, 251, 254]),
        ("1,0", None),
        ("1,0,1,", None),
        (",,,,", None),
        ("1,0,x", None),
        ("1,0,0.5", None),
        ("1,0,11", None),
        ("1,0,1.05", None),
        ("True.0,0,1", None),
        ("\1,0,1", None),
        ("\1,1.0,1", None),
        ("1,0,é", None),
    ],
)
def test_a_row_is_packed_if_every_cell_is_one_character_a_blank_or_a_word(text, codes):
    assert packer(3).codes(text) == (None if codes is None else bytes(codes))


def test_a_cell_that_holds_the_separator_is_not_taken_for_two():
    assert packer(3).codes_of(["1", "0", "1"]) == bytes([1, 0, 1])
    assert packer(3).codes_of(["1,0", "1", "0"]) is None
    assert packer(3).codes_of(["1,0", "1"]) == bytes([1, 0, 1])  # whose number the caller knows


def test_more_words_than_there_are_signs_leave_the_rest_to_the_look_up_of_cells():
    words = [f"{'0' * number}1" for number in range(1, 8)] + [f"{'0' * number}" for number in range(2, 8)]
    many = packer(2, seen=words)
    assert many.codes("0000001,1") == bytes([1, 1])
    assert [many.codes(f"{word},1") is None for word in words].count(True) == len(words) - 8


@settings(max_examples=500)
@given(st.lists(CELLS, min_size=1, max_size=6), st.sampled_from(",;"), st.sampled_from([None, "x", "", "0.5", -1]))
@example(["", "", ""], ",", None)
@example(["1", "", ""], ",", None)
def test_packed_codes_are_those_of_each_cell(cells, separator, negative):
    spellings = Spellings(negative, None)
    text = separator.join(cells)
    codes = Packer(separator, len(cells), spellings, WORDS).codes(text)
    expected = bytes(spellings[cell] for cell in cells)
    assert codes is None or codes == expected
    assert codes != expected or not {UNREADABLE, FRACTION} & set(codes)


@settings(max_examples=300)
@given(st.text(st.sampled_from("10,?. -\0\1Truex\t"), max_size=12), st.integers(1, 4))
def test_any_text_is_packed_as_the_csv_module_would_split_it_or_not_at_all(text, count):
    codes = packer(count).codes(text)
    if codes is not None:
        cells = next(csv.reader([text], skipinitialspace=True)) or [""]
        spellings = Spellings(None, None)
        assert codes == bytes(spellings[cell] for cell in cells)


LINES = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "a.jpg",
                "b.jpg",
                '"a.jpg"',
                ' "b.jpg"',
                '"a.jpg" ',
                '"a,"".jpg"',
                'a"',
                '"a',
                "no.jpg",
                "",
                " a.jpg",
                "a.jpg,b",
            ]
        ),
        st.lists(CELLS | st.sampled_from(['"1"', '"1,0"', '""', '"a']), min_size=2, max_size=4),
        st.sampled_from(["", ",g", ",h", ',"g"', ","]),
        st.sampled_from(["\n", "\r\n", "\r", ",\n"]),
    ),
    max_size=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(LINES, st.sampled_from(["", ",group"]), st.booleans())
def test_a_file_is_read_with_packing_as_without(tmp_path, monkeypatch, lines, group, soft):
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.jpg"):
        Path(name).touch()
    text = f"image,cat,dog,owl{group}\na.jpg,1,0,1.0{group and ',g'}\n"
    text += "".join(f"{image},{','.join(cells)}{its}{end}" for image, cells, its, end in lines)
    Path("labels.csv").write_bytes(text.encode())
    options = {"group_column": "group"} if group else {}
    monkeypatch.setattr(csv_reader, "_LOOKED_AT", 1)
    packed = outcome(soft=soft, **options)
    with monkeypatch.context() as patch:
        patch.setattr(Packer, "codes", lambda self, text: None)
        patch.setattr(Rows, "_split", lambda *arguments: None)
        slow = outcome(soft=soft, **options)
    assert packed == slow


def outcome(**options):
    try:
        table, message = CsvReader(Path("labels.csv"), unknown_value=-1, **options).read(), ""
    except LabelError as error:
        table, message = error.table, str(error)
    if table is None:
        return message
    return message, list(table.paths), table.classes, table.dense().tolist(), list(table.groups or ())
