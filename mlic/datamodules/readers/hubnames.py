"""The names of classes that a data set of Hugging Face tells: what the numbers in its files stand for."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from mlic.datamodules.annotations.peek import head

__all__ = ["names_beside", "names_in_features"]

_MOST = {".json": 1 << 24, ".md": 1 << 18}  # bytes of a file that are looked at; YAML takes its time
_LAYERS = ("feature", "sequence", "list", "dtype", "class_label")  # what a list of ClassLabel lies in
_DEEPEST = 8


def names_beside(folder: Path, column: str) -> tuple[list[str], Path] | None:
    """Returns the names that the files of a data set tell, and the file that does; None if none does.

    Args:
        folder: of the data set, which may hold `dataset_infos.json`, `dataset_info.json` or a `README.md` with
            `dataset_info` at its top.
        column: whose labels they are.
    """
    for file in ("dataset_infos.json", "dataset_info.json", "README.md"):
        path = folder / file
        for info in _infos(path):
            names = names_in_features(info.get("features"), column)
            if names is not None:
                return names, path
    return None


def names_in_features(features: object, column: str) -> list[str] | None:
    """Returns the names of a column's ClassLabel; None if it has none.

    Example:
        >>> label = {"names": ["cat", "dog"], "_type": "ClassLabel"}
        >>> names_in_features({"labels": {"feature": label, "_type": "Sequence"}}, "labels")
        ['cat', 'dog']
        >>> card = [{"name": "labels", "sequence": {"class_label": {"names": {"0": "cat", "1": "dog"}}}}]
        >>> names_in_features(card, "labels")
        ['cat', 'dog']
    """
    if isinstance(features, Mapping):
        return _names(features.get(column))
    if isinstance(features, list):
        return next((_names(item) for item in features if _is(item, column)), None)
    return None


def _names(feature: object) -> list[str] | None:
    for _ in range(_DEEPEST):
        feature = feature[0] if isinstance(feature, list) and len(feature) == 1 else feature
        if not isinstance(feature, Mapping):
            return None
        if "names" in feature:
            return _listed(feature["names"])
        feature = next((feature[layer] for layer in _LAYERS if isinstance(feature.get(layer), Mapping | list)), None)
    return None


def _listed(names: object) -> list[str] | None:
    """Returns names in their order: as a list has them, or by the numbers that a mapping gives them."""
    if isinstance(names, Mapping):
        try:
            names = [names[key] for key in sorted(names, key=int)]
        except (TypeError, ValueError, OverflowError):
            return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    return names if names and len(set(names)) == len(names) else None


def _is(item: object, column: str) -> bool:
    return isinstance(item, Mapping) and item.get("name") == column


def _infos(path: Path) -> list[Mapping[str, Any]]:
    """Returns what a file says of the data set, or of each configuration of it; nothing if it says nothing."""
    text = head(path, _MOST[path.suffix])
    if path.suffix == ".json":
        document = _json(text)
        found = [document, *document.values()] if isinstance(document, Mapping) else []
    else:
        document = _front_matter(text)
        info = document.get("dataset_info") if isinstance(document, Mapping) else None
        found = info if isinstance(info, list) else [info]
    return [info for info in found if isinstance(info, Mapping)]


def _json(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _front_matter(text: str) -> object:
    """Returns the YAML between the lines `---` that a text begins with."""
    match = re.match(r"---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", text, re.DOTALL)
    try:
        return None if match is None else yaml.safe_load(match[1])
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
