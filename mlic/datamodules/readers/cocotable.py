"""`CocoTable`: from what a COCO file holds to a `LabelTable`."""

import logging
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mlic.datamodules.annotations.imagefiles import ImageFiles
from mlic.datamodules.annotations.samples import Samples
from mlic.datamodules.readers.cocofile import CocoAnnotations, CocoCategory, CocoImage, Id, first_of, positions_of
from mlic.labels import LabelTable
from mlic.labels.cells import unknown_class

__all__ = ["CocoTable"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Cells:
    """Cells, their images and categories by their positions in the file; -1 for an id that nothing has."""

    images: npt.NDArray[Any]
    categories: npt.NDArray[Any]
    values: npt.NDArray[Any]
    places: npt.NDArray[Any]


class CocoTable:
    """One file on its way to a table.

    Args:
        path: the file, for messages.
        images: its images.
        categories: its categories.
        annotations: its annotations; None if it has none to say anything.
        classes: as the reader's.
    """

    def __init__(
        self,
        path: Path,
        images: Sequence[CocoImage],
        categories: Sequence[CocoCategory],
        annotations: CocoAnnotations | None,
        classes: Sequence[str] | None,
    ) -> None:
        self._path, self._images, self._categories, self._annotations = path, images, categories, annotations
        self._classes = classes
        self._image_at = first_of(image.id for image in images)
        self._category_at = first_of(category.id for category in categories)
        # A place is a number: 1 is the first category, and images and annotations follow.
        self._first_image = 1 + len(categories)
        self._first_annotation = self._first_image + len(images)

    def table(self, files: ImageFiles) -> LabelTable:
        """Returns the table.

        Raises:
            LabelError: with all faults.
        """
        annotated, told = self._annotated(), self._told_by_images()
        names = self._names()
        samples = Samples(self._path, files, names, where=self._where)
        columns = self._columns(samples, names, [annotated, told])
        self._note_twice(samples, [category.id for category in self._categories], self._category_at, 1)
        self._note_twice(samples, [image.id for image in self._images], self._image_at, self._first_image)
        rows = self._rows(samples)
        self._note_ids_of_images(samples, told)
        self._note_ids_of_annotations(samples, annotated)
        for cells in (annotated, told):
            samples.extend(_at(rows, cells.images), _at(columns, cells.categories), cells.values, cells.places)
        table = samples.table()
        return table if self._classes is None else table.align(self._classes)

    def _annotated(self) -> _Cells:
        """Returns what the annotations say."""
        if self._annotations is None:
            return _Cells(*(np.empty(0, np.int32) for _ in range(4)))
        return _Cells(
            positions_of(self._annotations.images, self._image_at),
            positions_of(self._annotations.categories, self._category_at),
            np.where(self._annotations.crowd, np.int8(-1), np.int8(1)),
            np.arange(len(self._annotations.images), dtype=np.int32) + np.int32(self._first_annotation),
        )

    def _told_by_images(self) -> _Cells:
        """Returns what LVIS tells of classes that an image has no annotation of."""
        images, categories, values = array("i"), array("i"), array("b")
        told = [at for at, one in enumerate(self._images) if one.neg_category_ids or one.not_exhaustive_category_ids]
        for at in told:
            image = self._images[at]
            for value, ids in ((0, image.neg_category_ids), (-1, image.not_exhaustive_category_ids)):
                if ids:
                    images.extend([at] * len(ids))
                    categories.extend(self._category_at.get(one, -1) for one in ids)
                    values.extend([value] * len(ids))
        positions = np.array(images, np.int32)
        places = positions + np.int32(self._first_image)
        return _Cells(positions, np.array(categories, np.int32), np.array(values, np.int8), places)

    def _names(self) -> dict[str, int]:
        """Returns the classes in the order of their ids, each with its place."""
        names: dict[str, int] = {}
        wanted = frozenset(self._classes or ())
        # Numbers and texts cannot be compared; which come first hardly matters.
        for _, _, at in sorted((isinstance(one.id, str), one.id, at) for at, one in enumerate(self._categories)):
            name = self._categories[at].name.strip()
            if name and (self._classes is None or name in wanted):
                names.setdefault(name, 1 + at)
        return names

    def _columns(self, samples: Samples, names: Mapping[str, int], said: Sequence[_Cells]) -> npt.NDArray[Any]:
        """Returns the column of each category; -1 for a fault, which is noted, and for one that is left out."""
        columns, left_out = np.full(len(self._categories), -1, np.int32), []
        # Only a category that `classes` does not name can be left out.
        used = set() if self._classes is None else set(np.concatenate([cells.categories for cells in said]).tolist())
        for at, category in enumerate(self._categories):
            name, place = category.name.strip(), 1 + at
            if not name:
                samples.fault(place, "the name of a class is blank; expected one")
            elif name not in names and at not in used:
                left_out.append(name)
            elif names.get(name, place) != place:
                other = self._where(names[name])
                samples.fault(place, f"class '{name}' is there twice, also at {other}; expected each once")
            elif name not in names:
                samples.fault(place, unknown_class(name, self._classes or (), samples.faults))
            else:
                columns[at] = samples.column(name, place)
        if left_out:
            log.info("%s: no image has %s, and 'classes' does not name it: left out", self._path, ", ".join(left_out))
        return columns

    def _rows(self, samples: Samples) -> npt.NDArray[Any]:
        """Returns the row of each image; -1 for a fault, which is noted."""
        rows = samples.images([image.written for image in self._images], self._first_image)
        if self._annotations is not None:
            for row, image in zip(rows, self._images, strict=True):
                if image.neg_category_ids is None:
                    samples.labelled(row)
        return np.array(rows, np.int32)

    def _note_twice(self, samples: Samples, ids: Sequence[Id], first: Mapping[Id, int], start: int) -> None:
        """Notes the ids that several have."""
        for at, one in enumerate(ids if len(first) < len(ids) else ()):
            if first[one] != at:
                before = self._where(start + first[one])
                samples.fault(start + at, f"id {one!r} is there twice, first at {before}; expected each once")

    def _note_ids_of_images(self, samples: Samples, told: _Cells) -> None:
        """Notes the ids in lists of images that no category has."""
        for at in np.unique(told.images[told.categories < 0]).tolist():
            image = self._images[at]
            for key in ("neg_category_ids", "not_exhaustive_category_ids"):
                for one in getattr(image, key) or ():
                    if one not in self._category_at:
                        samples.fault(self._first_image + at, f"{key} names {_missing(one, 'categories')}")

    def _note_ids_of_annotations(self, samples: Samples, annotated: _Cells) -> None:
        """Notes the annotations of no image or no category."""
        if self._annotations is None:
            return
        for key, kind, ids, positions in (
            ("image_id", "images", self._annotations.images, annotated.images),
            ("category_id", "categories", self._annotations.categories, annotated.categories),
        ):
            wrong = np.flatnonzero(positions < 0)
            shown = wrong[:100].tolist()
            for at in shown:
                one = ids[at : at + 1].tolist()[0]
                what = f"has no {key}; expected one" if one is None else f"{key} is {_missing(one, kind)}"
                samples.fault(self._first_annotation + at, what)
            samples.faults.count += len(wrong) - len(shown)

    def _where(self, place: int) -> str:
        """Returns a place in words."""
        if place >= self._first_annotation:
            return f"{self._path}: annotations[{place - self._first_annotation}]"
        if place >= self._first_image:
            return f"{self._path}: images[{place - self._first_image}]"
        return f"{self._path}: categories[{place - 1}]" if place else str(self._path)


def _missing(one: Id, kind: str) -> str:
    return f"{one!r}, which is no id of '{kind}'; expected one of them"


def _at(numbers: npt.NDArray[Any], positions: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Returns the numbers at some positions, and -1 at the position -1."""
    found: npt.NDArray[Any] = np.append(numbers, np.int32(-1))[positions]
    return found
