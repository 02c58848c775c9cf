"""The stores below a folder, and what is to be said of each."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mlic.features import FeatureStore
from mlic.tables import text_table

__all__ = ["StoreFigures", "figures_of", "table_of"]

_DAY = 86_400


class StoreFigures(NamedTuple):
    """What is to be said of a store.

    Attributes:
        folder: of the store.
        backbone: its class, or the name of its timm model.
        kept: what is kept of an image, as a shape and a type.
        images: how many; each view of one counts.
        mebibytes: of all files.
        unused_days: since it was last used.
    """

    folder: str
    backbone: str
    kept: str
    images: int
    mebibytes: float
    unused_days: float


def figures_of(folder: Path) -> StoreFigures:
    """Reads what is to be said of the store in a folder.

    Raises:
        UsageError: if there is none.
    """
    said, store = FeatureStore.description_in(folder), FeatureStore.opened(folder)
    backbone = said.get("backbone") or {}
    name = backbone.get("init_args", {}).get("name") or str(backbone.get("class_path", "?")).rpartition(".")[2]
    places = f" {said['condensed']}" if said.get("condensed") else ""
    kept = f"{'x'.join(map(str, store.shape))}{places} {store.dtype}"
    days = (time.time() - (folder / "space.json").stat().st_mtime) / _DAY
    return StoreFigures(str(folder), name, kept, len(store), store.nbytes / 2**20, days)


def table_of(stores: Sequence[StoreFigures]) -> str:
    """Returns a text table, a line for each store."""
    rows = [
        [each.folder, each.backbone, each.kept, f"{each.images:,}", f"{each.mebibytes:.1f}", f"{each.unused_days:.1f}"]
        for each in stores
    ]
    return text_table(["store", "backbone", "an image", "images", "MiB", "days unused"], rows)
