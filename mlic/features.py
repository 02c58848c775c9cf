"""`FeatureStore`: what a frozen backbone made of each image, on disk, so that no image is run through it twice."""

import contextlib
import hashlib
import json
import logging
import os
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Int64, UInt8

from mlic.errors import MlicError, UsageError

__all__ = ["KEY_BYTES", "FeatureDtype", "FeatureStore", "Keys", "SegmentWriter", "StoreError", "StoredFeatures"]

log = logging.getLogger(__name__)

FeatureDtype = Literal["float32", "float16"]
"""How numbers are kept. float16 takes half of the room and rounds by up to 1 in 2,000."""

KEY_BYTES = 16
Keys = UInt8[np.ndarray, "images 16"]
"""What tells images apart, whatever their names: 16 bytes of a digest of each one's content."""

_RECORD = np.dtype([("high", "<u8"), ("low", "<u8"), ("check", "<u4")])
_SPACE = "space.json"
_BLOCK_BYTES = 2**24


class StoreError(UsageError):
    """Features cannot be kept in a folder."""


@dataclass(frozen=True, eq=False)
class _Segment:
    """The rows that one writer has appended: numbers in one file, keys and check sums in another."""

    rows: Path
    records: np.ndarray

    @classmethod
    def read(cls, keys: Path, row_bytes: int) -> "_Segment":
        """Takes the rows that are whole: the others were being written when their process was killed, or still are."""
        rows = keys.with_suffix(".rows")
        whole = rows.stat().st_size // row_bytes if rows.exists() else 0
        data = keys.read_bytes()
        records = np.frombuffer(data, _RECORD, count=min(len(data) // _RECORD.itemsize, whole))
        return cls(rows, records)

    def holds(self, count: int, row_bytes: int) -> bool:
        """Says whether there are so many rows, and nothing else in the files."""
        sizes = self.rows.stat().st_size, self.rows.with_suffix(".keys").stat().st_size
        return sizes == (count * row_bytes, count * _RECORD.itemsize)


class FeatureStore:
    """Rows of numbers by the content of an image. All rows of a store come from one backbone and one preprocessing.

    A process appends to files of its own, the numbers before the key, so that several may fill a store at once, and one
    that is killed leaves whole rows only. Every row has a check sum; a row that does not agree with it is as if it were
    not there. Memory does not grow with the numbers: they are mapped, not read.

    Args:
        folder: of this store; it is made when something is written.
        shape: of one image's features.
        dtype: how numbers are kept.

    Example:
        >>> import tempfile
        >>> keys = np.arange(32, dtype=np.uint8).reshape(2, 16)
        >>> store = FeatureStore(Path(tempfile.mkdtemp()), (3,), "float32")
        >>> with store.writer() as writer:
        ...     writer.add(keys[:1], np.array([[1.0, 2.0, 3.0]], np.float32))
        >>> store.missing(keys).tolist(), store.features(keys[:1])[:].tolist()
        ([1], [[1.0, 2.0, 3.0]])
    """

    def __init__(self, folder: Path, shape: Sequence[int], dtype: FeatureDtype) -> None:
        if dtype not in get_args(FeatureDtype):
            raise UsageError(f"the features' dtype is '{dtype}'; expected one of {', '.join(get_args(FeatureDtype))}")
        self.folder = folder
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)
        self._damaged: dict[Path, Bool[np.ndarray, " rows"]] = {}

    @classmethod
    def described(
        cls, root: Path, name: str, description: Mapping[str, Any], shape: Callable[[], Sequence[int]]
    ) -> "FeatureStore":
        """Opens or makes the store below `root` of features that come about as `description` says.

        Args:
            root: a folder of stores.
            name: what the folder's name begins with, for human readers.
            description: all that the features depend on besides the images, and `dtype`; plain data.
            shape: tells the shape of one image's features, which is asked for when the store is made.

        Raises:
            StoreError: if `root` cannot be written.
        """
        folder = root / f"{name}-{_fingerprint(description)}"
        path = folder / _SPACE
        try:
            if not cls._is_described(folder):
                said = {**description, "shape": list(shape())}
                folder.mkdir(parents=True, exist_ok=True)
                fresh = folder / f".{uuid.uuid4().hex}"
                fresh.write_text(json.dumps(said, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
                fresh.replace(path)
        except OSError as error:
            raise _unwritable(folder, error) from error
        with contextlib.suppress(OSError):  # one that may only be read serves all the same
            path.touch()  # when a store was last used
        return cls.opened(folder)

    @classmethod
    def opened(cls, folder: Path) -> "FeatureStore":
        """Opens the store in a folder.

        Raises:
            UsageError: if there is none.
        """
        said = cls.description_in(folder)
        return cls(folder, said["shape"], said["dtype"])

    @staticmethod
    def description_in(folder: Path) -> dict[str, Any]:
        """Returns what the store in a folder says of its features.

        Raises:
            UsageError: if there is none.
        """
        path = folder / _SPACE
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            return {**said, "shape": tuple(int(size) for size in said["shape"]), "dtype": str(said["dtype"])}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"{path}: not the description of a feature store ({type(error).__name__}); remove the folder"
            ) from error

    @classmethod
    def _is_described(cls, folder: Path) -> bool:
        try:
            cls.description_in(folder)
        except UsageError:  # there is none yet, or what a power failure left of it
            return False
        return True

    @staticmethod
    def folders(root: Path) -> list[Path]:
        """Returns the folders of the stores below `root`, in the order of their names."""
        return sorted(path.parent for path in root.glob(f"*/{_SPACE}"))

    @staticmethod
    def default_root() -> Path:
        """Returns where stores are kept unless another folder is named: below the user's folder of caches.

        Raises:
            StoreError: if nobody knows where that is.
        """
        try:
            return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mlic" / "features"
        except RuntimeError as error:  # a container's user without a name and a home
            raise StoreError(
                "there is no folder of caches, since neither XDG_CACHE_HOME nor HOME is set; set one of them, or give "
                "a folder with --features PATH"
            ) from error

    @property
    def row_bytes(self) -> int:
        """The bytes of one image's features."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self._index.keys)

    @property
    def nbytes(self) -> int:
        """The bytes of all files."""
        return sum(path.stat().st_size for path in self.folder.glob("*") if path.is_file())

    def writer(self) -> "SegmentWriter":
        """Returns what appends rows; to be used in a `with` statement."""
        return SegmentWriter(self)

    def refresh(self) -> None:
        """Takes note of what was written since."""
        self.__dict__.pop("_index", None)

    def has(self, keys: Keys) -> Bool[np.ndarray, " keys"]:
        """Says which keys have a row, damaged or not."""
        present: Bool[np.ndarray, " keys"] = self._index.find(keys) >= 0
        return present

    def missing(self, keys: Keys) -> Int64[np.ndarray, " missing"]:
        """Returns the positions of the keys that have no row, or a damaged one; reads each row once to know.

        A key that occurs several times is named at its first place only.
        """
        at = self._index.find(keys)
        found = np.flatnonzero(at >= 0)
        damaged = found[~self._agree(at[found])]
        if len(damaged):
            self._strike(at[damaged])
            return self.missing(keys)  # another segment may hold the row whole
        absent = np.flatnonzero(at < 0)
        _, first = np.unique(_numbers(keys[absent]), axis=0, return_index=True)
        return absent[np.sort(first)]

    def features(self, keys: Keys) -> "StoredFeatures":
        """Returns the rows of these keys, in their order, mapped; `missing` has to have looked at them before.

        Raises:
            MlicError: if one is not there.
        """
        at = self._index.find(keys)
        if (at < 0).any():
            raise MlicError(f"{self.folder}: {int((at < 0).sum())} of {len(keys)} images have no features")
        return StoredFeatures(self, at)

    def compact(self, keep: Bool[np.ndarray, " images"] | None = None) -> int:
        """Writes the rows anew into one segment, without repeats, damaged and torn ones; returns the bytes set free.

        Where there are none, and one segment only, nothing is written. Not while somebody else uses the store.

        Args:
            keep: which images to keep, in the order of `keys`; None for all.
        """
        before, index = self.nbytes, self._index
        whole = self._agree(np.arange(len(index.keys)))
        kept = np.flatnonzero(whole if keep is None else whole & keep)
        if len(index.segments) == 1 and index.segments[0].holds(len(kept), self.row_bytes):
            return 0
        old = [segment.rows for segment in index.segments]
        with self.writer() as writer:
            for block in self._blocks(kept):
                writer.add(index.bytes_of(block), self._rows(block))
        for rows in old:
            rows.with_suffix(".keys").unlink(missing_ok=True)
            rows.unlink(missing_ok=True)
        self.refresh()
        return before - self.nbytes

    @cached_property
    def _index(self) -> "_Index":
        files = sorted(self.folder.glob("*.keys"))
        segments = [_Segment.read(path, self.row_bytes) for path in files]
        return _Index(segments, [self._damaged.get(segment.rows) for segment in segments])

    def _agree(self, at: Int64[np.ndarray, " rows"]) -> Bool[np.ndarray, " rows"]:
        """Says which rows agree with their check sums."""
        agree = np.empty(len(at), np.bool_)
        done = 0
        for block in self._blocks(at):
            sums = _check_sums(self._index.bytes_of(block), self._rows(block))
            agree[done : done + len(block)] = sums == self._index.checks[block]
            done += len(block)
        return agree

    def _strike(self, at: Int64[np.ndarray, " rows"]) -> None:
        """Forgets rows that are damaged, for as long as this store is open; those made anew take their place."""
        log.warning(
            "%s: %d rows are damaged; they are made anew where no other is whole (`mlic features prune` removes them)",
            self.folder,
            len(at),
        )
        for segment, rows in self._index.places(at):
            struck = self._damaged.setdefault(segment.rows, np.zeros(0, np.bool_))
            whole = np.zeros(max(len(segment.records), len(struck)), np.bool_)
            whole[: len(struck)] = struck
            whole[rows] = True
            self._damaged[segment.rows] = whole
        self.refresh()

    def _rows(self, at: Int64[np.ndarray, " rows"]) -> np.ndarray:
        """Reads rows; the order of `at` is that of the result."""
        index = self._index
        if len(index.segments) == 1:
            rows: np.ndarray = self._mapped(index.segments[0])[index.rows[at]]
            return rows
        out = np.empty((len(at), *self.shape), self.dtype)
        segments = index.segment_of[at]
        for number in np.unique(segments):
            mine = segments == number
            out[mine] = self._mapped(index.segments[number])[index.rows[at[mine]]]
        return out

    def _mapped(self, segment: _Segment) -> np.ndarray:
        maps: dict[Path, np.ndarray] = self._index.maps
        if segment.rows not in maps:
            shape = (len(segment.records), *self.shape)
            # As a plain array: indexing a memmap costs several times as much.
            maps[segment.rows] = np.asarray(np.memmap(segment.rows, self.dtype, "r", shape=shape))
        return maps[segment.rows]

    def _blocks(self, at: Int64[np.ndarray, " rows"]) -> Iterator[Int64[np.ndarray, " rows"]]:
        size = max(1, _BLOCK_BYTES // max(1, self.row_bytes))
        return (at[start : start + size] for start in range(0, len(at), size))


class StoredFeatures:
    """Features of some images, in order; indexing by a slice or by positions reads these rows, and only these."""

    def __init__(self, store: FeatureStore, at: Int64[np.ndarray, " images"]) -> None:
        self._store = store
        self._at = at

    @property
    def folder(self) -> Path:
        """Where the store is."""
        return self._store.folder

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of images, then the shape of one's features."""
        return (len(self._at), *self._store.shape)

    def __len__(self) -> int:
        return len(self._at)

    def __getitem__(self, items: slice | Int64[np.ndarray, " items"]) -> Float[np.ndarray, "items ..."]:
        return self._store._rows(self._at[items])


class SegmentWriter:
    """Appends rows to a store, in files of its own.

    Args:
        store: what to append to.
    """

    def __init__(self, store: FeatureStore) -> None:
        self._store = store

    def __enter__(self) -> "SegmentWriter":
        """Makes the files.

        Raises:
            StoreError: if the folder cannot be written.
        """
        folder = self._store.folder
        stem = folder / f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._rows = stem.with_suffix(".rows").open("xb", buffering=0)
            self._keys = stem.with_suffix(".keys").open("xb", buffering=0)
        except OSError as error:
            raise _unwritable(folder, error) from error
        return self

    def add(self, keys: Keys, features: Float[np.ndarray, "images ..."]) -> None:
        """Appends the features of some images.

        Raises:
            MlicError: if they have another shape than the store's, are not finite, or the disk is full.
        """
        if features.shape != (len(keys), *self._store.shape):
            expected = (len(keys), *self._store.shape)
            raise MlicError(f"{self._store.folder}: features of the shape {features.shape}; expected {expected}")
        with np.errstate(over="ignore"):
            rows = np.ascontiguousarray(features, self._store.dtype)
        if not np.isfinite(rows).all():
            largest = float(np.abs(np.asarray(features, np.float64)).max(initial=0))
            raise MlicError(
                f"{self._store.folder}: features that are not finite as {self._store.dtype} (up to {largest:g}); "
                "take --feature_dtype float32, or look at the backbone's weights"
            )
        records = np.empty(len(keys), _RECORD)
        records["high"], records["low"] = _numbers(keys).T
        records["check"] = _check_sums(keys, rows)
        try:
            _write(self._rows.fileno(), rows.tobytes())
            _write(self._keys.fileno(), records.tobytes())
        except OSError as error:
            raise MlicError(
                f"{self._store.folder}: features cannot be written ({error.strerror}); make room, give another folder "
                "with --features PATH, or take --features off"
            ) from error

    def __exit__(self, *failure: object) -> None:
        self._rows.close()
        self._keys.close()
        if not Path(self._keys.name).stat().st_size:
            Path(self._rows.name).unlink()
            Path(self._keys.name).unlink()
        self._store.refresh()


class _Index:
    """Where the row of each key is."""

    def __init__(self, segments: Sequence[_Segment], struck: Sequence[Bool[np.ndarray, " rows"] | None]) -> None:
        self.segments = list(segments)
        self.maps: dict[Path, np.ndarray] = {}
        kept = []
        for segment, bad in zip(segments, struck, strict=True):
            rows = np.arange(len(segment.records))
            kept.append(rows if bad is None else rows[~np.pad(bad, (0, max(0, len(rows) - len(bad))))[: len(rows)]])
        records = [segment.records[rows] for segment, rows in zip(segments, kept, strict=True)]
        everything = np.concatenate([*records, np.empty(0, _RECORD)])
        rows = np.concatenate([*kept, np.empty(0, np.int64)])
        number = np.repeat(np.arange(len(kept)), [len(part) for part in kept])
        order = np.lexsort((everything["low"], everything["high"]))
        first = np.ones(len(order), np.bool_)
        first[1:] = (np.diff(everything["high"][order]) != 0) | (np.diff(everything["low"][order]) != 0)
        order = order[first]
        self.keys = np.stack([everything["high"][order], everything["low"][order]], axis=1)
        self.checks: np.ndarray = everything["check"][order]
        self.rows: Int64[np.ndarray, " images"] = rows[order]
        self.segment_of: Int64[np.ndarray, " images"] = number[order]

    def find(self, keys: Keys) -> Int64[np.ndarray, " keys"]:
        """Returns where the row of each key is, -1 where there is none."""
        asked = _numbers(keys)
        at = np.searchsorted(self.keys[:, 0], asked[:, 0]).astype(np.int64)
        # Different keys hardly ever agree in their first half; where they do, the right one stands further on.
        while len(self.keys):
            here = np.minimum(at, len(self.keys) - 1)
            further = (at < len(self.keys)) & (self.keys[here, 0] == asked[:, 0]) & (self.keys[here, 1] < asked[:, 1])
            if not further.any():
                break
            at += further
        here = np.minimum(at, max(len(self.keys) - 1, 0))
        if not len(self.keys):
            return np.full(len(keys), -1)
        found = (at < len(self.keys)) & (self.keys[here] == asked).all(axis=1)
        return np.where(found, at, -1)

    def bytes_of(self, at: Int64[np.ndarray, " rows"]) -> Keys:
        """Returns the keys of rows."""
        return np.ascontiguousarray(self.keys[at]).view(np.uint8).reshape(-1, KEY_BYTES)

    def places(self, at: Int64[np.ndarray, " rows"]) -> Iterator[tuple[_Segment, Int64[np.ndarray, " rows"]]]:
        """Yields segments, and which of their rows are meant."""
        for number in np.unique(self.segment_of[at]):
            yield self.segments[number], self.rows[at[self.segment_of[at] == number]]


def _numbers(keys: Keys) -> np.ndarray:
    """Reads each key as two numbers."""
    return np.ascontiguousarray(keys).view("<u8")


def _check_sums(keys: Keys, rows: np.ndarray) -> np.ndarray:
    """Returns the check sum of each row together with its key, so that a row under another key does not agree."""
    flat = np.ascontiguousarray(rows).reshape(len(keys), -1).view(np.uint8)
    sums = (zlib.crc32(row.data, zlib.crc32(key.data)) for key, row in zip(keys, flat, strict=True))
    return np.fromiter(sums, np.uint32, len(keys))


def _unwritable(folder: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{folder}: features cannot be kept there ({error.strerror}); give another folder with --features PATH, or "
        "--features off"
    )


def _fingerprint(description: Mapping[str, Any]) -> str:
    said = json.dumps(description, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _write(file: int, data: bytes) -> None:
    """Writes all of `data`; a single call may write less."""
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
