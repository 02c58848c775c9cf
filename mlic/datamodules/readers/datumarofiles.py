"""`Subset`: a JSON file of Datumaro, one for each subset of a data set."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from mlic.datamodules.annotations.jsonfiles import read_json
from mlic.datamodules.annotations.peek import entry_names, json_shape
from mlic.errors import Faults, LabelError, did_you_mean

__all__ = ["Item", "Subset", "data_set", "is_dump", "json_files", "place_of", "read_subsets"]

_ANNOTATIONS = "annotations"
_OTHER_MEDIA = ("point_cloud", "video", "video_frame", "table_row")


class Media(msgspec.Struct, gc=False):
    """The image of an item."""

    path: str | None = None


class Annotation(msgspec.Struct, gc=False):
    """A label, a box or whatever else an item is annotated with."""

    type: str | None = None
    label_id: Any = None


class Item(msgspec.Struct, gc=False):
    """An image and its annotations."""

    id: str | int
    annotations: list[Annotation] | None = None
    image: Media | None = None
    media: Media | None = None
    point_cloud: Any = None
    video: Any = None
    video_frame: Any = None
    table_row: Any = None

    @property
    def path(self) -> str:
        """Where the image is; blank if that is not told. Old versions tell it twice, and some in `media` alone."""
        return next((media.path for media in (self.image, self.media) if media and media.path), "").strip()

    @property
    def other_media(self) -> str:
        """The key of what the item is instead of an image; blank if it is one."""
        return "" if self.image else next((key for key in _OTHER_MEDIA if getattr(self, key) is not None), "")


class Label(msgspec.Struct, gc=False):
    """A class."""

    name: Any = None


class Labels(msgspec.Struct):
    """The classes, in order."""

    labels: list[Label] = []


class Categories(msgspec.Struct):
    """The classes and, which is not read, their colours and points."""

    label: Labels | None = None


class Document(msgspec.Struct):
    """What a file holds."""

    items: list[Item]
    categories: Categories = msgspec.field(default_factory=Categories)


@dataclass(frozen=True)
class Subset:
    """A file that was read.

    Args:
        file: where it is.
        document: what it holds.
        first: the number of its first item, when those of all files are counted one after the other.
    """

    file: Path
    document: Document
    first: int

    @property
    def name(self) -> str:
        """The name of the subset, which is that of the file."""
        return self.file.stem

    @property
    def classes(self) -> list[Any]:
        """The names of the classes, as the file has them."""
        label = self.document.categories.label
        return [] if label is None else [entry.name for entry in label.labels]


def read_subsets(path: Path, split: str | None) -> list[Subset]:
    """Returns the files of a data set, in the order of their names.

    Args:
        path: a file, or the folder that holds `annotations`.
        split: the one subset that is wanted of a folder.

    Raises:
        LabelError: with all files that cannot be read, or do not have the classes of the first; for then the labels say
            nothing.
    """
    faults = Faults()
    subsets: list[Subset] = []
    first = 0
    for file in _wanted(path, split) if path.is_dir() else [path]:
        try:
            subset = Subset(file, read_json(file, Document), first)
        except LabelError as error:
            faults.add(str(error))
            continue
        first += len(subset.document.items)
        subsets.append(subset)
        if not subset.classes:
            faults.add(f"{file}: no class; expected them in categories.label.labels")
        _check_classes(subset, subsets[0], faults)
    faults.raise_if_any()
    return subsets


def place_of(subsets: Sequence[Subset], number: int) -> str:
    """Returns where the item of a number, counted as `Subset.first` is, stands."""
    subset = subsets[bisect_right(subsets, number, key=lambda subset: subset.first) - 1]
    return f"{subset.file}: items[{number - subset.first}]"


def data_set(path: Path) -> Path:
    """Returns the folder of the data set that `path` is, or is a file of."""
    if path.is_dir():
        return path
    return path.parent.parent if path.parent.name == _ANNOTATIONS else path.parent


def json_files(path: Path) -> list[Path]:
    """Returns the files of the subsets below the folder of a data set, sorted by name; none if there are none."""
    names = entry_names(path / _ANNOTATIONS)
    return [path / _ANNOTATIONS / name for name in sorted(names) if name[0] != "." and name.lower().endswith(".json")]


def is_dump(file: Path) -> bool:
    """Says whether a file has keys that only Datumaro writes; old versions wrote none about the format."""
    shape = json_shape(file)
    if "LINES" in shape:
        return False
    return (
        not shape.isdisjoint({"dm_format_version", "categories.label"})
        or {
            "categories",
            "items",
            "items[].annotations",
        }
        <= shape
    )


def _wanted(path: Path, split: str | None) -> list[Path]:
    files, folder = json_files(path), path / _ANNOTATIONS
    if not files:
        raise LabelError(f"{folder}: no file that ends with .json; expected one for each subset")
    if split is None:
        return files
    names = [file.stem for file in files]
    if split not in names:
        raise LabelError(
            f"{folder}: no subset '{split}'{did_you_mean(split, names) or '; there are ' + ', '.join(names)}"
        )
    return [file for file in files if file.stem == split]


def _check_classes(subset: Subset, first: Subset, faults: Faults) -> None:
    """Notes where the classes of a subset are not those of the first one: the numbers would mean others."""
    ours, theirs = subset.classes, first.classes
    where = f"{subset.file}: categories.label.labels"
    expected = "expected the same classes in the same order in all subsets, or give split: the one to read"
    for position, (our, their) in enumerate(zip(ours, theirs, strict=False)):
        if our != their:
            faults.add(f"{where}[{position}] is '{our}', but '{their}' in {first.file.name}; {expected}")
            return
    if ours and len(ours) != len(theirs):
        faults.add(f"{where}: {len(ours)} classes, but {len(theirs)} in {first.file.name}; {expected}")
