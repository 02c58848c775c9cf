"""Features of images in a file that grows row by row: `.npy`, `.safetensors` or `.parquet`."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from mlic.errors import UsageError
from mlic.predict.parquet import ParquetFile

__all__ = ["ArrayFile", "FeatureRows", "ParquetFeatures", "check_features", "open_features"]

_NPY_BYTES, _SAFETENSORS_BYTES = 128, 256  # of a header, with room for any number of rows


@runtime_checkable
class FeatureRows(Protocol):
    """A file of features, a row an image."""

    def add(self, names: list[str], rows: Float32[np.ndarray, "images features"]) -> None:
        """Appends some rows."""
        ...

    def flush(self) -> None:
        """Sees to it that what was added outlives this process."""
        ...

    def finish(self) -> None:
        """Makes the file whole, and closes it."""
        ...

    def close(self) -> None:
        """Closes the file as it is, where the work was not done to the end."""
        ...


class ArrayFile:
    """Rows of float32 below a header of fixed length, which tells the number of rows once all are there.

    Args:
        path: ends in `.npy`, or in `.safetensors`, where the tensor is called `features`.
        num_features: numbers in a row.
        num_rows: how many of the rows that are there to keep; 0 begins anew.
    """

    def __init__(self, path: Path, num_features: int, num_rows: int = 0) -> None:
        self._header, self._start = _layout(path)
        self._num_features = num_features
        self._num_rows = num_rows
        self._stream: BinaryIO = _opened(path, "r+b" if num_rows else "wb")
        self._stream.truncate(self._start + 4 * num_features * num_rows)
        self._write_header(0)
        self._stream.seek(0, os.SEEK_END)

    @staticmethod
    def rows_in(path: Path, num_features: int) -> int:
        """Returns how many whole rows are in a file."""
        size = path.stat().st_size if path.exists() else 0
        return max(0, size - _layout(path)[1]) // (4 * num_features)

    def add(self, names: list[str], rows: Float32[np.ndarray, "images features"]) -> None:
        """Appends some rows."""
        self._stream.write(np.ascontiguousarray(rows, "<f4").tobytes())
        self._num_rows += len(rows)

    def flush(self) -> None:
        """Hands to the system what was added."""
        if not self._stream.closed:
            self._stream.flush()

    def finish(self) -> None:
        """Writes the number of rows, and closes the file."""
        self._write_header(self._num_rows)
        self._stream.close()

    def close(self) -> None:
        """Closes the file; its header tells of no rows."""
        self._stream.close()

    def _write_header(self, num_rows: int) -> None:
        self._stream.seek(0)
        self._stream.write(self._header(num_rows, self._num_features))


class ParquetFeatures:
    """A column `path`, and one `features` with a list of float32.

    Args:
        path: the file.
        num_features: numbers in a list.
    """

    def __init__(self, path: Path, num_features: int) -> None:
        self._file = ParquetFile(path, lambda arrow: _schema(arrow, num_features))

    def add(self, names: list[str], rows: Float32[np.ndarray, "images features"]) -> None:
        """Appends some rows."""
        for name, row in zip(names, rows, strict=True):
            self._file.add({"path": name, "features": row})

    def flush(self) -> None:
        """Does nothing: a Parquet file is whole or it is not there."""

    def finish(self) -> None:
        """Puts the file in its place."""
        self._file.finish()

    def close(self) -> None:
        """Removes what there is of it."""
        self._file.close()


def check_features(path: Path) -> None:
    """Checks that there is such a format.

    Raises:
        UsageError: if the name tells of none.
    """
    if path.suffix.lower() not in (".npy", ".safetensors", ".parquet"):
        raise UsageError(f"{path}: the name tells the format; expected one in .npy, .safetensors or .parquet")


def open_features(path: Path, num_features: int, num_rows: int = 0) -> FeatureRows:
    """Opens a file for features, and keeps so many of the rows that are in it.

    Raises:
        UsageError: if it cannot be written.
    """
    if path.suffix.lower() == ".parquet":
        return ParquetFeatures(path, num_features)
    return ArrayFile(path, num_features, num_rows)


def _layout(path: Path) -> tuple[Callable[[int, int], bytes], int]:
    return (_npy, _NPY_BYTES) if path.suffix.lower() == ".npy" else (_safetensors, _SAFETENSORS_BYTES)


def _npy(num_rows: int, num_features: int) -> bytes:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({num_rows}, {num_features}), }}"
    padded = text.ljust(_NPY_BYTES - 11) + "\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded.encode()


def _safetensors(num_rows: int, num_features: int) -> bytes:
    tensor = {"dtype": "F32", "shape": [num_rows, num_features], "data_offsets": [0, 4 * num_rows * num_features]}
    text = json.dumps({"features": tensor}).ljust(_SAFETENSORS_BYTES - 8)
    return len(text).to_bytes(8, "little") + text.encode()


def _opened(path: Path, mode: str) -> BinaryIO:
    try:
        stream: Any = path.open(mode)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror})") from None
    opened: BinaryIO = stream
    return opened


def _schema(arrow: Any, num_features: int) -> Any:
    return arrow.schema([("path", arrow.string()), ("features", arrow.list_(arrow.float32(), num_features))])
