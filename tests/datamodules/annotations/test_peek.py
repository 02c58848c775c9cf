import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mlic.datamodules.annotations.peek import entry_names, first_rows, head, json_shape, xml_root

SIZE = 1 << 16


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(data):
    Path("a").write_bytes(data.encode() if isinstance(data, str) else data)
    return Path("a")


class TestHead:
    def test_it_is_the_text_without_a_byte_order_mark(self):
        assert head(write(b"\xef\xbb\xbfd\xc3\xb6g\r\n")) == "dög\r\n"

    def test_it_ends_where_it_may_within_a_character(self):
        assert head(write("öö"), 3) == "ö"

    def test_of_a_large_file_it_is_the_beginning(self):
        assert head(write("x" * 2 * SIZE)) == "x" * SIZE

    @pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff\xe0JFIF", b"d\xf6g", b"a\0b", "dog".encode("utf-16")])
    def test_what_is_no_text_has_none(self, data):
        assert head(write(data)) == ""

    @pytest.mark.parametrize("path", ["none", ".", "a\0b"])
    def test_what_is_no_file_has_none(self, path):
        assert head(Path(path)) == ""

    def test_a_pipe_is_not_waited_for(self):
        os.mkfifo("pipe")
        assert head(Path("pipe")) == ""


class TestFirstRows:
    def test_cells_are_stripped_and_blank_lines_left_out(self):
        text = '\ufefffilename, Dark Spot ,"Eye, bag"\r\n\r\n a.jpg , 1,\r\n   \r\nb.jpg,0,1'
        assert first_rows(write(text)) == [
            ["filename", "Dark Spot", "Eye, bag"],
            ["a.jpg", "1", ""],
            ["b.jpg", "0", "1"],
        ]

    @pytest.mark.parametrize("separator", [",", ";", "\t"])
    def test_they_are_separated_by_what_the_first_line_has_most_of(self, separator):
        assert first_rows(write(separator.join(["a", "b", '"c,,;;\t\td"']))) == [["a", "b", "c,,;;\t\td"]]

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_only_whole_lines_are_among_them_whatever_their_ends(self, end):
        line = f"{'x' * 1000},1{end}"
        rows = first_rows(write(line * 100), count=1000)
        assert rows == [["x" * 1000, "1"]] * (SIZE // len(line))

    def test_there_are_as_many_as_asked_for(self):
        assert first_rows(write("a,b\n" * 9), count=2) == [["a", "b"]] * 2

    @pytest.mark.parametrize("data", [b"", b"\n \n", b"\0", b"x" * 2 * SIZE])
    def test_there_may_be_none(self, data):
        assert first_rows(write(data)) == []


class TestJsonShape:
    @pytest.mark.parametrize(
        ("text", "shape"),
        [
            ('{"a": 1, "b": {"c": [], "d": null}, "e": "f"}', {"a", "b", "b.c", "b.d", "e"}),
            ('{"a": [1, {"b": [2, {"c": 3}]}, {"d": 4}], "e": 5}', {"a", "a[].b", "a[].b[].c", "a[].d", "e"}),
            ('[{"a": {"b": 1}}, {"c": 2}]', {"[].a", "[].a.b", "[].c"}),
            ('[[{"a": 1}], [{"b": 1}]]', {"[][].a", "[][].b"}),
            ('\ufeff{ "a" :\r\n{"b"\t: "x"}}\r\n', {"a", "a.b"}),
            ('{"a": "\\"b\\": {", "c\\\\": "d,e:", "f": ["g", "h"]}', {"a", "c\\\\", "f"}),
            ('{"a": -1.5e3, "b": true, "c": NaN}', {"a", "b", "c"}),
            ("{}", set()),
            ("[]", set()),
        ],
    )
    def test_keys_are_told_with_their_paths(self, text, shape):
        assert json_shape(write(text)) == shape

    @pytest.mark.parametrize(
        ("text", "shape"),
        [
            ('{"a": 1}\n{"b": 2}\n', {"a", "b", "LINES"}),
            ('\ufeff{"a": [1]}\r\n\r\n{"a": [2]}', {"a", "LINES"}),
            ('[{"a": 1}]\n{"b": 2}', {"[].a", "b", "LINES"}),
            ("{}{", {"LINES"}),
        ],
    )
    def test_a_second_document_is_told(self, text, shape):
        assert json_shape(write(text)) == shape

    @pytest.mark.parametrize(
        ("text", "shape"),
        [
            ('{"a": [{"b": "c", "d', {"a", "a[].b"}),
            ('{"a": [{"b": "{[", "c": "{"}, {"d": "x {', {"a", "a[].b", "a[].c", "a[].d"}),
            ('{"a": "\\', {"a"}),
            ('{"a": "\\u00', {"a"}),
            ("{", set()),
        ],
    )
    def test_a_document_may_be_cut_anywhere(self, text, shape):
        assert json_shape(write(text)) == shape

    def test_only_the_beginning_of_a_large_file_is_looked_at(self):
        assert json_shape(write(json.dumps({"a": "x" * 10, "b": "y" * SIZE, "c": 1}))) == {"a", "b"}

    @pytest.mark.parametrize("text", ["", "hello", '"x" {"a": 1}', "]", "1 {", "a,b\n1,2", '<a b="c"/>', "a: {b: 1}"])
    def test_what_is_no_json_document_has_none(self, text):
        assert json_shape(write(text)) == set()

    def test_keys_far_inside_are_not_told(self):
        assert json_shape(write('{"a":{"b":{"c":{"d":{"e":{"f":1}}}}},"z":1}')) == {
            *("a", "a.b", "a.b.c", "a.b.c.d", "a.b.c.d.e", "z")
        }

    @pytest.mark.parametrize("text", ["[", '{"a":', '"\\', '{"', '{"a', '\\"', '{"a" ', "{}", "[]", '{"x":"\\"'])
    def test_a_file_made_to_be_slow_is_not(self, text):
        # The shape of each of the first 65,536 brackets, or a look back from each quotation mark, would take minutes.
        assert len(json_shape(write(text * SIZE))) <= 10


class TestXmlRoot:
    @pytest.mark.parametrize(
        "text",
        [
            "<annotation/>",
            '\ufeff<?xml version="1.0" encoding="utf-8"?>\r\n<!-- by hand -->\r\n<annotation verified="yes">',
            "  \n<annotation\n>",
            "<!DOCTYPE annotation><annotation>",
            "<annotation><a/><b>",
        ],
    )
    def test_it_is_the_outermost_element(self, text):
        assert xml_root(write(text)) == "annotation"

    @pytest.mark.parametrize("data", [b"", b"annotation", b"{}", b"< a>", b"<", b"<!-- <a> ", b"\xff\xd8", b"\0<a>"])
    def test_what_is_no_xml_has_none(self, data):
        assert xml_root(write(data)) == ""

    @pytest.mark.parametrize("text", ["<!-- -->", "<!--", " ", "<?x ?>", "<!---->"])
    def test_a_file_made_to_be_slow_is_not(self, text):
        assert xml_root(write(text * SIZE)) == ""


def test_the_names_in_a_folder_are_told_and_none_of_what_is_no_folder():
    Path("b").mkdir()
    assert entry_names(Path()) == {"b"}
    assert entry_names(Path("none")) == entry_names(write("a")) == set()


texts = st.text(st.sampled_from('{}[]":,\\ab \n\ufeffé<>!-/?=1'), max_size=40)
many = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)


def shape_of(value, path=""):
    """What `json_shape` should say of a document."""
    if isinstance(value, dict):
        for key, inner in value.items():
            below = f"{path}.{key}" if path else key
            yield below
            yield from shape_of(inner, below)
    elif isinstance(value, list):
        for inner in value:
            yield from shape_of(inner, f"{path}[]")


documents = st.recursive(
    st.none() | st.integers() | st.text(st.sampled_from('{}[]":,\\a\n'), max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
).filter(lambda value: isinstance(value, dict | list))


@many
@given(documents)
def test_the_shape_of_any_document_is_that_of_what_it_holds(document):
    keys = {key for key in shape_of(document) if key.count(".") + key.count("[]") < 4}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a")
        path.write_text(json.dumps(document))
        assert {key for key in json_shape(path) if key.count(".") + key.count("[]") < 4} == keys


@many
@given(st.binary(max_size=60) | texts.map(str.encode))
@example(b"\xef\xbb\xbf")
@example(b'"a":')
@example(b'{"a"}:1]')
def test_any_bytes_are_looked_at_without_an_error(data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a")
        path.write_bytes(data)
        assert isinstance(head(path), str)
        assert all(isinstance(cell, str) for row in first_rows(path) for cell in row)
        assert all(isinstance(key, str) for key in json_shape(path))
        assert isinstance(xml_root(path), str)
