"""`recognise`: which reader a bare path stands for."""

import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from mlic.datamodules.readers.base import LabelReader
from mlic.errors import LabelError

__all__ = ["recognise"]

log = logging.getLogger(__name__)


def recognise(path: Path, readers: Mapping[str, type[LabelReader]]) -> LabelReader:
    """Returns the one reader that recognises `path`, ready to read it.

    Args:
        path: an annotation file or a folder.
        readers: the classes to ask, by the names that users type.

    Raises:
        LabelError: if there is nothing at `path`, or if no reader or several recognise it; with the lines that say
            which one is meant.
    """
    if not path.exists():
        raise LabelError(f"{path}: no such file or folder; expected an annotation file, or the folder of a data set")
    found = [name for name, reader in readers.items() if _recognises(name, reader, path)]
    if len(found) == 1:
        return readers[found[0]](path=path)
    if found:
        raise LabelError(f"{path}: may be {' or '.join(found)}; say which:\n{_lines(found, path)}")
    inside = sorted(path.glob("*.csv")) if path.is_dir() else []
    if inside:
        raise LabelError(f"{path}: is a folder; name the annotation file in it: {' or '.join(map(str, inside[:5]))}")
    raise LabelError(f"{path}: its format is not recognised; say what it is:\n{_lines(readers, path)}")


def _recognises(name: str, reader: type[LabelReader], path: Path) -> bool:
    try:
        return reader.recognises(path)
    except Exception as error:  # a broken plug-in hurts nobody who does not name it
        log.warning("the reader '%s' failed to look at %s: %r", name, path, error)
        return False


def _lines(names: Iterable[str], path: Path) -> str:
    """The YAML that names each reader."""
    text = path.as_posix()
    plain = re.fullmatch(r"[A-Za-z0-9_./][A-Za-z0-9_./ -]*(?<! )", text)
    quoted = text if plain else "'" + text.replace("'", "''") + "'"
    return "\n".join(f"  train: {{class_path: {name}, init_args: {{path: {quoted}}}}}" for name in names)
