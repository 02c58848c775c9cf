"""`first_of_same`: which files are one image, by link or by content."""

import hashlib
import os
import stat
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path

from mlic.errors import Faults

__all__ = ["first_of_same"]

_TAIL = 1 << 12  # bytes at the end of a file, where two photographs hardly ever agree
_CHUNK = 1 << 20


def first_of_same(folder: Path, files: Sequence[str], faults: Faults) -> list[int]:
    """Returns for each file the position of the first that is the same image: its own, if there is none before it.

    The same are links to one file, and files of the same content. Only files of one size are read: first their last
    bytes, and where these agree too, the rest. Empty files are all different.

    Args:
        folder: what the paths start from.
        files: the paths.
        faults: takes the files that cannot be read.
    """
    first = list(range(len(files)))
    paths = [os.path.join(folder, file) for file in files]  # noqa: PTH118 (far quicker than Path)
    sizes: dict[int, int] = {}
    inodes: dict[tuple[int, int], int] = {}
    for at, path in enumerate(paths):
        found = _status(path, faults)
        if found is None:
            continue
        if found.st_ino:  # some file systems number no files
            first[at] = inodes.setdefault((found.st_dev, found.st_ino), at)
        if first[at] == at and found.st_size:
            sizes[at] = found.st_size
    for of_one_size in _groups(sizes, lambda at: sizes[at]):
        for alike in _groups(of_one_size, lambda at: _digest(paths[at], max(0, sizes[at] - _TAIL), faults)):
            for same in _groups(alike, lambda at: _digest(paths[at], 0, faults)):
                for at in same:
                    first[at] = same[0]
    return [first[at] for at in first]


def _status(path: str, faults: Faults) -> os.stat_result | None:
    try:
        found = os.stat(path)  # noqa: PTH116 (far quicker than Path)
    except OSError as error:
        faults.add(f"{path}: cannot be read ({error.strerror}); expected an image, or a link to one")
        return None
    if stat.S_ISREG(found.st_mode):
        return found
    faults.add(f"{path}: is no file; expected an image, or a link to one")
    return None


def _groups(items: Iterable[int], key: Callable[[int], Hashable]) -> list[list[int]]:
    """Returns the items that share a key, in groups of two and more; an item whose key is None is in none."""
    groups: dict[Hashable, list[int]] = {}
    for item in items:
        if (found := key(item)) is not None:
            groups.setdefault(found, []).append(item)
    return [group for group in groups.values() if len(group) > 1]


def _digest(path: str, start: int, faults: Faults) -> bytes | None:
    """Returns a hash of what is in a file from a position on; None for a fault, which is noted."""
    digest = hashlib.blake2b(digest_size=16)
    try:
        with open(path, "rb") as stream:  # noqa: PTH123 (as above)
            stream.seek(start)
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        faults.add(f"{path}: cannot be read ({error.strerror}); expected an image")
        return None
    return digest.digest()
