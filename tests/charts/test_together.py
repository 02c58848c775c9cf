"""Classes that come together, against counting by hand."""

import numpy as np
import pytest

from mlic.charts import Pair, cooccurrence, differing_pairs

NAN = float("nan")


def by_hand(present: np.ndarray, known: np.ndarray) -> np.ndarray:
    classes = present.shape[1]
    shares = np.full((classes, classes), NAN)
    for given in range(classes):
        for other in range(classes):
            rows = [
                row for row in range(len(present)) if present[row, given] and known[row, given] and known[row, other]
            ]
            if rows:
                shares[given, other] = np.mean([present[row, other] for row in rows])
    return shares


@pytest.mark.parametrize("density", [0.0, 0.03, 0.5, 1.0])
@pytest.mark.parametrize("known_share", [0.0, 0.7, 1.0])
def test_shares_are_those_counted_by_hand(density: float, known_share: float):
    rng = np.random.default_rng(0)
    present, known = rng.random((60, 7)) < density, rng.random((60, 7)) < known_share
    np.testing.assert_allclose(cooccurrence(present, known), by_hand(present, known), rtol=1e-6)


def test_shares_do_not_depend_on_how_rows_are_cut_into_blocks(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(0)
    present, known = rng.random((60, 7)) < 0.3, rng.random((60, 7)) < 0.8
    whole = cooccurrence(present, known)
    monkeypatch.setattr("mlic.charts.together._CELLS", 50)
    np.testing.assert_array_equal(cooccurrence(present, known), whole)


def test_what_is_said_of_an_unknown_cell_changes_nothing():
    rng = np.random.default_rng(0)
    present, known = rng.random((60, 7)) < 0.3, rng.random((60, 7)) < 0.8
    np.testing.assert_array_equal(cooccurrence(present ^ ~known, known), cooccurrence(present, known))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_without_samples_or_classes_nothing_is_defined(shape: tuple[int, int]):
    empty = np.zeros(shape, dtype=bool)
    assert cooccurrence(empty, empty).shape == (shape[1], shape[1])
    assert np.isnan(cooccurrence(empty, empty)).all()


@pytest.mark.parametrize("cells", [1, 30, 1 << 24])
def test_pairs_are_those_that_a_sort_of_all_gives(cells: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mlic.charts.together._CELLS", cells)
    rng = np.random.default_rng(0)
    true, predicted = rng.random((9, 9)), rng.random((9, 9))
    true[3, 4] = NAN
    counts = np.full(9, 10)
    counts[5] = 9
    expected = sorted(
        (-abs(predicted[one, other] - true[one, other]), one, other)
        for one in range(9)
        for other in range(9)
        if one != other and one != 5 and (one, other) != (3, 4)
    )
    found = differing_pairs(true, predicted, counts, np.full(9, 10), at_most=12)
    assert [(pair.given, pair.other) for pair in found] == [(one, other) for _, one, other in expected[:12]]
    assert found[0] == Pair(*expected[0][1:], true[expected[0][1:]], predicted[expected[0][1:]])


def test_rare_classes_and_equal_shares_make_no_pair():
    shares = np.array([[1, 0.5], [0.2, 1]])
    assert differing_pairs(shares, shares, np.array([50, 50]), np.array([50, 50])) == []
    assert differing_pairs(shares, shares[::-1].copy(), np.array([9, 50]), np.array([50, 9])) == []
    assert differing_pairs(np.zeros((0, 0)), np.zeros((0, 0)), np.zeros(0, int), np.zeros(0, int)) == []
