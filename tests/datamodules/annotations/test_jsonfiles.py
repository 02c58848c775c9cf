import json
import math
import os
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mlic.datamodules.annotations.jsonfiles import as_written, convert, decode, read_bytes, read_json, read_json_lines
from mlic.errors import LabelError


class Item(msgspec.Struct, gc=False):
    id: int | str
    score: float = 0
    names: list[str] = []


class Document(msgspec.Struct):
    items: list[Item]
    more: dict[str, list[int]] = {}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working directory, so that messages hold short paths."""
    monkeypatch.chdir(tmp_path)


def write(data, name="a.json"):
    Path(name).write_bytes(data.encode() if isinstance(data, str) else data)
    return Path(name)


def read(data, shape=Document):
    return read_json(write(data), shape)


def fault(data, shape=Document):
    with pytest.raises(LabelError) as error:
        read(data, shape)
    return str(error.value)


def lines(data, shape=Item):
    """The documents of a JSON lines file, errors as their messages."""
    found = read_json_lines(write(data, "a.jsonl"), shape)
    return [(line, str(item) if isinstance(item, LabelError) else item) for line, item in found]


class TestADocument:
    @pytest.mark.parametrize(
        "data",
        [
            b'{"items":[{"id":1}]}',
            b'\xef\xbb\xbf{\r\n "items" : [\r\n{"id":1} ] }\r\n\r\n',
            b'{"comment":{"any":[1,{}]},"items":[{"id":1,"bbox":[1,2,3,4]}]}',
        ],
    )
    def test_it_is_read_whatever_is_around_and_between(self, data):
        assert read(data) == Document([Item(1)])

    def test_nan_and_infinity_as_python_writes_them_are_read(self):
        text = json.dumps({"items": [{"id": "a", "score": math.nan}, {"id": 2, "score": -math.inf, "names": ["é"]}]})
        first, second = read(text).items
        assert math.isnan(first.score)
        assert second == Item(2, -math.inf, ["é"])

    def test_a_number_of_any_size_is_read_where_anything_may_stand(self):
        assert read('{"x": 123456789012345678901234567890}', dict[str, Any]) == {"x": 123456789012345678901234567890}

    def test_the_half_of_a_character_is_read_where_it_stands_for_a_byte_of_a_file_name(self):
        name = os.fsdecode(b"caf\xe9.jpg")
        assert read(json.dumps({"items": [{"id": name}]})).items[0].id == name

    def test_bytes_and_views_of_them_are_decoded_alike(self):
        data = b'[{"id":1}]'
        assert decode(memoryview(data)[1:-1], Path("a.json"), "a.json: here", Item) == Item(1)

    def test_a_byte_order_mark_is_no_part_of_the_bytes(self):
        assert read_bytes(write(b"\xef\xbb\xbf{}")) == b"{}"


class TestFaultsOfADocument:
    @pytest.mark.parametrize(
        ("data", "message"),
        [
            ("", "a.json:1:1: no valid JSON: Expecting value; is the file cut short?"),
            ('{\n"items": [\n', "a.json:3:1: no valid JSON: Expecting value; is the file cut short?"),
            ('{"items": ["a', "a.json:1:12: no valid JSON: Unterminated string starting at; is the file cut short?"),
            ('{"items": []} {"items": []}', "a.json:1:15: no valid JSON: Extra data; is the file cut short?"),
            (
                '{"x": [1 2], "items": []}',
                "a.json:1:10: no valid JSON: Expecting ',' delimiter; is the file cut short?",
            ),
        ],
    )
    def test_what_is_no_json_is_told_with_line_and_column(self, data, message):
        assert fault(data) == message

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            ("[]", "a.json: expected 'object', got 'array'"),
            ("{}", "a.json: object missing required field 'items'"),
            ('{"items": {}}', "a.json: items: expected 'array', got 'object'"),
            ('{"items": [{"id": 1}, {"id": null}]}', "a.json: items[1].id: expected 'int | str', got 'null'"),
            ('{"items": [{"id": 1, "names": ["a", 2]}]}', "a.json: items[0].names[1]: expected 'str', got 'int'"),
            ('{"items": [], "more": {"x": "y"}}', "a.json: more[...]: expected 'array', got 'str'"),
            ('{"items": [{"id": 1, "score": NaN}, {}]}', "a.json: items[1]: object missing required field 'id'"),
        ],
    )
    def test_another_shape_is_told_with_its_place(self, data, message):
        assert fault(data) == message

    def test_a_place_is_told_for_a_converted_document_too(self):
        with pytest.raises(LabelError, match=r"^a\.jsonl:3: names: expected 'array', got 'str'$"):
            convert({"id": 1, "names": "x"}, "a.jsonl:3", Item)

    def test_other_encodings_are_told(self):
        windows = '{\n"items": [{"id": "é"}]}'.encode("windows-1252")
        assert fault(windows) == "a.json:2: byte 0xe9 is not UTF-8; save the file as UTF-8 (it may be Windows-1252)"
        assert fault('{"items": []}'.encode("utf-16")) == "a.json: the file is UTF-16; save it as UTF-8"

    def test_the_half_of_a_character_is_told(self):
        expected = "a.json: \\ud83d is the half of a character; expected two such, or none"
        assert fault('{"items": [{"id": "\\ud83d"}]}') == expected
        assert fault('{"items": [{"id": "\\uD83D and so on"}], "x": "\\ud83d\\ude00"}') == expected
        for text in ('{"items": [], "\\udc80": 1}', '{"items": [{"id": 1, "score": "\\udc80"}]}'):
            assert fault(text) == expected.replace("d83d", "dc80")

    @pytest.mark.parametrize("sign", ["[", '{"a":'])
    def test_endless_nesting_is_told(self, sign):
        assert fault('{"items": [], "x": ' + sign * 100_000) == "a.json: nested too deeply; expected an annotation file"

    @pytest.mark.parametrize("depth", range(100, 2000, 100))
    def test_nesting_that_one_parser_takes_and_the_other_does_not_is_a_document_or_told(self, depth):
        data = '{"items": [], "x": [' + "[" * depth + "]" * depth + ", NaN]}"
        try:
            outcome = read(data)
        except LabelError as error:
            outcome = str(error)
        assert outcome in (Document([]), "a.json: nested too deeply; expected an annotation file")

    def test_a_number_of_thousands_of_digits_is_told(self):
        assert "a.json" in fault('{"items": [{"id": NaN, "score": ' + "1" * 10_000 + "}]}")

    def test_a_file_that_cannot_be_read_is_told(self):
        with pytest.raises(LabelError) as error:
            read_json(Path("none.json"), Document)
        assert str(error.value) == "none.json: cannot be read (No such file or directory); expected a JSON file"
        with pytest.raises(LabelError, match=r"^\.: cannot be read \(Is a directory\); expected a JSON file$"):
            read_json(Path(), Document)

    def test_a_large_file_that_is_cut_short_takes_no_memory_to_speak_of(self):
        write('{"items": [' + '{"id": 1, "names": ["a", "b"], "bbox": [1.5, 2.5, 3.5]},' * 50_000)
        size = Path("a.json").stat().st_size
        tracemalloc.start()
        try:
            with pytest.raises(LabelError, match="cut short"):
                read_json(Path("a.json"), Document)
            assert tracemalloc.get_traced_memory()[1] < 6 * size
        finally:
            tracemalloc.stop()


class TestAValueInAMessage:
    @pytest.mark.parametrize(
        ("value", "text"),
        [(math.nan, "NaN"), ("é", '"é"'), ([1.5, None], "[1.5, null]"), ("x" * 99, '"' + "x" * 56 + "...")],
    )
    def test_it_is_told_as_the_document_has_it(self, value, text):
        assert as_written(value) == text

    def test_it_may_be_nested_deeply(self):
        value = None
        for _ in range(10_000):
            value = [value]
        assert as_written(value) == "nested too deeply"


class TestLines:
    def test_each_document_comes_with_its_line(self):
        data = b'\xef\xbb\xbf{"id": 1}\r\n\r\n   \n {"id": "b"} \n{"id": 3, "score": NaN, "x": 0}'
        found = lines(data)
        assert [line for line, _ in found] == [1, 4, 5]
        assert [item.id for _, item in found] == [1, "b", 3]

    def test_each_faulty_line_is_told_and_the_others_are_read(self):
        data = b'{"id": 1}\n{"id": \n{"id": null}\n{"id": "\xe9"}\n[]\n{"id": 5}\n{"id": "\xe8"}\n{"id": 1} {"id": 2}\n'
        assert lines(data) == [
            (1, Item(1)),
            (2, "a.jsonl:2: column 7: no valid JSON: Expecting value; is the file cut short?"),
            (3, "a.jsonl:3: id: expected 'int | str', got 'null'"),
            (4, "a.jsonl:4: byte 0xe9 is not UTF-8; save the file as UTF-8 (it may be Windows-1252)"),
            (5, "a.jsonl:5: expected 'object', got 'array'"),
            (6, Item(5)),
            (7, "a.jsonl:7: byte 0xe8 is not UTF-8; save the file as UTF-8 (it may be Windows-1252)"),
            (8, "a.jsonl:8: column 11: no valid JSON: Extra data; is the file cut short?"),
        ]

    def test_a_file_in_utf_16_is_told_once(self):
        with pytest.raises(LabelError, match=r"^a\.jsonl: the file is UTF-16; save it as UTF-8$"):
            lines('{"id": 1}\n{"id": 2}\n'.encode("utf-16"))

    def test_many_undecodable_lines_take_time_in_proportion(self):
        # Each would be looked for from the beginning of the file: ten thousand times ten thousand lines.
        assert len(lines(b'{"id": "\xff"}\n' * 10_000)) == 10_000

    def test_a_file_without_lines_has_none(self):
        assert lines(b"") == lines(b"\xef\xbb\xbf\n \r\n") == []

    def test_a_file_that_cannot_be_read_is_told(self):
        with pytest.raises(LabelError) as error:
            list(read_json_lines(Path("none.jsonl"), Item))
        assert str(error.value) == "none.jsonl: cannot be read (No such file or directory); expected a JSON lines file"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "items", "names"]), inner),
    max_leaves=10,
)
VALID = json.dumps({"items": [{"id": 1, "score": 0.5, "names": ["é\U0001f600", "b"]}], "more": {"x": [1, 2]}}).encode()
many = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)


@many
@given(values)
def test_what_python_writes_is_read_as_python_reads_it(document):
    text = json.dumps(document)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.json")
        path.write_text(text)
        assert json.dumps(read_json(path, Any)) == text


@many
@given(st.binary(max_size=60) | st.builds(bytes.__add__, st.sampled_from([b"{", b"[", b"\xef\xbb\xbf"]), st.binary()))
@example(b"\xef\xbb\xbf\xef\xbb\xbf{}")
@example(b'{"items": [{"id": 1e999}]}')
def test_any_bytes_are_a_document_or_a_label_error(data):
    read_or_refuse(data)


@many
@given(st.data())
def test_a_file_that_is_cut_or_has_a_wrong_byte_is_a_document_or_a_label_error(data):
    at = data.draw(st.integers(0, len(VALID) - 1))
    cut = data.draw(st.booleans())
    read_or_refuse(VALID[:at] if cut else VALID[:at] + data.draw(st.binary(min_size=1, max_size=1)) + VALID[at + 1 :])


def read_or_refuse(data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.json")
        path.write_bytes(data)
        for read in (
            lambda: read_json(path, Document),
            lambda: read_json(path, Any),
            lambda: list(read_json_lines(path, Item)),
        ):
            try:
                read()
            except LabelError as error:
                message = str(error)
            else:
                message = str(path)
            assert message.startswith(str(path))
