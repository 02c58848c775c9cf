"""Logarithms of sums of exponentials over some of the cells."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

__all__ = ["log_sum_exp"]


def log_sum_exp(
    terms: Float[Tensor, "rows columns"], chosen: Bool[Tensor, "rows columns"], dim: int
) -> Float[Tensor, " lines"]:
    """Returns `log(sum(exp(term)))` over the chosen terms; minus infinity where none is, with a gradient of 0.

    Args:
        terms: those that are not chosen get a gradient of exactly 0.
        chosen: which terms are summed.
        dim: 0 sums over the rows, 1 over the columns.

    Example:
        Two halves make a whole, whose logarithm is 0; nothing has the logarithm of 0.

        >>> halves = torch.full((2, 3), 0.5).log()
        >>> log_sum_exp(halves, torch.tensor([[True, True, False], [False, False, False]]), dim=1)
        tensor([0., -inf])
    """
    some = chosen.any(dim)
    # Where nothing is chosen, numbers stand in: the gradient of a sum over minus infinities alone is NaN.
    filled = torch.where(some.unsqueeze(dim), terms.masked_fill(~chosen, -torch.inf), 0.0)
    return torch.where(some, filled.logsumexp(dim), -torch.inf)
