"""Sums and rows of all the processes of a distributed training; with one process they are what they were."""

import torch
from jaxtyping import Int64, Shaped
from torch import Tensor, distributed

__all__ = ["gathered", "num_processes", "summed"]


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


def gathered(rows: Shaped[Tensor, "own columns"]) -> Shaped[Tensor, "all columns"]:
    """Returns the rows of all processes, in the order of the processes; each of them has to call it.

    A process may have any number of rows, or none. Its own rows keep their gradient, those of the others are numbers.
    """
    if num_processes() == 1:
        return rows
    own = rows.new_tensor(len(rows), dtype=torch.int64)
    lengths = [torch.zeros_like(own) for _ in range(num_processes())]
    distributed.all_gather(lengths, own)
    longest = max(map(int, lengths))
    # What is exchanged has one shape on all processes.
    padded = rows.new_zeros(longest, rows.shape[1])
    padded[: len(rows)] = rows.detach()
    blocks = [torch.empty_like(padded) for _ in lengths]
    distributed.all_gather(blocks, padded)
    pieces = [block[: int(length)] for block, length in zip(blocks, lengths, strict=True)]
    pieces[distributed.get_rank()] = rows
    return torch.cat(pieces)
