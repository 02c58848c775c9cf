"""What the pages say of the server is what it does."""

import json
import re
from pathlib import Path

import msgspec
import pytest

pytest.importorskip("starlette", reason="Starlette is not installed: pip install 'mlic[serve]'")

from mlic.pages import PAGES
from mlic.serve.answers import Answer
from mlic.verbs.serve import _parser

PAGE = (Path(__file__).parents[2] / "docs" / "serve.md").read_text(encoding="utf-8")


def options():
    return {word: action for action in _parser()._actions for word in action.option_strings}


@pytest.mark.parametrize("text", [PAGE, PAGES["serve"]], ids=["docs", "help"])
def test_each_option_is_told_and_no_other(text):
    told = set(re.findall(r"--[a-z_]+", text)) - {"--json", "--debug"}
    assert told <= set(options())
    if text != PAGE:
        assert told == set(options())


def test_the_defaults_are_as_told():
    refused = PAGE[PAGE.index("## What is refused") : PAGE.index("## How it works")]
    told = re.findall(r"`(--\w+) (\d+)`", refused)
    told += re.findall(r"(--\w+) \w+ .*; by default ([\d.]+)$", PAGES["serve"], re.MULTILINE)
    assert len(told) == 12
    for word, default in told:
        assert options()[word].default == float(default), word


def test_the_answer_on_the_page_is_one():
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert json.loads(msgspec.json.encode(msgspec.json.decode(example, type=Answer))) == json.loads(example)


def test_the_paths_are_those_that_there_are(serving):
    described = serving(explain=lambda data, name: b"").get("/openapi.json").json()["paths"]
    assert set(re.findall(r"`(?:GET|POST) (/[a-z]+)[`?]", PAGE)) == set(described)
