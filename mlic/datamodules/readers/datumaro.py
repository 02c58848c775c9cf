"""`DatumaroReader`: the JSON of Datumaro, which OpenVINO Training Extensions take."""

import logging
import os
import re
from array import array
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from mlic.datamodules.annotations.classlist import ClassList
from mlic.datamodules.annotations.imagefiles import ImageFiles
from mlic.datamodules.annotations.samples import Samples
from mlic.datamodules.readers.base import LabelReader
from mlic.datamodules.readers.datumarofiles import Item, Subset, data_set, is_dump, json_files, place_of, read_subsets
from mlic.errors import LabelError
from mlic.labels import LabelTable

__all__ = ["DatumaroReader"]

log = logging.getLogger(__name__)

_LOOKED_AT = 50  # items that tell where the images of a subset are
_ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:|[^/\\]+://")


class DatumaroReader(LabelReader):
    """Reads `annotations/<subset>.json`, with the images in `images/<subset>`.

    A class is present where an item has an annotation of type `label`, whose `label_id` is its position in
    `categories.label.labels`; otherwise it is absent. So an item without annotations is a labelled image without any
    class, since Datumaro cannot say that nobody has looked at it yet; `empty` changes that. An image without an item is
    not part of the table. Items of one image are united, and images of several subsets are told.

    Boxes, polygons and other annotations are counted, told, and not read, unless `shapes` says that they mean presence.
    A data set that has no label but shapes is refused without it.

    Classes are in the order of the file, after spaces around their names are stripped; parents, groups and attributes
    say nothing. A `label_id` that is not there is an error. All subsets must have the same classes in the same order.

    The image of an item is the path that it names; where there is none, its `id` with any suffix, and so where the path
    is that of another folder or machine and ends with the `id`. Point clouds and videos are refused.

    Args:
        path: a file, or the folder that holds `annotations`, whose files are read into one table.
        root: the folder that image paths start from, in it or in a folder for each subset; by default that of the data
            set, where images are in `images/<subset>`, `images`, `<subset>` or beside the file.
        classes: the classes in order, all of them; by default as the files list them.
        split: the one subset to read of a folder, which is the name of its file without `.json`; by default all.
        shapes: whether a box, polygon, mask, line or point with a `label_id` means that its class is present.
        empty: whether an item without an annotation that counts is `negative`, or `unlabelled`.
        uri_prefix: what URIs of images, or paths of another machine, begin with, to the local folder that holds the
            same.

    Raises:
        LabelError: by `read`, with all faults of the files, each with its place.
    """

    def __init__(
        self,
        path: Path,
        root: Path | None = None,
        classes: list[str] | None = None,
        split: str | None = None,
        shapes: bool = False,
        empty: Literal["negative", "unlabelled"] = "negative",
        uri_prefix: dict[str, Path] | None = None,
    ) -> None:
        self._path, self._root, self._classes, self._split = Path(path), root, classes, split
        self._shapes, self._empty, self._uri_prefix = shapes, empty, uri_prefix

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Says whether `path` is such a JSON file, or a folder whose `annotations` are nothing but such."""
        files = json_files(path)
        return all(map(is_dump, files)) if files else is_dump(path)

    def read(self) -> LabelTable:
        """Returns the table; subsets in the order of their names, images in the order of their file."""
        subsets = read_subsets(self._path, self._split)
        classes = ClassList(subsets[0].classes, f"{subsets[0].file}: categories.label.labels", self._classes)

        def where(place: int) -> str:
            return classes.origin(place) if place < 0 else place_of(subsets, place)

        folder = data_set(self._path)
        root = folder if self._root is None and not self._uri_prefix else self._root
        files = ImageFiles.locate(root, folder, (), uri_prefix=self._uri_prefix)
        samples = Samples(self._path, files, classes.names, where=where)
        samples.faults.extend(classes.faults)
        labels = _Labels(samples, classes, where, self._shapes)
        twice = _Owners(self._path)
        for number, subset in enumerate(subsets):
            folder_of_images = _folder_of_images(subset, files.root)
            for place, item in enumerate(subset.document.items, subset.first):
                if item.other_media:
                    samples.fault(
                        place, f"is a {item.other_media}; expected an image; export the frames or views as images"
                    )
                    continue
                row = samples.image(_written(item, folder_of_images, files), place)
                twice.note(row, number)
                if labels.add(row, item, place) or self._empty == "negative":
                    samples.labelled(row)
        twice.tell()
        labels.tell(self._path)
        return samples.table()


class _Labels:
    """Reads the annotations of items, and counts those that are not read."""

    def __init__(self, samples: Samples, classes: ClassList, where: Callable[[int], str], shapes: bool) -> None:
        self._samples, self._classes, self._where, self._shapes = samples, classes, where, shapes
        self._num_read = 0
        self._ignored: Counter[str] = Counter()

    def add(self, row: int, item: Item, place: int) -> bool:
        """Adds the labels of an item; says whether there are any."""
        before = self._num_read
        for index, annotation in enumerate(item.annotations or ()):
            if annotation.type != "label" and not (self._shapes and annotation.label_id is not None):
                self._ignored[annotation.type or "untyped"] += 1
                continue
            self._num_read += 1
            try:
                self._samples.add(row, self._classes.column(annotation.label_id), place)
            except LabelError as error:
                self._samples.faults.add(f"{self._where(place)}.annotations[{index}].label_id {error}")
        return self._num_read > before

    def tell(self, path: Path) -> None:
        """Says how many annotations were not read; notes a fault where there are no others."""
        if not self._ignored:
            return
        counts = ", ".join(f"{count} {name}" for name, count in self._ignored.most_common(5))
        if not self._num_read and not self._shapes:
            hint = "give shapes: true if they mean that classes are present"
            self._samples.faults.add(f"{path}: no annotation is a label, but {counts}; {hint}")
        else:
            hint = "" if self._shapes else "; with shapes: true those with a label_id mean that their class is present"
            log.warning("%s: annotations that are no labels are not read: %s%s", path, counts, hint)


class _Owners:
    """Remembers which subset each image is of, and counts those of several."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._owners = array("i")
        self._shared: set[int] = set()

    def note(self, row: int, subset: int) -> None:
        """Takes a sample that a subset names."""
        if row == len(self._owners):
            self._owners.append(subset)
        elif row >= 0 and self._owners[row] != subset:
            self._shared.add(row)

    def tell(self) -> None:
        """Says how many samples are of several subsets."""
        if self._shared:
            log.warning("%s: %d images are in several subsets; their labels are united", self._path, len(self._shared))


def _folder_of_images(subset: Subset, root: Path) -> str:
    """Returns the folder that relative paths of a subset start from: relative to the root, blank or with a slash."""
    sample: list[str] = []
    for item in subset.document.items[:_LOOKED_AT]:
        sample.extend(path for path in (item.path, str(item.id)) if path and not _ABSOLUTE.match(path))
    folders = (f"images/{subset.name}", "images", subset.name)
    folder = os.path.relpath(ImageFiles.locate(None, root, sample, guesses=folders).root, root)
    return "" if folder == "." else f"{Path(folder).as_posix()}/"


def _written(item: Item, folder: str, files: ImageFiles) -> str:
    """Returns the path to look for."""
    path, by_id = item.path, f"{folder}{item.id}"
    if not path:
        return by_id
    written = path if _ABSOLUTE.match(path) else folder + path
    stem = path.replace("\\", "/").rpartition(".")[0]
    if f"/{stem}".endswith(f"/{item.id}") and not files.has(written) and files.has(by_id):
        return by_id
    return written
