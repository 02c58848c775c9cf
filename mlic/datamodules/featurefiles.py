"""`FeatureFileDataModule`: features that were computed elsewhere and an annotation file to batches."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from mlic.datamodules.annotations.imagefiles import without_images
from mlic.datamodules.base import MultiLabelDataModule
from mlic.datamodules.classes import ClassChanges, check_keys
from mlic.datamodules.featurearrays import FeatureArray, check_finite, find_rows, open_features, rows_by_name
from mlic.datamodules.features import FeatureLoader, Kept, evaluation_loader, is_whole, training_loader
from mlic.datamodules.readers.base import LabelReader
from mlic.datamodules.sampling import check_batches, epoch_sampler, run_seed
from mlic.datamodules.sides import Sides, Source
from mlic.datamodules.sidetables import Side, SideTables
from mlic.errors import UsageError
from mlic.labels.counts import ClassCounts, class_counts
from mlic.labels.unknown import Unknown
from mlic.strings import Strings

__all__ = ["FeatureFileDataModule"]


class FeatureFileDataModule(MultiLabelDataModule):
    """Reads features from files and labels from annotation files, for training and evaluating a head.

    The images may be elsewhere: nobody looks for them. Features are `.npy` files, or `.safetensors` files with one
    tensor or one that is called `features`: [samples, features] or [samples, features, height, width], float16 or
    float32. They are mapped, not read, and memory does not grow with their number.

    Row by row they belong to the samples of an annotation file in its order: those of `features` to train's and to the
    shares that val and test take of it, those of `val_features` and `test_features` to files of their own. Or `names`
    says which image each row of `features` is of: then the order is free, one file serves all sides, and it may have
    rows that no side asks for.

    Classes, shares and labels are as in `ImageDataModule`.

    Args:
        train: a reader, or the path of an annotation file whose format is recognised. Evaluation does without, where
            `classes` are given.
        val: the same; or the share of train to keep for validation.
        test: as val.
        features: of the images of train, or with `names` of all images.
        val_features: of the images of val, where it has an annotation file of its own.
        test_features: of the images of test, likewise.
        names: a text file with the path of an image a line, as the annotation files have them, a line for each row of
            `features`.
        classes: the classes to learn and their order, as a list or as a text file with one a line; by default those of
            train.
        batch_size: samples a step and device.
        repeat_threshold: a class that is present in less than this share of the labelled training samples is shown more
            often.
        split_salt: changes which samples a share takes.
        rename: old name of a class -> new name.
        merge: new name -> the classes that it replaces.
        drop: classes that are left out.
        min_support: classes with fewer known positives in the training samples are left out, on all sides.
        unknown: what stands in place of an unknown label of a training sample: `ignore`, `negative` or `{soft: v}`.
        unknown_per_class: the same for single classes, which `unknown` then does not concern.

    Raises:
        LabelError: with every fault of the annotation files, when they are read.
        UsageError: if an option is out of its range; when they are read, if features do not fit the annotation files,
            have no shape or type of features, or are not finite.

    Attributes:
        steps: how many training batches come at a time.
        sides: the features and labels of what has been asked for so far.
    """

    def __init__(
        self,
        train: LabelReader | Path | str | None = None,
        val: Source | None = 0.1,
        test: Source | None = None,
        features: Path | None = None,
        val_features: Path | None = None,
        test_features: Path | None = None,
        names: Path | None = None,
        classes: list[str] | Path | str | None = None,
        batch_size: int = 32,
        repeat_threshold: float | None = None,
        split_salt: str = "",
        rename: dict[str, str] | None = None,
        merge: dict[str, list[str]] | None = None,
        drop: list[str] | None = None,
        min_support: int = 0,
        unknown: Unknown = "ignore",
        unknown_per_class: dict[str, Unknown] | None = None,
    ) -> None:
        super().__init__()
        for option, mapping in (("rename", rename), ("merge", merge)):
            check_keys(option, mapping or {})
        check_batches(batch_size, repeat_threshold)
        changes = ClassChanges(rename or {}, merge or {}, drop or [])
        sides = Sides({"train": train, "val": val, "test": test}, changes, split_salt, reading=without_images)
        self._tables = SideTables(sides, classes, min_support, unknown, unknown_per_class)
        self._of_train: set[str] = {"train", *sides.shares}
        self._files = {"train": features, "val": val_features, "test": test_features}
        for side in sides.shares:
            if self._files[side] is not None:
                raise UsageError(f"{side} is a share of train, whose features hold it too; leave out {side}_features")
        self._names = names
        self.batch_size = batch_size
        self.repeat_threshold = repeat_threshold
        self.steps = 1
        self.sides: Mapping[Side, Kept] = {}

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes in order: as given, else those of the annotation file of train that are frequent enough."""
        return self._tables.classes

    @property
    def validates(self) -> bool:
        """Whether `val` is given."""
        return "val" in self._tables

    @property
    def has_soft_labels(self) -> bool:
        """Whether training labels are soft: in the annotation file, or for unknown ones."""
        return self._tables["train"].is_soft

    @property
    def class_counts(self) -> ClassCounts:
        """How often each class is present in the training samples."""
        return class_counts(self._tables["train"])

    @property
    def row_shape(self) -> tuple[int, ...]:
        """The features, height and width of one sample.

        Raises:
            UsageError: if there is no file of features, or it is none.
        """
        named = next((file for file in self._files.values() if file is not None), None)
        if named is None:
            raise UsageError("there are no features; give a .npy or .safetensors file with --data.features PATH")
        return FeatureArray(open_features(named), np.arange(0)).shape[1:]

    def kept(self, side: Side) -> Kept:
        """Returns the features and labels of one side; reads and checks files when first asked for.

        Raises:
            UsageError: if the side has no data or no features, or they do not fit each other.
        """
        if side not in self.sides:
            table = self._tables[side]
            path = self._file(side)
            array = open_features(path)
            features = FeatureArray(array, self._rows(side, path, len(array)))
            check_finite(features, table, path)
            self.sides = {**self.sides, side: Kept(table, np.arange(len(table)), [features])}
        return self.sides[side]

    def image_paths(self, side: Side) -> tuple[Strings, Path]:
        """Returns the paths of the images of a side, and the folder that they start from."""
        table = self._tables[side]
        return table.paths, table.root

    def setup(self, stage: str) -> None:
        """Reads what the stage needs, so that a fault is told before the model starts."""
        for side in self._tables.of_stage(stage):
            self.kept(side)

    def train_dataloader(self) -> FeatureLoader:
        """Returns shuffled batches; the order depends on seed and epoch alone, and is that of training on images."""
        kept = self.kept("train")
        make = partial(epoch_sampler, kept.table, kept.rows, self.repeat_threshold, run_seed())
        return training_loader(kept, make(*self._place()), self.batch_size, self.steps)

    def val_dataloader(self) -> FeatureLoader | list[FeatureLoader]:
        """Returns the validation samples in order, or no loader where there is no validation data."""
        limit = None if self.trainer is None else self.trainer.limit_val_batches
        return self._evaluation("val", limit) if self.validates else []

    def test_dataloader(self) -> FeatureLoader:
        """Returns the test samples in order."""
        return self._evaluation("test", None if self.trainer is None else self.trainer.limit_test_batches)

    def _evaluation(self, side: Side, limit: int | float | None) -> FeatureLoader:
        return evaluation_loader(self.kept(side), *self._place(), None if is_whole(limit) else self.batch_size)

    def _file(self, side: Side) -> Path:
        """Returns the file that has the features of a side.

        Raises:
            UsageError: if there is none.
        """
        of_all = side in self._of_train or self._names is not None
        file = self._files[side] or (self._files["train"] if of_all else None)
        if file is None:
            option = "features" if side in self._of_train else f"{side}_features"
            or_names = "" if side in self._of_train else ", or --data.features and --data.names of all images"
            raise UsageError(
                f"there are no features of {side}; give a .npy or .safetensors file with --data.{option} PATH{or_names}"
            )
        return file

    def _rows(self, side: Side, path: Path, num_rows: int) -> Int64[np.ndarray, " samples"]:
        """Returns which rows of the features each sample of a side has."""
        table, (rows, num_samples) = self._tables[side], self._tables.rows(side)
        if self._names is None or (side != "train" and self._files[side] is not None):
            if num_rows != num_samples:
                raise UsageError(
                    f"{path}: {num_rows} rows of features, and {num_samples} samples in {table.source}; expected a row "
                    "for each of them in its order, or names: a text file with the image of each row"
                )
            return rows
        row_of = rows_by_name(self._names)
        if len(row_of) != num_rows:
            raise UsageError(f"{self._names}: {len(row_of)} names, and {num_rows} rows in {path}; expected as many")
        return find_rows(row_of, table, self._names)

    def _place(self) -> tuple[int, int]:
        return (1, 0) if self.trainer is None else (self.trainer.world_size, self.trainer.global_rank)
