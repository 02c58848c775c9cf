"""Label Studio's JSON-MIN and CSV: a record an annotation, with the data of its task and the controls side by side."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from mlic.datamodules.annotations.csvrecords import read_csv_records
from mlic.datamodules.annotations.jsonfiles import read_json
from mlic.datamodules.readers.studioexports import (
    CHOICES,
    SHAPES,
    Annotation,
    Export,
    Result,
    Task,
    check_controls,
    names_of,
    seconds,
    short,
    task_at,
)
from mlic.datamodules.readers.studioimages import find_image_key
from mlic.errors import Faults, LabelError
from mlic.suffixes import is_image

__all__ = ["ABOUT", "read_records"]

ABOUT = frozenset(("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement", "history"))
"""The keys that tell about the task and its annotation."""

_DATA = "_data_"  # begins the name of what would be called as a control is
_OTHERS = ("taxonomy", "rating", "number", "text", "datetime", "pairwise")  # types of results that are no labels

Records = list[tuple[int, dict[str, Any]]]
Where = Callable[[int], str]


def read_records(path: Path, image_key: str | None, controls: Sequence[str] | None) -> Export:
    """Reads a JSON-MIN or a CSV export.

    Args:
        path: of the file; CSV if its name ends with `.csv` or `.tsv`.
        image_key: what holds the image; None finds it.
        controls: what holds the labels; None takes what neither is about the task nor part of its data, as far as that
            shows.

    Raises:
        LabelError: if the file cannot be read or has no records, nothing in it can be the image, or it lacks one of the
            controls.
    """
    faults = Faults()
    records, where = _csv(path, faults) if path.suffix.lower() in (".csv", ".tsv") else _json(path)
    if not records:
        faults.raise_if_any()
        raise LabelError(f"{path}: no task; expected at least one")
    data = ({name: value for name, value in record.items() if name not in ABOUT} for _, record in records)
    key = find_image_key(data, image_key, path)
    if controls is not None:
        columns = {name: None for _, record in records for name in record if name not in (key, *ABOUT)}
        check_controls(controls, list(columns), path)
    tasks = _tasks(records, key, controls, where, faults)
    return Export(tasks, key, Counter(), faults, where)


def _json(path: Path) -> tuple[Records, Where]:
    found = read_json(path, list[dict[str, Any]])
    ids = [number if isinstance(number := record.get("id"), int | str) else None for record in found]
    return list(enumerate(found, 1)), task_at(path, ids)


def _csv(path: Path, faults: Faults) -> tuple[Records, Where]:
    records: Records = []
    for line, record in read_csv_records(path):
        if isinstance(record, LabelError):
            faults.add(str(record))
        else:
            records.append((line, {name: _cell(cell) for name, cell in record.items()}))
    return records, lambda line: f"{path}:{line}" if line else str(path)


def _cell(cell: str) -> Any:
    """Returns what a cell holds: several choices and shapes are JSON in it."""
    if not cell.startswith(("{", "[")):
        return cell
    try:
        return msgspec.json.decode(cell)
    except (msgspec.DecodeError, RecursionError):
        return cell


def _tasks(
    records: Records, image_key: str, controls: Sequence[str] | None, where: Where, faults: Faults
) -> list[Task]:
    tells = any(_is_annotated(record) for _, record in records)
    data: set[str] = set()  # the columns that turn out to hold data
    wrong: list[tuple[str, str]] = []
    read: list[list[Result]] = []
    for place, record in records:
        read.append([])
        for name in _columns(record, image_key) if controls is None else controls:
            value = record.get(name)
            if value is None or value == "":
                continue
            try:
                results = _results(name, value)
            except LabelError as error:
                wrong.append((name, f"{where(place)}: {error}"))
                continue
            # A task that nobody annotated has nothing but data.
            if controls is None and (results is None or _names_image(value) or (tells and not _is_annotated(record))):
                data.add(name)
            elif results is None:
                wrong.append((name, f"{where(place)}: '{name}' is {short(value)}; expected choices"))
            read[-1].extend(results or [])
    faults.extend(message for name, message in wrong if name not in data)
    tasks = []
    for (place, record), results in zip(records, read, strict=True):
        kept = [result for result in results if result.control not in data]
        time = seconds(record.get("updated_at")) or seconds(record.get("created_at"))
        annotations = [Annotation(kept, time)] if kept or _is_annotated(record) else []
        tasks.append(Task(place, record, annotations))
    return tasks


def _is_annotated(record: Mapping[str, Any]) -> bool:
    return record.get("annotation_id") not in (None, "")


def _columns(record: Mapping[str, Any], image_key: str) -> list[str]:
    """Returns the keys that may be those of controls."""
    names = list(record)
    if "id" in record and "annotator" in record:
        # JSON-MIN has the data first, then the id, the controls, and the rest; CSV has its columns sorted.
        start, end = names.index("id"), names.index("annotator")
        between = frozenset(names[start + 1 : end] if start < end else names)
        names = [name for name in names if name in between or f"{_DATA}{name}" in record]
    return [name for name in names if name not in ABOUT and name != image_key and not name.startswith(_DATA)]


def _results(name: str, value: object) -> list[Result] | None:
    """Returns what a control says; None if the value is none that a control has.

    Raises:
        LabelError: if the value may mean several things.
    """
    if isinstance(value, str):
        return [Result(name, CHOICES, [value.strip()])]
    if isinstance(value, dict):
        kind = next((kind for kind in (CHOICES, *SHAPES, *_OTHERS) if kind in value), None)
        if kind is None:
            return None
        return [Result(name, kind, [] if kind in _OTHERS else names_of(value[kind], kind))]
    if not isinstance(value, list) or not all(isinstance(item, str | dict) for item in value):
        return None
    if value and all(isinstance(item, str) for item in value):
        raise LabelError(
            f"'{name}' is {short(value)}, which may be one nested choice or several; export the project as JSON"
        )
    found = [_results(name, item) for item in value]
    return None if None in found else [result for results in found for result in results or []]


def _names_image(value: object) -> bool:
    return isinstance(value, str) and is_image(value)
