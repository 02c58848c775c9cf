"""Rows in Parquet: written in groups of rows, and in its place when it is whole."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlic.errors import UsageError
from mlic.predict.formats import ALL
from mlic.predict.prediction import Prediction, Shown

__all__ = ["ParquetFile", "ParquetWriter"]

_NUMBERS_A_GROUP = 1 << 19  # that a group of rows keeps in memory; those of an array take a sixteenth of the room


class ParquetFile:
    """A Parquet file that grows beside its place, and takes it when it is whole.

    Args:
        path: its place.
        schema: makes the schema, given the module `pyarrow`.

    Raises:
        UsageError: if pyarrow is not installed, or the file cannot be written.
    """

    def __init__(self, path: Path, schema: Callable[[Any], Any]) -> None:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError:
            raise UsageError(
                f'{path}: Parquet is written with pyarrow, which is not installed; pip install "mlic[parquet]"'
            ) from None
        self._arrow = pyarrow
        self._schema = schema(pyarrow)
        self._path = path
        self._part = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            self._writer = parquet.ParquetWriter(self._part, self._schema, compression="zstd")
        except OSError as error:
            raise UsageError(f"{path}: cannot be written ({error.strerror or error})") from None
        self._rows: list[Mapping[str, Any]] = []
        self._num_numbers = 0.0

    def add(self, row: Mapping[str, Any]) -> None:
        """Appends a row: a value for each column; an array for the columns after those in the schema's order."""
        self._rows.append(row)
        self._num_numbers += sum(len(value) / 16 if isinstance(value, np.ndarray) else 1 for value in row.values())
        if self._num_numbers >= _NUMBERS_A_GROUP:
            self._write()

    def finish(self) -> None:
        """Puts the file in its place."""
        self._write()
        self._writer.close()
        self._part.replace(self._path)

    def close(self) -> None:
        """Removes what there is of it, if it is not finished."""
        self._writer.close()
        self._part.unlink(missing_ok=True)

    def _write(self) -> None:
        columns = [
            self._arrow.array([_utf8(row[field.name]) for row in self._rows], field.type) for field in self._schema
        ]
        self._writer.write_table(self._arrow.table(columns, schema=self._schema))
        self._rows, self._num_numbers = [], 0.0


class ParquetWriter:
    r"""Writes columns `path`, `labels` (a list), `error` (null if none) and one with the score of each class.

    Where only some scores are shown, one column `scores`, a map from class to score, takes the place of those of the
    classes. Where images have keys, the column `key` follows `path`. A name that is not UTF-8 has its bytes as `\xe9`.

    Args:
        path: the file.
        classes: the names of the classes, in order.
        shown: which scores.
        first: the first columns: `("path",)`, or `("path", "key")`.

    Raises:
        UsageError: if pyarrow is not installed, the file cannot be written, or a class is called like another column.
    """

    def __init__(
        self, path: Path, classes: Sequence[str], shown: Shown = ALL, first: Sequence[str] = ("path",)
    ) -> None:
        columns = (*first, "labels", "error")
        if unfit := [name for name in classes if shown.is_all and name in columns]:
            raise UsageError(
                f"the class '{unfit[0]}' would hide a column of the Parquet file; write JSON lines (.jsonl)"
            )
        self._shown = shown
        self._first = first
        self._classes = classes
        self._file = ParquetFile(path, self._schema)

    def __call__(self, prediction: Prediction) -> None:
        """Writes one row."""
        row: dict[str, Any] = {name: getattr(prediction, name) for name in self._first}
        row |= {"labels": list(prediction.labels), "error": prediction.error or None}
        scores = self._shown.of(prediction)
        if self._shown.is_all:
            row |= {name: scores.get(name) for name in self._classes}
        else:
            row["scores"] = None if prediction.error else list(scores.items())
        self._file.add(row)

    def finish(self) -> None:
        """Puts the file in its place."""
        self._file.finish()

    def close(self) -> None:
        """Removes what there is of it, if it is not finished."""
        self._file.close()

    def _schema(self, arrow: Any) -> Any:
        score = arrow.float32()
        scores = (
            [(name, score) for name in self._classes]
            if self._shown.is_all
            else [("scores", arrow.map_(arrow.string(), score))]
        )
        first = [(name, arrow.string()) for name in self._first]
        return arrow.schema([*first, ("labels", arrow.list_(arrow.string())), ("error", arrow.string()), *scores])


def _utf8(value: Any) -> Any:
    return os.fsencode(value).decode("utf-8", "backslashreplace") if isinstance(value, str) else value
