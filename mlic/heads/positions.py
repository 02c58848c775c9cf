"""Where a place of a feature map is, as numbers that an attention can compare."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["sine_positions"]

_TEMPERATURE = 10_000.0


def sine_positions(
    height: int, width: int, size: int, device: torch.device | None = None
) -> Float[Tensor, "places size"]:
    """Returns sines and cosines of where each place is, row by row (Carion et al. 2020, arXiv:2005.12872).

    The first half of the numbers tells the row, the second the column: sines, then cosines, of the angle and of slower
    and slower fractions of it, down to nearly a ten-thousandth. The angle runs from 0 to 2 pi over the map, and is that
    of the middle of a place; so a map of another size, of a larger image, has the same positions, more finely.

    Args:
        height: number of rows.
        width: number of columns.
        size: numbers per place, a multiple of 4.
        device: where the result is made; in float32.

    Example:
        >>> sine_positions(1, 2, 4).round(decimals=3).tolist()  # row: pi; columns: pi / 2 and 3 pi / 2
        [[-0.0, -1.0, 1.0, -0.0], [-0.0, -1.0, -1.0, 0.0]]
    """
    fractions = _TEMPERATURE ** (-torch.arange(0, size, 4, device=device, dtype=torch.float32) / size)
    rows = _waves(height, fractions)[:, None].expand(-1, width, -1)
    columns = _waves(width, fractions)[None].expand(height, -1, -1)
    return torch.cat([rows, columns], dim=2).flatten(0, 1)


def _waves(length: int, fractions: Float[Tensor, " waves"]) -> Float[Tensor, "length twice_waves"]:
    middles = (torch.arange(length, device=fractions.device, dtype=torch.float32) + 0.5) / length
    angles = 2 * math.pi * middles[:, None] * fractions
    return torch.cat([angles.sin(), angles.cos()], dim=1)
