"""What an `annotations.xml` of CVAT says."""

from array import array
from collections.abc import Mapping
from pathlib import Path

from mlic.datamodules.annotations.xmlfiles import parse_xml
from mlic.errors import LabelError

__all__ = ["CvatDocument"]

_IMAGE = ("annotations", "image")
_KINDS = ("task", "project", "job")
_TEXTS = frozenset({"name", "parent", "subset"})


class CvatDocument:
    """The labels, images and tags of a file, in its order.

    Attributes:
        names, subsets, lines: of each image its name, its subset ("" if it has none) and its line.
        tagged, labels, places: of each tag, or shape if those count, its image, its label as a position in `vocabulary`
            and its line.
        vocabulary: the labels that are used.
        shapes: how many shapes there are: boxes, polygons, masks and the like.
        with_shapes: how many images have some.
        faults: what is wrong, and on which line.
    """

    def __init__(self, path: Path, *, count_shapes: bool) -> None:
        """Reads the file.

        Raises:
            LabelError: if it is no XML or no "CVAT for images".
        """
        self.names: list[str] = []
        self.subsets: list[str] = []
        self.lines = array("i")
        self.tagged, self.labels, self.places = array("i"), array("i"), array("i")
        self.vocabulary: dict[str, int] = {}
        self.shapes = self.with_shapes = 0
        self.faults: list[tuple[int, str]] = []
        self._path, self._count_shapes = path, count_shapes
        self._declared: dict[str, dict[str, int]] = {kind: {} for kind in _KINDS}
        self._label, self._label_line, self._is_part = "", 0, False
        self._subset = ""
        self._shapes_before = 0
        parse_xml(path, self, _TEXTS)
        self.subsets = [subset or self._subset for subset in self.subsets]

    @property
    def declared(self) -> dict[str, int]:
        """The labels that the task declares, else the project, else the job, each with its line."""
        return next((labels for labels in self._declared.values() if labels), {})

    def start(self, path: tuple[str, ...], attributes: Mapping[str, str], line: int) -> None:
        """An element begins."""
        if path[:2] == _IMAGE:
            if len(path) == 2:
                self._start_image(attributes, line)
            elif len(path) == 3:
                self._start_mark(path[2], attributes, line)
        elif len(path) == 1 and path[0] != "annotations":
            raise LabelError(f"{self._path}:{line}: the outermost element is '{path[0]}'; expected 'annotations'")
        elif path == ("annotations", "track"):
            raise LabelError(
                f"{self._path}:{line}: a track, so this is 'CVAT for video'; export it as 'CVAT for images 1.1'"
            )
        elif path[-1] == "label":
            self._label, self._label_line, self._is_part = "", line, False

    def end(self, path: tuple[str, ...], text: str, line: int) -> None:
        """An element ends."""
        if path == _IMAGE:
            self.with_shapes += self.shapes > self._shapes_before
        elif path[:2] != ("annotations", "meta"):
            return
        elif path[2:] == ("task", "subset"):
            self._subset = text
        elif path[3:] == ("labels", "label", "name"):
            self._label, self._label_line = text, line
        elif path[3:] == ("labels", "label", "parent"):
            self._is_part = bool(text)  # a point of a skeleton
        elif path[3:] == ("labels", "label") and path[2] in _KINDS and not self._is_part:
            self._declare(self._declared[path[2]])

    def _start_image(self, attributes: Mapping[str, str], line: int) -> None:
        self.names.append(attributes.get("name", "").strip())
        self.subsets.append(attributes.get("subset", "").strip())
        self.lines.append(line)
        self._shapes_before = self.shapes

    def _start_mark(self, kind: str, attributes: Mapping[str, str], line: int) -> None:
        """A tag begins, or a shape."""
        label = attributes.get("label", "").strip()
        if kind != "tag":
            self.shapes += 1
            if not self._count_shapes:
                return
        if not label:
            self.faults.append((line, f"a {kind} has no label; expected one"))
            return
        self.tagged.append(len(self.names) - 1)
        self.labels.append(self.vocabulary.setdefault(label, len(self.vocabulary)))
        self.places.append(line)

    def _declare(self, labels: dict[str, int]) -> None:
        if not self._label:
            self.faults.append((self._label_line, "a label has no name; expected one"))
        elif self._label in labels:
            first = labels[self._label]
            self.faults.append((self._label_line, f"class '{self._label}' is there twice, first on line {first}"))
        else:
            labels[self._label] = self._label_line
