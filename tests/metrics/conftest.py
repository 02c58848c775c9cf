"""Random tables of scores and labels, and what compares numbers."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

ROOT = Path(__file__).parents[2]


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


@pytest.fixture
def in_processes(tmp_path: Path) -> Callable[..., list[Any]]:
    """Runs a program in processes that talk by gloo; each finds cases in a folder and leaves its answers there.

    A case is a number (of classes, or of samples) and the batches of each process.
    """

    def in_processes(program: str, cases: list[Any], world_size: int = 2, seconds: int = 120) -> list[Any]:
        torch.save(cases, tmp_path / "cases.pt")
        (tmp_path / "worker.py").write_text(program)
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
        workers = [
            subprocess.Popen(
                [sys.executable, tmp_path / "worker.py", str(rank), str(world_size), tmp_path],
                env=environment,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(world_size)
        ]
        try:
            for worker in workers:
                _, errors = worker.communicate(timeout=seconds)
                assert worker.returncode == 0, errors
        finally:
            for worker in workers:
                worker.kill()
        return [torch.load(tmp_path / f"answers{rank}.pt") for rank in range(world_size)]

    return in_processes


@pytest.fixture(scope="session")
def batches_of() -> Callable[..., list[tuple[Tensor, Tensor, Tensor]]]:
    """The rows of a table in batches, as metrics are given them."""
    return lambda logits, labels, index, size: [(logits[rows], labels[rows], rows) for rows in index.split(size)]
