import random
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mlic.datamodules.annotations import yamlfiles
from mlic.datamodules.annotations.yamlfiles import read_yaml
from mlic.errors import LabelError

VALID = "names: # which\n  0: no\n  1: 'big dog'\n2: &a [x, ~, '~', \"\"]\nl: *a\nn:\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=[yamlfiles._LOADER, yaml.SafeLoader], ids=["quick", "plain"])
def either_loader(request, monkeypatch):
    monkeypatch.setattr(yamlfiles, "_LOADER", request.param)


def parse(text, **options):
    Path("a.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_yaml(Path("a.yaml"), **options)


def plain(node):
    """A node as text, lists and lists of pairs; None for nothing."""
    if node.is_mapping:
        return {plain(key): plain(value) for key, value in node.pairs()}
    return None if node.is_null else node.text if node.text is not None else [plain(item) for item in node.items]


def refusal(text):
    with pytest.raises(LabelError) as error:
        parse(text)
    return str(error.value)


@pytest.mark.usefixtures("either_loader")
class TestTheDocument:
    @pytest.mark.parametrize("text", [VALID, "\ufeff" + VALID, VALID.replace("\n", "\r\n"), f"---\n{VALID}...\n"])
    def test_a_text_is_what_stands_there(self, text):
        values = ["x", None, "~", ""]
        assert plain(parse(text)) == {"names": {"0": "no", "1": "big dog"}, "2": values, "l": values, "n": None}

    def test_it_has_lines(self):
        pairs = list(parse(VALID).pairs())
        assert [(key.line, value.line) for key, value in pairs] == [(1, 2), (4, 4), (5, 4), (6, 6)]

    def test_what_lies_deeper_is_passed_over(self):
        assert plain(parse("[a, [b, [c, [d]]]]")) == ["a", ["b", []]]
        assert plain(parse("[a, [b, [c, [d]]]]", depth=2)) == ["a", []]
        assert plain(parse("[" * 300 + "]" * 300)) == [[[]]]

    def test_a_node_of_another_kind_has_no_pairs(self):
        assert list(parse("[a]").pairs()) == list(parse("a").pairs()) == []


@pytest.mark.usefixtures("either_loader")
class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "a.yaml: is empty; expected one document"),
            ("# nothing\n", "a.yaml: is empty; expected one document"),
            ("a\n---\nb", "a.yaml: has several documents; expected one document"),
            ("a:\n- *b", "a.yaml:2: refers to 'b', which is nowhere above"),
            (b"a\n\xff", "a.yaml:2: byte 0xff is not UTF-8; save the file as UTF-8 (it may be Windows-1252)"),
            ("#" * 1_048_577, "a.yaml: longer than 1048576 characters; expected a configuration"),
        ],
    )
    def test_they_say_what_and_where(self, text, message):
        assert refusal(text) == message

    @pytest.mark.parametrize("text", ["[a", "a: b: c", "\t- a", "%YAML", "a\0", "{a: 'b}", "!<", "&"])
    def test_what_is_no_yaml_is_told(self, text):
        assert refusal(text).startswith("a.yaml")


@pytest.mark.parametrize(
    "text", ["[" * 500_000, "{" * 500_000, "- " * 500_000, "[" + "a," * 30_000, "- &a b\n" * 30_000]
)
def test_a_hostile_file_takes_no_time(text):
    started = time.process_time()
    try:
        parse(text)
    except LabelError as error:
        assert str(error).startswith("a.yaml")  # noqa: PT017 (either is right, soon)
    assert time.process_time() - started < 10


def test_references_to_references_take_no_memory():
    levels = "".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]\n" for i in range(1, 50))
    node = parse(f"l0: &l0 [x, x]\n{levels}self: &self [*self]\n")
    last = list(node.pairs())[-2][1]
    assert last.items[0] is last.items[8]


@settings(max_examples=150)
@given(
    st.binary(max_size=60) | st.integers(0, len(VALID)).map(lambda size: VALID[:size].encode()), st.integers(0, 2**32)
)
def test_any_bytes_are_a_document_or_a_label_error(data, seed):
    rng, changed = random.Random(seed), bytearray(data)
    for _ in range(seed % 3 if data else 0):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    try:
        told = repr(parse(bytes(changed)).line)
    except LabelError as error:
        told = str(error)
    assert told.isdigit() or told.startswith("a.yaml")
