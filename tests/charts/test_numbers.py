"""What is drawn is what was given."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import StepPatch

from mlic.charts import (
    Bins,
    Curve,
    compare,
    draw_cooccurrence,
    precision_by_support,
    precision_recall,
    precision_recall_of_classes,
    reliability,
    score_histogram,
    threshold_curves,
)

DOG = Curve(np.array([1, 0.5, 2 / 3, 0.5]), np.array([0.5, 0.5, 1, 1]), np.array([0.9, 0.6, 0.5, 0.1]))
CAT = Curve(np.array([0.0, 0.5]), np.array([0.0, 1.0]), np.array([0.8, 0.2]))
NOTHING = Curve(np.zeros(1), np.full(1, np.nan), np.ones(1))
NAN = float("nan")


def texts(figure: Figure) -> str:
    legends = [text.get_text() for axes in figure.axes if axes.get_legend() for text in axes.get_legend().get_texts()]
    ticks = [text.get_text() for axes in figure.axes for text in axes.get_yticklabels()]
    return "\n".join([text.get_text() for part in [figure, *figure.axes] for text in part.texts] + legends + ticks)


def line(axes: Axes, label: str) -> Line2D:
    return next(one for one in axes.get_lines() if str(one.get_label()).startswith(label))


def corners(one: Line2D) -> list[tuple[float, float]]:
    return list(zip(np.asarray(one.get_xdata()).tolist(), np.asarray(one.get_ydata()).tolist(), strict=True))


def test_the_curve_of_a_class_goes_through_its_points_in_steps():
    figure = precision_recall(["dog", "cat", "cow"], [DOG, CAT, NOTHING], np.array([0.8, 0.5, NAN]), CAT, 0.6)
    drawn = corners(line(figure.axes[0], "dog"))
    assert drawn[0] == (0, 1)
    assert [place for place in zip(DOG.recall, DOG.precision, strict=True) if place not in drawn] == []


def test_the_area_below_the_mean_curve_is_the_mean_average_precision():
    rng = np.random.default_rng(0)
    curves, precisions = [], []
    for _ in range(5):
        hits = np.cumsum(rng.random(2000) < 0.3)
        curve = Curve(hits / np.arange(1, 2001), hits / hits[-1], np.linspace(1, 0, 2000))
        curves.append(curve)
        precisions.append(float((np.diff(curve.recall, prepend=0) * curve.precision).sum()))
    figure = precision_recall(list("abcde"), curves, np.array(precisions), curves[0], 0.3)
    mean = np.asarray(line(figure.axes[0], "mean").get_ydata())
    assert mean[1:].mean() == pytest.approx(np.mean(precisions), abs=2e-3)


def test_best_median_and_worst_class_are_named_and_undefined_ones_counted():
    precisions = np.array([0.7, NAN, 0.9, 0.1])
    figure = precision_recall(list("abcd"), [DOG, NOTHING, DOG, CAT], precisions, CAT, 0.6)
    assert "best: c\u20020.900" in texts(figure)
    assert "median: a\u20020.700" in texts(figure)
    assert "worst: d\u20020.100" in texts(figure)
    assert "3 of 4 classes; 1 without known positives: n/a" in texts(figure)


def test_of_very_many_classes_eighty_curves_are_drawn_and_the_chart_says_so():
    figure = precision_recall([str(one) for one in range(300)], [DOG] * 300, np.linspace(0, 1, 300), DOG, 0.6)
    assert len(figure.axes[0].get_lines()) == 80 + 3 + 2
    assert "80 of 300 classes" in texts(figure)


def test_panels_mark_what_the_threshold_gives():
    figure = precision_recall_of_classes(["dog", "cow"], [DOG, NOTHING], np.array([0.8, NAN]), np.array([0.5, 0.5]))
    dog, cow = figure.axes
    assert corners(dog.get_lines()[-1]) == [(1, 2 / 3)]
    assert not cow.get_lines()
    assert cow.get_title(loc="right") == "n/a"


def test_a_threshold_above_all_scores_has_no_mark():
    figure = precision_recall_of_classes(["dog"], [DOG], np.array([0.8]), np.array([0.95]))
    assert len(figure.axes[0].get_lines()) == 1


def test_curves_over_thresholds_say_what_the_chosen_one_gives():
    figure = threshold_curves("dog", DOG, 0.55)
    assert "precision\u20020.500\nrecall\u20020.500\nF1\u20020.500\nthreshold\u20020.550" in texts(figure)
    assert (0.5, 1.0) in corners(line(figure.axes[0], "recall"))
    assert corners(line(figure.axes[0], "threshold"))[0][0] == 0.55
    assert corners(line(figure.axes[0], "F1"))[-1] == (0.9, pytest.approx(2 / 3))


@pytest.mark.parametrize("threshold", [None, NAN])
def test_without_a_threshold_none_is_drawn(threshold: float | None):
    assert "threshold" not in texts(threshold_curves("dog", DOG, threshold))
    assert "threshold" not in texts(score_histogram("dog", np.array([0.5]), np.array([1], np.int8), threshold))


def test_reliability_leaves_empty_bins_out():
    before = Bins(np.array([0.1, NAN, 0.8]), np.array([0.2, NAN, 0.7]), np.array([30, 0, 10]))
    after = Bins(np.array([0.2, 0.5, 0.7]), np.array([0.2, 0.5, 0.7]), np.array([20, 5, 15]))
    diagram, bars = reliability(before, after).axes
    assert corners(line(diagram, "before")) == [(0.1, 0.2), (0.8, 0.7)]
    assert corners(line(diagram, "after")) == [(0.2, 0.2), (0.5, 0.5), (0.7, 0.7)]
    assert [bar.get_height() for bar in bars.patches] == [30, 10, 20, 5, 15]  # type: ignore[attr-defined]


def test_precision_against_support_leaves_undefined_classes_out():
    figure = precision_by_support(["a", "b", "c"], np.array([0.5, NAN, 0.0]), np.array([10, 0, 1000]))
    (points,) = (one for one in figure.axes[0].collections if isinstance(one, PathCollection))
    assert np.asarray(points.get_offsets()).tolist() == [[10, 0.5], [1000, 0]]
    assert "1 of 3 classes without known positives: n/a" in texts(figure)
    assert "a" in [text.get_text() for text in figure.axes[0].texts]


def test_labels_of_points_do_not_overlap():
    rng = np.random.default_rng(0)
    names = [f"a class {number}" for number in range(60)]
    figure = precision_by_support(names, rng.random(60), rng.integers(1, 10_000, 60))
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) > 3
    assert not any(one.overlaps(other) for at, one in enumerate(boxes) for other in boxes[:at])


def test_histograms_count_known_labels_alone():
    scores = np.array([0.01, 0.011, 0.99, 1.0, 0.5])
    figure = score_histogram("dog", scores, np.array([0, 0, 1, 1, -1], np.int8), 0.4)
    absent, present = (one.get_data().values for one in figure.axes[0].patches[1::2] if isinstance(one, StepPatch))
    assert np.nansum(absent) == absent[0] == 2
    assert np.nansum(present) == present[-1] == 2
    assert "absent (2)\npresent (2)\nthreshold\u20020.400" in texts(figure)


def test_heat_maps_hold_the_shares_of_the_most_frequent_classes():
    rng = np.random.default_rng(0)
    true, predicted, support = rng.random((50, 50)), rng.random((50, 50)), rng.permutation(50)
    figure = draw_cooccurrence([f"c{one}" for one in range(50)], true, predicted, support)
    order = np.argsort(-support)[:40]
    off = ~np.eye(40, dtype=bool)
    for axes, share in zip(figure.axes, (true, predicted), strict=False):
        (image,) = axes.get_images()
        shown = np.ma.filled(image.get_array().astype(float), np.nan)  # type: ignore[union-attr]
        assert shown[off].tolist() == share[np.ix_(order, order)][off].tolist()
        assert np.isnan(shown.diagonal()).all()
    assert "The 40 most frequent of 50 classes" in texts(figure)


def test_two_models_are_compared_on_the_classes_that_both_define():
    first, second = np.array([0.5, NAN, 0.3, 0.9]), np.array([0.6, 0.7, 0.1, NAN])
    figure = compare(("A", "B"), ["a", "b", "c", "d"], first, second, second - first - 0.05, second - first + 0.15)
    scatter, beside = figure.axes
    assert np.asarray(scatter.collections[0].get_offsets()).tolist() == [[0.5, 0.6], [0.3, 0.1]]
    bars = next(one for one in beside.collections if isinstance(one, LineCollection))
    ends = [segment[:, 0].tolist() for segment in bars.get_segments()]
    assert ends == [pytest.approx([0.05, 0.25]), pytest.approx([-0.25, -0.05])]
    assert [text.get_text() for text in beside.get_yticklabels()] == ["a", "c"]
    assert "2 of 4 classes without known positives: n/a" in texts(figure)


def test_a_difference_is_coloured_only_where_its_interval_leaves_out_0():
    half, known = np.full(4, 0.5), np.array([0.1, -0.2, -0.1, NAN])
    figure = compare(("A", "B"), list("abcd"), half, half, known, np.array([0.2, -0.1, 0.1, NAN]))
    colours = np.asarray(figure.axes[0].collections[0].get_facecolor())
    assert len({tuple(colour) for colour in colours.tolist()}) == 3
    assert colours[2].tolist() == colours[3].tolist()
