"""`CvatReader`: tags of whole images, as CVAT exports them for images."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from mlic.datamodules.annotations.imagefiles import ImageFiles
from mlic.datamodules.annotations.peek import xml_root
from mlic.datamodules.annotations.samples import Samples
from mlic.datamodules.readers.base import LabelReader
from mlic.datamodules.readers.cvatxml import CvatDocument
from mlic.errors import LabelError, did_you_mean
from mlic.labels import LabelTable
from mlic.labels.cells import unknown_class

__all__ = ["CvatReader"]

log = logging.getLogger(__name__)


class CvatReader(LabelReader):
    """Reads `annotations.xml` of the export "CVAT for images 1.1"; the images are below `images`, or beside the file.

    A class is present in an image that has a tag of this name, and absent otherwise; so an image without tags is a
    labelled image without any class, since CVAT does not say which images nobody has looked at yet (see `empty`). An
    image that the file does not name is not part of the table. One that it names twice has the tags of both.

    Classes are the labels that the task declares, else the project, else the job, in their order, without the points
    of skeletons; they map to tags exactly, after spaces around them are stripped, and another label is an error with
    its line. Where nothing is declared they are the labels that are used, sorted by name. The file of a video
    (`CVAT for video`) is refused.

    Args:
        path: the file, or the folder that holds `annotations.xml`.
        split: only the images of this subset.
        empty: whether an image without tags is `negative`: every class is absent; or `unlabelled`.
        shapes: whether boxes, polygons, polylines, points, masks, cuboids and skeletons count as tags; otherwise they
            are not read, and counted in the log.
        classes: the classes in order, all of them: another label that is declared is an error, and one that is not
            declared is unknown in every image.
        root: the folder that image paths start from, or a subset's folder in it; by default `images` or the folder of
            the file, whichever has the images.

    Raises:
        LabelError: by `read`, with all faults of the file, each with its line.
    """

    def __init__(
        self,
        path: Path,
        split: str | None = None,
        empty: Literal["negative", "unlabelled"] = "negative",
        shapes: bool = False,
        classes: list[str] | None = None,
        root: Path | None = None,
    ) -> None:
        self._path = Path(path)
        self._split, self._empty, self._shapes, self._classes = split, empty, shapes, classes
        self._root = None if root is None else Path(root)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Says whether `path` is an XML file of `annotations`, or a folder with such an `annotations.xml`."""
        return xml_root(_file(path)) == "annotations"

    def read(self) -> LabelTable:
        """Returns the table; images in the order of the file."""
        file = _file(self._path)
        document = CvatDocument(file, count_shapes=self._shapes)
        kept = self._kept(document, file)
        files = ImageFiles.locate(
            self._root, file.parent, (name for image in kept for name in _written(document, image)), guesses=["images"]
        )
        declared = document.declared
        samples = Samples(file, files, declared or _without_place(self._classes))
        for line, message in document.faults:
            samples.fault(line, message)
        if declared and self._classes is not None:
            _check_declared(samples, declared, self._classes)
        self._add_images(samples, files, document, kept)
        if document.shapes and not self._shapes:
            told = "%s: %d shapes in %d images are not read, only tags are; shapes: true counts them as tags"
            log.warning(told, file, document.shapes, document.with_shapes)
        table = samples.table(open_vocabulary=not declared)
        return table if self._classes is None else table.align(self._classes)

    def _kept(self, document: CvatDocument, file: Path) -> list[int]:
        """Returns the positions of the images of the split.

        Raises:
            LabelError: if there are none.
        """
        if self._split is None:
            return list(range(len(document.names)))
        kept = [image for image, subset in enumerate(document.subsets) if subset == self._split]
        if not kept:
            subsets = sorted(set(document.subsets) - {""})
            hint = did_you_mean(self._split, subsets)
            expected = (
                f"expected {' or '.join(subsets[:20])}{hint}" if subsets else "it has no subsets: leave split out"
            )
            raise LabelError(f"{file}: no image is in the subset '{self._split}'; {expected}")
        return kept

    def _add_images(self, samples: Samples, files: ImageFiles, document: CvatDocument, kept: list[int]) -> None:
        rows = np.full(len(document.names), -1, np.int32)
        twice = 0
        for image in kept:
            line, before = document.lines[image], samples.num_images
            rows[image] = row = samples.image(_found(files, document, image), line)
            twice += 0 <= row < before
            if self._empty == "negative":
                samples.labelled(row)
        if twice:
            log.warning("%s: %d images are named again; each has the tags of all its entries", self._path, twice)
        columns: dict[int, int] = {}
        labels = list(document.vocabulary)
        for image, label, line in zip(document.tagged, document.labels, document.places, strict=True):
            row = int(rows[image])
            if row >= 0:
                if columns.setdefault(label, -1) < 0:
                    columns[label] = samples.column(labels[label], line)
                samples.labelled(row)
                samples.add(row, columns[label], line)


def _file(path: Path) -> Path:
    return path / "annotations.xml" if path.is_dir() else path


def _without_place(classes: list[str] | None) -> dict[str, int] | None:
    return None if classes is None else dict.fromkeys(classes, 0)


def _check_declared(samples: Samples, declared: dict[str, int], classes: list[str]) -> None:
    wanted = frozenset(classes)
    for name, line in declared.items():
        if name not in wanted:
            samples.fault(line, unknown_class(name, classes, samples.faults))


def _written(document: CvatDocument, image: int) -> Iterator[str]:
    """Yields the paths that an image may have: a project's are in a folder for each subset."""
    name, subset = document.names[image], document.subsets[image]
    if subset:
        yield f"{subset}/{name}"
    yield name
    yield f"default/{name}"


def _found(files: ImageFiles, document: CvatDocument, image: int) -> str:
    """Returns the path of an image; its name if there is none."""
    for written in _written(document, image):
        try:
            return files.find(written)
        except LabelError:
            continue
    return document.names[image]
