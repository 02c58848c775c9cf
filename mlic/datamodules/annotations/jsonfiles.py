"""JSON and JSON lines as people save them, checked against the shape that a format has."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import GenericAlias
from typing import Any, TypeVar

import msgspec

from mlic.datamodules.annotations.opening import opener
from mlic.datamodules.annotations.text import undecodable
from mlic.errors import LabelError

__all__ = ["as_written", "convert", "decode", "read_bytes", "read_json", "read_json_lines"]

_BOM = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_HALF = re.compile(rb"\\u[dD][89A-Fa-f]")
_PYTHONS = re.compile(rb"NaN|Infinity|" + _HALF.pattern)  # what Python's parser takes and msgspec does not

Shape = TypeVar("Shape")


def read_json(path: Path, shape: type[Shape] | GenericAlias) -> Shape:
    """Returns the content of a JSON file.

    Args:
        path: the file, UTF-8, with or without a byte-order mark. `NaN` and `Infinity`, which Python writes, are read.
        shape: what the file must hold: a `msgspec.Struct`, or a type that msgspec knows, such as `list[Item]`; keys
            that it does not name are passed over.

    Raises:
        LabelError: if the file cannot be read, is no JSON (with line and column), or holds something else (with the
            place in it).
    """
    return decode(read_bytes(path), path, str(path), shape)


def read_json_lines(path: Path, shape: type[Shape] | GenericAlias) -> Iterator[tuple[int, Shape | LabelError]]:
    """Yields the documents of a JSON lines file, each with its line; for a faulty one the error that tells the fault.

    Args:
        path: as in `read_json`.
        shape: what each line must hold, as in `read_json`.

    Raises:
        LabelError: if the file cannot be read, or is UTF-16.
    """
    try:
        with open(path, "rb", opener=opener) as stream:
            for number, line in enumerate(stream, 1):
                if number == 1 and line.startswith(_UTF_16):
                    raise LabelError(undecodable(path))
                text = (line.removeprefix(_BOM) if number == 1 else line).rstrip()
                if not text:
                    continue
                try:
                    yield number, decode(text, path, f"{path}:{number}", shape)
                except LabelError as error:
                    # Not the one that was raised: it holds on to the line, and there may be millions.
                    yield number, LabelError(str(error))
    except OSError as error:
        raise LabelError(f"{path}: cannot be read ({error.strerror}); expected a JSON lines file") from error


def read_bytes(path: Path) -> bytes:
    """Returns what is in a file, without a byte-order mark.

    Raises:
        LabelError: if it cannot be read.
    """
    try:
        with open(path, "rb", opener=opener) as stream:
            return stream.read().removeprefix(_BOM)
    except OSError as error:
        raise LabelError(f"{path}: cannot be read ({error.strerror}); expected a JSON file") from error


def decode(data: bytes | memoryview, path: Path, where: str, shape: type[Shape] | GenericAlias) -> Shape:
    """Returns the one document that `data` holds.

    Args:
        data: UTF-8.
        path: the file it is from.
        where: what opens each message.
        shape: as in `read_json`.

    Raises:
        LabelError: if it is no JSON, or not of this shape.
    """
    try:
        return msgspec.json.decode(data, type=shape)
    except msgspec.ValidationError as error:
        raise LabelError(f"{where}: {_told(error)}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Python's parser tells line and column, and takes NaN.
        return convert(_parsed(bytes(data), path, where), where, shape)


def convert(document: Any, where: str, shape: type[Shape] | GenericAlias) -> Shape:
    """Returns a document, as `json` gives it, in its shape.

    Raises:
        LabelError: if it has another one.
    """
    try:
        return msgspec.convert(document, type=shape)
    except msgspec.ValidationError as error:
        raise LabelError(f"{where}: {_told(error)}") from error
    except UnicodeEncodeError as error:  # in a key, or where something else than text is expected
        raise LabelError(f"{where}: {_half(error)}") from error
    except RecursionError as error:
        raise LabelError(f"{where}: nested too deeply; expected an annotation file") from error


def as_written(value: object) -> str:
    """Returns a value of a document as the document has it, for a message; cut where it is long.

    Example:
        >>> as_written(None), as_written("x"), as_written({"a": True})
        ('null', '"x"', '{"a": true}')
    """
    try:
        text = json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "nested too deeply"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _parsed(data: bytes, path: Path, where: str) -> Any:
    """Returns what Python's parser makes of a document that msgspec's refuses."""
    single = where != str(path)  # a line of JSON lines
    try:
        text = data.decode()
        if not _PYTHONS.search(data):
            # It is refused here, too. Where is wanted, not what: large documents as Python objects are huge.
            json.loads(text, object_hook=lambda _: None)
        document = json.loads(text)
        if _HALF.search(data):
            # Python takes the half of a character; it may be right only where it stands for a byte of a file name.
            json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogateescape")
        return document
    except UnicodeDecodeError as error:
        byte = f"byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8 (it may be Windows-1252)"
        raise LabelError(f"{where}: {byte}" if single else undecodable(path)) from error
    except UnicodeEncodeError as error:
        raise LabelError(f"{where}: {_half(error)}") from error
    except json.JSONDecodeError as error:
        place = f"{where}: column {error.colno}" if single else f"{where}:{error.lineno}:{error.colno}"
        raise LabelError(f"{place}: no valid JSON: {error.msg}; is the file cut short?") from error
    except RecursionError as error:
        raise LabelError(f"{where}: nested too deeply; expected an annotation file") from error
    except ValueError as error:  # a number of thousands of digits
        raise LabelError(f"{where}: no valid JSON: {str(error).split(';')[0]}") from error


def _half(error: UnicodeEncodeError) -> str:
    return f"\\u{ord(error.object[error.start]):04x} is the half of a character; expected two such, or none"


def _told(error: msgspec.ValidationError) -> str:
    """Words msgspec's message as the rest of mlic's: `$.images[3].id` is what a reader of the file sees as its path."""
    match = re.fullmatch(r"(?P<what>.*?)(?: - at `(?:key in )?`?\$?\.?(?P<place>[^`]*)`)?", str(error), re.DOTALL)
    what = str(error) if match is None else match["what"].replace("`", "'")
    what = what[:1].lower() + what[1:]
    place = "" if match is None or not match["place"] else f"{match['place']}: "
    return f"{place}{what}"
