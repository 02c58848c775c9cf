"""What an export of Label Studio holds: tasks, and what annotators said of them."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from mlic.datamodules.annotations.jsonfiles import read_json
from mlic.datamodules.readers.studioimages import find_image_key
from mlic.errors import Faults, LabelError, did_you_mean

__all__ = [
    "CHOICES",
    "SHAPES",
    "Annotation",
    "Export",
    "Result",
    "Task",
    "check_controls",
    "names_of",
    "read_tasks",
    "seconds",
    "short",
    "task_at",
]

CHOICES = "choices"
"""The type of results that is about the image as a whole."""
SHAPES = (
    *("rectanglelabels", "ellipselabels", "polygonlabels", "brushlabels", "bitmasklabels", "keypointlabels"),
    *("vectorlabels", "labels"),
)
"""The types of results that give regions labels."""

_SHOWN = 60  # characters of what a message shows


class Result(NamedTuple):
    """What one control of the labelling page says: its name, the type of the result, and the names that it chose."""

    control: str
    kind: str
    names: list[str]


class Annotation(NamedTuple):
    """What one annotator says of a task; its time in seconds, 0 if that is not known."""

    results: list[Result]
    time: float = 0.0
    is_ground_truth: bool = False


class Task(NamedTuple):
    """One image, and what was said of it; the place is a number that the export's `where` turns into words."""

    place: int
    data: Mapping[str, Any]
    annotations: list[Annotation]


class Export(NamedTuple):
    """What a file holds: the tasks, the key of their data that holds the image, and what was passed over, counted."""

    tasks: list[Task]
    image_key: str
    passed_over: Counter[str]
    faults: Faults
    where: Callable[[int], str]


class _Value(msgspec.Struct, gc=False):
    choices: Any = None
    rectanglelabels: Any = None
    ellipselabels: Any = None
    polygonlabels: Any = None
    brushlabels: Any = None
    bitmasklabels: Any = None
    keypointlabels: Any = None
    vectorlabels: Any = None
    labels: Any = None


class _Result(msgspec.Struct, gc=False):
    from_name: str | None = None
    type: str | None = None
    value: _Value | None = None


class _Annotation(msgspec.Struct, gc=False):
    result: list[_Result] | None = None
    was_cancelled: bool | None = None
    skipped: bool | None = None  # in old exports
    ground_truth: bool | None = None
    created_at: str | int | float | None = None
    updated_at: str | int | float | None = None


class _Prediction(msgspec.Struct, gc=False):
    pass


class _Task(msgspec.Struct, gc=False):
    id: int | str | None = None
    data: dict[str, Any] | None = None
    annotations: list[_Annotation] | None = None
    completions: list[_Annotation] | None = None  # in old exports
    predictions: list[_Prediction | int | str] | None = None


def read_tasks(path: Path, image_key: str | None, controls: Sequence[str] | None) -> Export:
    """Reads the JSON export.

    Args:
        path: of the file.
        image_key: the key of the tasks' data that holds the image; None finds it.
        controls: what the user said there is; None: nothing.

    Raises:
        LabelError: if the file is no such JSON, nothing in it can be the image, or it lacks one of the controls.
    """
    found = read_json(path, list[_Task])
    where = task_at(path, [task.id for task in found])
    faults, passed_over, tasks = Faults(), Counter[str](), []
    for place, task in enumerate(found, 1):
        if task.data is None:
            faults.add(f"{where(place)}: it has no 'data'; expected the image there")
            continue
        annotations = []
        for annotation in task.annotations or task.completions or []:
            if annotation.was_cancelled or annotation.skipped:
                passed_over["skipped annotations"] += 1
                continue
            results = [_result(result, where(place), faults) for result in annotation.result or []]
            time = seconds(annotation.updated_at) or seconds(annotation.created_at)
            annotations.append(Annotation(results, time, bool(annotation.ground_truth)))
        passed_over["predictions"] += len(task.predictions or [])
        tasks.append(Task(place, task.data, annotations))
    if not tasks:
        faults.raise_if_any()
        raise LabelError(f"{path}: no task; expected a list with at least one")
    there = {result.control for task in tasks for annotation in task.annotations for result in annotation.results}
    check_controls(controls or (), sorted(there), path)
    return Export(tasks, find_image_key((task.data for task in tasks), image_key, path), passed_over, faults, where)


def task_at(path: Path, ids: list[int | str | None]) -> Callable[[int], str]:
    """Returns what turns the number of a task, from 1, into the words that open a message about it."""

    def where(place: int) -> str:
        if not place:
            return str(path)
        number = ids[place - 1]
        return f"{path}: task {place} of {len(ids)}" if number is None else f"{path}: task {number}"

    return where


def names_of(listed: object, kind: str) -> list[str]:
    """Returns the names that a result of some type lists; those of a nested choice are joined by `/`.

    Raises:
        LabelError: if it is no list of names.
    """
    names = []
    for item in [] if listed is None else [listed] if isinstance(listed, str) else _list(listed, kind):
        steps = item if isinstance(item, list) else [item]
        if not steps or not all(isinstance(step, str) for step in steps):
            raise LabelError(f"{kind} holds {short(item)}; expected a name")
        names.append("/".join(step.strip() for step in steps))
    return names


def seconds(moment: object) -> float:
    """Returns a time of Label Studio as seconds; 0 for none, or one that cannot be read."""
    if isinstance(moment, int | float):
        return float(moment)
    try:
        time = datetime.fromisoformat(str(moment))
    except ValueError:
        return 0.0
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def check_controls(told: Sequence[str], found: Sequence[str], path: Path) -> None:
    """Sees to it that the controls that the user told exist, if any do.

    Raises:
        LabelError: if one does not.
    """
    for name in told:
        if found and name not in found:
            hint = did_you_mean(name, found) or f"; there are {', '.join(found)}"
            raise LabelError(f"{path}: no control is called '{name}'{hint}")


def short(value: object) -> str:
    """Returns a value as a message shows it."""
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _result(result: _Result, where: str, faults: Faults) -> Result:
    kind = result.type or "unknown"
    names: list[str] = []
    if result.value is not None and (kind == CHOICES or kind in SHAPES):
        try:
            names = names_of(getattr(result.value, kind), kind)
        except LabelError as error:
            faults.add(f"{where}: {error}")
    return Result(result.from_name or "", kind, names)


def _list(listed: object, kind: str) -> list[Any]:
    if not isinstance(listed, list):
        raise LabelError(f"{kind} is {short(listed)}; expected a list of names")
    return listed
