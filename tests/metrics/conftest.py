"""Random tables of scores and labels, and what compares numbers."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor


def _table(samples: int = 50, classes: int = 6, seed: int = 0, levels: int | None = None) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(samples, classes, generator=generator)
    if levels:
        logits = (logits * levels).round() / levels
    labels = torch.randint(-1, 2, (samples, classes), generator=generator).to(torch.int8)
    for offset, value in enumerate((0, -1, 1)):
        if offset < classes - 1:
            labels[:, classes - 1 - offset] = value
    return logits, labels


def _close(found: Tensor | float, expected: Tensor | float | list[float]) -> None:
    found, expected = (torch.as_tensor(each, dtype=torch.float64) for each in (found, expected))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12, equal_nan=True)


@pytest.fixture(scope="session")
def table() -> Callable[..., tuple[Tensor, Tensor]]:
    """Random logits, with ties if `levels` is given; the last columns are all absent, all unknown and all present."""
    return _table


@pytest.fixture(scope="session")
def close() -> Callable[..., None]:
    """Fails unless two numbers or tensors are equal but for rounding."""
    return _close
