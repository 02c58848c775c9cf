"""`ImageDigests`: what tells images apart by their content, remembered by path, size and time; and digests of code."""

import ast
import contextlib
import hashlib
import inspect
import logging
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import UInt8

__all__ = ["DIGEST_BYTES", "ImageDigests", "code_digest", "digest_of"]

log = logging.getLogger(__name__)

DIGEST_BYTES = 16

_SETTLED = 2.0  # seconds: a file may change again within the resolution of its time, and look the same
_READERS = 8  # files read at a time, which is what a network's file system wants
_BLOCK = 1000
_TABLE = "CREATE TABLE IF NOT EXISTS digests (path BLOB PRIMARY KEY, size INTEGER, time INTEGER, digest BLOB)"
_FIND = "SELECT size, time, digest FROM digests WHERE path = ?"
_KEEP = "INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?)"


class ImageDigests:
    """The first 16 bytes of each file's SHA-256.

    A file is read when it is seen for the first time, and when its size or the time of its last change is another (the
    later of what programs may set and what the file system notes, so that restored files are seen to be others); what
    was found is kept in a data base, which several processes may use at once. Where there can be none, everything works
    as well, and every file is read each time.

    Args:
        memory: the data base; None remembers nothing.

    Example:
        >>> import tempfile
        >>> image = Path(tempfile.mkdtemp()) / "a.jpg"
        >>> _ = image.write_bytes(b"abc")
        >>> ImageDigests(None).of([image])[0].tobytes().hex()
        'ba7816bf8f01cfea414140de5dae2223'
    """

    def __init__(self, memory: Path | None) -> None:
        self._memory = memory

    def of(self, paths: Sequence[Path] | Iterable[Path]) -> UInt8[np.ndarray, "images 16"]:
        """Returns the digest of each file; zeros where it cannot be read, which whoever decodes it will tell."""
        digests = bytearray()
        with self._opened() as memory, ThreadPoolExecutor(_READERS) as readers:
            remaining = iter(paths)
            while block := list(islice(remaining, _BLOCK)):
                for digest in self._block(block, memory, readers):
                    digests += digest
        return np.frombuffer(bytes(digests), np.uint8).reshape(-1, DIGEST_BYTES)

    def _block(self, paths: list[Path], memory: sqlite3.Connection, readers: ThreadPoolExecutor) -> list[bytes]:
        states = [_state(path) for path in paths]
        names = [os.fsencode(os.path.abspath(path)) for path in paths]  # noqa: PTH100 - resolves no links, at once
        known = _remembered(memory, names)
        stale = {i: state for i, state in enumerate(states) if state and (known[i] is None or known[i][:2] != state)}
        fresh = dict(zip(stale, readers.map(_digest, (paths[i] for i in stale)), strict=True))
        settled = time.time_ns() - int(_SETTLED * 1e9)
        keep = [(names[i], *stale[i], fresh[i]) for i in stale if stale[i][1] < settled and any(fresh[i])]
        if keep:
            with contextlib.suppress(sqlite3.Error), memory:  # another process writes, or the disk is full
                memory.executemany(_KEEP, keep)
        nothing = bytes(DIGEST_BYTES)
        return [nothing if not state else fresh[i] if i in fresh else known[i][2] for i, state in enumerate(states)]

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        memory = None
        if self._memory is not None:
            try:
                self._memory.parent.mkdir(parents=True, exist_ok=True)
                memory = sqlite3.connect(self._memory, timeout=30)
                memory.execute(_TABLE)
                memory.execute("SELECT count(*) FROM digests WHERE path = x''")  # reads the file, if it is one
            except (sqlite3.Error, OSError) as error:
                log.warning("%s: digests of images cannot be remembered there (%s)", self._memory, error)
                memory = None
        if memory is None:
            memory = sqlite3.connect(":memory:")
            memory.execute(_TABLE)
        with contextlib.closing(memory):
            yield memory


def digest_of(data: bytes) -> bytes:
    """Returns what tells an image apart, from what is in its file.

    Example:
        >>> digest_of(b"abc").hex()
        'ba7816bf8f01cfea414140de5dae2223'
    """
    return hashlib.sha256(data).digest()[:DIGEST_BYTES]


def code_digest(modules: Iterable[ModuleType]) -> str:
    """Returns what changes with the code of modules, though not with their comments and docstrings.

    Args:
        modules: in any order. One whose source is not to be had, such as a session's, counts by its name alone.
    """
    digest = hashlib.sha256()
    for module in sorted(set(modules), key=lambda module: module.__name__):
        digest.update(module.__name__.encode())
        with contextlib.suppress(OSError, TypeError, SyntaxError):
            digest.update(_code(inspect.getsource(module)).encode())
    return digest.hexdigest()[:32]


def _code(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
            node, clean=False
        ):
            del node.body[0]
    return ast.dump(tree)


def _remembered(memory: sqlite3.Connection, names: Sequence[bytes]) -> list[Any]:
    """Returns size, time and digest of each file, None for one that is not known.

    A data base that is damaged, or locked for long, knows none.
    """
    try:
        return [memory.execute(_FIND, (name,)).fetchone() for name in names]
    except sqlite3.Error as error:
        log.warning("digests of images cannot be looked up, and files are read again (%s)", error)
        return [None] * len(names)


def _state(path: Path) -> tuple[int, int] | None:
    """Returns what changes with a file: its size and the time of its last change; None if there is no such file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, max(found.st_mtime_ns, found.st_ctime_ns)


def _digest(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()[:DIGEST_BYTES]
    except OSError:
        return bytes(DIGEST_BYTES)
