"""Parquet files as records, a few thousand rows and only the columns that are wanted at a time."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlic.datamodules.annotations.opening import opener
from mlic.errors import LabelError

__all__ = ["features_of", "may_name", "read_parquet_records"]

_ROWS = 4096
_MAGIC = b"PAR1"
_FOOTER = 1 << 20  # bytes of the footer that are looked at


def read_parquet_records(path: Path, wanted: Callable[[list[str]], list[str]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the rows of a Parquet file, each with its number, from 1.

    Of an image as Hugging Face stores it, only the path is read, not its bytes.

    Args:
        path: the file.
        wanted: from the names of the columns to those that are to be read.

    Raises:
        LabelError: if the file cannot be read, is no Parquet, or pyarrow is not installed.
    """
    with _open(path) as file:
        schema = file.schema_arrow
        names = wanted(list(schema.names))
        kinds = [schema.field(name).type for name in names]
        columns = [f"{name}.path" if _is_image(kind) else name for name, kind in zip(names, kinds, strict=True)]
        maps = [name for name, kind in zip(names, kinds, strict=True) if str(kind).startswith("map<")]
        number = 0
        for batch in file.iter_batches(batch_size=_ROWS, columns=columns):
            for record in batch.to_pylist():
                number += 1
                # A list of pairs, in pyarrow's eyes.
                record.update({name: dict(record[name]) for name in maps if record[name] is not None})
                yield number, record


def features_of(path: Path) -> object:
    """Returns the features that `datasets` notes in a Parquet file; None if it does not.

    Raises:
        LabelError: as `read_parquet_records`.
    """
    with _open(path) as file:
        noted = (file.schema_arrow.metadata or {}).get(b"huggingface")
    try:
        return json.loads(noted)["info"]["features"] if noted else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def may_name(path: Path, *words: str) -> bool:
    """Says whether a Parquet file names columns that hold all these words, as far as its last bytes tell."""
    try:
        with open(path, "rb", opener=opener) as stream:
            if stream.read(4) != _MAGIC:
                return False
            size = stream.seek(0, 2)
            stream.seek(max(0, size - _FOOTER))
            tail = stream.read()
    except OSError:
        return False
    length = int.from_bytes(tail[-8:-4], "little")
    footer = tail[-8 - length : -8]
    return tail.endswith(_MAGIC) and all(word.encode() in footer for word in words)


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise LabelError(
            f'{path}: Parquet is read with pyarrow, which is not installed; pip install "mlic[parquet]"'
        ) from error
    try:
        with open(path, "rb", opener=opener) as stream, parquet.ParquetFile(stream) as file:
            yield file
    except OSError as error:
        if error.strerror:
            raise LabelError(f"{path}: cannot be read ({error.strerror}); expected a Parquet file") from error
        raise LabelError(f"{path}: no valid Parquet: {_first_line(error)}; is the file cut short?") from error
    except (ArrowException, ValueError, MemoryError, OverflowError) as error:
        raise LabelError(f"{path}: no valid Parquet: {_first_line(error)}; is the file cut short?") from error


def _is_image(kind: Any) -> bool:
    """Says whether a column holds images as Hugging Face stores them."""
    return str(kind) in ("struct<bytes: binary, path: string>", "struct<path: string, bytes: binary>")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
