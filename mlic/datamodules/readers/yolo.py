"""`YoloReader`: the objects of images in the layout of YOLO, of which the classes are taken."""

import os
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mlic.datamodules.annotations.imagefiles import ImageFiles
from mlic.datamodules.annotations.peek import entry_names
from mlic.datamodules.annotations.places import Places
from mlic.datamodules.annotations.samples import Samples
from mlic.datamodules.readers.base import LabelReader
from mlic.datamodules.readers.yoloconfig import is_config
from mlic.datamodules.readers.yolofiles import LabelFiles, images_below
from mlic.datamodules.readers.yololabels import classes_of, read_labels
from mlic.datamodules.readers.yololayout import CONFIGS, NAMES, YoloLayout
from mlic.errors import Faults, LabelError
from mlic.labels import LabelTable
from mlic.labels.cells import unknown_class
from mlic.suffixes import is_image

__all__ = ["YoloReader"]


class YoloReader(LabelReader):
    """Reads `data.yaml`, the images it names and `labels/a.txt` for each `images/a.jpg`; a line `class x y w h` each.

    A class is present in an image if a line of its label file begins with the class's position, and absent otherwise.
    An image without label file, or with an empty one, is a labelled image without any class, since that is how YOLO
    writes an image without objects; where no image has a label file they are missing, which is an error. Outlines,
    key points and a sixth column are taken like boxes. An image that no entry names is not part of the table.

    Classes are the names of `data.yaml`, in the order of their positions, as they are written there. Without such a
    file they are those of `classes.txt` or `obj.names`, a name a line; the images are in `images`, in `train/images`
    and the like, in `obj_train_data`, or beside `classes.txt`. The label file of an image is in the folder that has
    `labels` for the last `images` of the image's path, or beside the image. A position beyond the names, a line that is
    none, and a label file without image are errors.

    Args:
        path: the folder, or `data.yaml` itself, whatever its name.
        split: the entry of `data.yaml`: `train`, `val` or `test`. Without the file, `images/<split>`, `<split>/images`,
            the images that `<split>.txt` lists, or `obj_<split>_data`. By default all of them.
        classes: the classes in order, all of them: another name of the file is an error, and one that the file does not
            have is unknown in every image. Where no file has names they are those of the positions.
        root: the folder that image paths start from; by default what `path` in `data.yaml` says, or if there is no such
            folder that of the file.

    Raises:
        LabelError: by `read`, with all faults, each with its file and line.
    """

    def __init__(
        self,
        path: Path,
        split: str | None = None,
        classes: list[str] | None = None,
        root: Path | None = None,
    ) -> None:
        self._path = Path(path)
        self._split, self._classes = split, classes
        self._root = None if root is None else Path(root)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Says whether `path` is a `data.yaml`, a folder with one, or one with names, and labels of YOLO or images."""
        if not path.is_dir():
            return is_config(path)
        if any(is_config(path / name) for name in CONFIGS):
            return True
        names_in = [name for name in NAMES if (path / name).is_file()]
        if not names_in:
            return False
        names = entry_names(path)
        if (path / "labels").is_dir() or any(name.startswith("obj_") and name.endswith("data") for name in names):
            return True
        beside = names if names_in[0].startswith("classes") else entry_names(path / "images")
        return any(is_image(name) and f"{os.path.splitext(name)[0]}.txt" in beside for name in beside)  # noqa: PTH122

    def read(self) -> LabelTable:
        """Returns the table; images in the order of the entries, those of a folder in the order of their paths."""
        faults = Faults()
        layout = YoloLayout(self._path, self._root, self._classes, faults)
        entries = layout.entries(self._split)
        places = Places("", whole=str(layout.source))
        samples, columns = self._samples(layout, places, faults)
        label_files = LabelFiles(layout.root)
        rows, found = array("i"), array("i")
        for image, place in _images(layout, entries, places, faults):
            before = samples.num_images
            row = samples.image(image, place)
            if row < before:  # there is no such image, or it was there already
                continue
            samples.labelled(row)
            file = label_files.find(image)
            for position in () if file is None else _positions(file, len(columns), faults):
                rows.append(row)
                found.append(columns[position])
        cells = np.array(rows, np.int32)
        samples.extend(cells, np.array(found, np.int32), np.ones(len(cells), np.int8), np.zeros_like(cells))
        self._check_label_files(label_files, layout, entries, samples)
        table = samples.table()
        return table if self._classes is None else table.align(self._classes)

    def _samples(self, layout: YoloLayout, places: Places, faults: Faults) -> tuple[Samples, list[int]]:
        """Returns samples of the classes, and the column of each position."""
        places.open(str(layout.source))
        classes: dict[str, int] = {}
        for name, line in layout.names:
            if name:
                classes.setdefault(name, places.at(line))
        samples = Samples(layout.source, ImageFiles(layout.root, layout.root), classes, where=places)
        samples.faults = faults
        wanted = list(classes) if self._classes is None else self._classes
        strangers = classes.keys() - set(wanted)
        for name, place in classes.items():
            if name in strangers:
                samples.fault(place, unknown_class(name, wanted, faults))
        # A name that is there twice or blank, which is a fault, keeps its position.
        return samples, [samples.column(name, 0) if name else -1 for name, _ in layout.names]

    def _check_label_files(
        self, label_files: LabelFiles, layout: YoloLayout, entries: list[str], samples: Samples
    ) -> None:
        folders = [layout.paths.relative(entry) for entry in entries if os.path.isdir(entry)]  # noqa: PTH112
        for file, images in label_files.without_image(folders):
            stem = Path(file).stem
            samples.faults.add(
                f"{file}: there is no image for this label file; expected {images}/{stem}.jpg or the like"
            )
        if samples.num_images and not label_files.count:
            found = f"none of the {samples.num_images} images has a label file"
            samples.faults.add(f"{layout.root}: {found}; expected labels/a.txt for images/a.jpg, or a.txt beside a.jpg")


def _images(layout: YoloLayout, entries: list[str], places: Places, faults: Faults) -> Iterator[tuple[str, int]]:
    """Yields the images of the entries, each with the place that names it."""
    for entry in entries:
        whole = places.open(entry)
        try:
            if os.path.isdir(entry):  # noqa: PTH112
                prefix = layout.paths.relative(entry)
                yield from ((prefix + image, whole) for image in images_below(entry))
            else:
                yield from ((image, places.at(line)) for line, image in layout.paths.images_of(entry))
        except LabelError as error:
            faults.add(str(error))


def _positions(file: str, num_classes: int, faults: Faults) -> set[int]:
    """Returns the positions of the classes that a label file names, and notes what is wrong with it."""
    try:
        positions, wrong = classes_of(read_labels(file), num_classes)
    except OSError as error:
        faults.add(f"{file}: cannot be read ({error.strerror}); expected the labels of an image")
        return set()
    for line, message in wrong:
        faults.add(f"{file}:{line}: {message}")
    return positions
