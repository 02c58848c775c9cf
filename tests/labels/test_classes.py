import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlic.errors import LabelError
from mlic.labels import LabelTable
from mlic.labels.classes import dropped, merged, rare, renamed

CLASSES = ["ant", "bee", "cat", "dog", "eel"]


def table_of(labels, classes=None, **arguments):
    labels = np.asarray(labels)
    classes = CLASSES[: labels.shape[1]] if classes is None else classes
    paths = [f"{row}.jpg" for row in range(len(labels))]
    return LabelTable.from_dense(paths, classes, labels, root=Path("photos"), **arguments)


@st.composite
def contents(draw):
    """The cells of a table with a fill of its own for each row, and two classes that a later `align` adds."""
    rows, columns = draw(st.integers(1, 8)), draw(st.integers(1, 5))
    values = [1, 0, -1, 0.25, 0.75] if draw(st.booleans()) else [1, 0, -1]
    line = st.lists(st.sampled_from(values), min_size=columns, max_size=columns)
    return {
        "labels": np.array(draw(st.lists(line, min_size=rows, max_size=rows)), np.float64),
        "fill": draw(st.lists(st.sampled_from([0, -1]), min_size=rows, max_size=rows)),
        "open_vocabulary": draw(st.booleans()),
        "order": draw(st.permutations([*CLASSES[:columns], "new", "newer"])),
    }


def table_from(content):
    labels = content["labels"]
    rows, columns = (index.ravel() for index in np.indices(labels.shape))
    return LabelTable.from_cells(
        [f"{row}.jpg" for row in range(len(labels))],
        CLASSES[: labels.shape[1]],
        rows,
        columns,
        labels.ravel(),
        np.array(content["fill"]),
        root=Path("photos"),
        open_vocabulary=content["open_vocabulary"],
    ).align(content["order"])


def check_counts(table, expected):
    assert np.array_equal(table.dense(), expected)
    assert table.support().tolist() == (expected > 0.5).sum(axis=0).tolist()
    assert table.negatives().tolist() == ((expected >= 0) & (expected < 0.5)).sum(axis=0).tolist()
    assert table.num_unlabelled == (expected == -1).all(axis=1).sum()
    assert table.num_unknown_cells == (expected == -1).sum()
    assert not table.unknown_columns[table.columns].any()
    rows = np.repeat(np.arange(len(table)), np.diff(table.indptr))
    assert (table.values != table.fill[rows]).all()


class TestRenamed:
    def test_names_change_and_order_and_labels_stay(self):
        table = table_of([[1, 0, -1]], origins={"bee": "f:2"})
        other = renamed(table, {"bee": "wasp", "ant": "bee"})
        assert other.classes == ("bee", "wasp", "cat")
        assert other.dense().tolist() == table.dense().tolist()
        assert other.origins == {"wasp": "f:2"}

    def test_names_may_be_swapped(self):
        assert renamed(table_of([[1, 0]]), {"ant": "bee", "bee": "ant"}).classes == ("bee", "ant")

    def test_all_names_that_the_table_does_not_have_are_told_or_ignored(self):
        table = table_of([[1, 0, 0]], source="f.csv")
        with pytest.raises(LabelError) as raised:
            renamed(table, {"caat": "lion", "zebra": "horse", "ant": "Ant"})
        assert str(raised.value).splitlines() == [
            "f.csv: rename: class 'caat' is not among the 3 classes; did you mean 'cat'?",
            "f.csv: rename: class 'zebra' is not among the 3 classes",
            "2 faults in all",
        ]
        followed = renamed(table, {"caat": "lion", "ant": "Ant"}, missing="ignore")
        assert followed.classes == ("Ant", "bee", "cat")

    def test_two_classes_of_one_name_are_told_to_be_merged(self):
        table = table_of([[1, 0, 0]], source="f.csv", origins={"cat": "f.csv:7"})
        with pytest.raises(LabelError) as raised:
            renamed(table, {"cat": "ant"})
        assert str(raised.value) == (
            "f.csv:7: rename: 'ant' and 'cat' would both be 'ant'; to unite them, use merge instead: {ant: [ant, cat]}"
        )


class TestMerged:
    def test_it_is_present_if_any_is_absent_if_all_are_and_otherwise_unknown(self):
        values = [1, 0, -1]
        table = table_of([[one, other] for one in values for other in values])
        assert merged(table, {"x": ["ant", "bee"]}).dense().ravel().tolist() == [1, 1, 1, 1, 0, -1, 1, -1, -1]

    def test_of_soft_labels_it_takes_the_greatest_if_all_are_known(self):
        table = table_of([[0.25, 0.75], [0.25, 0.0], [0.75, -1.0], [1.0, -1.0], [0.25, 1.0]])
        assert merged(table, {"x": ["ant", "bee"]}).dense().ravel().tolist() == [0.75, 0.25, -1, 1, 1]

    def test_it_stands_where_its_first_member_stood_and_comes_from_there(self):
        table = table_of([[0, 1, 0, 0, 1]], origins={"bee": "f:2", "dog": "f:4", "cat": "f:3"})
        other = merged(table, {"x": ["dog", "bee"], "cat": ["cat", "eel"]})
        assert other.classes == ("ant", "x", "cat")
        assert other.dense().tolist() == [[0, 1, 1]]
        assert other.origins == {"x": "f:2", "cat": "f:3"}

    @settings(max_examples=300)
    @given(contents(), st.data())
    def test_it_is_what_the_matrix_says(self, content, data):
        table = table_from(content)
        names = list(table.classes)
        new_of = {name: data.draw(st.sampled_from([name, "x", "y"])) for name in names}
        groups = {new: [name for name in names if new_of[name] == new] for new in ("y", "x")}
        merges = {new: members for new, members in groups.items() if members}
        order = list(dict.fromkeys(new_of.values()))
        columns = []
        for new in order:
            members = table.dense()[:, [name for name in range(len(names)) if new_of[names[name]] == new]]
            best = members.max(axis=1)
            columns.append(np.where((best == 1) | (members != -1).all(axis=1), best, -1))
        other = merged(table, merges)
        assert other.classes == tuple(order)
        check_counts(other, np.stack(columns, axis=1))

    @settings(max_examples=300)
    @given(contents(), st.data())
    def test_a_member_that_is_ignored_counts_as_a_column_that_align_adds(self, content, data):
        table = table_from(content)
        names = list(table.classes)
        members = data.draw(st.lists(st.sampled_from([*names, "far", "off"]), min_size=1, unique=True))
        other = merged(table, {"x": members}, missing="ignore")
        if not set(members) & set(names):
            assert other is table
            return
        lacking = [name for name in members if name not in names]
        expected = merged(table.align([*names, *lacking]), {"x": members})
        assert other.classes == expected.classes
        check_counts(other, expected.dense())

    def test_what_cannot_be_merged_is_told_at_once(self):
        table = table_of([[1, 0, 0, 0]], source="f.csv", origins={"dog": "f.csv:9"})
        with pytest.raises(LabelError) as raised:
            merged(table, {"x": [], "y": ["ant", "caat"], "z": ["ant"], "dog": ["bee"]})
        assert str(raised.value).splitlines() == [
            "merge: 'x' has no members; expected the classes that it replaces",
            "f.csv: merge: class 'caat' is not among the 4 classes; did you mean 'cat'?",
            "merge: class 'ant' becomes 'y' and 'z'; expected one of them",
            "f.csv:9: merge: 'dog' is a class already; to unite it with the others, list it too: {dog: [dog, bee]}",
            "4 faults in all",
        ]

    def test_a_table_that_follows_may_have_the_united_class_alone(self):
        table = table_of([[1, 0]], ["animal", "bee"])
        assert merged(table, {"animal": ["ant", "cat"]}, missing="ignore") is table
        with pytest.raises(LabelError, match="merge: 'animal' is a class already"):
            merged(table, {"animal": ["ant", "bee"]}, missing="ignore")

    def test_a_member_named_twice_counts_once(self):
        table = table_of([[0, 0], [-1, 0]])
        assert merged(table, {"x": ["ant", "ant"]}).dense().tolist() == table.dense().tolist()

    def test_a_million_samples_of_ten_thousand_classes_are_merged_in_seconds_and_never_dense(self):
        count, classes = 1_000_000, [str(number) for number in range(10_000)]
        rows = np.repeat(np.arange(count), 5)
        columns = (rows * 7919 + np.tile(np.arange(5), count) * 13) % 10_000
        table = LabelTable.from_cells(
            map(str, range(count)), classes, rows, columns, np.ones(len(rows)), np.zeros(count), root=Path()
        )
        start = time.process_time()
        other = merged(table, {f"x{tens}": classes[tens : tens + 10] for tens in range(0, 10_000, 10)})
        assert time.process_time() - start < 20
        assert other.num_classes == 1000
        assert len(other.values) <= len(table.values)


class TestDropped:
    def test_the_other_classes_are_left(self):
        other = dropped(table_of([[1, 0, -1]], origins={"bee": "f:1", "cat": "f:1"}), ["cat", "ant"])
        assert (other.classes, other.dense().tolist(), other.origins) == (("bee",), [[0]], {"bee": "f:1"})

    def test_a_name_that_the_table_does_not_have_is_told_or_ignored(self):
        table = table_of([[1, 0, 0]], source="f.csv")
        with pytest.raises(
            LabelError, match=r"f\.csv: drop: class 'Bee' is not among the 3 classes; did you mean 'bee'"
        ):
            dropped(table, ["Bee"])
        assert dropped(table, ["Bee"], missing="ignore") is table

    def test_one_class_has_to_be_left(self):
        with pytest.raises(LabelError, match="drop: no class is left of the 2; keep at least one"):
            dropped(table_of([[1, 0]]), ["ant", "bee"])


def test_rare_classes_come_with_their_known_positives():
    table = table_of([[1, 1, -1, 0], [1, 0.75, 0.5, -1]])
    assert rare(table, 2) == {"cat": 0, "dog": 0}
    assert rare(table, 3) == {"ant": 2, "bee": 2, "cat": 0, "dog": 0}
    assert rare(table, 0) == {}
