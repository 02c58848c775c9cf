"""The metadata files of Hugging Face's imagefolder: where they are, and their rows."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mlic.datamodules.annotations.csvrecords import read_csv_records
from mlic.datamodules.annotations.jsonfiles import read_json_lines
from mlic.datamodules.annotations.listing import entries, is_folder
from mlic.datamodules.annotations.peek import first_rows, json_shape
from mlic.datamodules.readers.hubparquet import may_name, read_parquet_records
from mlic.errors import LabelError, did_you_mean

__all__ = ["FILES", "Columns", "MetadataFile", "Row", "is_metadata", "lone_file", "metadata_files", "split_of"]

FILES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")

_LABELS = ("labels", "label")
_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}


class MetadataFile(NamedTuple):
    """A file; its folder, relative to that of the data set, such as `train/`; and its split, if that is known."""

    path: Path
    below: str
    split: str | None


class Row(NamedTuple):
    """What a row holds: the image, as it is written, and the labels, as the format has them."""

    image: Any
    labels: Any


def metadata_files(folder: Path) -> list[MetadataFile]:
    """Returns the metadata files of a data set, sorted by path.

    Raises:
        LabelError: if a folder cannot be read.
    """
    inner = [entry.name for entry in entries(folder) if is_folder(entry)]
    if "data" in inner:
        inner += [f"data/{entry.name}" for entry in entries(folder / "data") if is_folder(entry)]
    found = []
    for below in ["", *(f"{name}/" for name in inner)]:
        name = below.rstrip("/").rpartition("/")[2]
        split = split_of(name) or (name if name not in ("", "data") else None)
        found += [
            MetadataFile(folder / below / file, below, split) for file in FILES if (folder / below / file).is_file()
        ]
    return sorted(found)


def lone_file(path: Path) -> MetadataFile:
    """Returns a file as if it were a data set of its own; its split is in its name, or that of its folder."""
    words = [*re.split(r"[-_.]", path.stem), path.absolute().parent.name]
    return MetadataFile(path, "", next(filter(None, map(split_of, words)), None))


def split_of(name: str) -> str | None:
    """Returns the split that a word stands for.

    Example:
        >>> split_of("Val"), split_of("photos")
        ('validation', None)
    """
    return _SPLITS.get(name.casefold())


def is_metadata(path: Path) -> bool:
    """Says whether a file names images and their labels as `metadata.csv`, JSON lines or Parquet do."""
    suffix = path.suffix.lower()
    if suffix == ".csv":
        rows = first_rows(path, 1) if path.name == "metadata.csv" else []
        return bool(rows) and _has_both(rows[0])
    if suffix in (".jsonl", ".ndjson", ".json"):
        shape = json_shape(path)
        return _has_both(shape) and (suffix != ".json" or "LINES" in shape)
    if suffix == ".parquet":
        return may_name(path, "label", "file_name") or may_name(path, "label", "image")
    return False


class Columns:
    """Finds the image and the labels in rows.

    Args:
        image: the name of the image's column; None: `file_name`, or another that ends so.
        labels: of the labels' column; None: `labels` or `label`.

    Attributes:
        seen: the names of all columns, as far as they come with the rows.
        have_labels: whether any row had a column of labels.
    """

    def __init__(self, image: str | None, labels: str | None) -> None:
        self._image, self._labels = image, labels
        self._found: dict[tuple[str, ...], tuple[str | None, str | None]] = {}
        self.seen: dict[str, None] = {}
        self.have_labels = False

    def rows(self, path: Path) -> Iterator[tuple[int, Row | LabelError]]:
        """Yields the rows of a file, each with its line, in Parquet its number; for a faulty one the error.

        Raises:
            LabelError: if the file cannot be read, or several columns may be the image or the labels.
        """
        for line, record in self._records(path):
            if isinstance(record, LabelError):
                yield line, record
                continue
            image, labels = self._find(tuple(record), f"{path}:{line}")
            self.have_labels |= labels is not None
            written = None if image is None else record.get(image)
            yield line, Row(written, None if labels is None else record.get(labels))

    def no_labels(self, path: Path) -> LabelError:
        """Returns what to say if no row has labels."""
        told = " or ".join(map(repr, _LABELS)) if self._labels is None else repr(self._labels)
        hint = did_you_mean(self._labels or _LABELS[0], list(self.seen))
        there = f"; there are {', '.join(self.seen)}" if self.seen else ""
        return LabelError(f"{path}: no row has {told}{hint or there}; give label_column: what lists the labels")

    def label_column(self, names: Sequence[str]) -> str:
        """Returns the one of some names that is the labels'; the usual name if none is."""
        return self._find(tuple(names), "")[1] or self._labels or _LABELS[0]

    def _records(self, path: Path) -> Iterator[tuple[int, dict[str, Any] | LabelError]]:
        suffix = path.suffix.lower()
        if suffix == ".csv":
            yield from read_csv_records(path)
        elif suffix == ".parquet":
            yield from read_parquet_records(path, lambda names: self._wanted(names, path))
        else:
            yield from read_json_lines(path, dict[str, Any])

    def _wanted(self, names: list[str], path: Path) -> list[str]:
        self.seen.update(dict.fromkeys(names))
        return [name for name in self._find(tuple(names), str(path)) if name is not None]

    def _find(self, names: tuple[str, ...], where: str) -> tuple[str | None, str | None]:
        if names not in self._found:
            self.seen.update(dict.fromkeys(names))
            image = _one_of(_images(names) if self._image is None else [self._image], names, where, "image")
            labels = _one_of(_LABELS if self._labels is None else [self._labels], names, where, "label")
            if len(self._found) > 1000:  # rows that all have other keys
                self._found.clear()
            self._found[names] = image, labels
        return self._found[names]


def _images(names: Iterable[str]) -> list[str]:
    """Returns the columns that may name the image."""
    folded = {name.casefold(): name for name in names}
    for usual in ("file_name", "image_file_name"):
        if usual in folded:
            return [usual]
    return [name for name in folded if name.endswith("_file_name")] or ["image"]  # Parquet's


def _one_of(wanted: Sequence[str], names: Sequence[str], where: str, what: str) -> str | None:
    found = [name for name in names if name in wanted] or [name for name in names if name.casefold() in wanted]
    if len(found) > 1:
        both = " and ".join(map(repr, found))
        raise LabelError(f"{where}: {both} may both be the {what}'s; give {what}_column: one of them")
    return found[0] if found else None


def _has_both(names: Iterable[str]) -> bool:
    folded = {name.casefold() for name in names}
    names_files = any(name == "file_name" or (name.endswith("_file_name") and "." not in name) for name in folded)
    return names_files and not folded.isdisjoint(_LABELS)
