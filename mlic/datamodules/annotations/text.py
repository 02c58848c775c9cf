"""Text files as people save them: with or without a byte-order mark, with any line ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from mlic.datamodules.annotations.opening import opener
from mlic.errors import LabelError

__all__ = ["open_text", "text_lines", "undecodable"]


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Opens a UTF-8 file and leaves its line ends as they are.

    Raises:
        LabelError: if the file cannot be opened; or, while it is read, at its first line that is not UTF-8.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="", opener=opener) as stream:
            yield stream
    except UnicodeDecodeError as error:
        raise LabelError(undecodable(path)) from error
    except OSError as error:
        raise LabelError(f"{path}: cannot be read ({error.strerror}); expected a text file") from error


def text_lines(path: Path) -> list[tuple[int, str]]:
    """Returns the lines that are not blank, each with its number and without the spaces around it.

    Raises:
        LabelError: as `open_text`.
    """
    with open_text(path) as stream:
        return [(number, text) for number, line in enumerate(stream, 1) if (text := line.strip())]


def undecodable(path: Path) -> str:
    """Says where a file stops being UTF-8, and what it may be instead."""
    with open(path, "rb", opener=opener) as stream:
        for number, line in enumerate(stream, 1):
            if number == 1 and line.startswith((b"\xff\xfe", b"\xfe\xff")):
                return f"{path}: the file is UTF-16; save it as UTF-8"
            try:
                line.decode()
            except UnicodeDecodeError as error:
                byte = f"byte 0x{line[error.start]:02x}"
                return f"{path}:{number}: {byte} is not UTF-8; save the file as UTF-8 (it may be Windows-1252)"
    return f"{path}: the file ends within a character; save it as UTF-8"
