"""`OpenImagesReader`: image-level labels, most of them unknown, as Open Images publishes them."""

import codecs
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Literal

from mlic.datamodules.annotations.imagefiles import ImageFiles
from mlic.datamodules.annotations.peek import first_rows
from mlic.datamodules.annotations.samples import Samples
from mlic.datamodules.annotations.text import open_text
from mlic.datamodules.readers.base import LabelReader
from mlic.datamodules.readers.openimageslayout import display_names, find_descriptions, image_files
from mlic.datamodules.readers.openimagesrows import OpenImagesRows
from mlic.errors import LabelError, shortened
from mlic.labels import LabelTable

__all__ = ["OpenImagesReader"]

log = logging.getLogger(__name__)

_COLUMNS = "ImageID,Source,LabelName,Confidence"
_HEADER = _COLUMNS.casefold().split(",")
_LOOKED_AT = 10_000  # rows that tell where the images are


class OpenImagesReader(LabelReader):
    """Reads the image-level labels of Open Images: `*-annotations-human-imagelabels.csv`, and files of the same form.

    Each row, `ImageID,Source,LabelName,Confidence`, is one label: Confidence 1 is verified to be present, 0 verified to
    be absent. What is not listed is unknown, never absent. A cell that is listed both ways is unknown; a warning counts
    those. Rows of Source `machine` hold a probability: they say nothing, unless `machine_confidence` is given; then
    those at or above it are present where no person has said anything, and the others say nothing. An image of which
    only rows are listed that say nothing is unlabelled; one that is not listed is not part of the table.

    LabelName is an identifier such as `/m/0cmf2`. Its display name is the class, and classes are sorted by name.
    Several of one display name are one class, of which a log line tells; one without is a class by itself, which a
    warning counts. A row that says nothing, or is of an image that is left out, names no class.

    The images are `<split>/<ImageID>.jpg`, or `<split>_<first digit>/<ImageID>.jpg` as the archives unpack, where the
    annotation file's name tells the split; or `<ImageID>.jpg`. They are looked for beside the file, in `images` and
    `data` beside it, and likewise one folder up.

    Args:
        path: the file, UTF-8.
        root: the folder that holds the folder of the split, or the images; by default it is looked for.
        descriptions: the CSV file of display names, `/m/0cmf2,Airplane`, with or without a header; by default
            `class-descriptions.csv`, `oidv7-class-descriptions.csv`, `class-descriptions-boxable.csv` and the like,
            beside the file or one folder up. If there is none, classes are called by their identifiers.
        classes: the classes in order, all of them; another one is an error with its line. By default those that the
            file names.
        machine_confidence: from which confidence on, 0 to 1, a label of a machine is taken as present.
        missing: whether an image that is not on disk is an error, or `skip`: left out, and counted in a warning.

    Raises:
        LabelError: by `read`, with all faults of the file, each with its line.
    """

    def __init__(
        self,
        path: Path,
        root: Path | None = None,
        descriptions: Path | None = None,
        classes: list[str] | None = None,
        machine_confidence: float | None = None,
        missing: Literal["error", "skip"] = "error",
    ) -> None:
        if machine_confidence is not None and not 0 <= machine_confidence <= 1:
            raise LabelError(f"machine_confidence is {machine_confidence:g}; expected a number from 0 to 1")
        self._path = Path(path)
        self._root = None if root is None else Path(root)
        self._descriptions = None if descriptions is None else Path(descriptions)
        self._classes = classes
        self._machine_confidence = machine_confidence
        self._skips = missing == "skip"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Says whether `path` is a file with the columns ImageID, Source, LabelName and Confidence."""
        return [cell.casefold() for row in first_rows(path, 1) for cell in row[:4]] == _HEADER

    def read(self) -> LabelTable:
        """Returns the table; images in the order in which the file first names them."""
        descriptions = self._descriptions or find_descriptions(self._path)
        names = {} if descriptions is None else display_names(descriptions)
        files, pattern = image_files(self._path, self._root, self._first_images())
        classes = None if self._classes is None else dict.fromkeys(self._classes, 0)
        samples = Samples(self._path, files, classes, contradiction="unknown")
        rows = OpenImagesRows(samples, files, pattern, names, self._machine_confidence, self._skips)
        with open_text(self._path) as stream:
            rows.read(stream, self._skip_header(stream.buffer))
        self._tell(rows, files, names, descriptions)
        return samples.table()

    def _first_images(self) -> list[str]:
        return [row[0] for row in first_rows(self._path, _LOOKED_AT)[1:] if row]

    def _skip_header(self, stream: BinaryIO) -> int:
        """Reads the header; returns the number of the next line.

        Raises:
            LabelError: if the columns are others.
        """
        for number, data in enumerate(iter(stream.readline, b""), 1):
            line = data.removeprefix(codecs.BOM_UTF8).decode()
            header = [cell.strip().strip('"') for cell in line.split(",")]
            if not any(header):
                continue
            names = [name.casefold() for name in header]
            if names == _HEADER:
                return number + 1
            found = f"{self._path}:{number}: the columns are {shortened(','.join(header), 80)}"
            boxes = "; these are boxes: give the file of image-level labels" if "xmin" in names else ""
            raise LabelError(f"{found}; expected {_COLUMNS}{boxes}")
        raise LabelError(f"{self._path}: the file is empty; expected {_COLUMNS} and a row a label")

    def _tell(
        self, rows: OpenImagesRows, files: ImageFiles, names: Mapping[str, str], descriptions: Path | None
    ) -> None:
        """Says in a line each what was not read as it stands."""
        if rows.num_rows_of_machines and self._machine_confidence is None:
            told = (
                "%s: %d rows of Source machine say nothing; give machine_confidence to take them from it on as present"
            )
            log.warning(told, self._path, rows.num_rows_of_machines)
        elif rows.num_rows_of_machines:
            told = "%s: %d rows of Source machine say nothing, being below machine_confidence %g"
            log.info(told, self._path, rows.num_rows_of_machines, self._machine_confidence)
        if rows.num_left_out:
            log.warning(
                "%s: %d images are left out, since they are not below %s", self._path, rows.num_left_out, files.root
            )
        if descriptions is None:
            return
        labels: dict[str, list[str]] = {}
        for label in rows.labels:
            labels.setdefault(names.get(label, label), []).append(label)
        shared = {name: several for name, several in labels.items() if len(several) > 1}
        if shared:
            example = f"{' and '.join(next(iter(shared.values())))} are '{next(iter(shared))}'"
            log.info("%s: %d classes stand for several labels each: %s", descriptions, len(shared), example)
        nameless = [label for label in rows.labels if label not in names]
        if nameless:
            told = "%s: %d labels have no display name, such as %s; they are classes by themselves"
            log.warning(told, descriptions, len(nameless), nameless[0])
