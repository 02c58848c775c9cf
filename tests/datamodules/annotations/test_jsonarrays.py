import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlic.datamodules.annotations.jsonarrays import read_in_parts
from mlic.errors import LabelError


class Item(msgspec.Struct):
    id: int
    more: object = None


class Document(msgspec.Struct):
    things: list[Item]
    name: str = ""
    other: object = None


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(text, size=1 << 18):
    """Returns the document and the items; None if the file is to be read whole."""
    Path("a.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    found = read_in_parts(Path("a.json"), Document, "things", Item, list, size)
    if found is None:
        return None
    document, parts = found
    assert document.things == []
    return document, [(item.id, item.more) for part in parts for item in part]


def items(text, size=1 << 18):
    found = read(text, size)
    return None if found is None else found[1]


class TestTheArray:
    @pytest.mark.parametrize(
        "text",
        [
            '{"name": "x", "things": [{"id": 1}, {"id": 2}], "other": [3]}',
            '{"things":[{"id":1},{"id":2}],"other":[3],"name":"x"}',
            '{\n  "name": "x",\n  "other": [3],\n  "things": [\n    {\n"id": 1\n}\n  ,\n  {\n"id": 2}\r\n]\n}\n',
            '\ufeff{"name":"x","other":[3],"things"\t:\n[{"id":1} , {"id":2} ] }',
        ],
    )
    @pytest.mark.parametrize("size", [1, 7, 64, 1 << 18])
    def test_it_may_stand_anywhere_and_be_written_in_any_way(self, text, size):
        assert read(text, size) == (Document([], "x", [3]), [(1, None), (2, None)])

    @pytest.mark.parametrize("size", [1, 12, 13, 14, 1 << 18])
    @pytest.mark.parametrize("text", ['{"things":[]}', '{"things":[ \n ]}', '{"name":"","things":[\n]  ,"other":null}'])
    def test_it_may_be_empty(self, text, size):
        assert items(text, size) in ([], None)
        assert items(text) == []

    def test_it_is_taken_in_parts_and_in_order(self):
        text = json.dumps({"things": [{"id": i} for i in range(1000)]})
        Path("a.json").write_text(text)
        found = read_in_parts(Path("a.json"), Document, "things", Item, len, 200)
        assert found is not None
        assert sum(found[1]) == 1000
        assert 50 < len(found[1]) < 100
        assert items(text, 200) == [(i, None) for i in range(1000)]

    def test_an_item_may_be_longer_than_a_part(self):
        more = ["x" * 5000, {"y": "z" * 3000}]
        things = [{"id": 1, "more": more}, {"id": 2}, {"id": 3, "more": more}]
        assert items(json.dumps({"things": things}), 100) == [(1, more), (2, None), (3, more)]

    @pytest.mark.parametrize("more", ["},{", "}]", '"},{"', "\\", '\\"}, {', [{"a": 1}, {"b": [{}, {}]}], "}" * 50])
    @pytest.mark.parametrize("size", [8, 40, 1000])
    def test_what_looks_like_an_end_within_an_item_is_none(self, more, size):
        things = [{"id": i, "more": more} for i in range(9)]
        text = json.dumps({"things": things, "other": [{"a": "},{"}, {}]})
        assert items(text, size) in ([(i, more) for i in range(9)], None)
        assert items(text) == [(i, more) for i in range(9)]


class TestWhatIsReadWhole:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "[]",
            "{}",
            '{"name": "x"}',
            '{"things": null}',
            '{"things": {}}',
            '{"things": [1, 2]}',
            '{"things": [[]]}',
            '{"things": [{"id": "1"}]}',
            '{"things": [{"id": 1}, {"more": 1}]}',
            '{"things": [{"id": 1}, {"id": NaN}]}',
            '{"things": [{"id": 1, "more": NaN}]}',
            '{"things": [{"id": 1}], "other": NaN}',
            '{"things": [{"id": 1}],}',
            '{"things": [{"id": 1}]',
            '{"things": [{"id": 1}',
            '{"things": [{"id": 1},]}',
            '{"things": [{"id": 1} {"id": 2}]}',
            '{"things": [{"id": 1}]}}',
            '{"things": [{"id": 1}]} {}',
            '{"name": 1, "things": [{"id": 1}]}',
            '{"things": [{"id": 1, "more": ' + "[" * 100_000,
        ],
    )
    @pytest.mark.parametrize("size", [10, 1 << 18])
    def test_what_is_not_valid_or_something_else(self, text, size):
        assert items(text, size) is None

    def test_bytes_that_are_no_utf_8(self):
        assert items(b'{"things": [{"id": 1, "more": "\xff"}]}') is None
        assert items(b'{"name": "\xff", "things": [{"id": 1}]}') is None

    def test_an_array_of_that_name_within_something_else(self):
        inner = '{"other": {"things": [{"id": 1}]}'
        assert items(inner + "}") is None
        assert items(inner + ', "things": [{"id": 2}]}') is None
        assert items(inner + ', "things": []}') is None

    def test_an_array_that_is_there_twice(self):
        assert items('{"things": [{"id": 1}], "things": [{"id": 2}]}') is None

    def test_a_name_within_a_text(self):
        assert items(json.dumps({"name": '"things": [{"id": 1}]', "things": [{"id": 2}]})) in (None, [(2, None)])

    def test_a_name_that_is_written_with_escapes(self):
        assert items('{"thing\\u0073": [{"id": 1}]}') is None

    def test_an_empty_array_as_it_stands_for_the_long_one(self):
        assert items('{"things": [{"id": 1}], "other": [\t \n \r \t]}') is None


def test_a_file_that_cannot_be_read_is_told():
    with pytest.raises(LabelError) as error:
        read_in_parts(Path("no.json"), Document, "things", Item, len)
    assert str(error.value) == "no.json: cannot be read (No such file or directory); expected a JSON file"
    with pytest.raises(LabelError, match="cannot be read"):
        read_in_parts(Path(), Document, "things", Item, len)


TEXTS = st.text(st.sampled_from('},{]["\\ :a\nä')) | st.sampled_from(["},{", '"},{"', "}]", '"things": [', "}, {"])
VALUES = st.recursive(
    st.none() | st.integers(-3, 3) | st.booleans() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
THINGS = st.lists(st.fixed_dictionaries({"id": st.integers(0, 9)}, optional={"more": VALUES}), max_size=12)
repeated = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)


@repeated
@given(THINGS, VALUES, st.permutations(["name", "things", "other"]), st.sampled_from([None, 1]), st.integers(1, 300))
def test_whatever_is_read_is_what_json_reads(things, other, order, indent, size):
    values = {"name": "x", "things": things, "other": other}
    text = json.dumps({key: values[key] for key in order}, indent=indent)
    found = read(text, size)
    expected = [(thing["id"], thing.get("more")) for thing in things]
    assert found is None or found == (Document([], "x", other), expected)


@repeated
@given(THINGS, st.integers(0, 200), st.binary(max_size=3), st.integers(0, 3), st.integers(1, 300))
def test_whatever_is_broken_is_read_as_json_does_or_not_at_all(things, at, put, taken, size):
    data = json.dumps({"things": things, "name": "x"}).encode()
    broken = data[:at] + put + data[at + taken :]
    found = items(broken, size)
    if found is not None:
        assert found == [
            (thing["id"], thing.get("more")) for thing in json.loads(broken.decode(errors="replace"))["things"]
        ]
