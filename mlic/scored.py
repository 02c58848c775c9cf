"""`Scored`: what a model made of samples whose labels are known; all that judging it needs, in one file."""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int8
from torch import Tensor

from mlic.errors import UsageError
from mlic.strings import Strings
from mlic.thresholds import Decisions

__all__ = ["Scored"]

_ARRAYS = ("logits", "labels", "thresholds", "slope", "offset")


@dataclass(frozen=True)
class Scored:
    """Logits and labels of samples, and how the model decides.

    Attributes:
        name: of the model, as a reader knows it.
        classes: their names, in the order of the columns.
        paths: of the images, relative to `root`.
        root: the folder that the paths start from.
        logits: of the model.
        labels: 1 present, 0 absent, -1 unknown.
        decisions: how logits become scores and classes.
        about: plain facts about the model and the data, for people: `backbone`, `loss`, ...
    """

    name: str
    classes: tuple[str, ...]
    paths: Strings
    root: Path
    logits: Float32[Tensor, "samples classes"]
    labels: Int8[Tensor, "samples classes"]
    decisions: Decisions
    about: Mapping[str, str] = field(default_factory=dict)

    @property
    def scores(self) -> Float[Tensor, "samples classes"]:
        """The calibrated scores, 0 to 1."""
        return self.decisions.scores(self.logits)

    @property
    def strength(self) -> Float[Tensor, "samples classes"]:
        """The calibrated logits, which rank the classes of an image where scores are all 1."""
        return self.decisions.strength(self.logits)

    @property
    def present(self) -> Bool[Tensor, "samples classes"]:
        """Which classes the model says are present."""
        return self.decisions.present(self.logits)

    def save(self, path: Path) -> None:
        """Writes all of it into one file, which numpy reads too."""
        words = {
            "name": self.name,
            "classes": self.classes,
            "paths": list(self.paths),
            "root": str(self.root),
            "at_most": self.decisions.at_most,
            "about": dict(self.about),
        }
        tensors = [self.logits, self.labels, self.decisions.thresholds, self.decisions.slope, self.decisions.offset]
        arrays: dict[str, Any] = {name: one.cpu().numpy() for name, one in zip(_ARRAYS, tensors, strict=True)}
        text = np.frombuffer(json.dumps(words).encode(), np.uint8)
        with path.open("wb") as stream:
            np.savez_compressed(stream, words=text, **arrays)

    @classmethod
    def load(cls, path: Path) -> "Scored":
        """Reads what `save` has written.

        Raises:
            UsageError: if the file is another one.
        """
        try:
            with zipfile.ZipFile(path), np.load(path, allow_pickle=False) as file:
                words = json.loads(file["words"].tobytes())
                logits, labels, thresholds, slope, offset = (torch.from_numpy(file[name]) for name in _ARRAYS)
            return cls(
                name=words["name"],
                classes=tuple(words["classes"]),
                paths=Strings(words["paths"]),
                root=Path(words["root"]),
                logits=logits,
                labels=labels,
                decisions=Decisions(thresholds, slope, offset, words["at_most"]),
                about=words["about"],
            )
        except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise UsageError(f"{path}: no scores that mlic has written ({error})") from error
