"""A folder with the weights as safetensors and the rest as JSON, from which a classifier is made again."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from mlic.classifier import MultiLabelClassifier
from mlic.export.facts import as_metadata, published
from mlic.hub import CONFIG_FILE, WEIGHTS_FILE

__all__ = ["write_weights"]

_KEPT = ("version", "classes", "class_counts", "fitted", "metrics", "preprocessing")


def write_weights(
    classifier: MultiLabelClassifier, card: Mapping[str, Any], facts: Mapping[str, Any], folder: Path
) -> None:
    """Writes `model.safetensors` and `config.json`, which `MultiLabelClassifier.from_checkpoint(folder)` reads.

    What only a training needs is left out: the optimizer, the configuration with its paths, what a loss remembers.

    Args:
        classifier: as it is now.
        card: what its checkpoint holds under `mlic`.
        facts: what the file is to tell of itself.
        folder: is there already.
    """
    state = {name: value for name, value in classifier.state_dict().items() if isinstance(value, Tensor)}
    alone = {name: value.detach().cpu().clone().contiguous() for name, value in state.items()}
    # Not save_file, which makes a file that its owner alone may read (safetensors 0.8).
    written = safetensors.torch.save(alone, metadata={"format": "pt", **as_metadata(facts)})
    (folder / WEIGHTS_FILE).write_bytes(written)
    model = {
        **card["model"],
        **{part: published(card["model"][part]) for part in ("backbone", "head", "loss")},
        "tta": classifier.tta,
    }
    config = {name: card[name] for name in _KEPT if name in card}
    config |= {"model": model, "license": facts["license"], "library_name": "mlic"}
    text = json.dumps(config, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")
