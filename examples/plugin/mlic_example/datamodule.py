"""A datamodule."""

import torch
from torch.utils.data import DataLoader

from mlic import Batch, MultiLabelDataModule


class NoiseDataModule(MultiLabelDataModule):
    """Noise in which a class is a brighter colour channel.

    Args:
        num_samples: images to draw.
        image_size: their side in pixels.
    """

    def __init__(self, num_samples: int = 32, image_size: int = 64) -> None:
        super().__init__()
        self.num_samples, self.image_size = num_samples, image_size

    @property
    def classes(self) -> tuple[str, ...]:
        """The three channels."""
        return ("red", "green", "blue")

    def train_dataloader(self) -> DataLoader[Batch]:
        """Returns batches of eight."""
        batches = [self._batch(torch.arange(start, start + 8)) for start in range(0, self.num_samples, 8)]
        return DataLoader(batches, batch_size=None)

    val_dataloader = test_dataloader = train_dataloader

    def _batch(self, index: torch.Tensor) -> Batch:
        labels = torch.stack([(index >> bit) & 1 for bit in range(3)], dim=1).to(torch.int8)
        noise = torch.randint(0, 128, (len(index), 3, self.image_size, self.image_size), dtype=torch.uint8)
        return Batch(noise + 96 * labels[:, :, None, None].to(torch.uint8), labels, index)
