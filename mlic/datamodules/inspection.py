"""All that is wrong with a data set: with its annotations, its images, and its sides beside each other."""

import hashlib
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path
from typing import Literal, NamedTuple

from mlic.datamodules.readers.base import LabelReader
from mlic.errors import ImageError, LabelError
from mlic.images import read_image
from mlic.labels import LabelTable
from mlic.tracking import track

__all__ = ["Finding", "inspect_sides"]

_BLOCK = 1024  # images that are handed to the threads at a time
_NAMED = 3  # images or classes that a message names; the rest are counted

_COUNT = re.compile(r"(\d+) faults in all(?:; the first (\d+) are above)?$")

Digest = bytes


class Finding(NamedTuple):
    """One thing that is wrong.

    Attributes:
        severity: an error is what cannot be read; a warning makes what comes out worse or doubtful.
        kind: `annotation` (the file, a missing image, contradicting rows, an unknown class), `image` (it cannot be
            read), `duplicate` (two images of one content), `sides` (an image or a group on two sides), `class` (without
            positives or negatives), `name` (classes that differ by case, spaces, hyphens or underscores only).
        message: where it is, what it is, and what to do.
        number: how many faults it stands for; more than one where a reader told the first ones and counted the rest.
    """

    severity: Literal["error", "warning"]
    kind: Literal["annotation", "image", "duplicate", "sides", "class", "name"]
    message: str
    number: int = 1


def inspect_sides(readers: Mapping[str, LabelReader]) -> Iterator[Finding]:
    """Looks for everything that is wrong, and reads each image once.

    Args:
        readers: side -> its reader; "train" comes first, and its classes are those of all.

    Yields:
        The findings, in the order of the kinds.
    """
    tables: dict[str, LabelTable] = {}
    for side, reader in readers.items():
        try:
            tables[side] = reader.read()
        except LabelError as error:
            yield from _faults(error)
            if isinstance(error.table, LabelTable):
                tables[side] = error.table
            else:
                message = f"the images of {side} were not looked at: first mend what is above"
                yield Finding("warning", "annotation", message)
    for side, table in tables.items():
        if side != "train" and "train" in tables:
            yield from _strange_classes(table, tables["train"], side)
    digests: dict[str, dict[str, Digest]] = {}
    for side, table in tables.items():
        digests[side] = {}
        yield from _images(table, digests[side])
    for side, table in tables.items():
        yield from _duplicates(table, digests[side])
    for one, other in combinations(tables, 2):
        yield from _on_both(one, tables[one], digests[one], other, tables[other], digests[other])
    for side, table in tables.items():
        yield from _poor_classes(table, is_train=side == "train")
    names = list(dict.fromkeys(name for table in tables.values() for name in table.classes))
    yield from _similar_names(names)


def _faults(error: LabelError) -> Iterator[Finding]:
    """Yields a finding for each fault that is told, and one for all that are only counted."""
    for line in str(error).splitlines():
        counted = _COUNT.match(line)
        if counted is None:
            yield Finding("error", "annotation", line)
        elif counted[2]:
            more = int(counted[1]) - int(counted[2])
            message = f"{more} more of this file, counted but not told; first mend those above"
            yield Finding("error", "annotation", message, more)


def _strange_classes(table: LabelTable, train: LabelTable, side: str) -> Iterator[Finding]:
    try:
        table.align(train.classes)
    except LabelError as error:
        yield from _faults(error)
    lacking = [name for name in train.classes if name not in set(table.classes)]
    if lacking and not table.open_vocabulary:
        message = f"{table.source}: lacks {_some('class', 'classes', lacking)} of train, unknown on the {side} side"
        yield Finding("warning", "class", message)


def _images(table: LabelTable, digests: dict[str, Digest]) -> Iterator[Finding]:
    """Reads each image of a table; fills in the digest of each file."""
    paths = list(table.paths)
    looked_at = track(_read_all(table.root, paths), len(paths), f"reading the images of {table.source}")
    for path, (digest, message) in zip(paths, looked_at, strict=True):
        if digest is not None:
            digests[path] = digest
        if message:
            yield Finding("error", "image", message)


def _read_all(root: Path, paths: Sequence[str]) -> Iterator[tuple[Digest | None, str]]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(paths), _BLOCK):
            yield from pool.map(_read, (root / path for path in paths[start : start + _BLOCK]))


def _read(path: Path) -> tuple[Digest | None, str]:
    """Returns the digest of a file, and why it is no image that can be read, if so."""
    try:
        digest = hashlib.blake2b(path.read_bytes(), digest_size=16).digest()
    except OSError:
        digest = None
    try:
        read_image(path)
    except ImageError as error:
        return digest, str(error)
    return digest, ""


def _duplicates(table: LabelTable, digests: Mapping[str, Digest]) -> Iterator[Finding]:
    rows = {path: row for row, path in enumerate(table.paths)}
    for paths in _groups(digests):
        labels = table.dense([rows[path] for path in paths])
        torn = ((labels == 1).any(axis=0) & (labels == 0).any(axis=0)).nonzero()[0]
        classes = [table.classes[column] for column in torn]
        differ = f"; they contradict each other in {_some('class', 'classes', classes)}" if classes else ""
        message = f"{table.source}: {_some('image', 'images', paths)} have the same content{differ}; keep one of them"
        yield Finding("warning", "duplicate", message)


def _groups(digests: Mapping[str, Digest]) -> list[list[str]]:
    """Returns the paths that share a content, for each content that has several."""
    paths = defaultdict(list)
    for path, digest in digests.items():
        paths[digest].append(path)
    return [group for group in paths.values() if len(group) > 1]


def _on_both(
    one: str,
    table: LabelTable,
    digests: Mapping[str, Digest],
    other: str,
    its_table: LabelTable,
    its_digests: Mapping[str, Digest],
) -> Iterator[Finding]:
    first: dict[Digest, str] = {}
    for path, digest in digests.items():
        first.setdefault(digest, path)
    both = [
        f"{path if digests.get(path) == digest else first[digest]} = {path}"
        for path, digest in its_digests.items()
        if digest in first
    ]
    advice = "what is measured on images that were trained on is too good; take them out of one side"
    if both:
        yield Finding("warning", "sides", f"{_some('image', 'images', both)} are in both {one} and {other}; {advice}")
    groups = sorted(set(filter(None, table.groups or ())) & set(filter(None, its_table.groups or ())))
    if groups:
        message = f"{_some('group', 'groups', groups)} are in both {one} and {other}; keep each on one side"
        yield Finding("warning", "sides", message)


def _poor_classes(table: LabelTable, *, is_train: bool) -> Iterator[Finding]:
    support, negatives = table.support(), table.negatives()
    for column, name in enumerate(table.classes):
        where = table.origins.get(name, table.source)
        if not support[column]:
            effect = "nothing can be learnt about it" if is_train else "its average precision is not defined"
            yield Finding("warning", "class", f"{where}: class '{name}' has no positive in {table.source}: {effect}")
        elif not negatives[column]:
            effect = "a model learns that it is always there" if is_train else "its precision says nothing"
            message = f"{where}: class '{name}' has no known negative in {table.source}: {effect}"
            yield Finding("warning", "class", message)


def _similar_names(names: Iterable[str]) -> Iterator[Finding]:
    alike = defaultdict(list)
    for name in names:
        alike[re.sub(r"[\s_\-]+", "", unicodedata.normalize("NFKC", name).casefold())].append(name)
    for group in alike.values():
        if len(group) > 1:
            words = " and ".join(f"'{name}'" for name in group)
            message = (
                f"classes {words} differ by case, spaces, hyphens or underscores only; if they are one, give merge"
            )
            yield Finding("warning", "name", message)


def _some(one: str, many: str, names: Sequence[str]) -> str:
    """Counts and names: `3 images (a.jpg, b.jpg, c.jpg)`.

    Example:
        >>> _some("image", "images", ["a.jpg"])
        '1 image (a.jpg)'
    """
    shown = ", ".join([*names[:_NAMED], *["..."] * (len(names) > _NAMED)])
    return f"{len(names)} {one if len(names) == 1 else many} ({shown})"
