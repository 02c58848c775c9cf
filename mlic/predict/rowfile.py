"""`RowFile`: rows in a file, such that a run which was killed at any moment can be gone on with."""

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mlic.errors import UsageError
from mlic.predict.arrays import ArrayFile
from mlic.predict.formats import Format, Record
from mlic.predict.inputs import Lots
from mlic.predict.prediction import Prediction
from mlic.predict.sources import Source

__all__ = ["RowFile", "Unfinished", "Verified", "begin", "unfinished"]

_FLUSH_SECONDS = 1.0
_MOST_SHOWN = 60


class Unfinished:
    """What an interrupted run has left: rows, and beside them a note of what they were made with.

    Attributes:
        path: of the rows.
        engine: what computed them; empty where there is no note.
        num_rows: how many are whole.
    """

    def __init__(self, path: Path, form: Format, facts: Mapping[str, Any], features: tuple[Path, int] | None) -> None:
        self.path = path
        self._form = form
        noted = _read_note(path)
        self.engine = str(noted.get("engine", ""))
        _compare(path, noted.get("facts", {}), facts)
        most = None if features is None else ArrayFile.rows_in(*features)
        self.num_rows, self.end = _whole_rows(path, form, most)

    @property
    def is_noted(self) -> bool:
        """Whether it is known what the rows were made with."""
        return bool(self.engine)

    def names(self) -> Iterator[str]:
        """Yields the names of the images that have rows."""
        with self.path.open("rb") as stream:
            rows = _rows(stream, self._form, self.path)
            for _, record in zip(range(self.num_rows), rows, strict=False):
                yield record.name


class RowFile:
    """Rows that are appended to a file; beside it is a note until it is finished.

    Args:
        path: the file.
        form: how a row is written.
        note: what the rows are made with: plain data.
        left: what an interrupted run has left there; None begins anew.
        before: is called before rows are handed to the system: to do the same with what has to be there by then.

    Raises:
        UsageError: if it cannot be written.
    """

    def __init__(
        self,
        path: Path,
        form: Format,
        note: Mapping[str, Any],
        left: Unfinished | None = None,
        before: Callable[[], None] = lambda: None,
    ) -> None:
        self._path = path
        self._form = form
        self._before = before
        self._flushed = time.monotonic()
        try:
            begins = left is None or not left.end
            if begins:
                # Earlier rows go before the note comes, which says nothing of them.
                path.open("w", **_TEXT).close()
            # The note before the rows: those without one were finished, or are of some other program.
            begin(path, note)
            if left is not None and not begins:
                os.truncate(path, left.end)
            self._stream = path.open("a", **_TEXT)
            if begins:
                self._stream.write(form.head())
        except OSError as error:
            raise UsageError(f"{path}: cannot be written ({error.strerror})") from None

    def __call__(self, prediction: Prediction) -> None:
        """Writes one row."""
        self._stream.write(self._form.row(prediction))
        if time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Sees to it that what was written outlives this process."""
        self._before()
        self._stream.flush()
        self._flushed = time.monotonic()

    def finish(self) -> None:
        """Closes the file, which has all its rows; the note goes."""
        self.flush()
        self._stream.close()
        _note_path(self._path).unlink(missing_ok=True)

    def close(self) -> None:
        """Closes the file as far as it has come."""
        self.flush()
        self._stream.close()


class Verified:
    """Images, the first of which have to be those that rows are there of.

    Args:
        inputs: the images.
        left: the rows.
        form: how the rows are written.

    Raises:
        UsageError: while they are gone through, if an image is another one, or there are more rows than images.
    """

    def __init__(self, inputs: Lots, left: Unfinished, form: Format) -> None:
        self._inputs = inputs
        self._left = left
        self._form = form

    def lots(self, size: int) -> Iterator[list[Source]]:
        """Yields so many images at a time, or fewer."""
        names = self._left.names()
        number = 0
        for lot in self._inputs.lots(size):
            for source in lot:
                found = next(names, None)
                if found is None:
                    break
                number += 1
                if found != self._form.name(source.name):
                    raise UsageError(
                        f"{self._left.path}: row {number} is of '{found[:_MOST_SHOWN]}', and image {number} is "
                        f"'{source.name[:_MOST_SHOWN]}'; to go on takes the same images in the same order"
                    )
            yield lot
        if next(names, None) is not None:
            raise UsageError(
                f"{self._left.path}: {self._left.num_rows} rows are there, of {number} images; to go on takes the same "
                "images in the same order"
            )

    def num_known(self, enough: int) -> int | None:
        """Returns how many there are, if that is known and fewer than `enough`."""
        return self._inputs.num_known(enough)


def begin(path: Path, note: Mapping[str, Any]) -> None:
    """Notes beside a file what its rows are made with, whole or not at all."""
    place = _note_path(path)
    part = place.with_name(f".{place.name}.{os.getpid()}")
    part.write_text(json.dumps(note, ensure_ascii=True) + "\n", encoding="utf-8")
    part.replace(place)


def unfinished(
    path: Path, form: Format, facts: Mapping[str, Any], features: tuple[Path, int] | None = None
) -> Unfinished | None:
    """Returns what an interrupted run has left; None if there is nothing.

    Args:
        path: the file with rows.
        form: how they are written.
        facts: what the rows would be made with now: plain data.
        features: the file with their features, and the numbers in a row of it.

    Raises:
        UsageError: if they were made with something else, or by some other program.
    """
    if not path.exists():
        return None
    return Unfinished(path, form, facts, features)


_TEXT: Any = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}


def _note_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.unfinished")


def _read_note(path: Path) -> dict[str, Any]:
    place = _note_path(path)
    try:
        noted = json.loads(place.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(f"{place}: cannot be read ({error}); without it {path} cannot be gone on with") from None
    return noted if isinstance(noted, dict) else {}


def _compare(path: Path, noted: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    for name, now in facts.items():
        if name in noted and noted[name] != now:
            raise UsageError(
                f"{path}: its rows were made with another {name} ({_short(noted[name])}, now {_short(now)}); go on "
                "with what it was begun with, or choose another --output"
            )


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def _whole_rows(path: Path, form: Format, most: int | None) -> tuple[int, int]:
    """Returns how many whole rows a file has, but at most so many, and the byte that the last of them ends with."""
    num_rows, end = 0, len(form.head().encode("utf-8", "surrogateescape"))
    with path.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        begun = stream.read(end)
        if begun != form.head().encode("utf-8", "surrogateescape")[: len(begun)]:
            raise UsageError(
                f"{path}: its first line is not that of these classes and options; go on with what it was begun with, "
                "or choose another --output"
            )
        if size < end:
            return 0, 0
        stream.seek(0)
        for record in _rows(stream, form, path):
            if most is not None and num_rows == most:
                break
            num_rows, end = num_rows + 1, record.end
    return num_rows, end


def _rows(lines: Iterable[bytes], form: Format, path: Path) -> Iterator[Record]:
    try:
        records = form.records(lines)
        if form.head():
            next(records, None)
        yield from records
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
