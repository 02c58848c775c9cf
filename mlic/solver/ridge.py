"""`RidgeLogistic`: the best linear head for binary cross-entropy with a ridge penalty, found exactly.

The problem is convex and its classes are independent, so that "the optimum" means something, and how far one is from it
can be known. Everything that the classes and the penalties have in common is computed once.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float32, Float64
from torch import Tensor
from torch.nn.functional import softplus

from mlic.errors import UsageError
from mlic.solver.descent import Descent
from mlic.solver.samples import CLASSES_AT_A_TIME, Rows, Samples

__all__ = ["RidgeLogistic", "Solution"]


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
        self._samples = Samples(features, labels, pos_weight, label_smoothing, held)
        self.scale = self._samples.spread**2

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
        samples = self._samples
        solvable = ((samples.present > 0) & (samples.absent > 0)).nonzero()[:, 0]
        iterations = 0
        for first in range(0, len(solvable), CLASSES_AT_A_TIME):
            columns = solvable[first : first + CLASSES_AT_A_TIME]
            descent = Descent(samples, columns, penalty / self.scale, gap)
            without = samples.inward(solution.weight[columns], solution.bias[columns])
            begin = start if start is None else samples.inward(start.weight[columns], start.bias[columns])
            optimum = descent.run(without, begin)
            solution.weight[columns], solution.bias[columns] = samples.outward(optimum.theta)
            solution.objective[columns], solution.gap[columns] = optimum.objective, optimum.gap
            iterations += descent.passes
        return solution._replace(iterations=iterations)

    def _constant(self) -> Solution:
        """Returns the best head that does not look at the features."""
        samples = self._samples
        present, absent = samples.present, samples.absent
        without = torch.log((samples.num_present + 0.5) / (samples.num_known - samples.num_present + 0.5))
        bias = torch.where((present > 0) & (absent > 0), present.log() - absent.log(), without)
        objective = (present * softplus(-bias) + absent * softplus(bias)) / samples.num_samples
        weight = torch.zeros(samples.num_classes, samples.num_features)
        return Solution(weight, bias.float(), objective, torch.zeros_like(objective), 0)
