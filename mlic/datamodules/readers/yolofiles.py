"""Where a data set in the layout of YOLO keeps its images and their label files."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from mlic.datamodules.annotations.imagefiles import fold_suffix
from mlic.datamodules.annotations.listing import files_below
from mlic.datamodules.annotations.peek import entry_names
from mlic.datamodules.annotations.text import text_lines
from mlic.datamodules.readers.yololabels import looks_like_labels, read_labels
from mlic.errors import LabelError
from mlic.suffixes import is_image

__all__ = ["LabelFiles", "Paths", "images_below", "usual_entries"]

log = logging.getLogger(__name__)

_SIDES = ("train", "valid", "val", "test")
_LONGEST = 1024  # characters of a path that may be of another machine
_NAMES_OF_CLASSES = frozenset({"classes.txt", "labels.txt", "names.txt"})  # which some tools leave there


class Paths:
    """Finds what the files of a data set name, also where they were written on another machine.

    Args:
        root: the data root.
        starts: the folders that paths may start from, the likeliest first.
    """

    def __init__(self, root: Path, starts: list[Path]) -> None:
        self._root = root
        self._starts = list(dict.fromkeys(os.path.normpath(start) for start in (*starts, root)))
        self._folders: dict[str, str] = {}
        self._listings: dict[str, frozenset[str]] = {}

    def entry(self, written: str) -> str | None:
        """Returns the folder or list that a split stands for; None if there is none."""
        text = written.replace("\\", "/")
        for start in self._starts:
            if os.path.exists(found := os.path.join(start, text)):  # noqa: PTH110, PTH118 (takes absolute paths as such)
                return os.path.normpath(found)
        # ../train/images starts from another folder than the file in some exports, /content/set/train/images from the
        # root of another machine. A single folder is too little to tell it by.
        leads_elsewhere = text.startswith(("../", "/")) or text[1:2] == ":"
        rests = _rests(text) if leads_elsewhere and len(text) <= _LONGEST else []
        for rest in rests:
            enough = "/" in rest or rest.endswith(".txt") or rest == rests[0]
            if enough and os.path.exists(found := os.path.join(self._starts[0], rest)):  # noqa: PTH110, PTH118
                log.info("'%s' is not there, so it is taken to be %s", written, found)
                return os.path.normpath(found)
        return None

    def relative(self, path: str) -> str:
        """Returns a folder relative to the root, POSIX: `` or `a/b/`."""
        relative = Path(os.path.relpath(path, self._root)).as_posix()
        return "" if relative == "." else f"{relative}/"

    def images_of(self, file: str) -> Iterator[tuple[int, str]]:
        """Yields the lines of a list of images, each with the path of its image relative to the root, if it is there.

        Raises:
            LabelError: if the file cannot be read.
        """
        for line, text in text_lines(Path(file)):
            folder, _, name = text.replace("\\", "/").rpartition("/")
            prefix = self._folders.get(folder)
            if prefix is None:
                prefix = self._prefix(folder, name, os.path.dirname(file))  # noqa: PTH120
            yield line, text if prefix is None else prefix + name

    def _prefix(self, folder: str, name: str, beside: str) -> str | None:
        """Returns the folder that a list means, relative to the root; None if there is none."""
        if len(folder) > _LONGEST:
            return None
        starts = list(dict.fromkeys((*self._starts, beside)))
        for written in dict.fromkeys((folder, *_rests(folder), "")):
            for start in starts:
                found = os.path.normpath(os.path.join(start, written))  # noqa: PTH118
                if fold_suffix(name) in self._listing(found):
                    if written != folder:
                        log.info("the images of '%s' are taken to be those of %s", folder, found)
                    return self._folders.setdefault(folder, self.relative(found))
        return None

    def _listing(self, folder: str) -> frozenset[str]:
        if folder not in self._listings:
            self._listings[folder] = frozenset(map(fold_suffix, entry_names(Path(folder))))
        return self._listings[folder]


def _rests(path: str) -> list[str]:
    """Returns what remains of a path as more and more of its first folders are taken off."""
    pieces = [piece for piece in path.split("/") if piece not in ("", ".", "..")]
    return ["/".join(pieces[cut:]) for cut in range(len(pieces))]


def images_below(folder: str) -> Iterator[str]:
    """Yields the images in a folder and below it, relative to it.

    Raises:
        LabelError: if a folder cannot be read.
    """
    return (below + name for below, name in files_below(Path(folder)) if is_image(name))


def usual_entries(home: Path, split: str | None) -> list[str]:
    """Returns the folders or lists of a split where no file names them; without a split those of all images."""
    if split is not None:
        named = (home / "images" / split, home / split / "images", home / f"{split}.txt", home / f"obj_{split}_data")
        return [str(path) for path in named if path.exists()][:1]
    if (home / "images").is_dir():
        return [str(home / "images")]
    sides = [home / side / "images" for side in _SIDES]
    found = [path for path in (*sides, *sorted(home.glob("obj_*data"))) if path.is_dir()]
    return [str(path) for path in found or [home]]


class LabelFiles:
    """Finds the label file of each image: `labels/a.txt` for `images/a.jpg`, else `a.txt` beside it.

    Args:
        root: the data root.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._folders: dict[str, _LabelFolder] = {}

    def find(self, image: str) -> str | None:
        """Returns the label file of an image, which is relative to the root; None if it has none.

        Raises:
            LabelError: if the folder that it would be in cannot be read.
        """
        folder, slash, name = image.rpartition("/")
        labels = self._folders.get(folder + slash) or self._open(folder + slash)
        file = labels.files.get(os.path.splitext(name)[0])  # noqa: PTH122 (a hundred times quicker than Path)
        return None if file is None else f"{labels.path}/{file}"

    @property
    def count(self) -> int:
        """The number of label files in the folders so far."""
        return sum(name not in _NAMES_OF_CLASSES for labels in self._folders.values() for name in labels.files.values())

    def without_image(self, entries: list[str]) -> Iterator[tuple[str, str]]:
        """Yields each label file that no image belongs to, and the folder where that would be.

        Args:
            entries: the folders whose images were looked for, relative to the root; there may be folders of labels for
                them in which no image was.
        """
        for labels in self._folders.values():
            stems = {os.path.splitext(name)[0] for name in entry_names(Path(labels.images)) if is_image(name)}  # noqa: PTH122
            for stem, name in labels.files.items():
                file = f"{labels.path}/{name}"
                if stem not in stems and _is_orphan(name) and (not labels.is_beside or _holds_labels(file)):
                    yield file, labels.images
        seen = {labels.path for labels in self._folders.values()}
        for entry in entries:
            labels = _LabelFolder(self._root, entry)
            if not labels.is_beside and os.path.isdir(labels.path):  # noqa: PTH112
                for below, name in files_below(Path(labels.path)):
                    path = os.path.normpath(f"{labels.path}/{below}")
                    if path not in seen and _is_orphan(name):
                        yield f"{path}/{name}", os.path.normpath(f"{labels.images}/{below}")

    def _open(self, folder: str) -> "_LabelFolder":
        return self._folders.setdefault(folder, _LabelFolder(self._root, folder))


class _LabelFolder:
    """The label files of the images in one folder, by their stems."""

    def __init__(self, root: str, folder: str) -> None:
        self.images = os.path.normpath(os.path.join(root, folder))  # noqa: PTH118
        self.path = _swapped(root, folder) or self.images
        self.files = _label_files(self.path)
        if not os.path.isdir(self.path) and (beside := _label_files(self.images)):  # noqa: PTH112
            self.path, self.files = self.images, beside
        self.is_beside = self.path == self.images


def _label_files(folder: str) -> dict[str, str]:
    """Returns the label files in a folder by their stems; none if there is no such folder.

    Raises:
        LabelError: if it cannot be read: its images would be taken for ones without objects.
    """
    try:
        with os.scandir(folder) as found:
            return {entry.name[:-4]: entry.name for entry in found if _is_label(entry.name)}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise LabelError(f"{folder}: cannot be read ({error.strerror}); expected a folder of label files") from error


def _swapped(root: str, folder: str) -> str | None:
    """Returns the folder of labels for one of images: the last `images` of its path becomes `labels`."""
    inside = f"/{folder}"
    before, images, after = inside.rpartition("/images/")
    if images:
        return os.path.normpath(f"{root}/{before}/labels/{after}")
    before, images, after = f"{os.path.abspath(root)}/{folder}/".rpartition("/images/")  # noqa: PTH100
    labels = os.path.normpath(f"{before}/labels/{after}")
    return labels if images and os.path.isdir(labels) else None  # noqa: PTH112


def _is_label(name: str) -> bool:
    return name[-4:].lower() == ".txt" and not name.startswith(".")


def _is_orphan(name: str) -> bool:
    return _is_label(name) and name not in _NAMES_OF_CLASSES


def _holds_labels(file: str) -> bool:
    """Says whether a text file beside images holds labels: it may be anything."""
    try:
        return looks_like_labels(read_labels(file))
    except OSError:
        return False
