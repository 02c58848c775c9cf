"""The numbers of a report for machines: plain data, None for what is not defined."""

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from mlic.report.galleries import Galleries
from mlic.report.summary import Summary
from mlic.scored import Scored

__all__ = ["VERSION", "as_json", "numbers", "plain"]

VERSION = 1
"""Of what `report.json` holds; a higher one has other fields, or the same ones with another meaning."""


def numbers(scored: Scored, summary: Summary, galleries: Galleries) -> dict[str, Any]:
    """Returns all numbers of a report."""
    decisions = scored.decisions
    return {
        "version": VERSION,
        "kind": "report",
        "name": summary.name,
        "about": summary.about,
        "root": str(scored.root),
        "samples": summary.samples,
        "unlabelled": summary.unlabelled,
        "known": summary.known,
        "unknown": summary.unknown,
        "positives": summary.positives,
        "decisions": {
            "words": summary.decisions,
            "thresholds": decisions.thresholds.tolist(),
            "slope": decisions.slope.tolist(),
            "offset": decisions.offset.tolist(),
            "at_most": decisions.at_most,
        },
        "supported_classes": summary.headline.supported,
        "resamples": summary.headline.resamples,
        "figures": summary.headline.figures,
        "classes": summary.classes,
        "meetings": {
            "classes": [summary.classes[column].name for column in summary.meetings.columns],
            "labelled": summary.meetings.labelled,
            "predicted": summary.meetings.predicted,
        },
        "pairs": summary.meetings.pairs,
        "label_errors": galleries.label_errors,
        "highest_losses": galleries.losses,
        "mistakes": [
            {"class": one.figures.name, "false_positives": one.false_positives, "misses": one.misses}
            for one in galleries.classes
        ],
    }


def as_json(content: Mapping[str, Any]) -> str:
    """Returns plain data as JSON; numbers that are none become null."""
    return json.dumps(plain(content), indent=1, allow_nan=False) + "\n"


def plain(value: Any) -> Any:
    """Returns dataclasses, tuples and arrays as JSON has them, and None for what is no finite number.

    Example:
        >>> plain({"a": (1, float("nan")), "b": np.arange(2)})
        {'a': [1, None], 'b': [0, 1]}
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
