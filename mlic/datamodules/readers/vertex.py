"""`VertexReader`: the CSV and JSON lines files of Google's Vertex AI, and of AutoML Vision before it."""

import csv
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from mlic.datamodules.annotations.imagefiles import ImageFiles
from mlic.datamodules.annotations.jsonfiles import as_written, read_json_lines
from mlic.datamodules.annotations.peek import first_rows, head, json_shape
from mlic.datamodules.annotations.samples import Samples
from mlic.datamodules.annotations.text import open_text
from mlic.datamodules.readers.base import LabelReader
from mlic.errors import LabelError, did_you_mean
from mlic.labels import LabelTable

__all__ = ["VertexReader"]

log = logging.getLogger(__name__)

_USES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "validate", "validation"), "val"),
    "test": "test",
    **dict.fromkeys(("", "unassigned"), ""),
}
_USE_KEY = "aiplatform.googleapis.com/ml_use"
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_NUMBER = re.compile(r"-?\d+(\.\d*)?([eE][+-]?\d+)?|")


class _Annotation(msgspec.Struct, gc=False, rename="camel"):
    display_name: str


class _Item(msgspec.Struct, gc=False, rename="camel"):
    image_gcs_uri: str
    classification_annotations: list[_Annotation] | None = None
    classification_annotation: _Annotation | None = None
    bounding_box_annotations: list[_Annotation] | None = None
    data_item_resource_labels: dict[str, Any] | None = None


class _Line(NamedTuple):
    image: str
    use: str
    labels: list[str]
    boxes: list[str]
    """The labels that are boxes."""


class VertexReader(LabelReader):
    """Reads what Vertex AI imports and exports for image classification, in either of its two forms.

    CSV without a header, `[ml_use,]gs://bucket/a.jpg[,label...]`; the image is the first cell that is a URI, on each
    line for itself. JSON lines, `{"imageGcsUri": "gs://bucket/a.jpg", "classificationAnnotations": [{"displayName":
    "cat"}]}`; the `classificationAnnotation` of files for single labels is read too.

    What is not listed is absent, and so is a class that the training file names and this one never does. An image
    without any label is unlabelled, in JSON lines also where its list is empty: neither form can say that nothing is
    there. An image without a line is not part of the table. Lines of one image are united.

    Names map to classes exactly, after spaces around them are stripped; classes are sorted by name. A name that is not
    among `classes`, where they are given, is an error with its line. The classes are those of the whole file, whatever
    `split` is.

    Nothing is downloaded: `gs://` needs `uri_prefix`.

    Args:
        path: the file, UTF-8.
        root: the folder that image paths are told from; by default that of `uri_prefix`.
        classes: the classes in order, all of them; by default those that the file names.
        split: `train`, `val` or `test`: only lines of this `ml_use` (`TRAINING`, `VALIDATION`, `TEST`, in any case);
            lines without one are then left out and counted in a warning. By default all lines.
        shapes: whether a box, as in files for detection, means that its class is present; otherwise it is an error.
        uri_prefix: what the URIs of images begin with, such as `gs://bucket/`, to the local folder that holds the same.

    Raises:
        LabelError: by `read`, with all faults of the file, each with its line.
    """

    def __init__(
        self,
        path: Path,
        root: Path | None = None,
        classes: list[str] | None = None,
        split: Literal["train", "val", "test"] | None = None,
        shapes: bool = False,
        uri_prefix: dict[str, Path] | None = None,
    ) -> None:
        self._path, self._root, self._classes = Path(path), root, classes
        self._split, self._shapes, self._uri_prefix = split, shapes, uri_prefix

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Says whether `path` holds JSON lines with an `imageGcsUri`, or is a `.csv` that begins with a `gs://`."""
        if path.suffix.lower() != ".csv":
            return "imageGcsUri" in json_shape(path)
        cells = [cell for row in first_rows(path, 1) for cell in row[:2]]
        if cells[:1] and cells[0].casefold() in _USES:
            del cells[0]
        return bool(cells) and cells[0].startswith("gs://")

    def read(self) -> LabelTable:
        """Returns the table; images in the order of the file."""
        is_json = head(self._path).lstrip().startswith("{")
        lines = list(_json_lines(self._path) if is_json else _csv_lines(self._path))
        written = (line.image for _, line in lines if isinstance(line, _Line))
        files = ImageFiles.locate(self._root, self._path.parent, written, uri_prefix=self._uri_prefix)
        samples = Samples(self._path, files, None if self._classes is None else dict.fromkeys(self._classes, 0))
        uses: dict[str, tuple[str, int]] = {}
        for place, line in lines:
            if isinstance(line, LabelError):
                samples.faults.add(str(line))
                continue
            use, first = uses.setdefault(line.image, (line.use, place))
            if use != line.use:
                there = f"but {_named(use)} on line {first}; expected one"
                samples.fault(place, f"image '{line.image}' has {_named(line.use)}, {there}")
            self._add(samples, line, place)
        if self._split is not None:
            self._tell([line.use for _, line in lines if isinstance(line, _Line)], samples)
        return samples.table(open_vocabulary=True)

    def _add(self, samples: Samples, line: _Line, place: int) -> None:
        if line.boxes and not self._shapes:
            expected = "expected labels of the whole image, or shapes: true if a box means that its class is present"
            samples.fault(place, f"'{line.boxes[0]}' is a box, as for detection; {expected}")
        columns = [samples.column(name.strip(), place) for name in (*line.labels, *line.boxes)]
        if self._split not in (None, line.use):
            return
        row = samples.image(line.image, place)
        if columns:
            samples.labelled(row)
        for column in columns:
            samples.add(row, column, place)

    def _tell(self, uses: list[str], samples: Samples) -> None:
        """Says what `split` leaves out."""
        if self._split not in uses:
            found = " and ".join(sorted(map(_named, set(uses)))) or "no line"
            samples.faults.add(f"{self._path}: split is {self._split}, but no line has that ml_use; there is {found}")
        elif (unused := uses.count("")) > 0:
            log.warning("%s: %d lines are left out, since they have no ml_use and split is given", self._path, unused)


def _json_lines(path: Path) -> Iterator[tuple[int, _Line | LabelError]]:
    """Yields what each line of a JSON lines file says, or its fault."""
    for place, item in read_json_lines(path, _Item):
        if isinstance(item, LabelError):
            yield place, item
            continue
        single = [] if item.classification_annotation is None else [item.classification_annotation]
        labels = [one.display_name for one in (*(item.classification_annotations or ()), *single)]
        boxes = [one.display_name for one in item.bounding_box_annotations or ()]
        use = (item.data_item_resource_labels or {}).get(_USE_KEY) or ""
        try:
            yield place, _Line(item.image_gcs_uri.strip(), _use(use), labels, boxes)
        except LabelError as error:
            yield place, LabelError(f"{path}:{place}: {error}")


def _csv_lines(path: Path) -> Iterator[tuple[int, _Line | LabelError]]:
    """Yields what each row of a CSV file says, or its fault, with the line it begins on."""
    with open_text(path) as stream:
        reader = csv.reader(stream, skipinitialspace=True, strict=True)
        cells: list[str] | None = []
        while cells is not None:
            place = reader.line_num + 1
            try:
                cells = next(reader, None)
                if cells is not None and any(map(str.strip, cells)):
                    yield place, _line_of([cell.strip() for cell in cells])
            except csv.Error as error:
                yield place, LabelError(f"{path}:{place}: {error}; is a quotation mark left open?")
                return
            except LabelError as error:
                yield place, LabelError(f"{path}:{place}: {error}")


def _line_of(cells: list[str]) -> _Line:
    """Returns what the cells of a row say.

    Raises:
        LabelError: if that is nothing; without the place.
    """
    at = next((at for at, cell in enumerate(cells) if _URI.match(cell)), None)
    if at is None:
        raise LabelError(f"no cell of '{','.join(cells)[:60]}' is the URI of an image, such as gs://bucket/a.jpg")
    if at > 1:
        raise LabelError(f"{at} cells stand before the image, {', '.join(cells[:at])}; expected at most its ml_use")
    use, labels = _use(cells[0] if at else ""), [cell for cell in cells[at + 1 :] if cell]
    if _is_box(cells[at + 1 :]):
        return _Line(cells[at], use, [], labels[:1])
    return _Line(cells[at], use, labels, [])


def _is_box(cells: list[str]) -> bool:
    """Says whether cells are those of a detection: a label and the corners of a box, some of them blank."""
    corners = cells[1:]
    return len(corners) == 8 and sum(map(bool, corners)) >= 4 and all(map(_NUMBER.fullmatch, corners))


def _use(written: object) -> str:
    """Returns `train`, `val`, `test`, or "" for an image that is not assigned.

    Raises:
        LabelError: if it is none of them; without the place.
    """
    if not isinstance(written, str) or (use := _USES.get(written.strip().casefold())) is None:
        hint = did_you_mean(written, [use for use in _USES if use]) if isinstance(written, str) else ""
        expected = "expected training, validation, test or unassigned"
        raise LabelError(f"ml_use is {as_written(written)}; {expected}{hint}")
    return use


def _named(use: str) -> str:
    return f"ml_use {use}" if use else "no ml_use"
