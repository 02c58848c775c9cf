import os
import random
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlic.datamodules.annotations.peek import xml_root
from mlic.datamodules.annotations.xmlfiles import Elements, parse_xml
from mlic.errors import LabelError

VALID = '<?xml version="1.0"?>\n<zoo at="sea">\n <pen>\n  <name> owl &amp; cat </name>\n </pen>\n <pen/>\n</zoo>\n'


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working directory, so that messages hold short paths."""
    monkeypatch.chdir(tmp_path)


class Log:
    """Writes down what it is told."""

    def __init__(self):
        self.lines = []

    def start(self, path, attributes, line):
        self.lines.append(("start", "/".join(path), dict(attributes), line))

    def end(self, path, text, line):
        self.lines.append(("end", "/".join(path), text, line))


class Count:
    """Counts the elements and keeps nothing."""

    def __init__(self):
        self.elements = 0

    def start(self, path, attributes, line):
        self.elements += 1

    def end(self, path, text, line):
        pass


def parse(data, texts=("name",)):
    Path("zoo.xml").write_bytes(data if isinstance(data, bytes) else data.encode())
    log = Log()
    parse_xml(Path("zoo.xml"), log, texts)
    return log.lines


def names(data):
    return [text for what, path, text, _ in parse(data) if what == "end" and path.endswith("name")]


def refusal(data, **options):
    with pytest.raises(LabelError) as error:
        parse(data, **options)
    return str(error.value)


class TestElements:
    def test_they_come_with_path_attributes_text_and_line(self):
        assert isinstance(Log(), Elements)
        assert parse(VALID) == [
            ("start", "zoo", {"at": "sea"}, 2),
            ("start", "zoo/pen", {}, 3),
            ("start", "zoo/pen/name", {}, 4),
            ("end", "zoo/pen/name", "owl & cat", 4),
            ("end", "zoo/pen", "", 5),
            ("start", "zoo/pen", {}, 6),
            ("end", "zoo/pen", "", 6),
            ("end", "zoo", "", 7),
        ]

    def test_text_is_told_of_the_wanted_elements_alone(self):
        assert [text for what, _, text, _ in parse(VALID, texts=()) if what == "end"] == [""] * 4

    @pytest.mark.parametrize(
        ("data", "expected"),
        [
            ("<name>a<name>b</name>c<x>d</x>e</name>", ["b", "ace"]),
            ("<name><x>no</x></name>", [""]),
            ("<x>no<name>yes</name>no</x>", ["yes"]),
            ("<name><![CDATA[<a>]]> &#228; <!-- no --></name>", ["<a> ä"]),
            ("<name>\n two\n lines </name>", ["two\n lines"]),
        ],
    )
    def test_text_is_what_stands_directly_in_an_element(self, data, expected):
        assert names(data) == expected

    @pytest.mark.parametrize("length", [60_000, 70_000])
    def test_a_wanted_text_has_a_length_that_makes_sense(self, length):
        data = f"<x>\n<name>{'ä' * length}</name></x>"
        if length < 65_536:
            assert names(data) == ["ä" * length]
        else:
            assert refusal(data) == "zoo.xml:2: the text of 'name' is longer than expected"

    def test_what_the_elements_raise_ends_the_reading(self):
        class Picky(Count):
            def start(self, path, attributes, line):
                raise LabelError(f"no {path[-1]} on line {line}")

        Path("zoo.xml").write_text(VALID)
        with pytest.raises(LabelError, match=r"^no zoo on line 2$"):
            parse_xml(Path("zoo.xml"), Picky())


class TestEncodings:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1", "windows-1252", "koi8-r"])
    def test_an_encoding_that_the_file_declares_is_read(self, encoding):
        name = "сова" if encoding == "koi8-r" else "Käuzchen"
        declared = encoding.removesuffix("-sig")
        data = f'<?xml version="1.0" encoding="{declared}"?>\r\n<zoo><name>{name}</name></zoo>\r\n'.encode(encoding)
        assert names(data) == [name]
        assert xml_root(Path("zoo.xml")) == "zoo"

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
    def test_a_byte_order_mark_is_enough(self, encoding):
        assert names("<zoo><name>Käuzchen</name></zoo>".encode(encoding)) == ["Käuzchen"]

    @pytest.mark.parametrize(
        ("encoding", "message"),
        [
            ("gb2312", "zoo.xml: cannot be read as XML (multi-byte encodings are not supported); save it as UTF-8"),
            ("klingon", "zoo.xml: cannot be read as XML (unknown encoding: klingon); save it as UTF-8"),
        ],
    )
    def test_one_that_cannot_be_read_is_told(self, encoding, message):
        assert refusal(f'<?xml version="1.0" encoding="{encoding}"?><zoo/>') == message
        assert xml_root(Path("zoo.xml")) == ""

    @pytest.mark.parametrize("encoding", ["utf-16", "hex", "idna", "undefined", "punycode", "utf-7"])
    def test_one_that_is_a_lie_or_no_encoding_of_text_is_told(self, encoding):
        assert refusal(f'<?xml version="1.0" encoding="{encoding}"?><zoo>é</zoo>').startswith("zoo.xml")

    def test_bytes_of_another_encoding_are_told_with_line_and_column(self):
        assert refusal(b"<zoo>\n <name>K\xe4uzchen</name></zoo>") == (
            "zoo.xml:2:9: no valid XML: not well-formed (invalid token)"
        )


class TestNothingIsExpandedOrFetched:
    @pytest.mark.parametrize(
        "declaration",
        [
            '<!ENTITY owl "owl">',
            '<!ENTITY owl SYSTEM "file:///etc/hostname">',
            "<!ENTITY % owl \"<!ENTITY dog 'dog'>\"> %owl;",
            '<!ENTITY owl "owl"><!ENTITY b "&owl;&owl;&owl;"><!ENTITY c "&b;&b;&b;">',
            '<!ATTLIST zoo at CDATA "sea">',
            "<!ELEMENT zoo ANY>",
        ],
    )
    def test_a_file_that_declares_entities_or_the_like_is_refused(self, declaration):
        assert refusal(f"\n<!DOCTYPE zoo [\n{declaration}]><zoo><name>owl</name></zoo>").endswith(
            ": the DOCTYPE 'zoo' declares entities or the like; annotations need none, and one could make the file "
            "endless: take it out"
        )
        assert xml_root(Path("zoo.xml")) == ""

    def test_a_file_that_refers_to_another_is_refused(self):
        Path("zoo.dtd").write_text('<!ENTITY owl "owl">')
        assert refusal('<!DOCTYPE zoo SYSTEM "zoo.dtd"><zoo><name>&owl;</name></zoo>') == (
            "zoo.xml:1: the DOCTYPE 'zoo' refers to 'zoo.dtd'; annotations need none, and one could make the file "
            "endless: take it out"
        )

    def test_an_entity_that_nobody_declares_is_told(self):
        assert refusal("<zoo><name>&owl;</name></zoo>") == ("zoo.xml:1:12: no valid XML: undefined entity")

    def test_a_bare_doctype_does_no_harm(self):
        assert names("<!DOCTYPE zoo><zoo><name>owl</name></zoo>") == ["owl"]


class TestSizes:
    def test_deep_nesting_is_refused(self):
        assert refusal("<a>" * 200 + "</a>" * 199).startswith("zoo.xml:1:1397: no valid XML: no element found")
        assert refusal("<a>\n" * 100_000) == "zoo.xml:201: nested more than 200 elements deep"

    @pytest.mark.parametrize(
        "data",
        [
            b"<a><b>" + b"x" * 30_000_000 + b"</b></a>",
            b"<a><![CDATA[" + b"x" * 30_000_000 + b"]]></a>",
            b'<a b="' + b"x" * 10_000_000 + b'"/>',
            b"<a><!--" + b"x" * 10_000_000 + b"--></a>",
            b"<a " + b" ".join(b'b%d=""' % number for number in range(100_000)) + b"/>",
        ],
        ids=["text", "cdata", "attribute", "comment", "attributes"],
    )
    def test_what_is_long_takes_time_in_proportion_and_what_is_not_wanted_no_memory(self, data):
        Path("a.xml").write_bytes(data)
        tracemalloc.start()
        started, count = time.process_time(), Count()
        parse_xml(Path("a.xml"), count)
        seconds, (_, peak) = time.process_time() - started, tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert count.elements <= 2
        assert seconds < 5  # a parser that begins anew with each read takes minutes
        if len(data) > 20_000_000:
            assert peak < 1_000_000

    @pytest.mark.parametrize(
        "data", [b'<a>\n<b c="', b"<a>\n<!--", b"<a>\n<?x "], ids=["tag", "comment", "instruction"]
    )
    def test_a_tag_that_never_ends_is_refused(self, data):
        message = "zoo.xml:2: a tag or comment is longer than 16 MiB; expected annotations"
        assert refusal(data + b"x" * 40_000_000) == message


class TestFilesThatAreNoXml:
    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b"", "zoo.xml:1:1: no valid XML: no element found"),
            (b"image,cat\na.jpg,1\n", "zoo.xml:1:1: no valid XML: syntax error"),
            (VALID[:60].encode(), "zoo.xml:4:14: no valid XML: unclosed token"),
            (VALID[:56].encode(), "zoo.xml:4:13: no valid XML: no element found"),
            (b"<a/><b/>", "zoo.xml:1:5: no valid XML: junk after document element"),
            (b"<a>\n\0</a>", "zoo.xml:2:1: no valid XML: not well-formed (invalid token)"),
        ],
    )
    def test_they_are_told_with_line_and_column(self, data, message):
        hint = "; is the file cut short?" if "no element found" in message or "unclosed token" in message else ""
        assert refusal(data) == message + hint

    def test_a_file_that_is_not_there_is_told(self):
        with pytest.raises(LabelError) as error:
            parse_xml(Path("nowhere.xml"), Log())
        assert str(error.value) == "nowhere.xml: cannot be read (No such file or directory); expected an XML file"

    @pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
    def test_a_folder_and_a_pipe_are_told(self, make):
        make("strange.xml")
        with pytest.raises(LabelError) as error:
            parse_xml(Path("strange.xml"), Log())
        assert str(error.value) == "strange.xml: is not a file; expected an XML file"
        assert xml_root(Path("strange.xml")) == ""


class TestTheRoot:
    @pytest.mark.parametrize(
        "data",
        [
            VALID,
            "<zoo/>",
            "\ufeff<zoo>",
            "<!-- <a> > --><?x y?><!DOCTYPE zoo>\n<zoo at='sea'",
            "<zoo>" + "x" * 100_000 + "<",
        ],
    )
    def test_it_is_the_first_element(self, data):
        Path("zoo.xml").write_text(data, encoding="utf-8")
        assert xml_root(Path("zoo.xml")) == ("" if data.endswith("'sea'") else "zoo")

    @pytest.mark.parametrize("data", ["", "zoo", "{}", "<zoo", "<!-- <zoo>", " " * 60_000 + "x", "<!DOCTYPE " * 5000])
    def test_what_is_no_xml_has_none(self, data):
        Path("zoo.xml").write_text(data)
        started = time.process_time()
        assert xml_root(Path("zoo.xml")) == ""
        assert time.process_time() - started < 2

    def test_nothing_has_none(self):
        assert xml_root(Path("nowhere.xml")) == ""


@settings(max_examples=150)
@given(st.binary(max_size=80) | st.integers(0, len(VALID)).map(lambda size: VALID[:size].encode()), st.booleans())
def test_any_bytes_are_elements_or_a_label_error(data, prefixed):
    assert elements_or_refusal(b"<name>" + data if prefixed else data).startswith("zoo.xml")
    assert isinstance(xml_root(Path("zoo.xml")), str)


@settings(max_examples=150)
@given(st.integers(0, 2**32))
def test_flipped_bytes_are_elements_or_a_label_error(seed):
    rng = random.Random(seed)
    data = bytearray(VALID.encode(rng.choice(["utf-8", "utf-16"])))
    for _ in range(rng.randint(1, 3)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    assert elements_or_refusal(bytes(data)).startswith("zoo.xml")


def elements_or_refusal(data):
    try:
        parse(data)
        return "zoo.xml"
    except LabelError as error:
        return str(error)
