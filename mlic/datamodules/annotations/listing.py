"""Listings of folders, in an order that does not depend on the file system, without hidden files."""

import os
from collections.abc import Iterator
from pathlib import Path

from mlic.errors import LabelError

__all__ = ["entries", "files_below", "is_folder"]


def entries(folder: Path | str) -> list[os.DirEntry[str]]:
    """Returns what is in a folder, sorted by name, except for hidden files.

    Raises:
        LabelError: if the folder cannot be read.
    """
    try:
        with os.scandir(folder) as found:
            return sorted((entry for entry in found if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        raise LabelError(f"{folder}: cannot be read ({error.strerror}); expected a folder") from error


def files_below(folder: Path) -> Iterator[tuple[str, str]]:
    """Yields the folder, relative to `folder` (`` or `a/b/`), and the name of each file below it.

    Those in linked folders are among them, each once.

    Raises:
        LabelError: if a folder cannot be read.
    """
    seen: set[str] = set()
    waiting = [""]
    while waiting:
        below = waiting.pop()
        # A link may lead back to a folder above it.
        if (real := os.path.realpath(folder / below)) in seen:
            continue
        seen.add(real)
        inner = []
        for entry in entries(folder / below):
            if is_folder(entry):
                inner.append(f"{below}{entry.name}/")
            else:
                yield below, entry.name
        waiting.extend(reversed(inner))


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Says whether an entry is a folder or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # links that point at each other
        return False
