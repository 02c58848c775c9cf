"""`CocoReader`: COCO instances and LVIS, where a class is present in an image that has an object of it."""

from pathlib import Path
from typing import Literal

from mlic.datamodules.annotations.imagefiles import ImageFiles
from mlic.datamodules.annotations.peek import entry_names, head, json_shape
from mlic.datamodules.readers.base import LabelReader
from mlic.datamodules.readers.cocofile import read_coco
from mlic.datamodules.readers.cocotable import CocoTable
from mlic.errors import LabelError
from mlic.labels import LabelTable

__all__ = ["CocoReader"]

_LOOKED_AT = 20  # JSON files of a folder
_LONG = 60_000  # bytes


class CocoReader(LabelReader):
    """Reads a COCO instances file, in which a class is present in an image that has an annotation of it.

    A class that an image has no annotation of is absent from it, so an image without annotations is a labelled image
    without any class; a file without `annotations`, such as COCO's `image_info_test2017.json`, is one of unlabelled
    images. An image that is not among `images` is not part of the table. Boxes, polygons and masks are not looked at;
    an annotation may have none, as in Datumaro's `coco_labels`. An annotation of a crowd counts as any other.

    LVIS: where an image has `neg_category_ids`, those classes are absent from it and every other class without an
    annotation is unknown. `not_exhaustive_category_ids` are unknown too, unless there is an annotation. An image
    without `file_name` is found by the last two pieces of `coco_url`.

    Classes are the names of `categories`, without spaces around them, in the order of their ids (numbers before texts).
    One without annotations is a class without positives: Roboflow's first category, which names the whole, among them.

    Faults are an `image_id` or a `category_id` that nothing has, an id or a name that several have, and an annotation
    without either id. The ids of annotations are not read. A captions file has no classes and is refused.

    Args:
        path: the file; or a folder with one such file in it or in its `annotations`.
        root: the folder that image paths start from; by default whichever of the usual places has them: beside the
            file, `images`, or a folder that is called as the file's name ends (`train2017` for
            `instances_train2017.json`), in either, here or beside the file's folder.
        classes: the classes in order; a class of the file that is not among them is a fault if an image has it, and is
            left out otherwise; one that the file does not have is unknown. By default those of the file.
        crowd: whether a class of which an image has annotations with `iscrowd` alone is present or unknown.
        uri_prefix: what image paths begin with, such as `s3://bucket/`, to the local folder that holds the same.

    Raises:
        LabelError: by `read`, with all faults, each with its place in the document.
    """

    def __init__(
        self,
        path: Path,
        root: Path | None = None,
        classes: list[str] | None = None,
        crowd: Literal["present", "unknown"] = "present",
        uri_prefix: dict[str, Path] | None = None,
    ) -> None:
        self._path, self._root, self._classes = Path(path), root, classes
        self._crowd, self._uri_prefix = crowd, uri_prefix

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Says whether `path` is such a file, or a folder that holds one."""
        return bool(_files(path)) if path.is_dir() else _is_coco(path)

    def read(self) -> LabelTable:
        """Returns the table; images in the order of the file."""
        path = self._file()
        file = read_coco(path, with_crowd=self._crowd == "unknown")
        if file.categories is None:
            raise LabelError(
                f"{path}: there are no 'categories', so no classes, as in a captions file; expected an instances file, "
                "such as instances_train2017.json"
            )
        files = ImageFiles.locate(
            self._root,
            path.parent,
            (image.written for image in file.images),
            guesses=_guesses(path),
            uri_prefix=self._uri_prefix,
        )
        return CocoTable(path, file.images, file.categories, file.annotations, self._classes).table(files)

    def _file(self) -> Path:
        """Returns the file to read.

        Raises:
            LabelError: if `path` is a folder without one, or with several.
        """
        if not self._path.is_dir():
            return self._path
        files = _files(self._path)
        if len(files) == 1:
            return files[0]
        if files:
            raise LabelError(f"{self._path}: holds {len(files)} COCO files; name one: {', '.join(map(str, files))}")
        raise LabelError(f"{self._path}: holds no COCO file, nor does its 'annotations'; expected one")


def _guesses(path: Path) -> list[str]:
    """Returns the folders in which the images of a file may be, relative to its own."""
    split = path.stem.rpartition("_")[2]
    return [
        *(f"../{split}", f"../images/{split}", "../images", "..", "images", f"images/{split}", split),
        *("data", "../data", f"../data/{split}"),
    ]


def _files(folder: Path) -> list[Path]:
    """Returns the COCO files in a folder or, if there is none, in its `annotations`; instances if there are others."""
    for place in (folder, folder / "annotations"):
        names = sorted(name for name in entry_names(place) if name.lower().endswith(".json"))
        found = [place / name for name in names[:_LOOKED_AT] if _is_coco(place / name)]
        if found:
            return [file for file in found if file.name.startswith(("instances", "_annotations"))] or found
    return []


def _is_coco(path: Path) -> bool:
    keys = json_shape(path)
    images = "images[].id" in keys and ("images[].file_name" in keys or "images[].coco_url" in keys)
    # The categories of LVIS alone are longer than what is looked at. A short file with nothing else is another.
    categories = {"categories[].id", "categories[].name"} <= keys and len(head(path).encode()) > _LONG
    empty = {"images", "annotations", "categories"} <= keys
    return "LINES" not in keys and (images or categories or "annotations[].image_id" in keys or empty)
