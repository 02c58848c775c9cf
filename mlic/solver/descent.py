"""`Descent`: L-BFGS on many classes in step, and how far each is from its optimum."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float32, Float64, Int64
from torch import Tensor
from torch.nn.functional import softplus

from mlic.solver.samples import Cells, Samples

__all__ = ["Descent", "Point"]

_MEMORY = 6  # steps that the next one is computed from
_STALLED = 12  # steps refused in a row, after which rounding is all that is left to see


class Point(NamedTuple):
    """Where some classes stand: parameters in the basis of the eigenvectors, the bias last, and what is known there."""

    theta: Float32[Tensor, "some parameters"]
    gradient: Float32[Tensor, "some parameters"]
    objective: Float64[Tensor, " some"]
    above: Float64[Tensor, " some"]
    curvature: Float32[Tensor, " some"]

    def at(self, which: Tensor) -> "Point":
        """Returns some of the classes."""
        return Point(*(part[which] for part in self))

    def or_else(self, better: Tensor, other: "Point") -> "Point":
        """Returns this point where `better`, else the other."""
        parts = zip(self, other, strict=True)
        return Point(*(torch.where(better[:, None] if mine.ndim == 2 else better, mine, its) for mine, its in parts))

    @property
    def gap(self) -> Float64[Tensor, " some"]:
        """What the objective is at most above the minimum, as a fraction of the minimum."""
        least = self.objective - self.above
        return torch.where(least > 0, self.above / least, math.inf)


class Descent:
    """L-BFGS on many classes in step: each has steps, memory and an end of its own."""

    def __init__(self, samples: Samples, columns: Int64[Tensor, " some"], penalty: float, gap: float) -> None:
        self.samples, self.columns, self.penalty, self.gap = samples, columns, penalty, gap
        self.passes = 0
        self.bound = samples.heaviest[columns] / 4  # of the second derivative of a cell (Boehning 1992)

    def run(
        self, without: Float32[Tensor, "some parameters"], start: Float32[Tensor, "some parameters"] | None
    ) -> Point:
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
        weights = torch.outer(curvature, self.samples.eigenvalues) + self.penalty
        return torch.cat([weights, curvature[:, None]], dim=1)

    def fit_curvature(
        self, memory: "_Memory", guess: Float32[Tensor, " some"], places: Int64[Tensor, " some"]
    ) -> Float32[Tensor, " some"]:
        """Returns the curvature `c` for which the last step would have been right: `y' diagonal(c)^-1 y = s' y`.

        By Newton's method on the logarithms of both, since the left side falls like a power of c.
        """
        squares, target = memory.changes[-1].square(), 1 / memory.inverse_products[-1]
        slopes = torch.cat([self.samples.eigenvalues, torch.ones(1)])
        found = guess
        for _ in range(3):
            diagonal = self.diagonal(found)
            terms = squares / diagonal
            left, falls = terms.sum(dim=1), (terms / diagonal) @ slopes * found
            found = (found.log() + (left / target).log() * left / falls).exp()
            found = torch.where(found.isfinite(), found, guess).clamp(min=1e-6)
            found = torch.minimum(found, self.bound[places])
        return found

    def evaluate(self, theta: Float32[Tensor, "some parameters"], places: Int64[Tensor, " some"]) -> Point:
        """Goes through the samples once."""
        samples = self.samples
        self.passes += 1
        weight, bias = theta[:, :-1], theta[:, -1]
        sums = torch.zeros(3, len(theta), dtype=torch.float64)  # objective, slope of the bias, its curvature
        gradient = self.add(sums, weight, bias, samples.cells(self.columns[places], held=True))
        if not samples.all_held:
            cells = samples.cells(self.columns[places], held=False)
            gradient += self.add(sums, weight @ samples.basis.T, bias, cells) @ samples.basis
        objective, slope, curvature = sums / samples.num_samples
        objective += self.penalty / 2 * weight.double().square().sum(dim=1)
        gradient = gradient / samples.num_samples + self.penalty * weight
        above = self.bound_gap(gradient.double().norm(dim=1), slope, curvature, places)
        whole = torch.cat([gradient, slope.float()[:, None]], dim=1)
        return Point(theta, whole, objective, above, curvature.float().clamp(min=1e-6))

    def add(
        self,
        sums: Float64[Tensor, "3 some"],
        weight: Float32[Tensor, "some features"],
        bias: Float32[Tensor, " some"],
        cells: Iterable[Cells],
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
        largest = 1.01 * self.samples.eigenvalues[-1]  # of a float32 decomposition
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


def _put(into: Point, places: Int64[Tensor, " places"], what: Point) -> Point:
    """Returns a point with some of its classes replaced."""
    return Point(*(whole.index_copy(0, places, part) for whole, part in zip(into, what, strict=True)))
