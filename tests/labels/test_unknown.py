from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlic.errors import LabelError, UsageError
from mlic.labels import LabelTable
from mlic.labels import unknown as module
from mlic.labels.unknown import resolved

CLASSES = ["ant", "bee", "cat", "dog"]
policies = st.sampled_from(["ignore", "negative", {"soft": 0.25}, {"soft": 0.75}, {"soft": 0.0}, {"soft": 1.0}])


def table_of(labels, classes=CLASSES, **arguments):
    labels = np.asarray(labels)
    paths = [f"{row}.jpg" for row in range(len(labels))]
    return LabelTable.from_dense(paths, classes[: labels.shape[1]], labels, root=Path("photos"), **arguments)


@st.composite
def contents(draw):
    rows, columns = draw(st.integers(1, 8)), draw(st.integers(1, 4))
    values = [1, 0, -1, -1, 0.6] if draw(st.booleans()) else [1, 0, -1, -1]
    line = st.lists(st.sampled_from(values), min_size=columns, max_size=columns)
    return {
        "labels": np.array(draw(st.lists(line, min_size=rows, max_size=rows)), np.float32),
        "fill": np.array(draw(st.lists(st.sampled_from([0, -1]), min_size=rows, max_size=rows))),
        "order": draw(st.permutations([*CLASSES[:columns], "new", "newer"])),
        "policy": draw(policies),
        "per_class": draw(st.dictionaries(st.sampled_from([*CLASSES[:columns], "new"]), policies)),
    }


def table_from(content):
    labels = content["labels"]
    rows, columns = (index.ravel() for index in np.indices(labels.shape))
    paths, classes = [f"{row}.jpg" for row in range(len(labels))], CLASSES[: labels.shape[1]]
    cells = (rows, columns, labels.ravel(), content["fill"])
    return LabelTable.from_cells(paths, classes, *cells, root=Path("photos")).align(content["order"])


def instead(policy):
    return {"ignore": -1, "negative": 0}[policy] if isinstance(policy, str) else policy["soft"]


@settings(max_examples=500)
@given(contents())
def test_it_is_what_the_matrix_says(content):
    table = table_from(content)
    expected = table.dense().astype(np.float32)
    values = [instead(content["per_class"].get(name, content["policy"])) for name in table.classes]
    labelled = (expected != -1).any(axis=1, keepdims=True)
    expected = np.where(labelled & (expected == -1), np.float32(values), expected)
    other = resolved(table, content["policy"], content["per_class"])
    assert np.array_equal(other.dense(), expected)
    assert all(np.array_equal(other.row(row), expected[row]) for row in range(len(table)))
    assert other.is_soft == ((expected > 0) & (expected < 1)).any()
    assert other.support().tolist() == (expected > 0.5).sum(axis=0).tolist()
    assert other.negatives().tolist() == ((expected >= 0) & (expected < 0.5)).sum(axis=0).tolist()
    assert other.num_unlabelled == table.num_unlabelled
    assert other.num_unknown_cells == (expected == -1).sum()
    rows = np.repeat(np.arange(len(other)), np.diff(other.indptr))
    assert (other.values != other.fill[rows]).all()
    assert not other.unknown_columns[other.columns].any()


def test_ignore_changes_nothing():
    table = table_of([[1, -1], [-1, -1]])
    assert resolved(table, "ignore") is table
    assert resolved(table, "ignore", {"ant": "ignore"}) is table


def test_an_unlabelled_sample_stays_unknown_whatever_the_policy():
    table = table_of([[1, -1], [-1, -1]])
    assert resolved(table, "negative").dense().tolist() == [[1, 0], [-1, -1]]
    assert resolved(table, {"soft": 0.5}).dense().tolist() == [[1, 0.5], [-1, -1]]


def test_a_class_has_its_own_policy():
    table = table_of([[1, -1, -1, -1]])
    per_class = {"bee": "ignore", "dog": {"soft": 0.75}}
    assert resolved(table, "negative", per_class).dense().tolist() == [[1, -1, 0, 0.75]]


def test_a_soft_label_of_0_or_1_is_a_hard_one():
    table = resolved(table_of([[1, -1, -1]]), {"soft": 1.0}, {"cat": {"soft": 0}})
    assert (table.is_soft, table.dense().tolist()) == (False, [[1, 1, 0]])


def test_names_that_are_no_classes_are_told_at_once():
    with pytest.raises(LabelError) as raised:
        resolved(table_of([[1, -1, -1]], source="f.csv"), "ignore", {"Ant": "negative", "zebra": "ignore"})
    assert str(raised.value).splitlines() == [
        "f.csv: unknown_per_class: class 'Ant' is not among the 3 classes; did you mean 'ant'?",
        "f.csv: unknown_per_class: class 'zebra' is not among the 3 classes",
        "2 faults in all",
    ]


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"soft": 1.5}, r"unknown is \{soft: 1\.5\}; expected a probability, 0 to 1"),
        ({"soft": float("nan")}, r"unknown is \{soft: nan\}; expected a probability"),
    ],
)
def test_a_probability_lies_between_0_and_1(policy, message):
    with pytest.raises(UsageError, match=message):
        resolved(table_of([[1, -1]]), policy)
    with pytest.raises(UsageError, match=message.replace("unknown", "unknown_per_class: bee", 1)):
        resolved(table_of([[1, -1]]), "ignore", {"bee": policy})


def big(classes):
    """Two hundred thousand samples with three positives each, the rest unknown."""
    count = 200_000
    rows = np.repeat(np.arange(count), 3)
    columns = (rows * 7919 + np.tile(np.arange(3), count)) % classes
    names = [str(number) for number in range(classes)]
    return LabelTable.from_cells(
        map(str, range(count)), names, rows, columns, np.ones(len(rows)), np.full(count, -1), root=Path(), source="big"
    )


def test_unlisted_cells_become_absent_without_being_held():
    table = resolved(big(10_000), "negative", {"5": "ignore"})
    assert len(table.values) < 600_000 + 200_000
    assert table.num_unknown_cells + table.support()[5] == 200_000
    assert table.support().sum() == 600_000


def test_soft_labels_that_would_fill_the_memory_are_refused():
    with pytest.raises(
        UsageError, match=r"big: 2,000,000,000 unknown cells would have to be held one by one; take neg"
    ):
        resolved(big(10_000), {"soft": 0.1})
    assert resolved(big(10_000), "ignore", {"7": {"soft": 0.25}}).is_soft
    assert module._MOST_CELLS >= 200_000
