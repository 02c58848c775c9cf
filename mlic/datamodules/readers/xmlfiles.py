"""XML as a stream of elements, of which no entity is ever expanded and nothing outside the file ever read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable
from xml.parsers import expat

from mlic.errors import LabelError

__all__ = ["Elements", "parse_xml"]

_DEEPEST = 200


@runtime_checkable
class Elements(Protocol):
    """Is told of the elements of a file as they come."""

    def start(self, path: tuple[str, ...], attributes: Mapping[str, str], line: int) -> None:
        """An element begins: `path` holds the names from the outermost element to this one."""

    def end(self, path: tuple[str, ...], text: str, line: int) -> None:
        """An element ends; `text` is what stands directly in it, without the spaces around it."""


def parse_xml(path: Path, elements: Elements) -> None:
    """Reads an XML file from beginning to end, in any encoding that it declares and expat knows.

    Args:
        path: the file.
        elements: is told what is in it. Whatever it raises ends the reading.

    Raises:
        LabelError: if the file cannot be read, is no XML (with line and column), declares an entity, or is nested more
            than 200 deep.
    """
    parser = expat.ParserCreate()
    parser.buffer_text = True
    names: list[str] = []
    texts: list[list[str]] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        names.append(name)
        texts.append([])
        if len(names) > _DEEPEST:
            raise LabelError(f"{path}:{parser.CurrentLineNumber}: nested more than {_DEEPEST} elements deep")
        elements.start(tuple(names), attributes, parser.CurrentLineNumber)

    def end(_: str) -> None:
        text = "".join(texts.pop()).strip()
        elements.end(tuple(names), text, parser.CurrentLineNumber)
        names.pop()

    def entity(name: str, *_: object) -> None:
        raise LabelError(
            f"{path}:{parser.CurrentLineNumber}: declares the entity '{name}'; annotations need none, and one could "
            "make the file endless: take it out"
        )

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = lambda text: texts[-1].append(text)
    parser.EntityDeclHandler = entity
    try:
        with path.open("rb") as stream:
            parser.ParseFile(stream)
    except OSError as error:
        raise LabelError(f"{path}: cannot be read ({error.strerror}); expected an XML file") from error
    except expat.ExpatError as error:
        place = f"{path}:{error.lineno}:{error.offset + 1}"
        raise LabelError(f"{place}: no valid XML: {expat.ErrorString(error.code)}; is the file cut short?") from error
    except (ValueError, LookupError) as error:  # an encoding that Python does not know
        raise LabelError(f"{path}: cannot be read as XML ({error})") from error
