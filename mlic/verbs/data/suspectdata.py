"""What `mlic data suspects` judges: the features and labels of a configuration's annotated samples."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float32, Int8, Int64
from jsonargparse import Namespace
from torch import Tensor

from mlic.configuration import settle
from mlic.datamodules.augmentation import Augmentation
from mlic.datamodules.featurefiles import FeatureFileDataModule
from mlic.datamodules.features import Kept, OfFeatures
from mlic.datamodules.mixing import Mixing
from mlic.errors import UsageError
from mlic.heads.base import Head
from mlic.heads.linear import LinearHead
from mlic.labels import LabelTable
from mlic.progress import quietly
from mlic.suspects import folds_of
from mlic.training import TrainingCLI

__all__ = ["Annotated", "SuspectsCLI"]

# What a training makes of images and labels; what is judged is what the annotation file says of the image as it is.
_UNTOUCHED: dict[str, Any] = {
    "augmentation": asdict(Augmentation(flip=False)),
    "mixing": asdict(Mixing()),
    "unknown": "ignore",
    "unknown_per_class": None,
}
_LEARNS = (
    "the backbone learns, and would know the labels that it judges; give --model.backbone.freeze true, or a "
    "configuration that says so: --config configs/linear_probe.yaml"
)


@dataclass(frozen=True)
class Annotated:
    """The samples of all sides, in the order of the sides.

    Attributes:
        tables: side -> its samples with an image that could be read.
        features: a row of numbers for each sample.
        labels: 1 present, 0 absent, -1 unknown.
        classes: the columns.
    """

    tables: Mapping[str, LabelTable]
    features: "Matrix"
    labels: Int8[Tensor, "samples classes"]
    classes: tuple[str, ...]

    def folds(self, count: int) -> Int64[Tensor, " samples"]:
        """Returns the fold of each sample."""
        return torch.cat([folds_of(table, count) for table in self.tables.values()])

    def place(self, row: int) -> tuple[str, LabelTable, int]:
        """Returns the side of a sample, the table of this side, and the sample's row in it."""
        for side, table in self.tables.items():
            if row < len(table):
                return side, table, row
            row -= len(table)
        raise IndexError(row)


class Matrix:
    """The features of several sides as a matrix, pooled as a head pools them; rows are read when they are asked for.

    Args:
        sides: whose features.
        head: pools.
    """

    def __init__(self, sides: Sequence[Kept], head: Head) -> None:
        self._sides, self._head = sides, head
        self._ends = np.cumsum([len(kept.rows) for kept in sides])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, rows: slice | Int64[np.ndarray, " rows"]) -> Float32[np.ndarray, "rows features"]:
        at = np.arange(len(self))[rows]
        side_of = np.searchsorted(self._ends, at, side="right")
        found = np.empty((len(at), self._sides[0].views[0].shape[1]), np.float32)
        for number, kept in enumerate(self._sides):
            its = np.flatnonzero(side_of == number)
            if len(its):
                start = 0 if number == 0 else int(self._ends[number - 1])
                found[its] = self._pooled(kept.views[0][at[its] - start])
        return found

    def _pooled(self, features: Any) -> Float32[np.ndarray, "rows features"]:
        with torch.no_grad():
            maps = torch.from_numpy(np.array(features)).float()
            return self._head.condense(maps).flatten(1).numpy()


class SuspectsCLI(TrainingCLI):
    """Parses and makes what `mlic fit` would, for images without augmentation and labels as the files have them.

    Args:
        arguments: the words of `mlic fit`.

    Raises:
        UsageError: if the configuration is wrong, or its backbone learns.
    """

    def __init__(self, arguments: list[str]) -> None:
        said, left = settle(arguments)
        if said.get("ckpt_path") or any(word.partition("=")[0] == "--ckpt_path" for word in left):
            raise UsageError(
                "a trained model has seen the labels that it would judge; leave out ckpt_path: mlic data suspects "
                "trains heads of its own on a frozen backbone"
            )
        super().__init__("extract", arguments)
        if not self.model.backbone.frozen and not isinstance(self.datamodule, FeatureFileDataModule):
            raise UsageError(_LEARNS)
        if self.trainer.world_size > 1:
            raise UsageError(
                "suspects are looked for in one process; give --trainer.devices 1 (`mlic features extract` with the "
                "same words fills the store on all devices before)"
            )

    def before_instantiate_classes(self) -> None:
        """Turns off what a training does to images and labels.

        Raises:
            UsageError: if the backbone learns, before its weights are looked for.
        """
        super().before_instantiate_classes()
        backbone = self.config.model.backbone.get("init_args")
        if isinstance(backbone, Namespace) and backbone.get("freeze", True) is False:
            raise UsageError(_LEARNS)
        arguments = self.config.data.get("init_args")
        for name, value in _UNTOUCHED.items():
            if not isinstance(arguments, Namespace) or name not in arguments:
                continue
            if isinstance(value, dict):
                vars(arguments[name]).update(value)
            else:
                arguments[name] = value
        self.config.feature_views = 0
        self.config.model.tta = "none"

    def annotated(self) -> Annotated:
        """Returns features and labels of train, and of val if there is such data; computes what the store lacks.

        Raises:
            UsageError: if features cannot be kept, or all images are one.
        """
        head = self.model.head
        if not head.condensed:  # it would look at places, and more be kept than a linear head needs
            head = self.model.head = LinearHead(self.model.backbone.num_features, len(self.model.classes))
        with quietly():
            data = self.datamodule
            if isinstance(data, FeatureFileDataModule):
                data.setup("fit")
            else:
                data = self._with_features(required=True)
        sides = cast(OfFeatures, data).sides
        tables: dict[str, LabelTable] = {side: kept.table.take(kept.rows).hardened() for side, kept in sides.items()}
        labels = np.concatenate([table.dense() for table in tables.values()]).astype(np.int8)
        return Annotated(tables, Matrix(list(sides.values()), head), torch.from_numpy(labels), tuple(data.classes))
