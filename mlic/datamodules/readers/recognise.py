"""`recognise`: which reader a bare path stands for."""

import json
import logging
import os
import re
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path

import yaml

from mlic.datamodules.readers.base import LabelReader
from mlic.errors import LabelError

__all__ = ["recognise"]

log = logging.getLogger(__name__)

_SUFFIXES = frozenset({".csv", ".tsv", ".json", ".jsonl", ".parquet", ".txt", ".xml", ".yaml"})
_LOOKED_AT = 1000  # entries of a folder, which may hold a million images
_FEW = 20  # folders, of which a data set has one for each side


def recognise(path: Path, readers: Mapping[str, type[LabelReader]]) -> LabelReader:
    """Returns the one reader that recognises `path`, ready to read it.

    Args:
        path: an annotation file or a folder.
        readers: the classes to ask, by the names that users type.

    Raises:
        LabelError: if there is nothing at `path`, or if no reader or several recognise it; with the lines that say
            which one is meant, or the files in a folder that may be meant.
    """
    if not os.path.exists(path):  # noqa: PTH110 (a name that is too long makes Path.exists raise)
        raise LabelError(f"{path}: no such file or folder; expected an annotation file, or the folder of a data set")
    found = [name for name, reader in readers.items() if _recognises(name, reader, path)]
    if len(found) == 1:
        return readers[found[0]](path=path)
    if found:
        raise LabelError(f"{path}: may be {' or '.join(found)}; say which:\n{_lines(found, path)}")
    if path.is_dir():
        inside = _annotation_files(path, readers)
        if inside:
            named = " or ".join(map(str, inside[:5])) + (" ..." if len(inside) > 5 else "")
            raise LabelError(f"{path}: is a folder; name the annotation file in it: {named}")
        inside = _data_sets(path, readers)
        if inside:
            named = " or ".join(map(str, inside[:5])) + (" ..." if len(inside) > 5 else "")
            raise LabelError(f"{path}: is a folder of data sets; name one: {named}")
    raise LabelError(
        f"{path}: its format is not recognised; say what it is:\n{_lines(['NAME'], path)}\n"
        f"where NAME is one of {', '.join(readers)}"
    )


def _annotation_files(folder: Path, readers: Mapping[str, type[LabelReader]]) -> list[Path]:
    """Returns the files in a folder, and in the folders right in it, that some reader recognises."""
    files = [
        file
        for pattern in ("*", "*/*")
        for file in islice(folder.glob(pattern), _LOOKED_AT)
        if file.suffix.lower() in _SUFFIXES and file.is_file()
    ]
    return [file for file in sorted(files) if any(_recognises(name, reader, file) for name, reader in readers.items())]


def _data_sets(folder: Path, readers: Mapping[str, type[LabelReader]]) -> list[Path]:
    """Returns the folders right in a folder that some reader recognises, such as `train` and `test`."""
    folders = [entry for entry in islice(folder.glob("*"), _LOOKED_AT) if entry.is_dir()]
    folders = sorted(folders)[:_FEW]
    return [inside for inside in folders if any(_recognises(name, reader, inside) for name, reader in readers.items())]


def _recognises(name: str, reader: type[LabelReader], path: Path) -> bool:
    try:
        return reader.recognises(path)
    except Exception as error:  # a broken plug-in hurts nobody who does not name it
        log.warning("the reader '%s' failed to look at %s: %r", name, path, error)
        return False


def _lines(names: Iterable[str], path: Path) -> str:
    """The YAML that names each reader."""
    text = _as_yaml(path.as_posix())
    return "\n".join(f"  train: {{class_path: {name}, init_args: {{path: {text}}}}}" for name in names)


def _as_yaml(text: str) -> str:
    """Writes a text so that YAML reads it as that text, also if it is called 2024 or no."""
    if not text.isprintable():
        return json.dumps(text)
    if re.fullmatch(r"[A-Za-z0-9_./][A-Za-z0-9_./ -]*(?<! )", text) and yaml.safe_load(text) == text:
        return text
    return "'" + text.replace("'", "''") + "'"
