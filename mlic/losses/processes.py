"""Sums over the processes of a distributed training; with one process they are what they were."""

import torch
from jaxtyping import Int64
from torch import Tensor, distributed

__all__ = ["num_processes", "summed"]


def num_processes() -> int:
    """Returns how many processes train together, 1 without `torch.distributed`."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def summed(count: Int64[Tensor, ""]) -> Int64[Tensor, ""]:
    """Returns the sum of a count over all processes; each of them has to call it."""
    if num_processes() == 1:
        return count
    total = count.clone()
    distributed.all_reduce(total, torch.distributed.ReduceOp.SUM)
    return total
