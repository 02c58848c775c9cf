"""Where rows and features go, by the names of the files; and what goes together."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from mlic.errors import UsageError, did_you_mean
from mlic.predict.arrays import FeatureRows, check_features, open_features
from mlic.predict.formats import ALL, Csv, Format, Jsonl, Text
from mlic.predict.parquet import ParquetWriter
from mlic.predict.prediction import Prediction, Shown, Writable
from mlic.predict.rowfile import RowFile, Unfinished, unfinished
from mlic.predict.writers import sort_predictions

__all__ = ["Outputs", "Sink", "Stream"]

_SUFFIXES = (".csv", ".jsonl", ".parquet", ".txt")


@runtime_checkable
class Stream(Writable, Protocol):
    """An open text file that may be a pipe."""

    def flush(self) -> None:
        """Hands on what was written."""
        ...


@runtime_checkable
class Sink(Protocol):
    """Takes predictions to where they go."""

    def __call__(self, prediction: Prediction) -> None:
        """Takes one."""
        ...

    def finish(self) -> None:
        """Is told that all have come."""
        ...

    def close(self) -> None:
        """Is told that no more will come, though not all have."""
        ...


@dataclass(frozen=True)
class Outputs:
    """Where rows and features go.

    Attributes:
        rows: the file, whose name tells the format: .csv, .jsonl, .parquet or .txt; None for standard output.
        features: .npy, .safetensors or .parquet; None for nowhere.
        shown: which scores.
        first: the first columns.
        sort_by: `path` or a class; None writes in the order of the images, as it goes.
        suffix: the format of standard output.

    Raises:
        UsageError: if a name tells of no format, or things do not go together.
    """

    rows: Path | None = None
    features: Path | None = None
    shown: Shown = ALL
    first: Sequence[str] = ("path",)
    sort_by: str | None = None
    suffix: str = ".csv"

    def __post_init__(self) -> None:
        if self.rows is not None and self.rows.suffix.lower() not in _SUFFIXES:
            raise UsageError(
                f"{self.rows}: the name tells the format; expected one that ends in .csv, .jsonl, .parquet or .txt"
            )
        if self.features is not None:
            check_features(self.features)
            if self.sort_by is not None:
                raise UsageError("features are in the order of the images, as rows have to be; leave out --sort-by")
            if self.features == self.rows:
                raise UsageError(f"{self.features}: rows and features cannot have one file")

    @property
    def format(self) -> str:
        """The suffix of the format."""
        return self.suffix if self.rows is None else self.rows.suffix.lower()

    def check_resumable(self) -> None:
        """Checks that an interrupted run leaves what can be gone on with.

        Raises:
            UsageError: if it does not.
        """
        if self.rows is None:
            raise UsageError("--resume goes on with a file; say --output FILE")
        if self.sort_by is not None:
            raise UsageError("--sort-by writes when all rows are there, so that there is nothing to --resume")
        if ".parquet" in (self.format, "" if self.features is None else self.features.suffix.lower()):
            raise UsageError(
                "a Parquet file is whole or it is not there, so that there is nothing to --resume; write .csv or "
                ".jsonl (features: .npy or .safetensors), or in parts with --shard"
            )

    def check_classes(self, classes: Sequence[str]) -> None:
        """Checks that what is sorted by is there, and that rows can name the classes.

        Raises:
            UsageError: if it is not, or they cannot.
        """
        if self.format != ".parquet":
            self.form(classes)
        if self.sort_by not in (None, "path", *classes):
            near = did_you_mean(str(self.sort_by), ["path", *classes])
            raise UsageError(f"--sort-by {self.sort_by}: no such class{near}; expected path or a class")

    def form(self, classes: Sequence[str]) -> Format:
        """Returns how rows become text."""
        if self.format == ".jsonl":
            return Jsonl(self.shown, self.first)
        return Text(self.shown) if self.format == ".txt" else Csv(classes, self.shown, self.first)

    def left(self, form: Format, facts: Mapping[str, Any], num_features: int) -> Unfinished | None:
        """Returns what an interrupted run has left; None if there is nothing."""
        if self.rows is None:
            return None
        features = None if self.features is None else (self.features, num_features)
        return unfinished(self.rows, form, facts, features)

    @contextlib.contextmanager
    def opened(
        self,
        classes: Sequence[str],
        stdout: Stream,
        note: Mapping[str, Any],
        left: Unfinished | None,
        num_features: int,
    ) -> Iterator[tuple[Sink, FeatureRows | None]]:
        """Opens the files, and makes them whole if all goes well.

        Args:
            classes: the names of the classes, in order.
            stdout: where rows go that no file is named for.
            note: what the rows are made with.
            left: what is to be gone on with.
            num_features: how many an image has.
        """
        done = 0 if left is None else left.num_rows
        features = None if self.features is None else open_features(self.features, num_features, done)
        before = (lambda: None) if features is None else features.flush
        sink = self._sink(classes, stdout, note, left, before)
        try:
            yield sink, features
        except BaseException:
            # Whatever happened, rows are not to be there without their features.
            with contextlib.suppress(OSError):
                if features is not None:
                    features.close()
                sink.close()
            raise
        if features is not None:
            features.finish()
        sink.finish()

    def _sink(
        self,
        classes: Sequence[str],
        stdout: Stream,
        note: Mapping[str, Any],
        left: Unfinished | None,
        before: Callable[[], None],
    ) -> Sink:
        if self.format == ".parquet" and self.rows is not None:
            sink: Sink = ParquetWriter(self.rows, classes, self.shown, self.first)
        elif self.rows is None:
            sink = _Stream(stdout, self.form(classes))
        else:
            sink = RowFile(self.rows, self.form(classes), note, left, before)
        return sink if self.sort_by is None else _Sorted(sink, self.sort_by)


class _Stream:
    """Writes to standard output, each row at once."""

    def __init__(self, stream: Stream, form: Format) -> None:
        self._stream = stream
        self._form = form
        stream.write(form.head())

    def __call__(self, prediction: Prediction) -> None:
        self._stream.write(self._form.row(prediction))
        self._stream.flush()

    def finish(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        self.finish()


class _Sorted:
    """Keeps all predictions, and hands them on in another order when all have come."""

    def __init__(self, sink: Sink, by: str) -> None:
        self._sink = sink
        self._by = by
        self._kept: list[Prediction] = []

    def __call__(self, prediction: Prediction) -> None:
        self._kept.append(prediction)

    def finish(self) -> None:
        for prediction in sort_predictions(self._kept, self._by):
            self._sink(prediction)
        self._sink.finish()

    def close(self) -> None:
        self._sink.close()
