import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from mlic.errors import UsageError
from mlic.losses import BCELoss
from mlic.solver import RidgeLogistic, Solution, ridge, samples
from mlic.solver.descent import Descent


def problem(samples=60, features=7, classes=5, seed=0, unknown=0.2, soft=False):
    """Correlated features that are not negative, like those of a ReLU, and labels that depend on them."""
    rng = np.random.default_rng(seed)
    latent = rng.standard_normal((samples, 4)) @ rng.standard_normal((4, features))
    x = np.maximum(latent + 0.5 * rng.standard_normal((samples, features)) + 0.3, 0).astype(np.float32)
    z = x @ rng.standard_normal((features, classes)) / 2 + rng.logistic(size=(samples, classes)) - 1
    y = 1 / (1 + np.exp(-z)) if soft else (z > 0)
    y = np.where(rng.random(y.shape) < unknown, -1, y)
    return x, y.astype(np.float32 if soft else np.int8)


def objective(x, y, weight, bias, penalty, pos_weight=1.0, smoothing=0.0):
    """Value per class and gradients, in float64, by the formula."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    known = y >= 0
    t = np.where(known, y * (1 - smoothing) + smoothing / 2, 0)
    positive, negative = known * t * pos_weight, known * (1 - t)
    z = x @ weight.T + bias
    value = positive * np.logaddexp(0, -z) + negative * np.logaddexp(0, z)
    scores = np.exp(-np.logaddexp(0, -z))
    residuals = (positive + negative) * scores - positive
    values = value.mean(0) + penalty / 2 * np.square(weight).sum(1)
    return values, residuals.T @ x / len(x) + penalty * weight, residuals.mean(0)


def by_scipy(x, y, penalty, **options):
    """The optimum in float64, one class at a time."""
    center = x.astype(np.float64).mean(0)
    x = x.astype(np.float64) - center
    found = []
    for column in range(y.shape[1]):

        def cost(theta, column=column):
            weights = {name: np.atleast_1d(value)[column % np.size(value)] for name, value in options.items()}
            value, by_weight, by_bias = objective(x, y[:, [column]], theta[None, :-1], theta[-1:], penalty, **weights)
            return value[0], np.append(by_weight[0], by_bias)

        tight = {"gtol": 1e-11, "ftol": 1e-16, "maxiter": 10000, "maxfun": 100000}
        theta = minimize(cost, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B", options=tight).x
        found.append(np.append(theta[:-1], theta[-1] - theta[:-1] @ center))
    found = np.array(found)
    return found[:, :-1], found[:, -1]


def values(x, y, solution, penalty, **options):
    return objective(x, y, solution.weight.double().numpy(), solution.bias.double().numpy(), penalty, **options)[0]


@pytest.mark.parametrize("samples", [60, 5])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("options", [{}, {"pos_weight": [0.5, 1.0, 2.0, 4.0, 20.0], "label_smoothing": 0.1}])
@pytest.mark.parametrize("penalty", [3.0, 1e-2])
def test_the_optimum_is_scipys(samples, soft, options, penalty):
    x, y = problem(samples, soft=soft)
    y[:2] = [[0] * 5, [1] * 5]  # each class has both
    solution = RidgeLogistic(x, y, **options).solve(penalty, gap=1e-6)
    named = {"pos_weight": options.get("pos_weight", 1.0), "smoothing": options.get("label_smoothing", 0.0)}
    weight, bias = by_scipy(x, y, penalty, **named)
    best = objective(x, y, weight, bias, penalty, **named)[0]
    assert (solution.gap <= 1e-6).all()
    np.testing.assert_allclose(values(x, y, solution, penalty, **named), best, rtol=3e-6)
    np.testing.assert_allclose(solution.objective.numpy(), best, rtol=3e-6)
    np.testing.assert_allclose(x @ solution.weight.numpy().T + solution.bias.numpy(), x @ weight.T + bias, atol=2e-2)


def test_the_optimum_is_scikit_learns():
    x, y = problem(unknown=0)
    penalty = 0.05
    solution = RidgeLogistic(x, y).solve(penalty, gap=1e-7)
    for column in range(y.shape[1]):
        model = LogisticRegression(C=1 / (penalty * len(x)), tol=1e-9, max_iter=10000).fit(x, y[:, column])
        np.testing.assert_allclose(solution.weight[column].numpy(), model.coef_[0], atol=1e-3)
        np.testing.assert_allclose(solution.bias[column].item(), model.intercept_[0], atol=3e-3)


@pytest.mark.parametrize("penalty", [1.0, 1e-1, 1e-3, 1e-5])
@pytest.mark.parametrize("gap", [1.0, 1e-2, 1e-4])
def test_the_objective_is_within_the_gap_of_the_minimum(penalty, gap):
    x, y = problem(80, 12, 6, seed=3)
    solution = RidgeLogistic(x, y).solve(penalty, gap=gap)
    best = objective(x, y, *by_scipy(x, y, penalty), penalty)[0]
    assert (solution.gap <= gap).all()
    assert (values(x, y, solution, penalty) <= best * (1 + solution.gap.numpy()) + 1e-6 * best).all()


def test_the_bound_holds_on_the_way_whatever_the_bias():
    x, y = problem(80, 12, 6, seed=4)
    problem_ = RidgeLogistic(x, y)
    penalty = 0.01
    best = objective(x, y, *by_scipy(x, y, penalty), penalty)[0]
    exact = problem_.solve(penalty, gap=1e-6)
    descent = Descent(problem_._samples, torch.arange(6), penalty / problem_.scale, 1e-4)
    generator = torch.Generator().manual_seed(0)
    finite = 0
    for size in (0.0, 1e-3, 1e-2, 0.1, 1.0, 3.0):
        for _ in range(5):
            bias = exact.bias + size * torch.randn(6, generator=generator)
            weight = exact.weight + size / 5 * torch.randn(6, 12, generator=generator)
            there = exact._replace(weight=weight, bias=bias)
            point = descent.evaluate(problem_._samples.inward(weight, bias), torch.arange(6))
            truth = values(x, y, there, penalty)
            np.testing.assert_allclose(point.objective.numpy(), truth, rtol=1e-5)
            assert (point.objective - point.above <= torch.from_numpy(best) * (1 + 1e-5)).all()
            finite += int(point.above.isfinite().sum())
    assert finite > 100


def test_an_objective_is_what_bce_loss_says():
    x, y = problem()
    weights = [0.5, 1.0, 2.0, 4.0, 20.0]
    solution = RidgeLogistic(x, y, pos_weight=weights, label_smoothing=0.2).solve(0.1)
    loss = BCELoss(pos_weight=weights, label_smoothing=0.2)
    labels = torch.from_numpy(y).float()
    cells = loss.cells(torch.from_numpy(x) @ solution.weight.T + solution.bias, labels.clamp(min=0)) * (labels >= 0)
    expected = cells.mean(0) + 0.1 / 2 * solution.weight.square().sum(1)
    torch.testing.assert_close(solution.objective.float(), expected)


def test_an_unknown_cell_is_a_row_that_the_class_does_not_have():
    x, y = problem(classes=3, unknown=0.4)
    whole = RidgeLogistic(x, y).solve(0.1, gap=1e-6)
    for column in range(3):
        known = y[:, column] >= 0
        # The mean is over all the samples: with fewer, the penalty weighs more for the same optimum.
        part = RidgeLogistic(x[known], y[known][:, [column]]).solve(0.1 * len(x) / known.sum(), gap=1e-6)
        torch.testing.assert_close(whole.weight[column], part.weight[0], atol=2e-3, rtol=0)
        torch.testing.assert_close(whole.bias[column], part.bias[0], atol=4e-3, rtol=0)


def test_a_weight_is_a_row_repeated():
    x, y = problem(classes=1, unknown=0)
    times = np.where(y[:, 0] == 1, 3, 1)
    repeated = RidgeLogistic(np.repeat(x, times, 0), np.repeat(y, times, 0)).solve(0.1, gap=1e-6)
    weighted = RidgeLogistic(x, y, pos_weight=3.0).solve(0.1 * times.sum() / len(x), gap=1e-6)
    torch.testing.assert_close(weighted.weight, repeated.weight, atol=2e-3, rtol=0)
    torch.testing.assert_close(weighted.bias, repeated.bias, atol=4e-3, rtol=0)


def test_a_soft_label_is_a_present_and_an_absent_one_weighed():
    x, y = problem(classes=1, unknown=0)
    soft = np.where(y == 1, 0.75, 0.25).astype(np.float32)
    hard = np.concatenate([y, y, y, 1 - y])
    one = RidgeLogistic(x, soft).solve(0.1, gap=1e-6)
    other = RidgeLogistic(np.concatenate([x] * 4), hard).solve(0.1, gap=1e-6)
    torch.testing.assert_close(one.weight, other.weight, atol=2e-3, rtol=0)


@pytest.mark.parametrize("held", [0, 5000, 2**28])
def test_blocks_and_what_is_held_change_nothing(held, monkeypatch):
    x, y = problem(200, 9, 4)
    whole = RidgeLogistic(x, y).solve(0.01, gap=1e-6)
    monkeypatch.setattr(samples, "_BLOCK_BYTES", 600)
    for room in (ridge, samples):
        monkeypatch.setattr(room, "CLASSES_AT_A_TIME", 3)
    blocks = RidgeLogistic(x, y, held=held)
    assert blocks._samples._rows < 20
    assert (len(blocks._samples._held) == 0) == (held == 0)
    parts = blocks.solve(0.01, gap=1e-6)
    torch.testing.assert_close(parts.weight, whole.weight, atol=2e-3, rtol=0)
    torch.testing.assert_close(parts.objective, whole.objective, rtol=3e-6, atol=0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_memory_map_an_array_and_a_tensor_are_the_same(tmp_path, dtype):
    x, y = problem()
    x = x.astype(dtype)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    kept = x.copy()
    solutions = [RidgeLogistic(*pair).solve(0.1) for pair in ((x, y), (mapped, y), (torch.tensor(x), torch.tensor(y)))]
    for other in solutions[1:]:
        assert torch.equal(solutions[0].weight, other.weight)
    assert np.array_equal(x, kept)


def test_a_warm_start_changes_the_time_alone():
    x, y = problem(200, 30, 5)
    problem_ = RidgeLogistic(x, y)
    cold, last = problem_.solve(1e-3, gap=1e-6), problem_.solve(2e-3, gap=1e-6)
    for start in (last, last._replace(weight=last.weight * 1e6), last._replace(bias=last.bias * torch.nan)):
        warm = problem_.solve(1e-3, start=start, gap=1e-6)
        torch.testing.assert_close(warm.objective, cold.objective, rtol=3e-6, atol=0)
    assert problem_.solve(1e-3, start=cold, gap=1e-5).iterations <= 2


def test_a_penalty_as_a_multiple_of_scale_knows_no_unit_and_no_origin():
    x, y = problem()
    one, other = RidgeLogistic(x, y), RidgeLogistic(1000 * x + 500, y)
    assert other.scale == pytest.approx(1e6 * one.scale, rel=1e-4)
    assert one.scale == pytest.approx(x.var(axis=0).mean(), rel=1e-4)
    first, second = one.solve(0.1 * one.scale, gap=1e-6), other.solve(0.1 * other.scale, gap=1e-6)
    torch.testing.assert_close(first.objective, second.objective, rtol=1e-5, atol=0)
    torch.testing.assert_close(first.weight, 1000 * second.weight, atol=3e-3, rtol=0)


@pytest.mark.parametrize(("samples", "features"), [(1, 1), (1, 20), (2, 40), (10, 200)])
def test_there_may_be_more_features_than_samples(samples, features):
    x, y = problem(samples, features, 4)
    penalty = 0.1
    solution = RidgeLogistic(x, y).solve(penalty)
    assert all(part.isfinite().all() for part in solution[:4])
    solvable = ((y == 1).any(0)) & ((y == 0).any(0))
    best = objective(x, y, *by_scipy(x, y, penalty), penalty)[0]
    assert (values(x, y, solution, penalty)[solvable] <= best[solvable] * 1.0002).all()


def test_classes_with_one_kind_of_label_get_a_bounded_bias_and_no_weights():
    x, y = problem(50, classes=4, unknown=0)
    y[:, 0], y[:, 1], y[:, 2] = 0, 1, -1
    solution = RidgeLogistic(x, y).solve(0.1)
    assert not solution.weight[:3].any()
    torch.testing.assert_close(solution.bias[:3].sigmoid(), torch.tensor([0.5 / 51, 50.5 / 51, 0.5]))
    assert solution.gap[:3].tolist() == [0, 0, 0]
    alone = RidgeLogistic(x, y[:, 3:]).solve(0.1)
    torch.testing.assert_close(solution.weight[3], alone.weight[0], atol=1e-4, rtol=1e-4)
    nothing = RidgeLogistic(x, y[:, :3]).solve(0.1)
    assert nothing.iterations == 0
    assert torch.equal(nothing.bias, solution.bias[:3])


def test_a_constant_feature_has_no_weight():
    x, y = problem(300)
    x[:, 2], x[:, 4] = 0.1, -12345.678
    solution = RidgeLogistic(x, y).solve(1e-3)
    assert not solution.weight[:, [2, 4]].any()
    x[:] = 3.3
    solution = RidgeLogistic(x, y).solve(1e-3)
    assert not solution.weight.any()
    scores = [y[:, c][y[:, c] >= 0].mean() for c in range(5)]
    torch.testing.assert_close(solution.bias.sigmoid(), torch.tensor(scores, dtype=torch.float32))


@pytest.mark.parametrize("factor", [1e-12, 1e-4, 3e4, 1e12])
@pytest.mark.parametrize("shift", [0, 30])
def test_features_of_any_size_are_solved(factor, shift):
    x, y = problem(100)
    x = ((x + shift) * np.float32(factor)).astype(np.float32)
    problem_ = RidgeLogistic(x, y)
    solution = problem_.solve(1e-3 * problem_.scale)
    assert (solution.gap <= 1e-4).all()
    reference = RidgeLogistic(*problem(100))
    expected = reference.solve(1e-3 * reference.scale)
    torch.testing.assert_close(solution.objective, expected.objective, rtol=3e-4, atol=0)


def test_an_outlier_and_separable_classes_are_solved():
    x, y = problem(100, 40, 2, unknown=0)
    x[7] *= 1000
    problem_ = RidgeLogistic(x, y)
    for relative in (1.0, 1e-3, 1e-6):
        penalty = relative * problem_.scale
        solution = problem_.solve(penalty)
        best = objective(x, y, *by_scipy(x, y, penalty), penalty)[0]
        assert (values(x, y, solution, penalty) <= best * (1 + solution.gap.numpy()) * 1.001).all()
        assert (solution.gap <= 1e-4).all()


def test_many_classes_are_solved_in_groups():
    x, y = problem(40, 6, 1200)
    solution = RidgeLogistic(x, y).solve(0.1)
    assert (solution.gap <= 1e-4).all()
    some = [0, 511, 512, 1199]
    few = RidgeLogistic(x, y[:, some]).solve(0.1)
    torch.testing.assert_close(solution.objective[some], few.objective, rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": np.zeros((0, 3)), "labels": np.zeros((0, 2))}, "no samples"),
        ({"labels": np.zeros((5, 2))}, "4 rows of features and 5 rows of labels"),
        ({"features": np.zeros(4)}, "a row of features has the shape"),
        ({"labels": np.zeros((4, 0))}, "a row of labels has the shape"),
        ({"labels": np.full((4, 2), 2)}, "label of sample 0, class 0, is 2"),
        ({"labels": np.full((4, 2), np.nan)}, "label of sample 0, class 0, is nan"),
        ({"features": np.full((4, 3), np.inf)}, "feature 0 of sample 0 is inf"),
        ({"pos_weight": [1.0, 2.0, 3.0]}, "pos_weight has 3 numbers for 2 classes"),
        ({"pos_weight": -1.0}, "pos_weight is -1"),
        ({"label_smoothing": 1.0}, "label_smoothing is 1"),
    ],
)
def test_what_is_wrong_is_said(change, message):
    arguments = {"features": np.zeros((4, 3), np.float32), "labels": np.zeros((4, 2), np.int8), **change}
    with pytest.raises(UsageError, match=message):
        RidgeLogistic(**arguments)


def test_a_wrong_penalty_gap_or_start_is_said():
    problem_ = RidgeLogistic(*problem())
    for penalty in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="penalty is"):
            problem_.solve(penalty)
    with pytest.raises(UsageError, match="gap is 0"):
        problem_.solve(1.0, gap=0.0)
    zeros = torch.zeros(5, dtype=torch.float64)
    with pytest.raises(UsageError, match=r"start has weights of \(5, 3\); expected \(5, 7\)"):
        problem_.solve(1.0, start=Solution(torch.zeros(5, 3), torch.zeros(5), zeros, zeros, 0))
