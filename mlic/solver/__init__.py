"""The exact optimum of a linear head: `RidgeLogistic`."""

from mlic.solver.ridge import RidgeLogistic, Solution
from mlic.solver.samples import Rows

__all__ = ["RidgeLogistic", "Rows", "Solution"]
