"""XML as a stream of elements, of which no entity is ever expanded and nothing outside the file ever read."""

import os
import stat
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable
from xml.parsers import expat

from mlic.errors import LabelError

__all__ = ["Elements", "parse_xml"]

_DEEPEST = 200
_CHUNK = 1 << 16  # bytes that are read at a time
_LONGEST_TAG = 1 << 24  # bytes; run-length masks of large images take some hundred thousand
_SIGNS_OF_AN_END = (
    expat.errors.XML_ERROR_NO_ELEMENTS,
    expat.errors.XML_ERROR_UNCLOSED_TOKEN,
    expat.errors.XML_ERROR_UNCLOSED_CDATA_SECTION,
    expat.errors.XML_ERROR_PARTIAL_CHAR,
)
_LONGEST_TEXT = 1 << 16  # characters of the name of a class or the like


@runtime_checkable
class Elements(Protocol):
    """Is told of the elements of a file as they come."""

    def start(self, path: tuple[str, ...], attributes: Mapping[str, str], line: int) -> None:
        """An element begins: `path` holds the names from the outermost element to this one."""

    def end(self, path: tuple[str, ...], text: str, line: int) -> None:
        """An element ends; `text` is what stands directly in it, without the spaces around it."""


def parse_xml(path: Path, elements: Elements, texts: Collection[str] = ()) -> None:
    """Reads an XML file from beginning to end, in any encoding that it declares and expat knows.

    Args:
        path: the file.
        elements: is told what is in it. Whatever it raises ends the reading.
        texts: the names of the elements whose text is wanted; that of the others is never held, and told as "".

    Raises:
        LabelError: if the file cannot be read, is no XML (with line and column), declares entities or anything else of
            a document type, is nested more than 200 deep, or has a tag or a wanted text of a size that makes no sense.
    """
    parser = expat.ParserCreate()
    parser.buffer_text = True
    try:
        _Listener(parser, path, elements, texts)
        _feed(parser, path)
    except OSError as error:
        raise LabelError(f"{path}: cannot be read ({error.strerror}); expected an XML file") from error
    except expat.ExpatError as error:
        place = f"{path}:{error.lineno}:{error.offset + 1}"
        what = expat.ErrorString(error.code)
        hint = "; is the file cut short?" if what in _SIGNS_OF_AN_END else ""
        raise LabelError(f"{place}: no valid XML: {what}{hint}") from error
    except (ValueError, LookupError) as error:  # an encoding that expat or Python does not know
        raise LabelError(f"{path}: cannot be read as XML ({error}); save it as UTF-8") from error
    finally:
        # The handlers hold the parser, which holds them.
        parser.StartElementHandler = parser.EndElementHandler = None
        parser.CharacterDataHandler = parser.StartDoctypeDeclHandler = None


class _Listener:
    """Tells `elements` what the parser comes across."""

    def __init__(self, parser: expat.XMLParserType, path: Path, elements: Elements, texts: Collection[str]) -> None:
        self._parser, self._file, self._elements, self._texts = parser, path, elements, texts
        self._paths: list[tuple[str, ...]] = [()]
        # Per open element what stands in it so far; None where that is not wanted.
        self._collected: list[list[str] | None] = [None]
        self._parts: list[str] | None = None  # the last of them
        self._length = 0
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.StartDoctypeDeclHandler = self._doctype

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        path = (*self._paths[-1], name)
        self._paths.append(path)
        if len(path) > _DEEPEST:
            raise LabelError(f"{self._place}: nested more than {_DEEPEST} elements deep")
        self._collect([] if name in self._texts else None)
        self._collected.append(self._parts)
        self._elements.start(path, attributes, self._parser.CurrentLineNumber)

    def _end(self, _: str) -> None:
        text = "".join(self._parts).strip() if self._parts else ""
        self._collected.pop()
        self._collect(self._collected[-1])
        self._elements.end(self._paths.pop(), text, self._parser.CurrentLineNumber)

    def _collect(self, parts: list[str] | None) -> None:
        """Collects what comes in `parts`; if that is None expat calls nothing for it, which is quick."""
        if parts is not self._parts:
            self._parts, self._length = parts, 0
            self._parser.CharacterDataHandler = None if parts is None else self._text

    def _text(self, text: str) -> None:
        self._length += len(text)
        if self._length > _LONGEST_TEXT:
            raise LabelError(f"{self._place}: the text of '{self._paths[-1][-1]}' is longer than expected")
        if self._parts is not None:
            self._parts.append(text)

    def _doctype(self, name: str, system: str | None, _: str | None, has_declarations: int) -> None:
        # Even where nothing is expanded, an entity that is skipped leaves a hole in a name without a word.
        if system or has_declarations:
            found = "declares entities or the like" if has_declarations else f"refers to '{system}'"
            raise LabelError(
                f"{self._place}: the DOCTYPE '{name}' {found}; annotations need none, and one could make the file "
                "endless: take it out"
            )

    @property
    def _place(self) -> str:
        return f"{self._file}:{self._parser.CurrentLineNumber}"


def _feed(parser: expat.XMLParserType, path: Path) -> None:
    """Lets the parser have the file."""
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 (a pipe would wait for a writer)
        raise LabelError(f"{path}: is not a file; expected an XML file")
    with path.open("rb", buffering=0) as stream:
        fed = waiting = 0
        # Expat looks at a tag from its beginning each time more of it comes: read as much again as there is of it, so
        # that a long one takes time in proportion to its length.
        while data := stream.read(max(_CHUNK, waiting)):
            parser.Parse(data, False)
            fed += len(data)
            waiting = fed - max(0, parser.CurrentByteIndex)
            if waiting > _LONGEST_TAG:
                raise LabelError(
                    f"{path}:{parser.CurrentLineNumber}: a tag or comment is longer than {_LONGEST_TAG >> 20} MiB; "
                    "expected annotations"
                )
        parser.Parse(b"", True)
