"""A COCO file in memory: its images and categories as they are, its many annotations as arrays."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from jaxtyping import Bool, Int32, Int64, Shaped

from mlic.datamodules.annotations.jsonarrays import read_in_parts
from mlic.datamodules.annotations.jsonfiles import read_json

__all__ = ["CocoAnnotations", "CocoCategory", "CocoFile", "CocoImage", "Id", "first_of", "positions_of", "read_coco"]

Id = int | str

_SPAN = 1 << 22  # of ids, up to which a table that holds them all is quicker than looking up each


class CocoImage(msgspec.Struct, gc=False):
    """An image; in LVIS with what is known of classes that it has no annotation of."""

    id: Id
    file_name: str | None = None
    coco_url: str | None = None
    neg_category_ids: list[Id] | None = None
    not_exhaustive_category_ids: list[Id] | None = None

    @property
    def written(self) -> str:
        """Its path. LVIS has it in a URL alone, such as `http://images.cocodataset.org/train2017/000.jpg`."""
        name = (self.file_name or "").strip()
        return name or "/".join((self.coco_url or "").strip().split("/")[-2:])


class CocoCategory(msgspec.Struct, gc=False):
    """A class."""

    id: Id
    name: str


@dataclass(frozen=True)
class CocoAnnotations:
    """The annotations, in the order of the file.

    Args:
        images: the ids of their images: int64 if all are numbers, else objects; None where there is none.
        categories: the ids of their categories, likewise.
        crowd: whether each is of a crowd.
    """

    images: Shaped[np.ndarray, " annotations"]
    categories: Shaped[np.ndarray, " annotations"]
    crowd: Bool[np.ndarray, " annotations"]


class CocoFile(msgspec.Struct):
    """What is read of a file; None stands for what it does not have."""

    images: list[CocoImage]
    categories: list[CocoCategory] | None
    annotations: CocoAnnotations | None


class _Numbered(msgspec.Struct, gc=False):
    image_id: int
    category_id: int


class _NumberedWithCrowd(_Numbered, gc=False):
    iscrowd: int | float | bool | None = None


class _Annotation(msgspec.Struct, gc=False):
    image_id: Id | None = None
    category_id: Id | None = None
    iscrowd: int | float | bool | None = None


class _Document(msgspec.Struct):
    images: list[CocoImage]
    categories: list[CocoCategory] | None = None
    annotations: list[_Annotation] | None = None


def read_coco(path: Path, *, with_crowd: bool) -> CocoFile:
    """Returns what is in a file.

    Args:
        path: the file.
        with_crowd: whether it matters which annotations are of a crowd; if not, none is said to be.

    Raises:
        LabelError: if it cannot be read, or is no such file; with the place in it.
    """
    # What most files hold is quicker to read.
    kinds: list[type[Any]] = [_NumberedWithCrowd if with_crowd else _Numbered, _Annotation]
    take = _with_crowd if with_crowd else _without_crowd
    for item in kinds:
        found = read_in_parts(path, _Document, "annotations", item, take)
        if found is not None:
            document, parts = found
            return CocoFile(document.images, document.categories, _joined(parts))
    document = read_json(path, _Document)
    annotations = None if document.annotations is None else _joined([take(document.annotations)])
    return CocoFile(document.images, document.categories, annotations)


def _without_crowd(annotations: Sequence[_Numbered | _Annotation]) -> CocoAnnotations:
    return _arrays(annotations, np.zeros(len(annotations), np.bool_))


def _with_crowd(annotations: Sequence[_NumberedWithCrowd | _Annotation]) -> CocoAnnotations:
    return _arrays(annotations, np.array([bool(one.iscrowd) for one in annotations], np.bool_))


def _arrays(annotations: Sequence[_Numbered | _Annotation], crowd: Bool[np.ndarray, " annotations"]) -> CocoAnnotations:
    numbered = isinstance(next(iter(annotations), None), _Numbered)
    images, categories = [one.image_id for one in annotations], [one.category_id for one in annotations]
    return CocoAnnotations(_array(images, numbered), _array(categories, numbered), crowd)


def _array(ids: Sequence[Id | None], numbered: bool) -> Shaped[np.ndarray, " annotations"]:
    try:
        return np.fromiter(ids, np.int64 if numbered else object, len(ids))
    except OverflowError:  # a number of more than 64 bits
        return np.fromiter(ids, object, len(ids))


def _joined(parts: Sequence[CocoAnnotations]) -> CocoAnnotations:
    none = np.empty(0, np.int64)
    return CocoAnnotations(
        np.concatenate([none, *(part.images for part in parts)]),
        np.concatenate([none, *(part.categories for part in parts)]),
        np.concatenate([np.empty(0, np.bool_), *(part.crowd for part in parts)]),
    )


def first_of(ids: Iterable[Id]) -> dict[Id, int]:
    """Returns the position of each id; the first, if it is there several times."""
    listed = list(ids)
    # Of equal keys a dictionary keeps the last.
    return dict(zip(reversed(listed), range(len(listed) - 1, -1, -1), strict=True))


def positions_of(ids: Shaped[np.ndarray, " ids"], positions: Mapping[Id, int]) -> Int32[np.ndarray, " ids"]:
    """Looks up many ids; -1 stands for one that there is not.

    Example:
        >>> positions_of(np.array([90, 7, 1]), {1: 0, 90: 1}).tolist()
        [1, -1, 0]
    """
    known = _numbers(positions)
    if ids.dtype == object or known is None or int(known.max()) - int(known.min()) >= _SPAN:
        return np.fromiter((positions.get(one, -1) for one in ids.tolist()), np.int32, len(ids))
    low, high = known.min(), known.max()
    table = np.full(int(high - low) + 2, -1, np.int32)
    table[known - low] = np.fromiter(positions.values(), np.int32, len(positions))
    at = ids - low
    if len(ids) and (ids.min() < low or ids.max() > high):
        at[(ids < low) | (ids > high)] = high - low + 1  # which is no id
    found: Int32[np.ndarray, " ids"] = table[at]
    return found


def _numbers(ids: Iterable[Id]) -> Int64[np.ndarray, " ids"] | None:
    """Returns ids as an array; None if there are none, or one is a text or a number of more than 64 bits."""
    listed = list(ids)
    if set(map(type, listed)) != {int}:
        return None
    try:
        return np.array(listed, np.int64)
    except OverflowError:
        return None
