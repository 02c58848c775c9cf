"""DataLoaders of `Batch`es."""

import torch
from torch.utils.data import DataLoader

from mlic.datamodules.dataset import ImageDataset, Sample, collate
from mlic.datamodules.sampling import EpochSampler
from mlic.threads import available_cores

__all__ = ["batches", "default_num_workers"]


def batches(
    dataset: ImageDataset, sampler: EpochSampler | None, batch_size: int, num_workers: int, *, drop_last: bool
) -> DataLoader[Sample]:
    """Returns a loader of batches.

    Args:
        dataset: the samples.
        sampler: which of them, in which order; None for all, in order.
        batch_size: samples a batch.
        num_workers: processes that decode; 0 for this one.
        drop_last: whether to leave out a last batch that is not full.
    """
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        drop_last=drop_last,
        num_workers=num_workers,
        collate_fn=collate,
        pin_memory=torch.cuda.is_available(),
        # For the seeds of workers, which would otherwise come from the global generator, and with persistent workers
        # less often than without: dropout and mixing would depend on their number (torch 2.14.1).
        generator=torch.Generator(),
        persistent_workers=num_workers > 0,
    )


def default_num_workers() -> int:
    """Returns half of the cores that this process may use, at most 8; the other half computes. 0 on one core."""
    return min(8, available_cores() // 2)
