"""`VocReader`: Pascal VOC, and what people lay out like it: an XML file an image, or a list a class."""

import logging
from array import array
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

from mlic.datamodules.annotations.places import Places
from mlic.datamodules.annotations.samples import Samples
from mlic.datamodules.annotations.text import text_lines
from mlic.datamodules.readers.base import LabelReader
from mlic.datamodules.readers.vocfiles import VocFiles, VocImages, homes
from mlic.datamodules.readers.vocxml import VocAnnotation
from mlic.errors import Faults, LabelError
from mlic.labels import LabelTable
from mlic.suffixes import is_image

__all__ = ["VocReader"]

log = logging.getLogger(__name__)

_VALUES = {"1": 1, "+1": 1, "-1": 0, "0": -1}


class VocReader(LabelReader):
    """Reads `Annotations/ID.xml` or the lists `ImageSets/Main/CLASS_SPLIT.txt`; the images are `JPEGImages/ID.jpg`.

    XML files: a class is present if an object has its name (a direct child; the names of an object's parts do not
    count), unknown if all such objects are difficult, absent otherwise; a file without objects is a labelled image
    without any class. The image is the one that has the file's name with the suffix of an image, else the one that
    `filename` names. An image without XML file is not part of the table and counted in the log: the original sets hold
    images of other tasks, and of tests whose annotations come apart.

    Lists: 1 is present, -1 absent, 0 unknown. A cell is unknown where a class's lists do not name the image, which is
    counted in the log. What stands before the last `_` of a list's name is the class. An image that no list names is
    not part of the table.

    Classes are sorted by name. A name that is not among `classes`, where they are given, is an error with its line.

    Args:
        path: the folder `VOC2012`, or the `VOCdevkit` with one such folder in it. XML files may also lie beside their
            images, in one folder or in some below it, and the folders may be called `annotations` and `images`.
        split: only these images: what `ImageSets/Main/<split>.txt` lists, an id a line, or where there is no such list
            what lies in the folder `<split>`; of the lists of classes those of this split. By default all XML files or
            all lists.
        source: `xml` or `lists`; by default `xml` where there are XML files.
        classes: the classes in order, all of them; by default those that the files name.
        root: the folder that image paths start from; by default the folder of the images.

    Raises:
        LabelError: by `read`, with all faults, each with its file and line.
    """

    def __init__(
        self,
        path: Path,
        split: str | None = None,
        source: Literal["xml", "lists"] | None = None,
        classes: list[str] | None = None,
        root: Path | None = None,
    ) -> None:
        self._path = Path(path)
        self._split, self._source, self._classes = split, source, classes
        self._root = None if root is None else Path(root)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Says whether `path` is a folder with annotations of this kind, or with a folder `VOC...` that has them."""
        return path.is_dir() and bool(homes(path))

    def read(self) -> LabelTable:
        """Returns the table; images in the order of their ids, or in that of the list."""
        found = homes(self._path)
        if len(found) > 1:
            raise LabelError(f"{self._path}: holds {' and '.join(home.name for home in found)}; give the path of one")
        files = VocFiles(found[0] if found else self._path)
        source = self._source or ("xml" if files.annotations != files.home or files.xml_files else "lists")
        return self._read_xml(files) if source == "xml" else self._read_lists(files)

    def _read_xml(self, files: VocFiles) -> LabelTable:
        if not files.xml_files:
            raise LabelError(f"{files.annotations}: no XML file; expected one for each annotated image")
        faults = Faults()
        ids = list(files.xml_files) if self._split is None else self._ids_of(self._split, files, faults)
        images = files.images(self._root, ids)
        places = Places(f"{files.annotations}/", whole=str(files.annotations))
        samples = Samples(self._path, images.files, self._fixed, where=places)
        samples.faults = faults
        found: dict[str, str] = {}
        for id_ in ids:
            self._add(id_, files, images, samples, places, found)
        if self._split is None and not faults.count:
            _tell_the_rest(files, images, found)
        # An annotation has no place to say that a class is absent.
        return samples.table(open_vocabulary=True)

    @property
    def _fixed(self) -> dict[str, int] | None:
        return None if self._classes is None else dict.fromkeys(self._classes, 0)

    def _add(
        self,
        id_: str,
        files: VocFiles,
        images: VocImages,
        samples: Samples,
        places: Places,
        found: dict[str, str],
    ) -> None:
        """Adds what one XML file says."""
        file = files.xml_files[id_]
        whole = places.open(file)
        try:
            annotation = VocAnnotation(files.annotations / file)
        except LabelError as error:
            samples.faults.add(str(error))
            return
        for line, message in annotation.faults:
            samples.fault(places.at(line), message)
        row = -1
        try:
            image = images.find(id_, annotation.filename)
            row = samples.image(image, whole)
            if found.setdefault(image, file) != file:
                samples.fault(whole, f"is about image '{image}', as is {found[image]}; expected one file an image")
        except LabelError as error:
            samples.fault(whole, str(error))
        samples.labelled(row)
        for name, is_difficult, line in annotation.objects:
            place = places.at(line)
            samples.add(row, samples.column(name, place), place, -1 if is_difficult else 1)

    def _ids_of(self, split: str, files: VocFiles, faults: Faults) -> list[str]:
        """Returns the ids of a split, those that have an XML file."""
        path = files.main / f"{split}.txt"
        if not path.is_file():
            below = [id_ for id_ in files.xml_files if id_.startswith(f"{split}/")]
            if below:
                return below
            expected = f"expected {' or '.join(files.splits())}" if files.splits() else "leave split out"
            raise LabelError(f"{path}: there is no such list for the split '{split}'; {expected}")
        ids: dict[str, None] = {}
        for line, text in text_lines(path):
            known = _known(text, files)
            if known is None:
                expected = f"expected {files.annotations}/{text}.xml"
                of_class = text.split()[-1] in _VALUES and _known(text.split()[0], files)
                hint = "; is this the list of a class?" if of_class else ""
                faults.add(f"{path}:{line}: there is no annotation of '{text}'; {expected}{hint}")
            else:
                ids[known] = None
        if not ids:
            faults.raise_if_any()
            raise LabelError(f"{path}: the list is empty; expected an id a line")
        return list(ids)

    def _read_lists(self, files: VocFiles) -> LabelTable:
        lists = files.class_lists(self._split)
        images = files.images(self._root, _first_ids(files.main / file for file in lists))
        places = Places(f"{files.main}/", whole=str(files.main))
        samples = Samples(self._path, images.files, self._fixed, where=places)
        rows: dict[str, int] = {}
        said: dict[int, array[int]] = {}
        for file, name in lists.items():
            try:
                lines = text_lines(files.main / file)
            except LabelError as error:
                samples.faults.add(str(error))
                continue
            # Some lists of ids have a `_` in their names.
            if lines and len(lines[0][1].split()) == 1:
                log.info("%s: is not the list of a class, so it is not read", files.main / file)
                continue
            column = samples.column(name, places.open(file))
            named = said.setdefault(column, array("i"))
            for line, text in lines:
                place = places.at(line)
                *words, value = text.split()
                if words and value in _VALUES:
                    named.append(_row(" ".join(words), place, samples, images, rows))
                    samples.add(named[-1], column, place, _VALUES[value])
                else:
                    samples.fault(place, f"'{text}' is no line of a class; expected an id and 1, -1 or 0")
        table = samples.table()
        _tell_gaps(files.main, samples.num_images * table.num_classes, said.values())
        return table


def _known(written: str, files: VocFiles) -> str | None:
    """Returns the id that a line of a list stands for; None if no XML file has it."""
    name = written.replace("\\", "/")
    return next((id_ for id_ in (name, _stem(name)) if id_ in files.xml_files), None)


def _stem(name: str) -> str:
    return name.rpartition(".")[0] if is_image(name) or name.lower().endswith(".xml") else name


def _row(id_: str, place: int, samples: Samples, images: VocImages, rows: dict[str, int]) -> int:
    """Returns the row of an image, or -1 if there is none, which is noted once."""
    if id_ not in rows:
        try:
            rows[id_] = samples.image(images.find(id_), place)
        except LabelError as error:
            samples.fault(place, str(error))
            rows[id_] = -1
    return rows[id_]


def _first_ids(lists: Iterable[Path]) -> Iterator[str]:
    """Yields the ids of the lists of classes, as far as they can be read."""
    for path in lists:
        with suppress(LabelError):
            yield from (text.rsplit(None, 1)[0] for _, text in text_lines(path))


def _tell_the_rest(files: VocFiles, images: VocImages, found: dict[str, str]) -> None:
    """Tells what of the data set is not in the table, or perhaps should not be."""
    others = images.others(set(found))
    if others:
        log.info("%s: %d images have no XML file, so they are not part of the table", images.files.root, others)
    listed: set[str | None] = set()
    for split in files.splits():
        with suppress(LabelError):
            listed |= {_known(text, files) for _, text in text_lines(files.main / f"{split}.txt")}
    unlisted = len(files.xml_files.keys() - listed)
    if listed and unlisted:
        log.warning(
            "%s: %d of %d XML files are in no list of %s (in VOC2012 they belong to other tasks, and do not name every "
            "object); give a split to leave them out",
            files.annotations,
            unlisted,
            len(files.xml_files),
            files.main,
        )


def _tell_gaps(main: Path, cells: int, said: Iterable["array[int]"]) -> None:
    """Tells how many cells no list names."""
    missing = cells - sum(len(set(rows)) for rows in said)
    if missing:
        log.warning("%s: %d labels are unknown, since the lists of the classes name different images", main, missing)
