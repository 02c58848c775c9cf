"""A `.pt2` file: the whole classifier as torch.export has it, which torch runs without mlic."""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mlic.classifier import MultiLabelClassifier
from mlic.engines import probe
from mlic.errors import CheckpointError, MlicError
from mlic.export.network import Scoring

__all__ = ["FACTS_FILE", "read_torch", "write_torch"]

FACTS_FILE = "mlic.json"
"""Where a `.pt2` file tells of itself: the name among the extra files of `torch.export.load`."""


def write_torch(classifier: MultiLabelClassifier, facts: Mapping[str, Any], path: Path) -> None:
    """Writes a classifier as `.pt2`: from uint8 images [batch, 3, height, width] to `(scores, present)`.

    Args:
        classifier: as it is now.
        facts: what the file is to tell of itself.
        path: where to; its name has to end in `.pt2`.

    Raises:
        UsageError: if the classifier averages over views that a file cannot make.
        MlicError: if torch cannot export the network.
    """
    scoring = Scoring(classifier).eval()
    size = classifier.backbone.image_size
    # Neither a square nor of the network's size, so that nothing is taken for constant.
    images = torch.nn.functional.pad(probe(2, size), (0, 2, 0, 1))
    any_size = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)
    part = path.with_name(f".{path.stem}.part.pt2")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.export(scoring, (images,), dynamic_shapes=(any_size,))
            torch.export.save(program, part, extra_files={FACTS_FILE: json.dumps(facts, ensure_ascii=False)})
        part.replace(path)
    except Exception as error:  # torch's exporter fails in every way
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise MlicError(f"{path}: torch {torch.__version__} cannot export this network ({reason})") from error
    finally:
        part.unlink(missing_ok=True)


def read_torch(path: Path) -> tuple[torch.nn.Module, dict[str, Any]]:
    """Returns what a `.pt2` file computes, and what it tells of itself.

    Raises:
        CheckpointError: if it is no such file, or mlic did not write it.
    """
    told = {FACTS_FILE: ""}
    try:
        module = torch.export.load(path, extra_files=told).module()
    except Exception as error:  # torch raises what it likes on a file of another kind
        raise CheckpointError(f"{path}: not a .pt2 file that torch reads ({type(error).__name__})") from error
    if not told[FACTS_FILE]:
        raise CheckpointError(f"{path}: a .pt2 file, but not one that `mlic export` wrote")
    return module, json.loads(told[FACTS_FILE])
