"""`OpenMMLabReader`: the annotation files of OpenMMLab 2.0, as mmpretrain's `MultiLabelDataset` takes them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from mlic.datamodules.annotations.classlist import ClassList
from mlic.datamodules.annotations.imagefiles import ImageFiles
from mlic.datamodules.annotations.jsonfiles import as_written, read_json
from mlic.datamodules.annotations.peek import json_shape
from mlic.datamodules.annotations.samples import Samples
from mlic.datamodules.readers.base import LabelReader
from mlic.errors import LabelError
from mlic.labels import LabelTable

__all__ = ["OpenMMLabReader"]


class _Image(msgspec.Struct, gc=False):
    img_path: str | None = None
    gt_label: Any = None
    img_label: Any = None  # what mmpretrain's documents called it once
    gt_score: Any = None
    instances: Any = None


class _MetaInfo(msgspec.Struct):
    classes: list[Any] | None = None
    CLASSES: list[Any] | None = None


class _Document(msgspec.Struct):
    data_list: list[_Image]
    metainfo: _MetaInfo = msgspec.field(default_factory=_MetaInfo)


class OpenMMLabReader(LabelReader):
    """Reads `{"metainfo": {"classes": [...]}, "data_list": [{"img_path": "a.jpg", "gt_label": [0, 2]}]}`.

    `gt_label` lists the positions of the classes that are present, or is one of them; what it does not list is absent,
    so `[]` is a labelled image without any class. An image without it, or with null, is unlabelled; one that has no
    entry is not part of the table. Entries of one image are united.

    A list of a 0 or 1 for each class is not what the format says. It is refused, since a number repeats in it; but with
    two classes `[0, 1]` and `[1, 0]` may be either, and are read as positions. `gt_score`, if there is one, is a list
    of the probability of each class, 0 to 1.

    The classes are those of `metainfo`, in its order, after spaces around them are stripped; `classes` or `CLASSES`. A
    position that is not there is an error. Entries with `instances` but no `gt_label`, as in files for detection, are
    refused.

    Args:
        path: the file, UTF-8.
        root: the folder that image paths start from; by default that of the file or, whichever has the images, the one
            above, or one called as the file, images, data, train or val in either.
        classes: the classes in order, all of them; by default as the file lists them. Where it lists none, the
            positions are those of this list.
        uri_prefix: what URIs of images, or paths of another machine, begin with, to the local folder that holds the
            same.

    Raises:
        LabelError: by `read`, with all faults of the file, each with its place in it.
    """

    def __init__(
        self,
        path: Path,
        root: Path | None = None,
        classes: list[str] | None = None,
        uri_prefix: dict[str, Path] | None = None,
    ) -> None:
        self._path, self._root, self._classes, self._uri_prefix = Path(path), root, classes, uri_prefix

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Says whether `path` is a JSON file that has `metainfo`, or images in a `data_list`."""
        shape = json_shape(path)
        return "LINES" not in shape and ("metainfo" in shape or "data_list[].img_path" in shape)

    def read(self) -> LabelTable:
        """Returns the table; images in the order of the file."""
        document = read_json(self._path, _Document)
        images = document.data_list
        classes = self._class_list(document.metainfo)
        files = ImageFiles.locate(
            self._root,
            self._path.parent,
            (image.img_path or "" for image in images),
            guesses=_folders(self._path.stem),
            uri_prefix=self._uri_prefix,
        )

        def where(place: int) -> str:
            return classes.origin(place) if place < 0 else f"{self._path}: data_list[{place}]"

        samples = Samples(self._path, files, classes.names, where=where)
        samples.faults.extend(classes.faults)
        for place, image in enumerate(images):
            self._add(samples, classes, image, place)
        return samples.table()

    def _class_list(self, info: _MetaInfo) -> ClassList:
        """Returns the classes that the labels point to.

        Raises:
            LabelError: if there are none.
        """
        key = "classes" if info.classes is not None else "CLASSES"
        listed: Sequence[object] | None = info.classes if info.classes is not None else info.CLASSES
        if listed is None and self._classes is not None:
            return ClassList(self._classes, "classes", self._classes)
        if not listed:
            raise LabelError(
                f"{self._path}: metainfo lists no classes; give classes: the list that the numbers in gt_label point to"
            )
        return ClassList(listed, f"{self._path}: metainfo.{key}", self._classes)

    def _add(self, samples: Samples, classes: ClassList, image: _Image, place: int) -> None:
        row = samples.image(image.img_path or "", place)
        key = "gt_label" if image.gt_label is not None or image.img_label is None else "img_label"
        label = image.img_label if key == "img_label" else image.gt_label
        if label is None and image.gt_score is None and image.instances is not None:
            samples.fault(place, "instances, but no gt_label; expected a file for classification, not for detection")
        try:
            if label is not None:
                columns = _columns(label, key, classes)
                samples.labelled(row)
                for column in columns:
                    samples.add(row, column, place)
            if image.gt_score is not None:
                scores = _scores(image.gt_score, len(classes))
                samples.labelled(row)
                for position, score in enumerate(scores):
                    samples.add(row, classes.column(position), place, score)
        except LabelError as error:
            samples.fault(place, str(error))


def _columns(label: object, key: str, classes: ClassList) -> list[int]:
    """Returns the columns of the classes that are present.

    Raises:
        LabelError: if one is no position of a class.
    """
    if not isinstance(label, list):
        return [_column(label, key, classes)]
    columns = [_column(item, f"{key}[{index}]", classes) for index, item in enumerate(label)]
    if len(set(label)) < len(label):
        expected = "expected the position of each class that is present once, not a 0 or 1 for each class"
        raise LabelError(f"{key} is {as_written(label)}, in which a number repeats; {expected}")
    return columns


def _column(position: object, key: str, classes: ClassList) -> int:
    try:
        return classes.column(position)
    except LabelError as error:
        raise LabelError(f"{key} {error}") from error


def _scores(scores: object, num_classes: int) -> list[float]:
    """Returns the probabilities of the classes.

    Raises:
        LabelError: if they are something else.
    """
    if isinstance(scores, list) and len(scores) == num_classes and all(map(_is_probability, scores)):
        return [float(score) for score in scores]
    raise LabelError(f"gt_score is {as_written(scores)}; expected {num_classes} numbers between 0 and 1")


def _is_probability(score: object) -> bool:
    return isinstance(score, int | float) and not isinstance(score, bool) and 0 <= score <= 1


def _folders(stem: str) -> list[str]:
    names = [*dict.fromkeys((stem, "images", "data", "train", "val"))]
    return ["..", *names, *(f"../{name}" for name in names)]
