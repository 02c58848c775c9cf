"""`ImageFiles`: finds the images that an annotation file names."""

import os
import posixpath
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from itertools import islice
from pathlib import Path

from mlic.errors import LabelError
from mlic.suffixes import is_image

__all__ = ["ImageFiles", "fold_suffix", "without_images"]

# What a URI begins with that has a local folder: the bucket or host; of Azure what stands before the paths of a store.
_START = re.compile(r"azureml://.+?/paths/|.*?://[^/]*/")

_LOOKED_AT = 100  # paths that tell which folder the others start from

_looks: ContextVar[bool] = ContextVar("looks", default=True)


@contextmanager
def without_images() -> Iterator[None]:
    """Lets annotation files be read inside it whose images are elsewhere: their paths are what the file says.

    Readers are plug-ins without an argument for it, and all of them ask `ImageFiles`.

    Example:
        >>> with without_images():
        ...     ImageFiles(Path("nowhere"), Path("nowhere")).find("./a/b.jpg")
        'a/b.jpg'
    """
    token = _looks.set(False)
    try:
        yield
    finally:
        _looks.reset(token)


class ImageFiles:
    r"""Finds images below a folder by listing each folder once, which is far quicker than a look at each file.

    A path may be written with `\`. A file is looked for as it is written first; if there is none, one whose suffix
    differs in case only stands for it, or whose accents are composed otherwise (as a Mac does); and a name without
    suffix stands for the one image that has it as its stem.

    Args:
        root: the data root.
        beside: the folder of the annotation file, which paths that lead out of the root (`../photos/a.jpg`) start from.
        uri_prefix: what URIs of images begin with, such as `s3://bucket/`, to the local folder that holds the same; so
            may be what paths of another machine begin with, such as `/home/ann/photos/`.
    """

    def __init__(self, root: Path, beside: Path, uri_prefix: Mapping[str, str | Path] | None = None) -> None:
        self._root, self._beside = root, beside
        self._looks = _looks.get()
        # The longest first: it says more.
        self._prefixes = sorted(
            ((prefix.replace("\\", "/"), Path(folder)) for prefix, folder in (uri_prefix or {}).items()),
            key=lambda item: -len(item[0]),
        )
        self._written: dict[str, _Folder] = {}
        self._folders: dict[str, _Folder] = {}
        # Where nothing is put in place of a prefix, most paths need no more than a look at what was found before.
        self._plain: Mapping[str, _Folder] = {} if self._prefixes else self._written

    @classmethod
    def locate(
        cls,
        root: Path | None,
        beside: Path,
        written: Iterable[str],
        *,
        guesses: Sequence[str] = (),
        uri_prefix: Mapping[str, str | Path] | None = None,
    ) -> "ImageFiles":
        """Returns the files below the folder that the paths start from.

        Args:
            root: that folder, if it is known. Otherwise it is the folder of `uri_prefix` (what its folders have in
                common), where there is one; else whichever of `beside` and `guesses` has most of the first hundred
                images, the first of them in doubt.
            beside: the folder of the annotation file.
            written: the paths as the file has them.
            guesses: folders, relative to `beside`, where images of this format usually are.
            uri_prefix: as in the constructor.
        """
        if root is None and uri_prefix:
            folders = [os.path.abspath(folder) for folder in uri_prefix.values()]  # noqa: PTH100 (takes `..` out)
            root = Path(os.path.commonpath(folders))
        if root is not None:
            return cls(Path(root), beside, uri_prefix)
        sample = list(islice(written, _LOOKED_AT))
        best, most = cls(Path(os.path.normpath(beside)), beside), -1
        for guess in (".", *guesses):
            files = cls(Path(os.path.normpath(beside / guess)), beside)
            count = sum(map(files.has, sample))
            if count > most:
                best, most = files, count
            if count == len(sample):  # the others need not be listed
                break
        return best

    @property
    def root(self) -> Path:
        """The folder that the paths start from."""
        return self._root

    def find(self, written: str) -> str:
        """Returns the path of an image relative to the root, POSIX and normalised.

        Args:
            written: its path in the annotation file, relative to the root or absolute.

        Raises:
            LabelError: if there is no such image or it lies outside the root; without file and line, which the caller
                knows.
        """
        if not self._looks:
            return self._as_written(written.replace("\\", "/"))
        folder_text, slash, name = written.rpartition("/")
        known = self._plain.get(folder_text or slash)
        if known is not None and name in known.names:
            return known.prefix + name
        text = written.replace("\\", "/")
        if self._prefixes or "://" in text:
            text = self._local(text, written)
        folder_text, slash, name = text.rpartition("/")
        folder = self._written.get(folder_text or slash) or self._open(folder_text or slash, written)
        if name in folder.names:
            return folder.prefix + name
        found = folder.similar(name)
        if len(found) == 1:
            return folder.prefix + found[0]
        if found:
            raise LabelError(f"image '{written}' is one of {' and '.join(map(repr, found))}; write which")
        # A listing tells names apart that the file system does not (upper case on a Mac). A name that Path takes for
        # none, as in `a.jpg/`, is none.
        file = self._root / folder.prefix / name
        if file.name == name and os.path.isfile(file):  # noqa: PTH113 (a NUL makes Path.is_file raise)
            return folder.prefix + name
        expected = "expected a file there, or give root: the folder that the paths start from"
        raise LabelError(f"no image '{written}' below {self._root}; {expected}")

    def has(self, written: str) -> bool:
        """Says whether `find` finds an image."""
        try:
            self.find(written)
        except LabelError:
            return False
        return True

    def are_in_root(self, written: Iterable[str]) -> bool:
        """Says whether all are names of files in the root itself, just as they are written: then so are their paths."""
        return self._looks and not self._prefixes and self._open("", "").names.issuperset(written)

    def _as_written(self, text: str) -> str:
        """Returns the path that `find` would find if there was such an image, without a look at any folder."""
        if "://" in text:
            return text
        folder_text, slash, name = text.rpartition("/")
        below = self._below_root(folder_text or slash)
        return posixpath.normpath(text) if below is None else below + name

    def _local(self, text: str, written: str) -> str:
        """Returns where an image is on this machine, if its path begins with a prefix; a URI must."""
        for prefix, folder in self._prefixes:
            rest = text[len(prefix) :]
            # `s3://bucket` is no prefix of `s3://bucket-of-another/a.jpg`.
            if text.startswith(prefix) and (rest.startswith("/") or not prefix[-1:].isalnum()):
                below = posixpath.normpath(rest.lstrip("/"))
                if f"{below}/".startswith("../"):
                    raise LabelError(f"image '{written}' lies outside {folder}, which '{prefix}' stands for")
                return posixpath.join(folder.absolute().as_posix(), below)
        if "://" not in text:
            return text
        start = _START.match(written)
        raise LabelError(
            f"image '{written}' is a URI, and nothing is downloaded; fetch the images and give "
            f"uri_prefix: {{'{start[0] if start else written}': 'the local folder that holds what is below it'}}"
        )

    def _open(self, folder_text: str, written: str) -> "_Folder":
        below = self._below_root(folder_text)
        if below is None:
            expected = "expected one below it, or give root: a folder that holds all images"
            raise LabelError(f"image '{written}' lies outside the data root {self._root}; {expected}")
        if below not in self._folders:
            self._folders[below] = _Folder(self._root, below)
        self._written[folder_text] = self._folders[below]
        return self._folders[below]

    def _below_root(self, folder_text: str) -> str | None:
        """Returns a folder relative to the root: `` or `a/b/`; None if it is outside."""
        folder = posixpath.normpath(folder_text)
        if f"{folder}/".startswith("../"):
            folder = posixpath.normpath((self._beside.absolute() / folder).as_posix())
        if re.match("[A-Za-z]:", folder) or folder.startswith("/"):
            for root in self._absolute_roots:
                if f"{folder}/".startswith(f"{root}/"):
                    folder = folder[len(root) + 1 :] or "."
                    break
            else:
                return None
        return "" if folder == "." else f"{folder}/"

    @cached_property
    def _absolute_roots(self) -> tuple[str, ...]:
        """The root as the user sees it and as the file system does, without a slash at the end."""
        seen = posixpath.normpath(self._root.absolute().as_posix())
        return tuple(root.rstrip("/") for root in (seen, self._root.resolve().as_posix()))


class _Folder:
    """The files of one folder."""

    def __init__(self, root: Path, prefix: str) -> None:
        self.prefix = prefix
        try:
            with os.scandir(root / prefix) as entries:
                self.names = frozenset(_file_names(entries))
        except (OSError, ValueError):  # no such folder, or a NUL in its name: it has no images
            self.names = frozenset()

    def similar(self, name: str) -> list[str]:
        """Returns the files that `name` may stand for."""
        return self._similar.get(_folded(name), [])

    @cached_property
    def _similar(self) -> dict[str, list[str]]:
        similar: dict[str, list[str]] = {}
        for name in sorted(self.names):
            similar.setdefault(_folded(name), []).append(name)
            stem, _ = os.path.splitext(name)  # noqa: PTH122
            # `a.jpg` has a suffix: it does not stand for `a.jpg.png`.
            if is_image(name) and not is_image(stem):
                similar.setdefault(_folded(stem), []).append(name)
        return similar


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", fold_suffix(name))


def _file_names(entries: Iterator[os.DirEntry[str]]) -> Iterator[str]:
    r"""Yields the names of files, except for one with a `\` in it, which no path can name."""
    while block := list(islice(entries, 1000)):
        try:
            names = [entry.name for entry in block if entry.is_file()]
        except OSError:
            names = [entry.name for entry in block if _is_file(entry)]
        yield from (names if "\\" not in "".join(names) else [name for name in names if "\\" not in name])


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # links that point at each other
        return False


def fold_suffix(name: str) -> str:
    """Returns a file name with its suffix in lower case.

    Example:
        >>> fold_suffix("Car.JPG")
        'Car.jpg'
    """
    stem, suffix = os.path.splitext(name)  # noqa: PTH122 (a hundred times quicker than Path)
    return stem + suffix.lower()
