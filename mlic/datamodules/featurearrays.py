"""Features in files: `.npy` and `.safetensors`, mapped into memory and checked."""

import json
import posixpath
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int64

from mlic.datamodules.annotations.text import text_lines
from mlic.errors import Faults, UsageError
from mlic.labels import LabelTable

__all__ = ["FeatureArray", "check_finite", "find_rows", "open_features", "rows_by_name"]

_BLOCK_BYTES = 2**24
_HEADER_BYTES = 2**27
_DTYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}


class FeatureArray:
    """Some rows of an array of features, as maps; indexing by a slice or by positions reads these, and only these.

    Args:
        array: of a number of samples by the features of one, or by those and the height and width of a map.
        rows: which samples, in which order.

    Example:
        >>> kept = FeatureArray(np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], np.float32), np.array([2, 0]))
        >>> kept.shape, kept[:1].tolist()
        ((2, 2, 1, 1), [[[[5.0]], [[6.0]]]])
    """

    def __init__(self, array: np.ndarray, rows: Int64[np.ndarray, " samples"]) -> None:
        self._array = array
        self._rows = rows
        self._of_one = (*array.shape[1:], 1, 1)[:3]

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of samples, then the features, height and width of one."""
        return (len(self._rows), *self._of_one)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, items: slice | Int64[np.ndarray, " items"]) -> Float[np.ndarray, "items ..."]:
        rows: np.ndarray = self._array[self._rows[items]]
        # PyTorch takes no other order of bytes than the machine's.
        native: np.ndarray = rows.astype(rows.dtype.newbyteorder("="), copy=False)
        return native.reshape(-1, *self._of_one)


def open_features(path: Path) -> np.ndarray:
    """Maps the features in a file; nothing but its header is read.

    Args:
        path: an array of floating-point numbers in a `.npy` file; or in a `.safetensors` file, where it is the only one
            or is called `features`.

    Raises:
        UsageError: if the file cannot be read, or holds something else than N x D or N x D x height x width numbers.
    """
    formats = {".npy": _map_npy, ".safetensors": _map_safetensors}
    suffix = path.suffix.lower()
    if suffix not in formats:
        raise UsageError(f"{path}: the name tells the format; expected a file that ends in .npy or .safetensors")
    try:
        array = formats[suffix](path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); expected a file of features") from error
    except (ValueError, KeyError, TypeError, AttributeError, EOFError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise UsageError(f"{path}: not a {suffix} file of numbers, or a part of one ({said})") from error
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        raise UsageError(f"{path}: features of the type {array.dtype}; expected float16 or float32")
    if array.ndim not in (2, 4) or not array.size:
        raise UsageError(
            f"{path}: an array of the shape {list(array.shape)}; expected a row a sample, [samples, features], or a "
            "map a sample, [samples, features, height, width]"
        )
    # As a plain array: indexing a memmap costs several times as much.
    plain: np.ndarray = np.asarray(array)
    return plain


def rows_by_name(names: Path) -> dict[str, int]:
    """Returns the row of each image, where a text file names the image of each row, a line each.

    Raises:
        LabelError: with all images that are named twice; or if the file cannot be read.
    """
    faults, row_of = Faults(), dict[str, int]()
    for row, (line, name) in enumerate(text_lines(names)):
        if row_of.setdefault(_normal(name), row) != row:
            faults.add(f"{names}:{line}: '{name}' is there twice; expected each image once")
    faults.raise_if_any()
    return row_of


def find_rows(row_of: Mapping[str, int], table: LabelTable, names: Path) -> Int64[np.ndarray, " samples"]:
    """Returns the row of each sample of a table.

    Args:
        row_of: path of an image -> its row.
        table: the samples.
        names: the file that the rows are named in, for the message.

    Raises:
        LabelError: with all samples that have none.
    """
    faults, first = Faults(), next(iter(row_of), "")
    rows = np.array([row_of.get(path, -1) for path in table.paths], np.int64)
    for row in map(int, np.flatnonzero(rows < 0)):
        faults.add(
            f"{table.source}: image '{table.paths[row]}' has no features, since {names} does not name it; expected "
            f"paths as the annotation file has them, and the first is '{first}'"
        )
    faults.raise_if_any()
    return rows


def check_finite(features: FeatureArray, table: LabelTable, source: Path) -> None:
    """Checks that all features are numbers, a block of rows at a time.

    Args:
        features: of the samples of a table.
        table: their paths are for the message.
        source: the file, for the message.

    Raises:
        LabelError: with all samples that have one that is not.
    """
    faults = Faults()
    size = max(1, _BLOCK_BYTES // (8 * int(np.prod(features.shape[1:]))))
    for start in range(0, len(features), size):
        bad = ~np.isfinite(features[start : start + size]).all(axis=(1, 2, 3))
        for row in map(int, start + np.flatnonzero(bad)):
            faults.add(f"{source}: the features of image '{table.paths[row]}' are not all finite; compute them again")
    faults.raise_if_any()


def _map_npy(path: Path) -> np.ndarray:
    array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def _map_safetensors(path: Path) -> np.ndarray:
    """Maps a tensor, which the library would read as a whole, or by slices only."""
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > _HEADER_BYTES:
            raise ValueError(f"a header of {length} bytes")
        header = json.loads(stream.read(length))
    tensors = {name: tensor for name, tensor in header.items() if name != "__metadata__"}
    if "features" not in tensors and len(tensors) != 1:
        found = ", ".join(sorted(tensors)[:10]) or "nothing"
        raise UsageError(f"{path}: found {found}; expected one tensor, or one that is called features")
    tensor = tensors.get("features") or next(iter(tensors.values()))
    if tensor["dtype"] not in _DTYPES:
        raise UsageError(f"{path}: features of the type {tensor['dtype']}; expected F16 or F32")
    begin = 8 + length + int(tensor["data_offsets"][0])
    return np.memmap(path, _DTYPES[tensor["dtype"]], "r", begin, tuple(tensor["shape"]))


def _normal(name: str) -> str:
    return name if "://" in name else posixpath.normpath(name.replace("\\", "/"))
