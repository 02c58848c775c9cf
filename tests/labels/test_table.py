import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlic.errors import LabelError, UsageError
from mlic.labels import LabelTable, Strings

ROOT = Path("photos")


def table_of(labels, classes=None, **arguments):
    labels = np.array(labels, np.int8)
    classes = [f"c{i}" for i in range(labels.shape[1])] if classes is None else classes
    paths = [f"{i}.jpg" for i in range(len(labels))]
    return LabelTable.from_dense(paths, classes, labels, root=ROOT, **arguments)


@st.composite
def label_matrices(draw):
    rows, columns = draw(st.integers(0, 12)), draw(st.integers(1, 6))
    cells = draw(st.lists(st.sampled_from([1, 0, -1]), min_size=rows * columns, max_size=rows * columns))
    return np.array(cells, np.int8).reshape(rows, columns)


def numbered(count):
    return LabelTable.from_present([f"a/{i}.jpg" for i in range(count)], ["cat"], None, root=ROOT)


class TestStrings:
    @given(st.lists(st.text()))
    def test_it_gives_back_the_strings_it_was_made_of(self, items):
        strings = Strings(items)
        assert list(strings) == items
        assert [strings[i] for i in range(len(strings))] == items
        assert strings == Strings(iter(items))

    @given(st.lists(st.text(), min_size=1), st.data())
    def test_take_picks_what_a_list_would(self, items, data):
        indices = data.draw(st.lists(st.integers(-len(items), len(items) - 1)))
        assert list(Strings(items).take(indices)) == [items[i] for i in indices]

    def test_it_keeps_a_file_name_that_is_not_utf_8(self):
        name = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
        assert list(Strings([name])) == [name]

    def test_a_slice_is_strings(self):
        assert Strings("abcd")[1:3] == Strings("bc")

    @pytest.mark.parametrize("index", [2, -3])
    def test_an_index_out_of_range_is_an_error(self, index):
        with pytest.raises(IndexError, match="out of range; there are 2"):
            Strings("ab")[index]
        with pytest.raises(IndexError, match="out of range; there are 2"):
            Strings("ab").take([index])

    def test_it_differs_from_other_strings_and_from_a_list(self):
        assert Strings(["ab", "c"]) != Strings(["a", "bc"])
        assert Strings(["a"]) != ["a"]

    def test_it_takes_its_arrays_as_they_are(self):
        assert list(Strings.from_utf8(np.frombuffer(b"catdog", np.uint8), np.array([0, 3, 6]))) == ["cat", "dog"]

    @pytest.mark.parametrize("offsets", [[], [0], [1, 3], [0, 2], [0, 3, 2, 3]])
    def test_offsets_that_do_not_fit_are_refused(self, offsets):
        with pytest.raises(LabelError, match="offsets of strings must run from 0 to 3"):
            Strings.from_utf8(np.frombuffer(b"cat", np.uint8), np.array(offsets, np.int64))

    def test_a_hundred_thousand_paths_are_two_arrays_without_python_strings(self):
        tracemalloc.start()
        strings = Strings(f"images/{i:06d}.jpg" for i in range(100_000))
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert strings.nbytes == 100_000 * 17 + 100_001 * 8
        assert held < strings.nbytes * 1.1

    def test_it_pickles(self):
        assert pickle.loads(pickle.dumps(Strings(["a", "ö"]))) == Strings(["a", "ö"])


class TestConstruction:
    def test_names_and_positions_say_which_classes_are_present(self):
        table = LabelTable.from_present("ab", ["cat", "dog"], [["dog", "dog"], [0, np.int64(1)]], root=ROOT)
        assert table.dense().tolist() == [[0, 1], [1, 1]]

    def test_none_is_unlabelled_and_an_empty_list_is_all_negative(self):
        table = LabelTable.from_present("ab", ["cat", "dog"], [None, []], root=ROOT)
        assert table.dense().tolist() == [[-1, -1], [0, 0]]
        assert (table.num_unlabelled, table.num_all_negative, table.num_labelled) == (1, 1, 1)

    def test_no_lists_at_all_leave_every_sample_unlabelled(self):
        assert LabelTable.from_present("ab", ["cat"], None, root=ROOT).dense().tolist() == [[-1], [-1]]

    def test_a_table_may_be_empty(self):
        table = LabelTable.from_present([], ["cat"], [], root=ROOT)
        assert table.dense().shape == (0, 1)
        assert table.split({"val": 0.5})["val"].support().tolist() == [0]
        assert len(LabelTable.from_present([], [], [], root=ROOT)) == 0

    def test_all_unknown_classes_are_told_at_once(self):
        with pytest.raises(LabelError) as error:
            LabelTable.from_present("ab", ["cat", "dog"], [["dgo"], ["cat", 2]], root=ROOT, source="x.json")
        assert str(error.value).splitlines() == [
            "x.json: a: class 'dgo' is not among the 2 classes; did you mean 'dog'?",
            "x.json: b: class 2 is not among 0 to 1",
            "2 faults in all",
        ]

    def test_a_text_in_place_of_a_list_of_classes_is_an_error(self):
        with pytest.raises(LabelError, match="a: labels are the text 'cat'; expected a list of classes"):
            LabelTable.from_present("a", ["cat"], ["cat"], root=ROOT)

    @pytest.mark.parametrize("present", [[[]], [[], [], []]])
    def test_lists_and_paths_must_be_as_many(self, present):
        with pytest.raises(LabelError, match="lists of labels for 2 paths; expected one each"):
            LabelTable.from_present("ab", ["cat"], present, root=ROOT)

    def test_groups_and_paths_must_be_as_many(self):
        with pytest.raises(LabelError, match="1 groups for 2 paths; expected one each"):
            LabelTable.from_present("ab", ["cat"], None, root=ROOT, groups=["p"])

    def test_each_class_is_there_once(self):
        with pytest.raises(LabelError, match="x: class 'cat' is there twice; expected each class once"):
            LabelTable.from_present([], ["cat", "dog", "cat"], [], root=ROOT, source="x")

    @given(label_matrices())
    def test_a_matrix_comes_back_as_it_was_given(self, labels):
        table = table_of(labels)
        assert np.array_equal(table.dense(), labels)
        assert all(np.array_equal(table.row(i), labels[i]) for i in range(len(labels)))

    @given(label_matrices(), st.randoms())
    def test_cells_in_any_order_make_the_same_table(self, labels, random):
        fill = np.array([random.choice([0, -1]) for _ in labels], np.int8)
        cells = [(i, j, labels[i, j]) for i in range(labels.shape[0]) for j in range(labels.shape[1])]
        random.shuffle(cells)
        rows, columns, values = (np.array([cell[k] for cell in cells], np.int64) for k in range(3))
        paths = [str(i) for i in range(len(labels))]
        classes = [str(j) for j in range(labels.shape[1])]
        table = LabelTable.from_cells(paths, classes, rows, columns, values, fill, root=ROOT)
        assert np.array_equal(table.dense(), labels)

    @pytest.mark.parametrize("value", [2, -2, 255, -0.5, 1.5, float("nan")])
    def test_a_label_is_1_0_minus_1_or_soft(self, value):
        with pytest.raises(LabelError, match=r"a label is .*; expected 1 \(present\), 0 \(absent\), -1 \(unknown\) or"):
            LabelTable.from_dense("a", ["cat"], np.array([[value]]), root=ROOT)

    def test_a_boolean_matrix_is_present_and_absent(self):
        table = LabelTable.from_dense("a", ["cat", "dog"], np.array([[True, False]]), root=ROOT)
        assert table.row(0).tolist() == [1, 0]

    def test_a_matrix_of_another_shape_is_refused(self):
        with pytest.raises(LabelError, match=r"the matrix of labels is \[1, 2\]; expected 1 paths by 1 classes"):
            LabelTable.from_dense("a", ["cat"], np.zeros((1, 2), np.int8), root=ROOT)

    def cells(self, rows, columns, values, fill=(0, 0)):
        arrays = (np.array(part, np.int64) for part in (rows, columns, values, fill))
        return LabelTable.from_cells("ab", ["cat", "dog"], *arrays, root=ROOT)

    def test_a_cell_given_twice_is_refused(self):
        with pytest.raises(LabelError, match="image 'b' has two labels for class 'dog'; expected one"):
            self.cells([1, 0, 1], [1, 1, 1], [1, 1, 0])

    @pytest.mark.parametrize(("row", "column", "what"), [(2, 0, "row"), (0, 2, "column"), (-1, 0, "row")])
    def test_a_cell_outside_the_table_is_refused(self, row, column, what):
        with pytest.raises(LabelError, match=f"a cell is in {what} .*; there are 2"):
            self.cells([row], [column], [1])

    def test_a_row_is_filled_with_0_or_minus_1(self):
        with pytest.raises(LabelError, match="the fill of a row is 0"):
            self.cells([], [], [], fill=(0, 1))

    def test_a_path_starts_from_the_root(self):
        assert numbered(1).path(0) == ROOT / "a/0.jpg"

    def test_a_row_may_be_changed_without_changing_the_table(self):
        table = table_of([[1, 0]])
        table.row(0)[:] = -1
        assert table.row(0).tolist() == [1, 0]

    @pytest.mark.parametrize(
        ("classes", "dtype"), [(1, np.uint8), (256, np.uint8), (257, np.uint16), (70_000, np.uint32)]
    )
    def test_columns_are_the_smallest_integers_that_hold_them(self, classes, dtype):
        names = [str(i) for i in range(classes)]
        table = LabelTable.from_present("a", names, [[classes - 1]], root=ROOT)
        assert table.columns.dtype == dtype
        assert table.support()[-1] == 1

    def test_ten_thousand_classes_cost_what_is_listed_and_no_more(self):
        names = [str(i) for i in range(10_000)]
        table = LabelTable.from_present(map(str, range(5_000)), names, [[1, 2, 3], None] * 2_500, root=ROOT)
        parts = (table.indptr, table.columns, table.values, table.fill)
        assert sum(part.nbytes for part in parts) == 5_001 * 8 + 7_500 * (2 + 1) + 5_000
        aligned = table.align([*names, "new"])
        assert aligned.values.nbytes == 7_500
        assert aligned.num_unknown_cells == 2_500 * 10_001 + 2_500

    def test_it_pickles(self):
        table = table_of([[1, -1], [0, 0]], groups=["p", "q"], origins={"c0": "f:1"}, source="f")
        table = table.align(["c0", "c1", "new"])
        again = pickle.loads(pickle.dumps(table))
        assert np.array_equal(again.dense(), table.dense())
        assert (again.paths, again.groups, again.origins, again.source, again.root, again.classes) == (
            table.paths, table.groups, table.origins, table.source, table.root, table.classes,
        )  # fmt: skip


class TestCounts:
    @given(label_matrices())
    def test_counts_are_those_of_the_matrix(self, labels):
        table = table_of(labels)
        assert table.support().tolist() == (labels == 1).sum(axis=0).tolist()
        assert table.negatives().tolist() == (labels == 0).sum(axis=0).tolist()
        assert table.num_unlabelled == (labels == -1).all(axis=1).sum()
        assert table.num_labelled == len(labels) - table.num_unlabelled
        assert table.num_all_negative == (labels == 0).all(axis=1).sum()
        assert table.num_unknown_cells == (labels == -1).sum()

    @given(label_matrices(), st.data())
    def test_take_picks_rows(self, labels, data):
        table = table_of(labels, groups=[f"g{i}" for i in range(len(labels))])
        valid = st.integers(-len(labels), len(labels) - 1) if len(labels) else st.nothing()
        indices = data.draw(st.lists(valid))
        taken = table.take(indices)
        assert np.array_equal(taken.dense(), labels[indices])
        assert np.array_equal(table.dense(indices), labels[indices])
        assert list(taken.paths) == [f"{i % len(labels)}.jpg" for i in indices]
        assert list(taken.groups) == [f"g{i % len(labels)}" for i in indices]

    def test_take_refuses_what_is_out_of_range_or_no_integer(self):
        with pytest.raises(IndexError, match="out of range; there are 2"):
            numbered(2).take([2])
        with pytest.raises(IndexError, match="positions are integers, not bool"):
            numbered(2).take([True, False])


class TestSplit:
    def sides(self, table, fractions, **arguments):
        return {side: set(part.paths) for side, part in table.split(fractions, **arguments).items()}

    def test_each_sample_is_on_one_side_and_labels_follow_their_images(self):
        table = table_of(np.random.default_rng(0).integers(-1, 2, (300, 3)))
        parts = table.split({"val": 0.2, "test": 0.3})
        assert sorted(path for part in parts.values() for path in part.paths) == sorted(table.paths)
        order = {path: i for i, path in enumerate(table.paths)}
        for part in parts.values():
            assert np.array_equal(part.dense(), table.dense([order[path] for path in part.paths]))

    def test_sides_are_about_as_large_as_asked_for(self):
        parts = numbered(20_000).split({"val": 0.1, "test": 0.25})
        assert len(parts["val"]) == pytest.approx(2_000, rel=0.1)
        assert len(parts["test"]) == pytest.approx(5_000, rel=0.1)

    def test_moving_the_data_root_moves_no_image(self):
        table = numbered(200)
        moved = LabelTable.from_present(table.paths, ["cat"], None, root=Path("/elsewhere"))
        assert self.sides(table, {"val": 0.3}) == self.sides(moved, {"val": 0.3})

    def test_adding_images_moves_no_other(self):
        few, many = (self.sides(numbered(count), {"val": 0.2, "test": 0.2}) for count in (100, 400))
        assert all(few[side] <= many[side] for side in few)

    def test_the_split_is_the_same_in_every_version(self):
        sides = numbered(40).split({"val": 0.2, "test": 0.2}, salt="pepper")
        assert {side: [path[2:-4] for path in part.paths] for side, part in sides.items() if side != "train"} == SPLIT

    def test_a_larger_share_keeps_the_samples_of_a_smaller_one(self):
        table = numbered(400)
        small, large = (self.sides(table, {"val": share, "test": share}) for share in (0.1, 0.3))
        assert small["val"] < large["val"]
        assert small["test"] < large["test"]

    def test_test_keeps_its_samples_whatever_is_asked_for_beside_it(self):
        table = numbered(400)
        alone = self.sides(table, {"test": 0.2})["test"]
        assert self.sides(table, {"val": 0.3, "test": 0.2})["test"] == alone
        assert self.sides(table, {"test": 0.2, "val": 0.3, "calibration": 0.1})["test"] == alone

    def test_another_salt_gives_another_split(self):
        table = numbered(400)
        assert self.sides(table, {"val": 0.3}) != self.sides(table, {"val": 0.3}, salt="x")

    def test_nothing_asked_for_leaves_all_to_train(self):
        table = numbered(5)
        assert self.sides(table, {}) == {"train": set(table.paths)}
        assert self.sides(table, {"val": 1.0})["val"] == set(table.paths)

    def test_a_group_given_by_a_function_is_not_torn_apart(self):
        table = numbered(400)
        for part in table.split({"val": 0.3, "test": 0.3}, group=lambda path: path[:3]).values():
            assert part.paths
            assert all((path in set(part.paths)) == (path[:3] in {p[:3] for p in part.paths}) for path in table.paths)

    def test_groups_of_the_table_are_not_torn_apart_and_a_blank_one_is_no_group(self):
        groups = [f"p{i % 40}" if i < 200 else "" for i in range(400)]
        table = LabelTable.from_present([f"{i}" for i in range(400)], ["cat"], None, root=ROOT, groups=groups)
        parts = table.split({"val": 0.3})
        train, val = (set(parts[side].groups) for side in ("train", "val"))
        assert train & val == {""}
        assert len(train) > 10
        assert len(val) > 5

    @pytest.mark.parametrize(
        ("fractions", "message"),
        [
            ({"train": 0.5}, "train is what the other sides leave"),
            ({"val": -0.1}, "val is -0.1; expected a share of the samples, 0 to 1"),
            ({"val": float("nan")}, "val is nan"),
            ({"val": 0.6, "test": 0.6}, "val and test take 1.2 of the samples; expected at most 1"),
        ],
    )
    def test_shares_that_make_no_sense_are_refused(self, fractions, message):
        with pytest.raises(UsageError, match=message):
            numbered(2).split(fractions)


SPLIT = {"val": ["1", "8", "10", "21", "22", "29", "35", "36", "38"], "test": ["3", "7", "11", "18", "28", "31"]}


class TestAlign:
    def test_columns_are_those_asked_for_and_a_missing_class_is_unknown(self):
        table = table_of([[1, 0], [0, 0], [-1, -1]], ["cat", "dog"]).align(["dog", "fish", "cat"])
        assert table.classes == ("dog", "fish", "cat")
        assert table.dense().tolist() == [[0, -1, 1], [0, -1, 0], [-1, -1, -1]]
        assert table.row(1).tolist() == [0, -1, 0]
        assert table.support().tolist() == [0, 0, 1]
        assert table.negatives().tolist() == [2, 0, 1]
        assert (table.num_unlabelled, table.num_unknown_cells, table.num_all_negative) == (1, 5, 0)

    @settings(max_examples=200)
    @given(label_matrices(), st.data())
    def test_aligned_twice_it_is_what_the_matrix_says(self, labels, data):
        table = table_of(labels)
        expected, names = labels, list(table.classes)
        for new in ("new", "newer"):
            wanted = data.draw(st.permutations([*names, new]))[: data.draw(st.integers(1, len(names) + 1))]
            table = table.align(wanted, extra="drop")
            unknown = np.full((len(labels), 1), -1, np.int8)
            columns = [expected[:, [names.index(name)]] if name in names else unknown for name in wanted]
            expected, names = np.concatenate(columns, axis=1), list(wanted)
            assert np.array_equal(table.dense(), expected)
            assert all(np.array_equal(table.row(i), expected[i]) for i in range(len(labels)))
            assert table.negatives().tolist() == (expected == 0).sum(axis=0).tolist()
            assert table.support().tolist() == (expected == 1).sum(axis=0).tolist()
            assert table.num_unlabelled == (expected == -1).all(axis=1).sum()
            assert table.num_unknown_cells == (expected == -1).sum()
            assert table.num_all_negative == (expected == 0).all(axis=1).sum()
            assert np.array_equal(table.take(range(len(labels))[::-1]).dense(), expected[::-1])

    def test_all_extra_classes_are_told_with_their_place(self):
        origins = {"dgo": "val.csv:418", "zebra": "val.csv:500"}
        table = table_of([[1, 0, 1, 1]], ["cat", "dgo", "zebra", "yak"], origins=origins, source="val.csv")
        with pytest.raises(LabelError) as error:
            table.align(["cat", "dog", "fish"])
        assert str(error.value).splitlines() == [
            "val.csv:418: class 'dgo' is not among the 3 classes; did you mean 'dog'?",
            "val.csv:500: class 'zebra' is not among the 3 classes",
            "val.csv: class 'yak' is not among the 3 classes",
            "3 faults in all",
        ]

    def test_extra_classes_can_be_dropped(self):
        table = table_of([[1, 0, 1]], ["cat", "dog", "fish"], origins={"cat": "f:1", "dog": "f:1"})
        dropped = table.align(["dog"], extra="drop")
        assert dropped.dense().tolist() == [[0]]
        assert dropped.origins == {"dog": "f:1"}

    def test_the_same_classes_give_the_same_table(self):
        table = table_of([[1, 0]])
        assert table.align(table.classes) is table

    def test_classes_to_align_to_must_not_repeat(self):
        with pytest.raises(LabelError, match="class 'c0' is there twice"):
            table_of([[1]]).align(["c0", "c0"])


class TestSoftLabels:
    def table(self):
        labels = np.array([[0.9, 0.25, -1], [0.5, 0, 0.1], [1, 0, 1], [-1, -1, -1]], np.float64)
        return LabelTable.from_dense("abcd", ["cat", "dog", "owl"], labels, root=Path())

    def test_they_come_back_as_they_were_given(self):
        table = self.table()
        assert table.is_soft
        assert table.dense().dtype == np.float32
        assert table.dense().tolist() == np.float32([[0.9, 0.25, -1], [0.5, 0, 0.1], [1, 0, 1], [-1, -1, -1]]).tolist()
        assert table.row(0).tolist() == table.dense([0])[0].tolist()
        assert (
            table.take([1, 0]).align(["owl", "cat"], extra="drop").dense().tolist()
            == np.float32([[0.1, 0.5], [-1, 0.9]]).tolist()
        )

    def test_they_count_as_what_is_more_likely_and_as_neither_at_one_half(self):
        table = self.table()
        assert table.support().tolist() == [2, 0, 1]
        assert table.negatives().tolist() == [0, 3, 1]
        assert (table.num_unknown_cells, table.num_unlabelled, table.num_all_negative) == (4, 1, 0)

    def test_hardened_they_count_the_same(self):
        soft, hard = self.table(), self.table().hardened()
        assert hard.dense().tolist() == [[1, 0, -1], [-1, 0, 0], [1, 0, 1], [-1, -1, -1]]
        assert not hard.is_soft
        assert hard.hardened() is hard
        for count in ("support", "negatives"):
            assert getattr(hard, count)().tolist() == getattr(soft, count)().tolist()

    def test_a_floating_table_without_any_is_not_soft(self):
        table = LabelTable.from_dense("ab", ["cat"], np.array([[1.0], [-1.0]]), root=Path())
        assert (table.is_soft, table.dense().dtype) == (False, np.int8)

    def test_cells_may_be_soft(self):
        rows, columns = np.array([0, 1]), np.array([0, 0])
        table = LabelTable.from_cells(
            "ab", ["cat"], rows, columns, np.array([0.75, 0.0]), np.array([-1, 0]), root=Path()
        )
        assert table.dense().tolist() == [[0.75], [0]]
