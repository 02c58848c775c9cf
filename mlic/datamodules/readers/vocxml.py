"""The objects that an annotation of Pascal VOC names."""

from collections.abc import Mapping
from pathlib import Path

from mlic.datamodules.annotations.xmlfiles import parse_xml
from mlic.errors import LabelError

__all__ = ["VocAnnotation"]

_OBJECT = ("annotation", "object")
_NAME = (*_OBJECT, "name")
_DIFFICULT = (*_OBJECT, "difficult")
_FILENAME = ("annotation", "filename")
_TEXTS = frozenset({"name", "difficult", "filename"})
_IS_DIFFICULT = {"": False, "0": False, "false": False, "1": True, "true": True}


class VocAnnotation:
    """What one XML file says.

    Attributes:
        filename: what it calls the image.
        objects: the name of each object, whether it is difficult, and the line of its name.
        faults: what is wrong, and on which line.
    """

    def __init__(self, path: Path) -> None:
        """Reads the file.

        Raises:
            LabelError: if it is no XML or no annotation, with its path.
        """
        self.filename = ""
        self.objects: list[tuple[str, bool, int]] = []
        self.faults: list[tuple[int, str]] = []
        self._path = path
        self._names: list[tuple[str, int]] = []
        self._difficult = False
        parse_xml(path, self, _TEXTS)

    def start(self, path: tuple[str, ...], attributes: Mapping[str, str], line: int) -> None:
        """An element begins."""
        if path == _OBJECT:
            self._names.clear()
            self._difficult = False
        elif len(path) == 1 and path[0] != "annotation":
            raise LabelError(f"{self._path}:{line}: the outermost element is '{path[0]}'; expected 'annotation'")

    def end(self, path: tuple[str, ...], text: str, line: int) -> None:
        """An element ends."""
        # The name of a part (head, hand, foot) has a longer path than that of an object.
        if path == _NAME:
            self._names.append((text, line))
        elif path == _DIFFICULT:
            if text.lower() not in _IS_DIFFICULT:
                self.faults.append((line, f"difficult is '{text}'; expected 1 or 0"))
            self._difficult = _IS_DIFFICULT.get(text.lower(), False)
        elif path == _OBJECT:
            self._end_object(line)
        elif path == _FILENAME:
            self.filename = text

    def _end_object(self, line: int) -> None:
        if len(self._names) == 1:
            name, at = self._names[0]
            self.objects.append((name, self._difficult, at))
        else:
            found = f"{len(self._names)} names" if self._names else "no name"
            self.faults.append((line, f"the object that ends here has {found}; expected one"))
