"""`LabelStudioReader`: the exports of Label Studio."""

import logging
from collections import Counter, defaultdict
from pathlib import Path

from mlic.datamodules.annotations.peek import first_rows, json_shape
from mlic.datamodules.annotations.samples import Samples
from mlic.datamodules.readers.base import LabelReader
from mlic.datamodules.readers.studioannotators import Policy, Vote, settle
from mlic.datamodules.readers.studioexports import CHOICES, SHAPES, Export, Result, Task, read_tasks
from mlic.datamodules.readers.studioimages import StudioImages
from mlic.datamodules.readers.studiorecords import read_records
from mlic.errors import LabelError
from mlic.labels import LabelTable

__all__ = ["LabelStudioReader"]

log = logging.getLogger(__name__)

_RECORD = frozenset({"annotator", "annotation_id", "lead_time"})


class LabelStudioReader(LabelReader):
    """Reads what Label Studio exports from a project with `<Choices>`: JSON, JSON-MIN, CSV or TSV.

    A class that an annotation does not choose is absent, and an annotation without any choice is a labelled image
    without any class. A task without annotations is unlabelled, and so is one whose annotations were all skipped
    (`was_cancelled`). An image without a task is not part of the table. In JSON-MIN and CSV, a record with an
    `annotation_id` is an annotation; in one without, whatever its controls hold, if anything. Predictions are passed
    over; what is passed over is counted and told.

    Several annotations of one image, those of several tasks among them, are made one by `policy`. By `majority` a class
    is present if more than half of them chose it and absent if fewer than half did; if exactly half did, it is unknown,
    so two annotators who disagree leave it open. Where one is marked as ground truth, only such annotations count; only
    JSON tells.

    Names map to classes exactly, after spaces around them are stripped; the steps of a nested choice are joined by `/`.
    Classes are sorted by name: those that anybody chose, since an export does not list the others. A class that the
    training file has and this one lacks is therefore absent. A name that is not among `classes`, where they are given,
    is an error.

    An uploaded image (`/data/upload/3/ab12cd34-a.jpg`) is looked for with the prefix that Label Studio gave it, then
    without; one of local storage (`/data/local-files/?d=...`) below `root`.

    Args:
        path: the file.
        root: the folder that the paths of images start from: of uploads and local storage, the one that holds them; by
            default whichever of the file's folder, those in it where exports have images, and the one above it has most
            of them.
        uri_prefix: from what URIs begin with, such as `s3://bucket/`, to the local folder that holds the same.
        from_name: the control whose choices are the labels, or several; it must be told if several have choices.
        image_key: the key of the tasks' data that holds the image; by default the one whose values look like images.
        policy: what several annotations of one image say: `majority`, the `latest` one (by `updated_at`), or the
            `union` of all.
        shapes: whether boxes, polygons and other regions with labels count, as the presence of their labels; otherwise
            they say nothing.
        classes: the classes in order, all of them.

    Raises:
        LabelError: by `read`, with all faults of the file, each with its task or line.
    """

    def __init__(
        self,
        path: Path,
        root: Path | None = None,
        uri_prefix: dict[str, Path] | None = None,
        from_name: str | list[str] | None = None,
        image_key: str | None = None,
        policy: Policy = "majority",
        shapes: bool = False,
        classes: list[str] | None = None,
    ) -> None:
        self._path, self._root, self._uri_prefix = Path(path), root, uri_prefix
        self._controls = [from_name] if isinstance(from_name, str) else from_name
        self._image_key, self._policy, self._shapes, self._classes = image_key, policy, shapes, classes

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Says whether `path` is a JSON, JSON-MIN, CSV or TSV file with the keys of Label Studio."""
        if path.suffix.lower() in (".csv", ".tsv"):
            return any(set(row) >= _RECORD for row in first_rows(path, 1))
        shape = json_shape(path)
        return {"[].annotations", "[].data"} <= shape or bool(
            shape & {"[].annotations[].result", "[].completions[].result"} or shape >= {f"[].{key}" for key in _RECORD}
        )

    def read(self) -> LabelTable:
        """Returns the table; images in the order of their first tasks."""
        export = self._read_export()
        self._check_controls(export)
        images = StudioImages(
            self._path, export.image_key, self._root, self._uri_prefix, [task.data for task in export.tasks]
        )
        classes = None if self._classes is None else dict.fromkeys(self._classes, 0)
        samples = Samples(self._path, images.files, classes, where=export.where)
        samples.faults = export.faults
        votes: dict[int, list[Vote]] = defaultdict(list)
        places: dict[int, int] = {}
        for task in export.tasks:
            row = images.row(samples, task.data, task.place)
            given = self._votes(samples, task)
            if given and row >= 0:
                votes[row] += given
                places.setdefault(row, task.place)
        open_cells = 0
        for row, given in votes.items():
            samples.labelled(row)
            for column, value in settle(given, self._policy).items():
                samples.add(row, column, places[row], value)
                open_cells += value == -1
        self._tell(export, open_cells)
        return samples.table(open_vocabulary=True)

    def _read_export(self) -> Export:
        if self._path.suffix.lower() in (".csv", ".tsv"):
            return read_records(self._path, self._image_key, self._controls)
        shape = json_shape(self._path)
        is_list = any(key.startswith("[].") for key in shape)
        of_tasks = {"[].data", "[].annotations", "[].completions"}
        if "[].annotation_id" in shape or (is_list and not shape & of_tasks):
            return read_records(self._path, self._image_key, self._controls)
        return read_tasks(self._path, self._image_key, self._controls)

    def _check_controls(self, export: Export) -> None:
        """Sees to it that what the labels are is clear.

        Raises:
            LabelError: if several controls have choices, or only shapes have labels.
        """
        results = [result for task in export.tasks for annotation in task.annotations for result in annotation.results]
        results = [result for result in results if self._controls is None or result.control in self._controls]
        choosing = sorted({result.control for result in results if result.kind == CHOICES})
        if self._controls is None and len(choosing) > 1:
            names = " and ".join(f"'{name}'" for name in choosing)
            raise LabelError(
                f"{self._path}: {names} hold choices; give from_name: the one whose choices are the labels, or a list"
            )
        shapes = Counter(result.kind for result in results if result.kind in SHAPES)
        if shapes and not choosing and not self._shapes:
            counts = ", ".join(f"{count} {kind}" for kind, count in shapes.items())
            raise LabelError(
                f"{self._path}: no choices, but {counts}; give shapes: true to take the label of each as present"
            )

    def _votes(self, samples: Samples, task: Task) -> list[Vote]:
        votes = []
        for annotation in task.annotations:
            names = {name: None for result in annotation.results if self._counts(result) for name in result.names}
            columns = [samples.column(name, task.place) for name in names]
            chosen = frozenset(column for column in columns if column >= 0)
            votes.append(Vote(chosen, annotation.time, annotation.is_ground_truth))
        return votes

    def _counts(self, result: Result) -> bool:
        if self._controls is not None and result.control not in self._controls:
            return False
        return result.kind == CHOICES or (self._shapes and result.kind in SHAPES)

    def _tell(self, export: Export, open_cells: int) -> None:
        """Says what was passed over, and what annotators leave open."""
        counts = +export.passed_over
        for task in export.tasks:
            for annotation in task.annotations:
                for result in annotation.results:
                    if not self._counts(result):
                        counts[f"{result.kind} of '{result.control}'"] += 1
        if counts:
            log.info("%s: passed over %s", self._path, ", ".join(f"{count} {name}" for name, count in counts.items()))
        if open_cells:
            log.warning(
                "%s: %d labels are unknown, since half of the annotators of an image say present and half absent",
                self._path,
                open_cells,
            )
