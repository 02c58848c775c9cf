import numpy as np
import pytest
import torch

from mlic import metrics as m
from mlic.errors import MlicError
from mlic.metrics import draws as drawing
from mlic.metrics.resampled_areas import resampled_areas
from mlic.metrics.resamples import (
    bootstrap,
    draws,
    interval,
    resampled_counts,
    resampled_figures,
    resampled_map,
    resampled_means,
)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("samples", "classes", "levels"), [(40, 6, None), (30, 7, 1), (1, 6, None), (9, 1, 2)])
def test_each_figure_is_that_of_the_drawn_rows(table, samples, classes, levels, dtype):
    logits, labels = table(samples, classes, levels=levels)
    logits = logits.to(dtype)
    scores, present = logits.sigmoid(), logits > 0
    found = resampled_figures(logits, scores, present, labels, resamples=12, seed=3)
    assert [*found] == [*m.FIGURES]
    for number, rows in enumerate(draws(samples, 12, seed=3)):
        expected = m.figures(logits[rows], scores[rows], present[rows], labels[rows])
        for name, values in found.items():
            np.testing.assert_allclose(values[number], expected[name], rtol=0, atol=1e-12, err_msg=name)


def test_areas_are_those_of_the_drawn_rows_class_by_class(table, close):
    logits, labels = table(50, 7, levels=2)
    found = resampled_areas(logits, labels, 10, seed=1)
    for number, rows in enumerate(draws(50, 10, seed=1)):
        close(found.average_precision[number], m.average_precision(logits[rows], labels[rows]))
        close(found.auroc[number], m.auroc(logits[rows], labels[rows]))


def test_counts_are_those_of_the_drawn_rows(table):
    logits, labels = table(50, 6)
    found = resampled_counts(logits > 0, labels, 10, seed=1)
    for number, rows in enumerate(draws(50, 10, seed=1)):
        for counts, expected in zip(found, m.count_cells(logits[rows] > 0, labels[rows]), strict=True):
            assert torch.equal(counts[number], expected)


def test_any_statistic_is_that_of_the_drawn_rows(table):
    logits, labels = table(30, 6)
    found = bootstrap(lambda rows: m.mean_average_precision(logits[rows], labels[rows]), 30, resamples=15, seed=4)
    np.testing.assert_allclose(found, resampled_map([logits], labels, 15, seed=4)[0], atol=1e-12)
    several = bootstrap(lambda rows: m.average_precision(logits[rows], labels[rows]), 30, resamples=5)
    assert several.shape == (5, 6)


def test_blocks_change_nothing(table, close, monkeypatch):
    logits, labels = table(30, 6)
    scores = logits.sigmoid()
    whole = resampled_figures(logits, scores, logits > 0, labels, resamples=7)
    monkeypatch.setattr(drawing, "_DRAWN_CELLS", 60)
    monkeypatch.setattr(drawing, "_SUMMED_CELLS", 500)
    for name, values in resampled_figures(logits, scores, logits > 0, labels, resamples=7).items():
        close(values, whole[name])


def test_means_leave_out_what_is_not_defined(close):
    values = torch.tensor([[1.0, torch.nan], [3.0, torch.nan], [torch.nan, torch.nan]], dtype=torch.float64)
    found = resampled_means(values, 20)
    for number, rows in enumerate(draws(3, 20)):
        close(found[number], values[rows].nanmean(dim=0))


def test_draws_of_two_models_are_paired(table):
    logits, labels = table(60, 6)
    first, second = resampled_map([logits, logits], labels, 20)
    assert np.array_equal(first, second)
    one, other = (resampled_figures(logits, logits.sigmoid(), logits > 0, labels, 20, seed=2) for _ in range(2))
    assert interval(one["mAP"] - other["mAP"]) == (0, 0)


def test_another_seed_draws_others_and_the_same_the_same():
    same = [np.stack([*draws(20, 3, seed)]) for seed in (0, 0, 1)]
    assert np.array_equal(same[0], same[1])
    assert not np.array_equal(same[0], same[2])


def test_an_interval_leaves_out_resamples_without_the_figure():
    assert interval(np.array([np.nan, 1.0, 1.0])) == (1, 1)
    assert np.isnan(interval(np.array([np.nan]))).all()
    assert np.isnan(interval(np.empty(0))).all()


def test_the_interval_of_a_mean_is_about_that_of_the_central_limit():
    values = torch.randn(400, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    low, high = interval(resampled_means(values, 2000)[:, 0].numpy())
    half = 1.96 * float(values.std()) / 20
    assert (low, high) == pytest.approx((float(values.mean()) - half, float(values.mean()) + half), abs=0.01)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_an_empty_table_has_undefined_figures(shape):
    logits, labels = torch.zeros(shape), torch.zeros(shape, dtype=torch.int8)
    found = resampled_figures(logits, logits.sigmoid(), logits > 0, labels, resamples=4)
    assert all(np.isnan(values).all() and values.shape == (4,) for values in found.values())


def test_no_resample_is_no_figure(table):
    logits, labels = table(5, 3)
    assert resampled_map([logits], labels, 0).shape == (1, 0)
    assert all(
        values.shape == (0,) for values in resampled_figures(logits, logits.sigmoid(), logits > 0, labels, 0).values()
    )


def test_a_score_that_is_not_a_number_is_refused():
    with pytest.raises(MlicError, match="row 0 for class 0"):
        resampled_map([torch.tensor([[torch.nan]])], torch.zeros(1, 1, dtype=torch.int8), 3)
