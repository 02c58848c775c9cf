"""`read_predictions`: scores that are in a file, of this or any other program, joined with what is true."""

import logging
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64

from mlic.datamodules.annotations.csvrecords import read_csv_records
from mlic.datamodules.annotations.jsonfiles import read_json_lines
from mlic.errors import Faults, LabelError, did_you_mean, shortened
from mlic.labels import LabelTable, Strings
from mlic.scored import Scored
from mlic.thresholds import Decisions

__all__ = ["read_predictions"]

log = logging.getLogger(__name__)

_PATHS = ("path", "image", "image_path", "file", "filename", "file_name", "file_path", "filepath", "img")
_LINES = (".jsonl", ".ndjson")


@dataclass
class _Rows:
    """What a file says, and what of it is of no use."""

    scores: dict[int, list[float]] = field(default_factory=dict)
    said: dict[int, set[str]] = field(default_factory=dict)
    lines: dict[int, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    ignored: set[str] = field(default_factory=set)


def read_predictions(path: Path, table: LabelTable) -> Scored:
    """Reads the scores of images and joins them with the labels of a table.

    The file is what `mlic predict` writes (.csv or .jsonl), or any CSV with a column of paths (`path`, `image`, `file`,
    ...) and one of scores, 0 to 1, for each class of the table. A path is that of the table, or leads to the same file.
    Where a column `labels` tells which classes are said to be present, thresholds are chosen that say the same;
    otherwise they are 0.5. What cannot be joined is counted in `about` and logged, never dropped silently.

    Args:
        path: the file.
        table: which classes are in which image.

    Raises:
        LabelError: if the file cannot be read, lacks a class of the table, gives an image twice, or has a score that is
            no number between 0 and 1 or a label without a score, with the line; or if it has no image in common with
            the table.
    """
    table = table.hardened()
    rows = _read(path, table)
    if not rows.scores:
        stranger = f", such as '{shortened(rows.strangers[0], 80)}'," if rows.strangers else ""
        first = f", such as '{shortened(table.paths[0], 80)}'" if len(table) else ""
        raise LabelError(
            f"{path}: none of its images{stranger} is among the {len(table):,} of {table.source or 'the table'}{first}"
            "; expected the same paths"
        )
    at = np.array(sorted(rows.scores))
    scores = np.array([rows.scores[int(row)] for row in at], np.float64)
    thresholds, told = _thresholds(scores, [rows.said.get(int(row)) for row in at], table.classes)
    about = _told(path, table, rows) | told
    for name, fact in about.items():
        log.info("%s: %s: %s", path, name, fact)
    return Scored(
        name=path.stem,
        classes=table.classes,
        paths=Strings(table.paths[int(row)] for row in at),
        root=table.root,
        logits=torch.from_numpy(_logits(scores)),
        labels=torch.from_numpy(table.take(at).dense().astype(np.int8)),
        decisions=Decisions(thresholds, torch.ones(table.num_classes), torch.zeros(table.num_classes)),
        about=about,
    )


def _read(path: Path, table: LabelTable) -> _Rows:
    rows, faults, place = _Rows(), Faults(), _Places(table)
    records = _json_records(path, faults) if path.suffix.lower() in _LINES else _csv_records(path, table, faults)
    for line, name, error, scores, said in records:
        row = place.of(name)
        if row is None:
            rows.strangers.append(name)
        elif row in rows.lines:
            faults.add(f"{path}:{line}: image '{name}' is there twice, first on line {rows.lines[row]}")
        elif error:
            rows.lines[row] = line
            rows.errors.append(name)
        else:
            rows.lines[row] = line
            numbers = _numbers(f"{path}:{line}", scores, table.classes, faults)
            strange = sorted((said or set()) - scores.keys())
            if strange:
                faults.add(
                    f"{path}:{line}: label '{shortened(strange[0])}' has no score; expected names of classes that have "
                    "one, joined by | in a CSV file"
                )
            elif numbers is not None:
                rows.scores[row] = numbers
                rows.ignored |= scores.keys() - set(table.classes)
                if said is not None:
                    rows.said[row] = said
    faults.raise_if_any()
    return rows


_Record = tuple[int, str, str, Mapping[str, Any], set[str] | None]
"""Line, path, error, class -> score, and the classes said to be present if that is told."""


def _csv_records(path: Path, table: LabelTable, faults: Faults) -> Iterator[_Record]:
    column = None
    for line, record in read_csv_records(path):
        if isinstance(record, LabelError):
            faults.add(str(record))
            continue
        if column is None:
            column = _checked(path, record, table)
        name, error = record.pop(column), record.pop("error", "") if "error" not in table.classes else ""
        said = None if "labels" in table.classes else record.pop("labels", None)
        yield (
            line,
            name,
            error,
            record,
            None if said is None else {one.strip() for one in said.split("|") if one.strip()},
        )


def _checked(path: Path, record: Mapping[str, str], table: LabelTable) -> str:
    """Returns the column of the paths, and checks that each class has one."""
    names = {name.casefold(): name for name in reversed(list(record)) if name not in table.classes}
    column = next((names[usual] for usual in _PATHS if usual in names), None)
    faults = Faults()
    if column is None:
        faults.add(f"{path}: no column is called {', '.join(_PATHS[:4])} or the like; expected one with the paths")
    for name in table.classes:
        if name not in record:
            faults.add(
                f"{path}: no column '{name}', a class of {table.source or 'the table'}; expected one with scores for "
                f"each class{did_you_mean(name, list(record))}"
            )
    faults.raise_if_any()
    return column or ""


def _json_records(path: Path, faults: Faults) -> Iterator[_Record]:
    for line, record in read_json_lines(path, dict[str, Any]):
        if isinstance(record, LabelError):
            faults.add(str(record))
            continue
        name, scores, said, error = (record.get(key) for key in ("path", "scores", "labels", "error"))
        scores = {} if scores is None else scores
        if not isinstance(name, str) or not isinstance(scores, dict) or not isinstance(said, list | None):
            faults.add(f"{path}:{line}: expected an object with path, scores (class to score) and labels (a list)")
            continue
        yield line, name, str(error or ""), scores, None if said is None else set(map(str, said))


def _numbers(where: str, scores: Mapping[str, Any], classes: tuple[str, ...], faults: Faults) -> list[float] | None:
    """Returns the scores in the order of the classes; None where one is no score."""
    numbers = []
    for name in classes:
        if name not in scores:
            hint = "" if faults.is_full else did_you_mean(name, list(scores))
            faults.add(f"{where}: no score for class '{name}'; expected one for each class{hint}")
            return None
        given = scores[name]
        try:
            number = math.nan if isinstance(given, bool) else float(given)
        except (TypeError, ValueError):
            number = math.nan
        if not 0 <= number <= 1:
            faults.add(
                f"{where}: the score of class '{name}' is {shortened(repr(given))}; expected a probability, 0 to 1 "
                "(of logits, take the sigmoid)"
            )
            return None
        numbers.append(number)
    return numbers


class _Places:
    """Finds the row of an image by its path in the table, else by the file that a path leads to."""

    def __init__(self, table: LabelTable) -> None:
        self._rows = {name: row for row, name in enumerate(table.paths)}
        self._root, self._table, self._files = table.root, table, dict[str, int]()

    def of(self, name: str) -> int | None:
        """Returns the row of an image, None if the table does not have it."""
        if name in self._rows:
            return self._rows[name]
        if not self._files:
            self._files = {os.path.abspath(self._root / path): row for path, row in self._rows.items()}  # noqa: PTH100
        return self._files.get(os.path.abspath(name))  # noqa: PTH100, since resolve follows links


def _logits(scores: Float64[np.ndarray, "samples classes"]) -> Float32[np.ndarray, "samples classes"]:
    """Returns the logits of scores; of exactly 0 and 1 the ends of what a float32 holds."""
    with np.errstate(divide="ignore"):
        logits = np.log(scores) - np.log1p(-scores)
    limit = np.finfo(np.float32).max
    clipped: Float32[np.ndarray, "samples classes"] = np.clip(logits, -limit, limit).astype(np.float32)
    return clipped


def _thresholds(
    scores: Float64[np.ndarray, "samples classes"], said: list[set[str] | None], classes: tuple[str, ...]
) -> tuple[Float[torch.Tensor, " classes"], dict[str, str]]:
    """Returns thresholds that say what the file says as far as any can, and how many cells they say otherwise."""
    thresholds = np.full(len(classes), 0.5)
    if any(one is None for one in said):
        return torch.from_numpy(thresholds).float(), {}
    present: Bool[np.ndarray, "samples classes"] = np.array(
        [[name in (one or ()) for name in classes] for one in said], np.bool_
    ).reshape(scores.shape)
    for column in range(len(classes)):
        there = present[:, column]
        low = scores[~there, column].max(initial=-1.0)
        high = scores[there, column].min(initial=2.0)
        if not low < thresholds[column] <= high:
            # In the middle, which rounding does not reach; above 1 if nothing may be said.
            thresholds[column] = (low + high) / 2
    otherwise = int(((scores >= thresholds) != present).sum())
    if not otherwise:
        return torch.from_numpy(thresholds).float(), {}
    fact = f"{otherwise:,} of {present.size:,} cells otherwise than the file's labels, which no thresholds give"
    return torch.from_numpy(thresholds).float(), {"decided": fact}


def _told(path: Path, table: LabelTable, rows: _Rows) -> dict[str, str]:
    """Returns what was joined and what was not."""
    told = {"predictions": f"{len(rows.scores):,} of the {len(table):,} images of {table.source or 'the table'}"}
    missing = len(table) - len(rows.lines)
    if missing:
        first = next(name for row, name in enumerate(table.paths) if row not in rows.lines)
        told["without prediction"] = f"{missing:,} images, the first '{first}'"
    if rows.strangers:
        told["without labels"] = f"{len(rows.strangers):,} rows of {path.name}, the first '{rows.strangers[0]}'"
    if rows.errors:
        told["unreadable"] = f"{len(rows.errors):,} images that the model could not read, the first '{rows.errors[0]}'"
    if rows.ignored:
        names = sorted(rows.ignored)
        told["not used"] = f"columns that are no class of the table: {', '.join(names[:5])}" + (
            f" and {len(names) - 5} more" if len(names) > 5 else ""
        )
    return told
