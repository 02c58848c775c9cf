"""Likely label errors: labels that a model which has not seen them confidently disagrees with."""

from mlic.suspects.cells import (
    Kind,
    Rates,
    Suspects,
    confident_scores,
    error_rates,
    find_suspects,
    sure_unknowns,
    suspicion,
)
from mlic.suspects.outoffold import OutOfFold, folds_of, learnable, out_of_fold

__all__ = [
    "Kind",
    "OutOfFold",
    "Rates",
    "Suspects",
    "confident_scores",
    "error_rates",
    "find_suspects",
    "folds_of",
    "learnable",
    "out_of_fold",
    "sure_unknowns",
    "suspicion",
]
