"""mlic trains, judges and serves multi-label image classifiers: one image, several labels."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlic.backbones.base import Backbone
    from mlic.classifier import MultiLabelClassifier
    from mlic.datamodules.base import Batch, MultiLabelDataModule
    from mlic.datamodules.image import ImageDataModule
    from mlic.datamodules.readers.base import LabelReader
    from mlic.heads.base import Head
    from mlic.labels import LabelTable
    from mlic.losses.base import Loss
    from mlic.predict import Predictor

__version__ = "0.1.0"

_HOMES = {
    "Backbone": "mlic.backbones.base",
    "Batch": "mlic.datamodules.base",
    "Head": "mlic.heads.base",
    "ImageDataModule": "mlic.datamodules.image",
    "LabelReader": "mlic.datamodules.readers.base",
    "LabelTable": "mlic.labels",
    "Loss": "mlic.losses.base",
    "MultiLabelClassifier": "mlic.classifier",
    "MultiLabelDataModule": "mlic.datamodules.base",
    "Predictor": "mlic.predict",
}

__all__ = [
    "Backbone",
    "Batch",
    "Head",
    "ImageDataModule",
    "LabelReader",
    "LabelTable",
    "Loss",
    "MultiLabelClassifier",
    "MultiLabelDataModule",
    "Predictor",
    "__version__",
]


def __getattr__(name: str) -> Any:
    # Public names load when they are used, so that `mlic --help` does not wait for torch.
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'mlic' has no attribute '{name}'")
