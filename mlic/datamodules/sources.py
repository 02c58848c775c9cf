"""From what a user writes for the data of a side to the reader of it."""

import logging
from pathlib import Path

from mlic.datamodules.readers.base import LabelReader
from mlic.datamodules.readers.recognise import recognise
from mlic.errors import CheckpointError, PluginError
from mlic.parts import spec
from mlic.plugins import available, load

__all__ = ["installed_readers", "reader_of"]

log = logging.getLogger(__name__)


def reader_of(source: LabelReader | Path, like: LabelReader | None = None) -> LabelReader:
    """Returns the reader of an annotation file or folder.

    Args:
        source: a reader, which is returned as it is, or a path whose format is recognised.
        like: the reader of the training data; if it recognises the path too, its arguments hold for it.

    Raises:
        LabelError: if the format is not recognised.
    """
    if isinstance(source, LabelReader):
        return source
    alike = None if like is None else _alike(like, source)
    if alike is None:
        return recognise(source, installed_readers())
    log.info("%s is read with the arguments of train's %s", source, type(like).__name__)
    return alike


def installed_readers() -> dict[str, type[LabelReader]]:
    """Returns the readers by name, built-in ones first; one that does not import is warned of and left out."""
    readers: dict[str, type[LabelReader]] = {}
    for plugin in available("readers"):
        try:
            readers.setdefault(plugin.name, load(plugin))
        except PluginError as error:  # a broken plug-in hurts nobody who does not name it
            log.warning("%s", error)
    return readers


def _alike(reader: LabelReader, path: Path) -> LabelReader | None:
    """Returns a reader of `path` with the arguments of `reader`; None if that cannot be, or it is another format."""
    if not reader.recognises(path):
        return None
    try:
        arguments = spec(reader)["init_args"]
    except CheckpointError:  # an argument is not plain data: what it says may hold for its own file alone
        return None
    return type(reader)(**{**arguments, "path": path}) if "path" in arguments else None
