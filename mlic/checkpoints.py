"""Checkpoints as plain data: what a file holds, before any part of it is made."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch

from mlic.errors import CheckpointError

__all__ = ["read_checkpoint", "write_checkpoint"]

_CARD = {"classes", "model", "preprocessing"}
_PARTS = {"backbone", "head", "loss"}


def read_checkpoint(path: str | Path) -> Mapping[str, Any]:
    """Loads a checkpoint as plain data and tensors, on the CPU.

    Raises:
        CheckpointError: if there is no such file, or mlic did not write it.
    """
    try:
        checkpoint: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except FileNotFoundError:
        raise CheckpointError(
            f"{path}: no such checkpoint; a run keeps its own in runs/<name>/v<k>/best.ckpt"
        ) from None
    except IsADirectoryError:
        raise CheckpointError(
            f"{path}: a folder; expected a checkpoint in it, such as {Path(path) / 'best.ckpt'}"
        ) from None
    except Exception as error:  # torch raises what it likes on a file that is not a checkpoint
        raise CheckpointError(f"{path}: not a checkpoint that can be read ({type(error).__name__})") from error
    card = checkpoint.get("mlic") if isinstance(checkpoint, dict) else None
    if not isinstance(card, dict) or not card.keys() >= _CARD or not card["model"].keys() >= _PARTS:
        raise CheckpointError(f"{path}: a checkpoint, but not one of mlic; expected one that `mlic fit` wrote")
    return cast(Mapping[str, Any], checkpoint)


def write_checkpoint(path: Path, checkpoint: Mapping[str, Any]) -> None:
    """Writes a checkpoint, whole or not at all.

    Raises:
        CheckpointError: if it cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        torch.save(dict(checkpoint), part)
        part.replace(path)
    except (OSError, RuntimeError) as error:  # torch's own writer raises RuntimeError
        raise CheckpointError(f"{path}: cannot be written ({error})") from error
    finally:
        part.unlink(missing_ok=True)
