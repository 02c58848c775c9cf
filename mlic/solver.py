"""`RidgeLogistic`: the best linear head for binary cross-entropy with a ridge penalty, found exactly.

The problem is convex and its classes are independent, so that "the optimum" means something, and how far one is from it
can be known. Everything that the classes and the penalties have in common is computed once.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from torch import Tensor
from torch.nn.functional import softplus

from mlic.errors import UsageError

__all__ = ["RidgeLogistic", "Rows", "Solution"]

_BLOCK_BYTES = 2**24  # of features and labels in float32 that are read at a time
_CLASSES = 512  # that are solved at a time: bounds the memory of the steps, whatever the number of classes
_MEMORY = 6  # steps that the next one is computed from
_STALLED = 12  # steps refused in a row, after which rounding is all that is left to see


@runtime_checkable
class Rows(Protocol):
    """A matrix that is read by rows: an array, a memory map or a tensor."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> Any: ...


class Solution(NamedTuple):
    """A linear head, and how good it is: `logits = features @ weight.T + bias`.

    Attributes:
        weight: one row per class.
        bias: one number per class.
        objective: what was minimised, at these weights, per class.
        gap: the objective is at most this much above its minimum, as a fraction of the minimum, per class; infinite
            where nothing could be said.
        iterations: how often the features were gone through.
    """

    weight: Float32[Tensor, "classes features"]
    bias: Float32[Tensor, " classes"]
    objective: Float64[Tensor, " classes"]
    gap: Float64[Tensor, " classes"]
    iterations: int


class RidgeLogistic:
    """Ridge-penalised logistic regression of many classes on the same features, to its optimum.

    Minimises, for each class, `mean over samples of cell(x . w + b) + penalty / 2 * |w|^2`, where a cell costs what
    `BCELoss` says, and 0 if it is unknown; the mean is over all the samples. The bias is not penalised, so that a
    constant added to a feature changes no score.

    The Hessian of a class is close to `curvature * covariance + penalty`, where only the curvature, at most 1/4
    (Boehning 1992, doi:10.1007/BF00048682), is the class's own: one eigendecomposition of the covariance inverts that
    for every class, every step and every penalty. Each step of L-BFGS (Nocedal 1980,
    doi:10.1090/S0025-5718-1980-0572855-7) starts from it, with the curvature that fits the step before. All classes go
    through the features together, and leave when they are done.

    Some classes have no optimum, and are not iterated: with no known present or no known absent label (or a weight of
    0) the bias would go to infinity. They get weights of 0 and the bias of the score `(k + 1/2) / (n + 1)` for k of n
    known labels present (Krichevsky and Trofimov 1981, doi:10.1109/TIT.1981.1056331), which is 1/2 where none is known.

    Args:
        features: N rows of D numbers, finite. Blocks of rows are read again and again; memory does not grow with N
            beyond `held`, but holds matrices of D x D and of C x D.
        labels: N rows of C labels: -1 unknown, else 0 to 1 (between them: soft).
        pos_weight: how much more a present label counts than an absent one, 0 or more: one number, one per class, or
            None for 1.
        label_smoothing: as in `BCELoss`, 0 to below 1.
        held: bytes of features and labels, as float32, that are kept in memory instead of being read again.

    Attributes:
        scale: the mean variance of a feature, 1 if all are constant. A penalty means the same for every backbone if it
            is given as a multiple of it.

    Raises:
        UsageError: if there are no samples, features or classes, shapes do not fit, a feature is not finite, or a label
            or a number is out of its range.

    Example:
        One feature, -1 for the absent and 1 for the present: by symmetry b = 0, and the slope is 0 where
        `penalty * w = sigmoid(-w)`; for a penalty of 0.2689, that is w = 1.

        >>> solver = RidgeLogistic(torch.tensor([[-1.0], [1.0]]), torch.tensor([[0], [1]]))
        >>> solution = solver.solve(penalty=0.2689, gap=1e-9)
        >>> round(solution.weight.item(), 3), abs(round(solution.bias.item(), 3))
        (1.0, 0.0)
    """

    def __init__(
        self,
        features: Rows,
        labels: Rows,
        *,
        pos_weight: float | Sequence[float] | None = None,
        label_smoothing: float = 0.0,
        held: int = 2**28,
    ) -> None:
        if not 0 <= label_smoothing < 1:
            raise UsageError(f"label_smoothing is {label_smoothing}; expected 0 or more, and below 1")
        if len(features) != len(labels):
            raise UsageError(f"{len(features)} rows of features and {len(labels)} rows of labels; expected as many")
        if not len(features):
            raise UsageError("no samples to fit a linear head to; expected at least one")
        self._features, self._labels, self._smoothing = features, labels, label_smoothing
        self.num_samples = len(features)
        self.num_features, self.num_classes = _width(features, "features"), _width(labels, "labels")
        self._pos_weight = _per_class(pos_weight, self.num_classes)
        row = 4 * (self.num_features + 2 * min(self.num_classes, _CLASSES))
        self._rows = max(1, _BLOCK_BYTES // row)
        self._num_held = max(0, held // row // self._rows)
        self._held: list[Float32[Tensor, "rows features"]] = []
        self._center = torch.zeros(self.num_features)
        self._spread = 1.0
        self._read()

    def solve(self, penalty: float, start: Solution | None = None, gap: float = 1e-4) -> Solution:
        """Returns the optimum for a penalty.

        Args:
            penalty: above 0; a few multiples of `scale` to a thousandth of it are the usual range.
            start: where to begin, such as the solution of the next larger penalty. It makes a difference to the time
                alone.
            gap: a class is done when its objective is known to be at most this fraction above the minimum. Below 1e-6
                float32 may not get there: then the best that was found is returned, with its gap.

        Raises:
            UsageError: if a number is out of its range, or `start` has another shape.
        """
        if not 0 < penalty < math.inf:
            raise UsageError(f"penalty is {penalty}; expected a finite number above 0")
        if not 0 < gap < math.inf:
            raise UsageError(f"gap is {gap}; expected a finite number above 0")
        solution = self._constant()
        shape = tuple(solution.weight.shape)
        if start is not None and (tuple(start.weight.shape), len(start.bias)) != (shape, shape[0]):
            raise UsageError(f"start has weights of {tuple(start.weight.shape)}; expected {shape}")
        solvable = ((self._present > 0) & (self._absent > 0)).nonzero()[:, 0]
        iterations = 0
        for first in range(0, len(solvable), _CLASSES):
            columns = solvable[first : first + _CLASSES]
            descent = _Descent(self, columns, penalty / self._spread**2, gap)
            begin = None if start is None else self._inward(start, columns)
            optimum = descent.run(self._inward(solution, columns), begin)
            weight = optimum.theta[:, :-1] @ self._basis.T / self._spread * self._varies  # rotations leave rounding
            bias = optimum.theta[:, -1].double() - weight.double() @ self._center.double()
            solution.weight[columns], solution.bias[columns] = weight, bias.float()
            solution.objective[columns], solution.gap[columns] = optimum.objective, optimum.gap
            iterations += descent.passes
        return solution._replace(iterations=iterations)

    def _inward(self, solution: Solution, columns: Int64[Tensor, " some"]) -> Float32[Tensor, "some parameters"]:
        """Returns the parameters of some classes in the basis of the eigenvectors, the bias last."""
        weight = solution.weight[columns].float()
        bias = solution.bias[columns].double() + weight.double() @ self._center.double()
        return torch.cat([weight * self._spread @ self._basis, bias.float()[:, None]], dim=1)

    def _constant(self) -> Solution:
        """Returns the best head that does not look at the features."""
        present, absent = self._present, self._absent
        without = torch.log((self._counts[0] + 0.5) / (self._counts[1] - self._counts[0] + 0.5))
        solvable = (present > 0) & (absent > 0)
        bias = torch.where(solvable, present.log() - absent.log(), without)
        objective = (present * softplus(-bias) + absent * softplus(bias)) / self.num_samples
        weight = torch.zeros(self.num_classes, self.num_features)
        return Solution(weight, bias.float(), objective, torch.zeros_like(objective), 0)

    def _read(self) -> None:
        """Goes through everything once: counts, mean and covariance, and what is held of the features."""
        totals = torch.zeros(4, self.num_classes, dtype=torch.float64)
        gram = torch.zeros(self.num_features, self.num_features, dtype=torch.float64)
        mean = torch.zeros(self.num_features, dtype=torch.float64)
        # About the mean of the first block, nothing of a large common value is left to cancel.
        first = self._raw(0)
        pivot = first.mean(dim=0, dtype=torch.float64).float()
        unit = float((first.double() - pivot).square().mean().sqrt()) or 1.0
        for start in range(0, self.num_samples, self._rows):
            shifted = (self._raw(start) - pivot) / unit
            gram += shifted.T @ shifted / self.num_samples
            mean += shifted.sum(dim=0, dtype=torch.float64) / self.num_samples
            totals += self._count(start)
        if not bool(gram.isfinite().all()):
            raise UsageError("features differ too much in size for float32; expected squares of features below 1e38")
        gram -= torch.outer(mean, mean)
        self._varies = gram.diagonal() > 0
        relative = math.sqrt(max(0.0, float(gram.trace()) / self.num_features)) or 1.0
        self._center, self._spread = (pivot.double() + unit * mean).float(), unit * relative
        self.scale = self._spread**2
        self._present, self._absent, self._counts = totals[0], totals[1], totals[2:]
        values, self._basis = torch.linalg.eigh((gram / relative**2).float())
        self._eigenvalues = values.clamp(min=0)
        for start in range(0, self.num_samples, self._rows)[: self._num_held]:
            self._held.append(self._scaled(start) @ self._basis)

    def _count(self, start: int) -> Float64[Tensor, "4 classes"]:
        """Returns the sums over a block of the weights of present and absent labels, of labels, and of known cells."""
        labels = _tensor(self._labels[start : start + self._rows])
        wrong = ~(((labels >= 0) & (labels <= 1)) | (labels == -1))
        if bool(wrong.any()):
            row, column = wrong.nonzero()[0].tolist()
            raise UsageError(
                f"label of sample {start + row}, class {column}, is {labels[row, column].item()}; expected 0 to 1, "
                f"or -1 for unknown"
            )
        weights, positives = self._targets(labels, torch.arange(self.num_classes))
        present = positives.sum(dim=0, dtype=torch.float64)
        absent = (weights - positives).sum(dim=0, dtype=torch.float64)
        return torch.stack(
            [present, absent, labels.clamp(min=0).double().sum(dim=0), (labels >= 0).double().sum(dim=0)]
        )

    def _raw(self, start: int) -> Float32[Tensor, "rows features"]:
        block = _tensor(self._features[start : start + self._rows])
        if not bool(block.isfinite().all()):
            row, column = (~block.isfinite()).nonzero()[0].tolist()
            raise UsageError(
                f"feature {column} of sample {start + row} is {block[row, column]}; expected finite numbers"
            )
        return block

    def _scaled(self, start: int) -> Float32[Tensor, "rows features"]:
        """Returns a block of the features about their mean, in units of their spread."""
        block = _tensor(self._features[start : start + self._rows])
        return block.sub_(self._center).div_(self._spread)

    def _targets(
        self, labels: Float32[Tensor, "rows classes"], columns: Int64[Tensor, " some"]
    ) -> tuple[Float32[Tensor, "rows some"], Float32[Tensor, "rows some"]]:
        """Returns `a` and `b` such that a cell costs `a softplus(z) - b z`."""
        labels = labels[:, columns]
        known = labels >= 0
        labels = labels * (1 - self._smoothing) + self._smoothing / 2
        positives = torch.where(known, labels * self._pos_weight[columns], 0.0)
        return torch.where(known, positives + (1 - labels), 0.0), positives

    def _cells(
        self, columns: Int64[Tensor, " some"], held: bool
    ) -> Iterator[tuple[Float32[Tensor, "rows features"], Float32[Tensor, "rows some"], Float32[Tensor, "rows some"]]]:
        """Yields the features, `a` and `b` of each block that is held, in the basis of the eigenvectors, or is not."""
        starts = range(0, self.num_samples, self._rows)
        for number in range(len(self._held)) if held else range(len(self._held), len(starts)):
            start = starts[number]
            block = self._held[number] if held else self._scaled(start)
            yield block, *self._targets(_tensor(self._labels[start : start + self._rows]), columns)


class _Point(NamedTuple):
    """Where some classes stand: parameters in the basis of the eigenvectors, the bias last, and what is known there."""

    theta: Float32[Tensor, "some parameters"]
    gradient: Float32[Tensor, "some parameters"]
    objective: Float64[Tensor, " some"]
    above: Float64[Tensor, " some"]
    curvature: Float32[Tensor, " some"]

    def at(self, which: Tensor) -> "_Point":
        """Returns some of the classes."""
        return _Point(*(part[which] for part in self))

    def or_else(self, better: Tensor, other: "_Point") -> "_Point":
        """Returns this point where `better`, else the other."""
        parts = zip(self, other, strict=True)
        return _Point(*(torch.where(better[:, None] if mine.ndim == 2 else better, mine, its) for mine, its in parts))

    @property
    def gap(self) -> Float64[Tensor, " some"]:
        """What the objective is at most above the minimum, as a fraction of the minimum."""
        least = self.objective - self.above
        return torch.where(least > 0, self.above / least, math.inf)


class _Descent:
    """L-BFGS on many classes in step: each has steps, memory and an end of its own."""

    def __init__(self, problem: RidgeLogistic, columns: Int64[Tensor, " some"], penalty: float, gap: float) -> None:
        self.problem, self.columns, self.penalty, self.gap = problem, columns, penalty, gap
        self.passes = 0
        heaviest = problem._pos_weight[columns].clamp(min=1)
        self.bound = heaviest / 4  # of the second derivative of a cell (Boehning 1992)

    def run(
        self, without: Float32[Tensor, "some parameters"], start: Float32[Tensor, "some parameters"] | None
    ) -> _Point:
        """Returns the optimum.

        Args:
            without: the best that does not look at the features.
            start: where to begin, unless there is none, or it is worse than `without`.
        """
        everyone = torch.arange(len(without))  # places in `result` of the classes that are still on their way
        here = self.evaluate(without, everyone)
        if start is not None:
            begun = self.evaluate(start, everyone)
            here = begun.or_else(begun.objective < here.objective, here)
        result = here
        curvature = here.curvature
        memory = _Memory()
        step, refused = torch.ones(len(without)), torch.zeros(len(without))
        direction = -memory.solve(here.gradient, self.diagonal(curvature))
        while True:
            going = (here.gap > self.gap) & (refused < _STALLED)
            if not bool(going.all()):
                result = _put(result, everyone[~going], here.at(~going))
                everyone, here, memory = everyone[going], here.at(going), memory.at(going)
                curvature, step, refused, direction = (x[going] for x in (curvature, step, refused, direction))
            if not len(everyone):
                return result
            there = self.evaluate(here.theta + step[:, None] * direction, everyone)
            before, after = (here.gradient * direction).sum(dim=1), (there.gradient * direction).sum(dim=1)
            # By derivatives: close to the optimum, rounding hides which objective is the smaller one.
            good = (after <= -before / 2) & (there.objective <= here.objective * (1 + 1e-6))
            memory.add(there.theta - here.theta, there.gradient - here.gradient, good)
            curvature = torch.where(good, self.fit_curvature(memory, curvature, everyone), curvature)
            here = there.or_else(good, here)
            shorter = (before / (before - after)).clamp(0.1, 0.5).nan_to_num(0.1) * step
            step, refused = torch.where(good, 1.0, shorter), torch.where(good, 0.0, refused + 1)
            newton = -memory.solve(here.gradient, self.diagonal(curvature))
            direction = torch.where(good[:, None], newton, direction)

    def diagonal(self, curvature: Float32[Tensor, " some"]) -> Float32[Tensor, "some parameters"]:
        """Returns the Hessian of samples that all have this curvature: diagonal, in the basis of the eigenvectors."""
        weights = torch.outer(curvature, self.problem._eigenvalues) + self.penalty
        return torch.cat([weights, curvature[:, None]], dim=1)

    def fit_curvature(
        self, memory: "_Memory", guess: Float32[Tensor, " some"], places: Int64[Tensor, " some"]
    ) -> Float32[Tensor, " some"]:
        """Returns the curvature `c` for which the last step would have been right: `y' diagonal(c)^-1 y = s' y`.

        By Newton's method on the logarithms of both, since the left side falls like a power of c.
        """
        squares, target = memory.changes[-1].square(), 1 / memory.inverse_products[-1]
        slopes = torch.cat([self.problem._eigenvalues, torch.ones(1)])
        found = guess
        for _ in range(3):
            diagonal = self.diagonal(found)
            terms = squares / diagonal
            left, falls = terms.sum(dim=1), (terms / diagonal) @ slopes * found
            found = (found.log() + (left / target).log() * left / falls).exp()
            found = torch.where(found.isfinite(), found, guess).clamp(min=1e-6)
            found = torch.minimum(found, self.bound[places])
        return found

    def evaluate(self, theta: Float32[Tensor, "some parameters"], places: Int64[Tensor, " some"]) -> _Point:
        """Goes through the samples once."""
        problem = self.problem
        self.passes += 1
        weight, bias = theta[:, :-1], theta[:, -1]
        sums = torch.zeros(3, len(theta), dtype=torch.float64)  # objective, slope of the bias, its curvature
        gradient = self.add(sums, weight, bias, problem._cells(self.columns[places], held=True))
        if len(problem._held) * problem._rows < problem.num_samples:
            cells = problem._cells(self.columns[places], held=False)
            gradient += self.add(sums, weight @ problem._basis.T, bias, cells) @ problem._basis
        objective, slope, curvature = sums / problem.num_samples
        objective += self.penalty / 2 * weight.double().square().sum(dim=1)
        gradient = gradient / problem.num_samples + self.penalty * weight
        above = self.bound_gap(gradient.double().norm(dim=1), slope, curvature, places)
        whole = torch.cat([gradient, slope.float()[:, None]], dim=1)
        return _Point(theta, whole, objective, above, curvature.float().clamp(min=1e-6))

    def add(
        self,
        sums: Float64[Tensor, "3 some"],
        weight: Float32[Tensor, "some features"],
        bias: Float32[Tensor, " some"],
        cells: Iterable[tuple[Tensor, Tensor, Tensor]],
    ) -> Float32[Tensor, "some features"]:
        """Adds blocks to the sums, and returns their gradient of the weights."""
        gradient = torch.zeros_like(weight)
        for features, most, least in cells:
            logits = torch.addmm(bias, features, weight.T)
            scores = logits.sigmoid()
            scaled = most * scores
            sums[0] += (most * softplus(logits) - least * logits).sum(dim=0, dtype=torch.float64)
            sums[2] += (scaled * (1 - scores)).sum(dim=0, dtype=torch.float64)
            residuals = scaled.sub_(least)
            sums[1] += residuals.sum(dim=0, dtype=torch.float64)
            gradient += residuals.T @ features
        return gradient

    def bound_gap(
        self,
        norm: Float64[Tensor, " some"],
        slope: Float64[Tensor, " some"],
        curvature: Float64[Tensor, " some"],
        places: Int64[Tensor, " some"],
    ) -> Float64[Tensor, " some"]:
        """Returns what the objective is at most above its minimum.

        Where the bias is the best one for the weights, that is `norm^2 / (2 penalty)`: the residuals are a feasible
        point of the dual problem, and this is the duality gap. How far the bias is from there, self-concordance tells
        (Bach 2010, doi:10.1214/09-EJS521): a second derivative changes by at most a factor of exp(t) over a distance t,
        so the slope reaches 0 within `t = -log(1 - |slope| / curvature)`. On the way the objective falls by at most
        `|slope| t`; the gradient of the weights, by Cauchy and Schwarz, changes by at most
        `2 (exp(t / 2) - 1) sqrt(curvature * bound * largest eigenvalue)`.
        """
        distance = -torch.log1p(-(slope.abs() / curvature).nan_to_num(1.0).clamp(max=1.0))
        largest = 1.01 * self.problem._eigenvalues[-1]  # of a float32 decomposition
        change = 2 * torch.expm1(distance / 2) * (curvature * self.bound[places] * largest).sqrt()
        above = slope.abs() * distance + (norm + change).square() / (2 * self.penalty)
        return torch.where(above.isnan(), math.inf, above)


class _Memory:
    """The last steps `s` and what they changed of the gradient, `y`: the inverse Hessian of L-BFGS."""

    def __init__(self) -> None:
        self.steps: list[Float32[Tensor, "some parameters"]] = []
        self.changes: list[Float32[Tensor, "some parameters"]] = []
        self.inverse_products: list[Float32[Tensor, " some"]] = []

    def at(self, which: Tensor) -> "_Memory":
        """Keeps some of the classes."""
        for parts in (self.steps, self.changes, self.inverse_products):
            parts[:] = [part[which] for part in parts]
        return self

    def add(
        self,
        step: Float32[Tensor, "some parameters"],
        change: Float32[Tensor, "some parameters"],
        good: Tensor,
    ) -> None:
        """Notes a step where it was a good one; elsewhere one that does nothing stands for it."""
        product = (step * change).sum(dim=1)
        used = good & (product > 0)
        self.steps.append(torch.where(used[:, None], step, 0.0))
        self.changes.append(torch.where(used[:, None], change, 0.0))
        self.inverse_products.append(torch.where(used, 1 / product, 0.0))
        for parts in (self.steps, self.changes, self.inverse_products):
            del parts[:-_MEMORY]

    def solve(
        self, gradient: Float32[Tensor, "some parameters"], diagonal: Float32[Tensor, "some parameters"]
    ) -> Float32[Tensor, "some parameters"]:
        """Returns the inverse Hessian times the gradient, by the two loops of Nocedal 1980."""
        rest, shares = gradient.clone(), []
        steps = list(zip(self.steps, self.changes, self.inverse_products, strict=True))
        for step, change, inverse in reversed(steps):
            shares.append(inverse * (step * rest).sum(dim=1))
            rest.addcmul_(change, shares[-1][:, None], value=-1)
        rest /= diagonal
        for (step, change, inverse), share in zip(steps, reversed(shares), strict=True):
            rest.addcmul_(step, (share - inverse * (change * rest).sum(dim=1))[:, None])
        return rest


def _put(into: _Point, places: Int64[Tensor, " places"], what: _Point) -> _Point:
    """Returns a point with some of its classes replaced."""
    return _Point(*(whole.index_copy(0, places, part) for whole, part in zip(into, what, strict=True)))


def _tensor(rows: Any) -> Float32[Tensor, "rows columns"]:
    """Returns a copy as float32, on the CPU."""
    if isinstance(rows, Tensor):
        copied: Tensor = rows.detach().to("cpu", torch.float32, copy=True)
        return copied
    return torch.from_numpy(np.array(rows)).float()


def _width(rows: Rows, name: str) -> int:
    shape = tuple(rows[0:1].shape)
    if len(shape) != 2 or not shape[1]:
        raise UsageError(f"a row of {name} has the shape {shape[1:]}; expected one number or more")
    return int(shape[1])


def _per_class(pos_weight: float | Sequence[float] | None, num_classes: int) -> Float32[Tensor, " classes"]:
    weights = torch.as_tensor(1.0 if pos_weight is None else pos_weight, dtype=torch.float32)
    if weights.ndim and len(weights) != num_classes:
        raise UsageError(f"pos_weight has {len(weights)} numbers for {num_classes} classes; expected one, or as many")
    if not bool((weights.isfinite() & (weights >= 0)).all()):
        raise UsageError(f"pos_weight is {pos_weight}; expected finite numbers of 0 or more")
    expanded: Tensor = weights.expand(num_classes)
    return expanded
