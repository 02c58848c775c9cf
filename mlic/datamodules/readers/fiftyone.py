"""`FiftyOneReader`: FiftyOne's `FiftyOneImageClassificationDataset`."""

from collections.abc import Iterator, Mapping
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

__all__ = ["FiftyOneReader"]

_FILE = "labels.json"
_SHAPES = ("bounding_box", "points", "mask")


class _Document(msgspec.Struct):
    labels: dict[str, Any]
    classes: list[Any] | None = None


class FiftyOneReader(LabelReader):
    """Reads `labels.json`, with the images in the folder `data` beside it.

    `{"classes": ["cat", "dog"], "labels": {"a": [0, 1], "b": [], "c": null, "sub/d": [{"label": "cat"}]}}`. A key is
    the path of an image without its suffix, relative to `data`; with it is right, too. A value is one label or a list
    of them, each the position of a class in `classes`, its name, or an object that holds either as its `label`; its
    confidence and attributes are not read. What is not listed is absent, so `[]` is a labelled image without any class;
    null is an unlabelled one. An image without an entry is not part of the table. Entries of one image, such as `a` and
    `a.jpg`, are united.

    The classes are those of `classes`, in its order, and another name is an error. Without it they are the names that
    the labels hold, sorted, and a position is an error. Names map to classes exactly, after spaces around them are
    stripped.

    Args:
        path: the file, or the folder that holds it as `labels.json`.
        root: the folder that image paths start from; by default `data` beside the file, or its own, whichever has the
            images.
        classes: the classes in order, all of them; by default as above. Where the file lists none, positions are those
            of this list.
        shapes: whether a label that is a box or another shape, as FiftyOne writes for detection, means that its class
            is present; otherwise it is an error.
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
        shapes: bool = False,
        uri_prefix: dict[str, Path] | None = None,
    ) -> None:
        self._path, self._root, self._classes = Path(path), root, classes
        self._shapes, self._uri_prefix = shapes, uri_prefix

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Says whether `path`, or `labels.json` in it, is a JSON file that holds nothing but `classes` and `labels`."""
        shape = json_shape(_file(path))
        outer = {key for key in shape if not any(sign in key for sign in ".[")}
        inner = shape - outer
        # A list of labels may be anything; a key of an image says that it is an object.
        return (
            "labels" in shape
            and outer <= {"classes", "labels"}
            and ("classes" in outer or any(key.startswith("labels.") for key in inner))
            and not any(key.startswith(("[", "labels[", "classes[", "classes.")) for key in inner)
        )

    def read(self) -> LabelTable:
        """Returns the table; images in the order of the file."""
        file = _file(self._path)
        document = read_json(file, _Document)
        keys = list(document.labels)
        classes = self._class_list(file, document.classes)
        files = ImageFiles.locate(self._root, file.parent, keys, guesses=["data"], uri_prefix=self._uri_prefix)

        def where(place: int) -> str:
            return classes.origin(place) if classes is not None and place < 0 else f"{file}: labels['{keys[place]}']"

        samples = Samples(self._path, files, None if classes is None else classes.names, where=where)
        if classes is not None:
            samples.faults.extend(classes.faults)
        for place, (key, value) in enumerate(document.labels.items()):
            row = samples.image(key, place)
            if value is None:
                continue
            samples.labelled(row)
            for label, at in _labels(value):
                try:
                    samples.add(row, self._column(samples, classes, label, place), place)
                except LabelError as error:
                    samples.faults.add(f"{where(place)}{at} {error}")
        return samples.table(open_vocabulary=classes is None)

    def _class_list(self, file: Path, listed: list[Any] | None) -> ClassList | None:
        if listed is not None:
            return ClassList(listed, f"{file}: classes", self._classes)
        return None if self._classes is None else ClassList(self._classes, "classes", self._classes)

    def _column(self, samples: Samples, classes: ClassList | None, label: object, place: int) -> int:
        """Returns the column of a label; -1 for a fault, which is noted.

        Raises:
            LabelError: if it is no label, without the place.
        """
        if isinstance(label, Mapping):
            shape = next((key for key in _SHAPES if key in label), None)
            if shape is not None and not self._shapes:
                raise LabelError(
                    f"holds {shape}, as for detection; give shapes: true if it means that its class is present"
                )
            if "label" not in label:
                raise LabelError(f"is {as_written(label)}; expected an object with a label")
            label = label["label"]
        if isinstance(label, str):
            return samples.column(label.strip(), place)
        if classes is not None:
            return classes.column(label)
        raise LabelError(
            f"is {as_written(label)}, but the file has no classes; expected a name, or give classes: a list"
        )


def _file(path: Path) -> Path:
    return path / _FILE if path.is_dir() else path


def _labels(value: object) -> Iterator[tuple[object, str]]:
    """Yields the labels of an image, each with what its place adds to that of the image."""
    if not isinstance(value, list):
        yield value, ""
        return
    for index, label in enumerate(value):
        yield label, f"[{index}]"
