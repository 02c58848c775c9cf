"""Measures how long `RidgeLogistic` takes to the optimum of a linear head, beside scipy and scikit-learn.

python tools/benchmark_solver.py [--samples 2000] [--features 1280] [--classes 80] [--penalties 1 0.1 0.01] [--rounds 3]
    [--arrays FEATURES.npy LABELS.npy]

All minimise the same objective to the same relative gap, 1e-4, and run in turn, with one thread, in every round; of the
rounds, the shortest is shown. A time is the processor's, the clock on the wall stands beside it. `RidgeLogistic` reads
the features and decomposes their covariance once for all penalties: its time for one penalty alone has that cost whole,
the sum over the path of penalties has it once.

scipy's L-BFGS-B and scikit-learn's lbfgs know no relative gap, and are helped: scipy begins at the bias of each class's
rate and stops at the first step whose gap, as known from a far better optimum that is not counted, is small enough.
scikit-learn runs with the largest tolerance of a few that gets every class there, and the search for it is not counted.
Both solve class by class (all classes as one problem took scipy longer): in float64 with the features as they are, and
in float32 with the features about their mean, which is easier by far if one knows about it.

Unless `--arrays` are given, features are rectified correlated normals, about as correlated as those of a network that
was trained, and labels depend on them; classes are present in 0.5 to 40 % of the samples. The table is Markdown.
"""

import argparse
import contextlib
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize  # type: ignore[import-untyped]
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from mlic.solver import RidgeLogistic

GAP = 1e-4
TOLERANCES = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 1e-6)
ENDLESS = {"maxiter": 5000, "maxfun": 5000, "ftol": 0, "gtol": 0}
ALONE, NEXT = "RidgeLogistic", "RidgeLogistic, one more penalty"


class Measured(NamedTuple):
    """Seconds of the processor and of the clock, and the largest gap of a class."""

    processor: float
    wall: float
    gap: float


class Reached(Exception):  # noqa: N818
    """Ends scipy: the gap is small enough."""


def draw(samples: int, features: int, classes: int) -> tuple[Any, Any]:
    """Returns rectified correlated normals, and labels that depend on them."""
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.standard_normal((features, features)))[0]
    latent = (rng.standard_normal((samples, features)) * (1 + np.arange(features)) ** -0.6) @ axes
    noise = 0.3 * rng.standard_normal((samples, features))
    x = np.maximum(latent / latent.std() + noise - 0.5, 0).astype(np.float32)
    slope = (x - x.mean(0)) @ rng.standard_normal((features, classes))
    scores = 1.5 * slope / slope.std(0) + rng.logistic(size=slope.shape)
    rates = np.exp(rng.uniform(np.log(0.005), np.log(0.4), classes))
    limits = [np.quantile(column, 1 - rate) for column, rate in zip(scores.T, rates, strict=True)]
    return x, (scores > limits).astype(np.int8)


def cost(x: Any, y: Any, theta: Any, penalty: float) -> tuple[float, Any]:
    """Returns the objective of a class and its gradient."""
    theta = theta.astype(x.dtype)
    z = x @ theta[:-1] + theta[-1]
    small = np.exp(-np.abs(z))
    value = np.mean(np.maximum(z, 0) + np.log1p(small) - y * z, dtype=np.float64)
    residuals = np.where(z >= 0, 1, small) / (1 + small) - y
    gradient = np.append(residuals @ x / len(x) + penalty * theta[:-1], residuals.mean())
    return float(value + penalty / 2 * theta[:-1].astype(np.float64) @ theta[:-1]), gradient.astype(np.float64)


def by_scipy(x: Any, y: Any, penalty: float, best: Any) -> Any:
    """Returns the objectives that L-BFGS-B stopped at."""
    return np.array([one_by_scipy(x, y[:, c], penalty, best[c]) for c in range(y.shape[1])])


def one_by_scipy(x: Any, y: Any, penalty: float, best: float) -> float:
    """Returns the objective of a class that L-BFGS-B stopped at."""
    least = [np.inf]
    y = y.astype(x.dtype)

    def watched(theta: Any) -> tuple[float, Any]:
        value, gradient = cost(x, y, theta, penalty)
        least[0] = min(least[0], value)
        if value <= best * (1 + GAP):
            raise Reached
        return value, gradient

    start = np.append(np.zeros(x.shape[1]), np.log(y.mean() / (1 - y.mean())))
    with contextlib.suppress(Reached):
        minimize(watched, start, jac=True, method="L-BFGS-B", options=ENDLESS)
    return least[0]


def by_scikit_learn(x: Any, y: Any, penalty: float, tolerance: float) -> Any:
    """Returns the objectives that scikit-learn's lbfgs stopped at."""
    found = []
    for column in y.T:
        model = LogisticRegression(C=1 / (penalty * len(x)), tol=tolerance, max_iter=5000).fit(x, column)
        theta = np.append(model.coef_[0], model.intercept_)
        found.append(cost(x.astype(np.float64), column, theta.astype(np.float64), penalty)[0])
    return np.array(found)


def timed(function: Callable[[], Any], best: Any) -> Measured:
    """Measures what returns objectives."""
    processor, wall = time.process_time(), time.perf_counter()
    found = function()
    processor, wall = time.process_time() - processor, time.perf_counter() - wall
    return Measured(processor, wall, float(np.max(found / best - 1)))


def search(x: Any, y: Any, penalty: float, best: Any) -> float:
    """Returns the largest tolerance with which scikit-learn gets every class there."""
    enough = (one for one in TOLERANCES if np.all(by_scikit_learn(x, y, penalty, one) <= best * (1 + GAP)))
    return next(enough, TOLERANCES[-1])


def compare(x: Any, y: Any, penalty: float, problem: RidgeLogistic, rounds: int) -> dict[str, Measured]:
    """Measures all ways to solve for one penalty."""
    wide, centered = x.astype(np.float64), (x - x.mean(0, dtype=np.float64)).astype(np.float32)
    exact = problem.solve(penalty, gap=1e-6)
    thetas = torch.cat([exact.weight, exact.bias[:, None]], dim=1).double().numpy()
    best = np.array([cost(wide, column, theta, penalty)[0] for column, theta in zip(y.T, thetas, strict=True)])
    tolerance, easier = search(wide, y, penalty, best), search(centered, y, penalty, best)
    ways: dict[str, Callable[[], Any]] = {
        ALONE: lambda: RidgeLogistic(x, y).solve(penalty, gap=GAP).objective.numpy(),
        NEXT: lambda: problem.solve(penalty, gap=GAP).objective.numpy(),
        "scipy, float64": lambda: by_scipy(wide, y, penalty, best),
        "scipy, float32, about the mean": lambda: by_scipy(centered, y, penalty, best),
        "scikit-learn, float64": lambda: by_scikit_learn(wide, y, penalty, tolerance),
        "scikit-learn, float32, about the mean": lambda: by_scikit_learn(centered, y, penalty, easier),
    }
    measured = [{name: timed(way, best) for name, way in ways.items()} for _ in range(rounds)]
    return {name: min(one[name] for one in measured) for name in ways}


def show(penalty: str, measured: dict[str, Measured], unit: float) -> None:
    """Prints rows of the table."""
    for name, (processor, wall, gap) in measured.items():
        times = processor / unit
        print(f"| {penalty} | {name} | {processor:.2f} | {wall:.2f} | {gap:.1e} | {times:.1f} |", flush=True)


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--features", type=int, default=1280)
    parser.add_argument("--classes", type=int, default=80)
    parser.add_argument("--penalties", type=float, nargs="+", default=[1.0, 0.1, 0.01], help="in multiples of scale")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--arrays", type=Path, nargs=2, metavar="FILE", help="features and labels without unknown")
    chosen = parser.parse_args()

    torch.set_num_threads(1)
    threadpool_limits(1)  # of numpy and scipy: threads that wait for each other are no work
    warnings.simplefilter("ignore")
    if chosen.arrays:
        x, y = np.load(chosen.arrays[0]).astype(np.float32), np.load(chosen.arrays[1])
    else:
        x, y = draw(chosen.samples, chosen.features, chosen.classes)
    x /= x.std(0, dtype=np.float64).mean().astype(np.float32)
    y = y[:, (y == 1).any(0) & (y == 0).any(0)]
    print(f"{len(x)} samples, {x.shape[1]} features, {y.shape[1]} classes; relative gap {GAP}; one thread\n")
    print("| penalty | what | processor s | wall s | gap | times as long |\n|---|---|---|---|---|---|", flush=True)
    problem = RidgeLogistic(x, y)
    tables = []
    for penalty in chosen.penalties:
        tables.append(compare(x, y, penalty * problem.scale, problem, chosen.rounds))
        show(f"{penalty:g}", tables[-1], tables[-1][ALONE].processor)
    path = {name: Measured(*np.sum([table[name] for table in tables], axis=0)) for name in tables[0] if name != NEXT}
    once = [tables[0][ALONE], *(table[NEXT] for table in tables[1:])]
    path[ALONE] = Measured(*np.sum(once, axis=0))
    worst = {name: max(table[name].gap for table in tables) for name in path}
    path = {name: one._replace(gap=worst[name]) for name, one in path.items()}
    show("all of them", path, path[ALONE].processor)


if __name__ == "__main__":
    main()
