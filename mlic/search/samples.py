"""`Samples`: the features and labels of one side, in memory where they fit."""

import numpy as np
import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from mlic.datamodules.features import Kept

__all__ = ["Samples"]

_HELD = 2**31  # bytes


class Samples:
    """Gives batches of kept features many times over; from memory where they fit in a few GiB, else from the disk.

    Args:
        kept: the samples.
        device: where they are wanted.
        held: bytes that may be held.
    """

    def __init__(self, kept: Kept, device: torch.device, held: int = _HELD) -> None:
        self._kept, self._device = kept, device
        self._features: list[Float[Tensor, "samples features h w"]] = []
        numbers = sum(int(np.prod(view.shape)) for view in kept.views)
        if 4 * (numbers + len(kept.rows) * len(kept.table.classes)) <= held:
            everything = slice(0, len(kept.rows))
            self._features = [torch.from_numpy(np.array(view[everything])).to(device) for view in kept.views]
            self._labels = torch.from_numpy(kept.table.dense(kept.rows)).to(device)
            self._rows = torch.from_numpy(kept.rows).to(device)

    def __len__(self) -> int:
        return len(self._kept.rows)

    @property
    def in_memory(self) -> bool:
        """Whether nothing is read any more."""
        return bool(self._features)

    def batch(
        self, at: Int64[Tensor, " batch"], view: int
    ) -> tuple[Float[Tensor, "batch features h w"], Shaped[Tensor, "batch classes"], Int64[Tensor, " batch"]]:
        """Returns the features in float32, the labels and the rows of some samples.

        Args:
            at: which.
            view: which of their augmented views, counted on from the first after the last.
        """
        if self._features:
            at = at.to(self._device)
            features = self._features[view % len(self._features)][at]
            return features.float(), self._labels[at], self._rows[at]
        batch = self._kept.batch(at.numpy(), view)
        return (
            batch.features.to(self._device).float(),
            batch.labels.to(self._device),
            batch.index.to(self._device),
        )
