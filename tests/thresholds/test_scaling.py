import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression
from torch.nn.functional import binary_cross_entropy_with_logits

from mlic.thresholds import scaling
from mlic.thresholds.scaling import platt_scaling, temperature_scaling

INT8 = torch.int8


def table(samples=400, classes=5, seed=0, slope=0.6, offset=-1.0, unknown=0.2):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(samples, classes, generator=generator, dtype=torch.float64) * 2 - 1
    chance = torch.sigmoid(slope * logits + offset)
    labels = (torch.rand(samples, classes, generator=generator) < chance).to(INT8)
    return logits, labels.masked_fill(torch.rand(samples, classes, generator=generator) < unknown, -1)


def cross_entropy(logits, labels, slope):
    known, positives, negatives = labels >= 0, (labels == 1).sum().double(), (labels == 0).sum().double()
    targets = torch.where(labels == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    return binary_cross_entropy_with_logits(slope * logits[known], targets[known]).item()


def by_sklearn(logits, labels):
    """Logistic regression on Platt's targets: each cell counts as both labels, in parts."""
    known = labels >= 0
    x, y = logits[known].numpy(), labels[known].numpy()
    positives, negatives = int((y == 1).sum()), int((y == 0).sum())
    targets = np.where(y == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    model = LogisticRegression(C=1e12, tol=1e-12, max_iter=1000)
    doubled = np.concatenate([x, x])[:, None]
    model.fit(doubled, np.repeat([1, 0], len(x)), sample_weight=np.concatenate([targets, 1 - targets]))
    return model.coef_.item(), model.intercept_.item()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("slope", [0.1, 1.0, 5.0])
def test_no_temperature_makes_the_known_cells_likelier(seed, slope):
    logits, labels = table(seed=seed, slope=slope, offset=-0.3)
    found = temperature_scaling(logits, labels).item()
    best = minimize_scalar(
        lambda slope: cross_entropy(logits, labels, slope), bounds=(0.05, 20), options={"xatol": 1e-9}
    )
    assert found == pytest.approx(best.x, rel=1e-5)
    assert cross_entropy(logits, labels, found) <= best.fun + 1e-14


def test_the_temperature_of_logits_that_are_so_many_times_too_large_is_so_many_times_higher():
    logits, labels = table()
    found = temperature_scaling(logits, labels)
    for factor in (0.3, 3.0):
        assert temperature_scaling(logits * factor, labels).item() == pytest.approx(found.item() / factor, rel=1e-9)


def test_calibrated_logits_have_a_temperature_of_1():
    logits, labels = table(100_000, slope=1.0, offset=0.0)
    assert temperature_scaling(logits, labels).item() == pytest.approx(1, abs=0.01)


def test_cells_are_counted_together_whatever_the_block(monkeypatch):
    logits, labels = table()
    expected, platt = temperature_scaling(logits, labels), platt_scaling(logits, labels)
    monkeypatch.setattr(scaling, "_CELLS_AT_A_TIME", 7)
    torch.testing.assert_close(temperature_scaling(logits, labels), expected, rtol=1e-10, atol=0)
    torch.testing.assert_close(platt_scaling(logits, labels), platt, rtol=1e-8, atol=1e-8)


def test_the_temperature_of_what_is_ranked_the_wrong_way_is_bounded():
    logits = torch.tensor([[-3.0], [-1.0], [1.0], [3.0]])
    assert temperature_scaling(logits, torch.tensor([[1], [1], [0], [0]], dtype=INT8)).item() == 0.05


def test_scores_of_what_is_separated_are_as_sure_as_its_cells_are_many():
    sure = []
    for many in (1, 10, 1000):
        labels = torch.tensor([[1], [0]], dtype=INT8).repeat(many, 1)
        logits = 3.0 * (2.0 * labels - 1)
        sure.append((temperature_scaling(logits, labels) * 3).sigmoid().item())
    assert sure == pytest.approx([2 / 3, 11 / 12, 1001 / 1002], abs=1e-6)


@pytest.mark.parametrize("label", [0, 1, -1])
def test_without_both_labels_the_temperature_is_1_and_nothing_is_scaled(label):
    logits, labels = torch.linspace(-3, 2, 40).reshape(20, 2), torch.full((20, 2), label, dtype=INT8)
    assert temperature_scaling(logits, labels).item() == 1
    found = platt_scaling(logits, labels)
    assert (found.slope.tolist(), found.offset.tolist()) == ([1, 1], [0, 0])
    assert found.pooled.all()


@settings(max_examples=100)
@given(st.data())
def test_the_temperature_is_best_on_any_small_table(data):
    count = data.draw(st.integers(1, 8))
    number = st.sampled_from([-1e30, -300.0, -2.0, -0.001, 0.0, 1e-6, 0.5, 4.0, 300.0, float("inf")])
    logits = torch.tensor(data.draw(st.lists(number, min_size=count, max_size=count))).double().unsqueeze(1)
    labels = torch.tensor(data.draw(st.lists(st.integers(-1, 1), min_size=count, max_size=count)), dtype=INT8)
    found = temperature_scaling(logits, labels.unsqueeze(1)).item()
    assert 1 / 20 <= found <= 20
    logits, labels = logits.clamp(-1e4, 1e4)[labels >= 0], labels[labels >= 0].unsqueeze(1)
    if labels.unique().numel() == 2:
        for other in (0.05, 0.9 * found, found * 1.1, 20.0):
            if 0.05 <= other <= 20:
                assert cross_entropy(logits, labels, found) <= cross_entropy(logits, labels, other) * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_platt_scaling_is_logistic_regression_on_smoothed_targets(seed):
    logits, labels = table(seed=seed)
    found = platt_scaling(logits, labels)
    for k in range(5):
        slope, offset = by_sklearn(logits[:, k], labels[:, k])
        assert found.slope[k].item() == pytest.approx(slope, rel=1e-4)
        assert found.offset[k].item() == pytest.approx(offset, rel=1e-4)
    assert not found.pooled.any()


def test_scores_of_platt_scaling_are_on_average_the_smoothed_targets():
    logits, labels = table()
    found, known, present = platt_scaling(logits, labels), labels >= 0, labels == 1
    p, n = present.sum(dim=0).double(), (labels == 0).sum(dim=0).double()
    targets = torch.where(present, (p + 1) / (p + 2), 1 / (n + 2))
    residual = (torch.sigmoid(found.slope * logits + found.offset) - targets).where(known, 0.0)
    torch.testing.assert_close(residual.sum(dim=0), torch.zeros(5).double(), atol=1e-8, rtol=0)
    torch.testing.assert_close((residual * logits).sum(dim=0), torch.zeros(5).double(), atol=1e-8, rtol=0)


def test_platt_scaling_undoes_what_is_done_to_logits():
    logits, labels = table()
    found = platt_scaling(logits, labels)
    moved = platt_scaling(logits * 4 + 1000, labels)
    torch.testing.assert_close(moved.slope * 4, found.slope, rtol=1e-7, atol=0)
    torch.testing.assert_close(moved.offset + moved.slope * 1000, found.offset, rtol=1e-7, atol=1e-7)


def test_what_is_separated_perfectly_gets_scores_as_sure_as_its_cells_are_many():
    logits = torch.cat([torch.linspace(1, 2, 20), torch.linspace(-2, -1, 20)]).unsqueeze(1)
    labels = torch.tensor([1] * 20 + [0] * 20, dtype=INT8).unsqueeze(1)
    found = platt_scaling(logits, labels)
    scores = torch.sigmoid(found.slope * logits + found.offset)
    assert 0.88 < scores[:20].min() < 21 / 22 < scores[:20].max() < 0.99
    assert found.offset.abs().item() < 1e-6


def test_a_class_with_few_of_either_label_or_an_order_that_is_wrong_or_none_gets_what_all_cells_give():
    logits, labels = table(classes=20, unknown=0)
    labels[:, 1] = 0
    labels[:9, 1] = 1
    labels[:, 2] = 1
    labels[:9, 2] = 0
    labels[:, 3] = (logits[:, 3] < -1).to(INT8)
    logits[:, 4] = 0.5
    found = platt_scaling(logits, labels)
    assert found.pooled.tolist() == [False, True, True, True, True] + [False] * 15
    slope, offset = by_sklearn(logits.flatten(), labels.flatten())
    assert found.slope[1:5].tolist() == pytest.approx([slope] * 4, rel=1e-4)
    assert found.offset[1:5].tolist() == pytest.approx([offset] * 4, rel=1e-4)


def test_so_many_cells_of_either_label_are_enough():
    logits = torch.tensor([[2.0], [1.0], [0.0], [1.0], [-1.0], [-2.0]])
    labels = torch.tensor([[1], [1], [1], [0], [0], [0]], dtype=INT8)
    assert [platt_scaling(logits, labels, min_support=number).pooled.item() for number in (3, 4)] == [False, True]
    assert platt_scaling(logits[1:], labels[1:], min_support=3).pooled.item()
    assert platt_scaling(logits[:-1], labels[:-1], min_support=3).pooled.item()


def test_where_all_cells_together_rank_the_wrong_way_there_is_a_temperature_left():
    logits, labels = table(slope=-1.0)
    found = platt_scaling(logits, labels)
    assert found.pooled.all()
    assert found.slope.tolist() == [temperature_scaling(logits, labels).item()] * 5
    assert found.offset.tolist() == [0] * 5


def test_logits_that_are_all_equal_are_left_to_the_temperature():
    found = platt_scaling(torch.zeros(40, 2), torch.tensor([[0, 1]] * 20 + [[1, 0]] * 20, dtype=INT8))
    assert (found.slope.tolist(), found.offset.tolist()) == ([1, 1], [0, 0])


@settings(max_examples=100)
@given(st.data())
def test_slopes_are_positive_and_all_is_finite_on_any_small_table(data):
    samples = data.draw(st.integers(0, 8))
    number = st.sampled_from([-1e30, -300.0, -2.0, -2.0 + 1e-9, 0.0, 1e-6, 0.5, 4.0, 300.0, float("inf")])
    cells = samples * 2
    logits = torch.tensor(data.draw(st.lists(number, min_size=cells, max_size=cells))).double().reshape(samples, 2)
    labels = torch.tensor(data.draw(st.lists(st.integers(-1, 1), min_size=cells, max_size=cells)), dtype=INT8)
    found = platt_scaling(logits, labels.reshape(samples, 2), min_support=data.draw(st.integers(0, 3)))
    assert (found.slope > 0).all()
    assert found.slope.isfinite().all()
    assert found.offset.isfinite().all()


def test_unknown_cells_change_neither():
    logits, labels = table()
    garbage = torch.where(labels < 0, torch.nan, logits)
    assert torch.equal(temperature_scaling(garbage, labels), temperature_scaling(logits, labels))
    for one, other in zip(platt_scaling(garbage, labels), platt_scaling(logits, labels), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_what_is_computed_is_float64_whatever_the_logits_are(dtype):
    logits, labels = table()
    rounded = logits.to(dtype)
    torch.testing.assert_close(temperature_scaling(rounded, labels), temperature_scaling(rounded.double(), labels))
    torch.testing.assert_close(platt_scaling(rounded, labels), platt_scaling(rounded.double(), labels))
