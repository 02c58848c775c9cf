"""Where Pascal VOC, and what people lay out like it, keeps its files."""

import os
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePosixPath

from mlic.datamodules.annotations.imagefiles import ImageFiles
from mlic.datamodules.annotations.listing import files_below
from mlic.datamodules.annotations.peek import entry_names, xml_root
from mlic.errors import LabelError
from mlic.suffixes import is_image

__all__ = ["VocFiles", "VocImages", "homes"]

_IMAGES = ("jpegimages", "images")
_SIDES = ("train", "valid", "val", "test")
_LOOKED_AT = 2000  # entries of a folder among which an annotation would be


class VocFiles:
    """The files of one data set.

    Args:
        home: `VOC2012` or the like; or a folder of XML files that lie beside their images.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.main = home / "ImageSets" / "Main"

    @cached_property
    def annotations(self) -> Path:
        """The folder of the XML files, which may have folders in it; the home itself where there is no other."""
        found = _named(_folders(self.home), ("annotations",))
        return found[0] if found else self.home

    @cached_property
    def xml_files(self) -> dict[str, str]:
        """The XML files relative to their folder, by their ids: `sub/a` is `sub/a.xml`; sorted.

        Raises:
            LabelError: if the folder cannot be read.
        """
        files = (folder + name for folder, name in files_below(self.annotations) if name.lower().endswith(".xml"))
        return {file[:-4]: file for file in sorted(files)}

    def splits(self) -> list[str]:
        """Returns the splits that have a list of ids, or a folder."""
        lists = sorted(name[:-4] for name in entry_names(self.main) if name.endswith(".txt") and "_" not in name)
        return lists or sorted({id_.partition("/")[0] for id_ in self.xml_files if "/" in id_})

    def class_lists(self, split: str | None) -> dict[str, str]:
        """Returns the class of each list of a class, by the names of the files.

        Args:
            split: only the lists of this one.

        Raises:
            LabelError: if there are none.
        """
        end = ".txt" if split is None else f"_{split}.txt"
        found = {}
        for file in sorted(entry_names(self.main)):
            # train.txt is a list of ids, cat_train.txt of a class; the class may have a `_` in its name.
            name = file.removesuffix(end) if split else file.removesuffix(end).rpartition("_")[0]
            if file.endswith(end) and name:
                found[file] = name
        if not found:
            expected = f"expected files CLASS_{split or 'SPLIT'}.txt of lines such as '000033 -1'"
            raise LabelError(f"{self.main}: no list of a class; {expected}")
        return found

    def images(self, root: Path | None, ids: Iterable[str]) -> "VocImages":
        """Returns the images of these ids, of which the first say in which folder they are.

        Args:
            root: the folder that the paths in the table start from; by default the folder of the images.
            ids: some of the ids.
        """
        folders = _named(_folders(self.home), _IMAGES)
        if self.annotations == self.home:
            folders = [self.home, *folders, *_named(_folders(self.home.parent), _IMAGES)]
        first, *others = folders or [self.home]
        written = (name for id_ in ids for name in dict.fromkeys((id_, PurePosixPath(id_).name)))
        guesses = [os.path.relpath(folder, first) for folder in (*others, self.home)]
        files = ImageFiles.locate(None, first, written, guesses=guesses)
        if root is None:
            return VocImages(files, ("",))
        prefix = Path(os.path.relpath(files.root, root)).as_posix() + "/"
        return VocImages(ImageFiles(Path(root), self.home), ("" if prefix == "./" else prefix, ""))


class VocImages:
    """Finds images by their ids.

    Args:
        files: the images.
        prefixes: folders that ids may start from, relative to the root, as `` or `a/b/`.
    """

    def __init__(self, files: ImageFiles, prefixes: tuple[str, ...]) -> None:
        self.files, self._prefixes = files, prefixes

    def find(self, id_: str, filename: str = "") -> str:
        """Returns the path of an image.

        Args:
            id_: the name of its XML file without suffix; the image has it as its stem.
            filename: what the XML file calls it, which counts where there is no image of that stem.

        Raises:
            LabelError: as `ImageFiles.find`.
        """
        first: LabelError | None = None
        for written in self._written(id_, filename):
            try:
                return self.files.find(written)
            except LabelError as error:
                first = first or error
        raise first or LabelError(f"no image '{id_}'")

    def _written(self, id_: str, filename: str) -> Iterator[str]:
        folder, slash, stem = id_.rpartition("/")
        name = filename.replace("\\", "/").rpartition("/")[2]
        below = [id_, folder + slash + name] if name else [id_]
        # Some keep the XML files in a folder more than the images, or the other way round.
        names = dict.fromkeys((*below, stem, name) if name else (*below, stem))
        for prefix in self._prefixes:
            yield from (prefix + written for written in names)

    def others(self, found: set[str]) -> int:
        """Returns how many images there are beside those that were found."""
        start = self.files.root / self._prefixes[0]
        return sum(
            is_image(name) and self._prefixes[0] + folder + name not in found for folder, name in files_below(start)
        )


def homes(path: Path) -> list[Path]:
    """Returns the data sets at a path: the folder itself, or the `VOC*` folders in it. Cheap; never raises."""
    inside = entry_names(path)
    if path.name.lower() == "annotations" and {"ImageSets", "JPEGImages"} & entry_names(path.parent):
        return [path.parent] if _is_home(path.parent) else []
    if _is_home(path):
        return [path]
    return [path / name for name in sorted(inside) if name.startswith("VOC") and _is_home(path / name)]


def _is_home(folder: Path) -> bool:
    folders = _folders(folder)
    for annotations in _named(folders, ("annotations",)):
        if any(map(_has_annotation, (annotations, *_folders(annotations)[:10]))):
            return True
    if _named(folders, ("jpegimages",)) and any(map(_is_class_list, entry_names(folder / "ImageSets" / "Main"))):
        return True
    return any(map(_has_annotation, (folder, *_named(folders, _SIDES))))


def _is_class_list(name: str) -> bool:
    return "_" in name.strip("_") and name.endswith(".txt")


def _folders(folder: Path) -> list[Path]:
    """Returns the folders in a folder; none if it cannot be read."""
    try:
        with os.scandir(folder) as found:
            return [folder / entry.name for entry in found if entry.is_dir()]
    except OSError:
        return []


def _named(folders: Iterable[Path], names: tuple[str, ...]) -> list[Path]:
    """Returns the folders that have one of these names, in whatever case, in the order of the names."""
    found = [folder for folder in folders if folder.name.lower() in names]
    return sorted(found, key=lambda folder: (names.index(folder.name.lower()), folder.name))


def _has_annotation(folder: Path) -> bool:
    """Says whether one of the first XML files in a folder is an annotation."""
    try:
        with os.scandir(folder) as found:
            names = [entry.name for entry in islice(found, _LOOKED_AT) if entry.name.lower().endswith(".xml")]
    except OSError:
        return False
    return any(xml_root(folder / name) == "annotation" for name in names[:3])
