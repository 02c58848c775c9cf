"""Every example of docs/formats.md: its files are written, its YAML is read, and the table must be the one shown."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from mlic.cli import main
from mlic.labels import LabelTable
from mlic.plugins import available
from mlic.tables import text_table
from mlic.verbs.data.words import ActionParser, parse

PAGE = Path(__file__).parents[1] / "docs" / "formats.md"
TEXT = PAGE.read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", TEXT, re.DOTALL | re.MULTILINE))
FILE = re.compile(r"^```\w+ (\S+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
EXAMPLE = re.compile(r"^```yaml\n(.*?)^```$\n+^```text\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def write_files(section: str) -> None:
    for name, text in FILE.findall(section):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text, encoding="utf-8")
    for line in re.findall(r"^Images: (.*)$", section, re.MULTILINE):
        for name in re.findall(r"`([^`]+)`", line):
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).touch()


def drawn(table: LabelTable) -> str:
    """Returns a table as the page shows it: `?` for an unknown label, `.` for an absent one."""
    rows = [
        [path, *({-1: "?", 0: "."}.get(value, f"{value:g}") for value in map(float, labels))]
        for path, labels in zip(table.paths, table.dense(), strict=True)
    ]
    return text_table(["image", *table.classes], rows)


@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_each_example_gives_the_table_that_it_shows(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_files(SECTIONS[name])
    examples = EXAMPLE.findall(SECTIONS[name])
    assert examples
    for configuration, shown in examples:
        source = yaml.safe_load(configuration)["train"]
        _, reader = parse(ActionParser("stats"), [str(source)])
        assert drawn(reader.read()) == shown


def test_the_page_has_a_section_for_each_reader():
    assert sorted(SECTIONS) == sorted(part.name for part in available("readers") if part.built_in)


@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_the_first_example_needs_no_more_than_a_path(name):
    source = yaml.safe_load(EXAMPLE.findall(SECTIONS[name])[0][0])["train"]
    assert isinstance(source, str) or set(source["init_args"]) <= {"path", "uri_prefix"}


def test_every_command_of_the_page_works(colours, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(colours)
    found = re.findall(r"^mlic data .*$", TEXT, re.MULTILINE)
    assert found
    for command in found:
        words = [word.replace("OUT", str(tmp_path)) for word in shlex.split(command.split("  #")[0])[1:]]
        assert main(words) == 0, f"{command}\n{capsys.readouterr().err}"
