import hashlib
import re
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlic.errors import UsageError
from mlic.labels import LabelTable
from mlic.labels.splits import legacy_split, sides_without, stratified_split

SHARES = {"val": 0.2, "test": 0.1}


def table_of(labels, *, root="photos", groups=None, classes=None):
    labels = np.asarray(labels)
    classes = [f"c{column}" for column in range(labels.shape[1])] if classes is None else classes
    paths = [f"{row}.jpg" for row in range(len(labels))]
    return LabelTable.from_dense(paths, classes, labels, root=Path(root), groups=groups)


def skewed(samples=2000, classes=20, seed=0):
    """Labels of which few classes have most, one sample in ten without any, one in ten unlabelled."""
    random = np.random.default_rng(seed)
    labels = (random.random((samples, classes)) < 0.4 / np.arange(1, classes + 1) ** 1.2).astype(np.int8)
    labels[random.random(labels.shape) < 0.05] = -1
    labels[random.random(samples) < 0.1] = 0
    labels[random.random(samples) < 0.1] = -1
    return labels


def names(sides):
    return {side: set(part.paths) for side, part in sides.items()}


def shuffled(table, seed=0):
    return table.take(np.random.default_rng(seed).permutation(len(table)))


def without_positives(table):
    """The number of labelled samples without a known positive, some of whose cells may be unknown."""
    labels = table.dense()
    return int(((labels == 0).any(axis=1) & (labels < 1).all(axis=1)).sum())


def furthest(sides, table, shares):
    """How far, relative to what is wanted, the positives of a class are from their share."""
    wanted = {side: share * table.support() for side, share in shares.items()}
    return max(np.abs(sides[side].support() / wanted[side] - 1).max() for side in shares)


@st.composite
def contents(draw, grouped=None):
    """Labels and groups, from which `table_of` makes a table outside of the strategy."""
    rows, columns = draw(st.integers(0, 40)), draw(st.integers(1, 5))
    cells = st.sampled_from([1, 0, 0, -1])
    labels = draw(st.lists(st.lists(cells, min_size=columns, max_size=columns), min_size=rows, max_size=rows))
    groups = None
    if draw(st.booleans()) if grouped is None else grouped:
        groups = draw(st.lists(st.sampled_from(["", "p", "q", "r", "s"]), min_size=rows, max_size=rows))
    return {"labels": np.array(labels, np.int8).reshape(rows, columns), "groups": groups}


shares = st.sampled_from([{}, {"val": 0.1}, {"val": 0.2, "test": 0.3}, {"test": 1.0}, {"a": 0.3, "b": 0.3, "c": 0.4}])


class TestStratified:
    @given(contents(), shares)
    def test_each_sample_is_on_one_side_with_its_labels(self, content, fractions):
        table = table_of(**content)
        sides = stratified_split(table, fractions)
        assert list(sides) == ["train", *fractions]
        assert sorted(path for part in sides.values() for path in part.paths) == sorted(table.paths)
        row = {path: number for number, path in enumerate(table.paths)}
        for part in sides.values():
            at = [row[path] for path in part.paths]
            assert at == sorted(at)
            assert np.array_equal(part.dense(), table.dense(at))

    @given(contents(grouped=True), shares)
    def test_a_group_is_never_torn_apart_and_a_blank_one_is_no_group(self, content, fractions):
        table = table_of(**content)
        sides = stratified_split(table, fractions)
        for name in ("p", "q", "r", "s"):
            assert sum(name in part.groups for part in sides.values()) <= 1

    def test_samples_of_the_blank_group_go_their_own_ways(self):
        table = table_of(np.ones((30, 1), np.int8), groups=[""] * 30)
        assert {side: len(part) for side, part in stratified_split(table, {"val": 0.5}).items()} == {
            "train": 15,
            "val": 15,
        }

    @given(contents(), shares, st.integers(0, 5), st.permutations(range(5)))
    def test_the_order_of_samples_and_classes_and_the_folder_change_nothing(self, content, fractions, seed, order):
        table = table_of(**content)
        classes = [table.classes[column] for column in order if column < table.num_classes]
        moved = LabelTable.from_dense(
            table.paths, table.classes, table.dense(), root=Path("/elsewhere"), groups=table.groups
        )
        other = shuffled(moved.align(classes), seed)
        assert names(stratified_split(other, fractions)) == names(stratified_split(table, fractions))

    @pytest.mark.parametrize("per_group", [None, 5])
    def test_every_class_has_nearly_its_share_on_every_side(self, per_group):
        labels = skewed()
        groups = None if per_group is None else [f"g{row // per_group}" for row in range(len(labels))]
        table = table_of(labels, groups=groups)
        sides = stratified_split(table, SHARES)
        assert table.support().min() >= 10
        wanted = {side: share * table.support() for side, share in SHARES.items()}
        for side in SHARES:
            assert np.abs(sides[side].support() - wanted[side]).max() <= 3
            assert len(sides[side]) == pytest.approx(SHARES[side] * len(table), rel=0.05)
            assert sides[side].num_unlabelled == pytest.approx(SHARES[side] * table.num_unlabelled, abs=2)
            assert without_positives(sides[side]) == pytest.approx(SHARES[side] * without_positives(table), abs=2)

    @pytest.mark.parametrize("seed", range(3))
    @pytest.mark.parametrize("per_group", [None, 5])
    def test_on_skewed_labels_it_is_nearer_to_the_shares_than_a_hash(self, per_group, seed):
        labels = skewed(seed=seed)
        groups = None if per_group is None else [f"g{row // per_group}" for row in range(len(labels))]
        table = table_of(labels, groups=groups)
        stratified = furthest(stratified_split(table, SHARES), table, SHARES)
        assert stratified < 0.5 * furthest(table.split(SHARES), table, SHARES)

    @settings(max_examples=50)
    @given(contents(grouped=False), shares)
    def test_sizes_are_near_to_what_is_asked_for(self, content, fractions):
        table = table_of(**content)
        sides = stratified_split(table, fractions)
        for side, share in fractions.items():
            assert abs(len(sides[side]) - share * len(table)) <= 2 + table.num_classes

    def test_samples_without_positives_are_shared_out_in_proportion(self):
        sides = stratified_split(table_of([[0]] * 50 + [[-1]] * 30), SHARES)
        assert {side: (part.num_all_negative, part.num_unlabelled) for side, part in sides.items()} == {
            "train": (35, 21),
            "val": (10, 6),
            "test": (5, 3),
        }

    def test_unknown_cells_count_for_nothing(self):
        labels = skewed()
        known = np.where(labels == -1, 0, labels)
        known[(labels == -1).all(axis=1)] = -1
        assert names(stratified_split(table_of(labels), SHARES)) == names(stratified_split(table_of(known), SHARES))

    def test_a_soft_label_is_a_positive_above_one_half(self):
        labels = skewed().astype(np.float32)
        soft = np.where(labels == 1, 0.7, np.where(labels == 0, 0.3, -1))
        assert names(stratified_split(table_of(labels), SHARES)) == names(stratified_split(table_of(soft), SHARES))

    def test_another_salt_gives_another_split(self):
        table = table_of(skewed(300))
        assert names(stratified_split(table, SHARES)) == names(stratified_split(table, SHARES, salt=""))
        assert names(stratified_split(table, SHARES)) != names(stratified_split(table, SHARES, salt="x"))

    @pytest.mark.parametrize("groups", [None, ["a"] * 4])
    def test_a_side_with_a_share_of_nothing_gets_nothing(self, groups):
        table = table_of([[1, 0], [1, 1], [0, 1], [-1, -1]], groups=groups)
        sides = stratified_split(table, {"val": 0.0, "test": 1.0})
        assert {side: len(part) for side, part in sides.items()} == {"train": 0, "val": 0, "test": 4}

    def test_the_split_is_the_same_in_every_version(self):
        labels = [[row % 3 == 0, row % 5 == 0, row % 7 == 0] for row in range(30)]
        sides = stratified_split(table_of(np.array(labels)), SHARES)
        assert {side: " ".join(Path(path).stem for path in part.paths) for side, part in sides.items()} == SPLIT

    def test_shares_that_make_no_sense_are_refused(self):
        with pytest.raises(UsageError, match=r"val and test take 1\.2 of the samples; expected at most 1"):
            stratified_split(table_of([[1]]), {"val": 0.6, "test": 0.6})
        with pytest.raises(UsageError, match="train is what the other sides leave"):
            stratified_split(table_of([[1]]), {"train": 0.6})

    @pytest.mark.parametrize("grouped", [False, True])
    def test_two_hundred_thousand_samples_of_80_classes_take_seconds(self, grouped):
        labels = skewed(200_000, 80)
        groups = [f"g{row // 3}" for row in range(len(labels))] if grouped else None
        table = table_of(labels, groups=groups)
        start = time.process_time()
        stratified_split(table, SHARES)
        assert time.process_time() - start < 10


SPLIT = {
    "train": "0 1 2 3 4 5 6 7 8 9 12 13 16 20 21 23 25 26 27 28 29",
    "val": "11 14 15 17 19 24",
    "test": "10 18 22",
}


class TestLegacy:
    def expected(self, path, val, test):
        """The rule as the script states it, with percentages."""
        digest = hashlib.sha1(re.sub(r"_nohash_.*$", "", path).encode()).hexdigest()
        percentage = (int(digest, 16) % (2**27 - 1 + 1)) * (100.0 / (2**27 - 1))
        return "val" if percentage < val else "test" if percentage < test + val else "train"

    @pytest.mark.parametrize(("val", "test"), [(10, 10), (7, 29), (0, 14), (100, 0), (58, 42)])
    def test_each_image_is_where_the_script_puts_it(self, val, test):
        paths = [f"multi-label/bild ö {number}.jpg" for number in range(500)]
        table = LabelTable.from_present(paths, ["cat"], None, root=Path("anywhere"))
        sides = legacy_split(table, {"val": val / 100, "test": test / 100}, prefix="images/")
        assert list(sides) == ["train", "val", "test"]
        for side, part in sides.items():
            assert list(part.paths) == [path for path in paths if self.expected(f"images/{path}", val, test) == side]

    def test_the_order_in_which_sides_are_asked_for_changes_nothing(self):
        table = table_of(np.ones((200, 1), np.int8))
        one, other = (legacy_split(table, fractions) for fractions in (SHARES, dict(reversed(SHARES.items()))))
        assert names(one) == names(other)
        assert list(other) == ["train", "test", "val"]

    def test_what_follows_nohash_changes_nothing(self):
        paths = [f"{number}_nohash_{take}.jpg" for number in range(200) for take in range(3)]
        sides = legacy_split(LabelTable.from_present(paths, ["cat"], None, root=Path()), SHARES)
        for part in sides.values():
            assert len(part) == 3 * len({path.split("_")[0] for path in part.paths})
            assert part.paths

    @pytest.mark.parametrize(("share", "side"), [(0.31, "train"), (0.32, "val")])
    def test_a_known_image_is_on_its_side(self, share, side):
        # The SHA-1 of images/car/car.jpg ends with 7a86f5cd, of which 27 bits are 42399181: 31.5899 %.
        table = LabelTable.from_present(["car/car.jpg"], ["car"], [["car"]], root=Path())
        assert len(legacy_split(table, {"val": share}, prefix="images/")[side]) == 1

    def test_a_side_of_another_name_is_refused(self):
        with pytest.raises(UsageError, match="the classic script knows no side 'dev'; it makes train, val and test"):
            legacy_split(table_of([[1]]), {"dev": 0.1})


def test_the_classes_that_a_side_lacks_are_listed_in_their_order():
    table = table_of([[1, 0, 0], [0, 0, 1], [-1, -1, -1]], classes=["cat", "ant", "bee"])
    sides = {"train": table.take([0, 1]), "val": table.take([2]), "test": table_of([[1, 1, 1]])}
    assert sides_without(sides) == {"train": ["ant"], "val": ["cat", "ant", "bee"]}
