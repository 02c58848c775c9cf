"""Checkpoints as plain data: what a file holds, before any part of it is made."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import safetensors.torch
import torch

from mlic.errors import CheckpointError
from mlic.hub import CONFIG_FILE, WEIGHTS_FILE, fetch, is_on_hub

__all__ = ["read_checkpoint", "write_checkpoint"]

_CARD = {"classes", "model", "preprocessing"}
_PARTS = {"backbone", "head", "loss"}


def read_checkpoint(path: str | Path) -> Mapping[str, Any]:
    """Loads a checkpoint as plain data and tensors, on the CPU.

    Args:
        path: a file that `mlic fit` wrote, a folder that `mlic export --format safetensors` wrote, or `hf://user/name`
            for such a folder on the hub.

    Raises:
        CheckpointError: if there is no such file, or mlic did not write it.
        DownloadError: if it is on the hub and cannot be fetched.
    """
    if is_on_hub(path):
        path = fetch(path)
    if (Path(path) / CONFIG_FILE).is_file():
        return _read_folder(Path(path))
    _refuse_exported(Path(path))
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
    if not _is_card(card):
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


def _refuse_exported(path: Path) -> None:
    """Tells what to name in the place of a file that `mlic export` wrote and that is not read here."""
    if path.suffix == ".safetensors" and path.is_file():
        raise CheckpointError(f"{path}: weights alone; name the folder, {path.parent}, with the {CONFIG_FILE} in it")
    if path.suffix in (".onnx", ".pt2", ".xml") and path.is_file():
        raise CheckpointError(
            f"{path}: an exported model; expected the checkpoint that it was made from (mlic predict and serve take "
            "an .onnx file as well)"
        )


def _read_folder(folder: Path) -> Mapping[str, Any]:
    """Returns what a folder of weights and JSON holds, as a checkpoint."""
    try:
        card = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        state = safetensors.torch.load_file(folder / WEIGHTS_FILE)
    except Exception as error:  # safetensors raises errors of its own kind
        raise CheckpointError(f"{folder}: not a model that can be read ({type(error).__name__}: {error})") from error
    if not _is_card(card):
        raise CheckpointError(f"{folder}: a model, but not one of mlic; expected one that `mlic export` wrote")
    return {"mlic": card, "state_dict": state}


def _is_card(card: object) -> bool:
    return isinstance(card, dict) and card.keys() >= _CARD and card["model"].keys() >= _PARTS
