import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlic.errors import UsageError
from mlic.predict import CsvWriter, Prediction, Shown
from mlic.predict.formats import Csv, Jsonl, Text

CLASSES = ("cat", "dög", 'o"wl')

# What a file name may hold: anything but a byte 0, also bytes that are not UTF-8.
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]) | st.just("\udce9"), min_size=1)


@st.composite
def predictions(draw):
    scores = dict(zip(CLASSES, draw(st.tuples(*[st.floats(0, 1, width=32)] * 3)), strict=True))
    if draw(st.booleans()):
        return Prediction(draw(NAMES), (), {}, draw(NAMES))
    return Prediction(draw(NAMES), tuple(draw(st.sets(st.sampled_from(CLASSES)))), scores)


def encoded(form, rows):
    return "".join([form.head(), *map(form.row, rows)]).encode("utf-8", "surrogateescape")


@given(st.lists(predictions()))
def test_csv_comes_back_as_it_was(rows):
    text = encoded(Csv(CLASSES), rows).decode("utf-8", "surrogateescape")
    head, *found = csv.reader(io.StringIO(text, newline=""))
    assert head == ["path", "labels", "error", *CLASSES]
    for cells, row in zip(found, rows, strict=True):
        assert cells[:3] == [row.path, "|".join(row.labels), row.error]
        assert cells[3:] == [f"{row.scores[name]:.6f}" if row.scores else "" for name in CLASSES]


@given(st.lists(predictions()))
def test_json_lines_are_utf_8_and_come_back_as_they_were(rows):
    lines = encoded(Jsonl(), rows).decode("utf-8").split("\n")
    assert lines.pop() == ""
    for line, row in zip(lines, rows, strict=True):
        found = json.loads(line)
        assert (found["path"], found["labels"], found["error"]) == (row.path, list(row.labels), row.error or None)
        assert found["scores"] == row.scores


FORMS = [Csv(CLASSES), Csv(CLASSES, Shown(top=1)), Jsonl(), Text()]


@pytest.mark.parametrize("form", FORMS, ids=["csv", "csv-top", "jsonl", "txt"])
@given(rows=st.lists(predictions(), max_size=4), data=st.data())
def test_of_a_file_that_was_cut_anywhere_the_whole_rows_are_found(form, rows, data):
    whole = encoded(form, rows)
    cut = data.draw(st.integers(len(form.head().encode()), len(whole)))
    ends, end = [], len(form.head().encode())
    for row in rows:
        end += len(form.row(row).encode("utf-8", "surrogateescape"))
        ends.append(end)
    records = list(form.records(io.BytesIO(whole[:cut])))
    if form.head():
        records = records[1:]
    assert [record.end for record in records] == [end for end in ends if end <= cut]
    assert [record.name for record in records] == [form.name(row.path) for row in rows[: len(records)]]


def test_classes_that_would_make_the_csv_ambiguous_are_refused():
    for name in ("error", "a|b"):
        with pytest.raises(UsageError, match="would make the CSV ambiguous; write JSON lines"):
            CsvWriter(io.StringIO(), ["cat", name])
    assert Csv(["error"], Shown(top=1)).head() == "path,labels,error,scores\n"
    with pytest.raises(UsageError, match="ambiguous"):
        Csv(["key"], first=("path", "key"))


def test_images_with_keys_have_a_column_for_them():
    row = Prediction("a.tar/1.jpg", (), {"cat": 0.5}, key="1")
    assert Csv(["cat"], first=("path", "key")).row(row) == "a.tar/1.jpg,1,,,0.500000\n"
    assert json.loads(Jsonl(first=("path", "key")).row(row))["key"] == "1"


def test_of_equal_scores_the_first_class_is_the_first():
    row = Prediction("a.jpg", (), {"cat": 0.5, "dog": 0.5, "owl": 0.75})
    assert list(Shown(top=2).of(row)) == ["owl", "cat"]
    with pytest.raises(UsageError, match="top is 0"):
        Shown(top=0)


def test_a_line_that_is_no_prediction_is_told():
    with pytest.raises(UsageError, match="line 2 is no prediction"):
        list(Jsonl().records(io.BytesIO(b'{"path": "a"}\n{"name": "b"}\n')))
