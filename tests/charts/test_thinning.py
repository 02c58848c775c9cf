"""Curves of few points that look like those of many."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlic.charts.thinning import steps, thin


@given(st.integers(1, 500), st.integers(4, 60), st.integers(0, 10))
def test_no_more_points_than_asked_for_and_both_ends_and_extremes_among_them(points: int, limit: int, seed: int):
    rng = np.random.default_rng(seed)
    x, y = np.sort(rng.random(points)), rng.random(points)
    kept = thin(x, y, limit)
    assert len(kept) <= max(4, limit)
    assert kept[0] == 0
    assert kept[-1] == points - 1
    assert (np.diff(kept) > 0).all()
    assert {int(y.argmin()), int(y.argmax())} <= set(kept.tolist())


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=20))
def test_steps_are_the_same_curve_where_nothing_is_left_out(places: list[tuple[int, int]]):
    x, y = np.array(sorted(place[0] for place in places), float), np.array([place[1] for place in places], float)
    across, up = steps(x, y, 100)
    for at in np.arange(x[0], x[-1], 0.25) + 0.1:
        segment = np.flatnonzero((across[:-1] < at) & (across[1:] > at))
        assert len(segment) == 1
        assert up[segment[0]] == up[segment[0] + 1] == y[np.searchsorted(x, at)]


def test_a_long_curve_lies_within_a_stretch_of_its_points():
    x = np.linspace(0, 1, 40_000)
    y = 1 - x**3
    across, up = steps(x, y, 150)
    assert len(across) < 310
    assert np.abs(np.interp(x, across, up) - y).max() < 0.02


def test_a_single_point_is_a_curve():
    across, up = steps(np.array([0.5]), np.array([1.0]), 10)
    assert (across.tolist(), up.tolist()) == ([0.5], [1.0])


@pytest.mark.parametrize("points", [2, 3])
def test_a_flat_curve_has_two_corners(points: int):
    across, _ = steps(np.linspace(0, 1, points), np.ones(points), 10)
    assert set(across.tolist()) == {0, 1}
