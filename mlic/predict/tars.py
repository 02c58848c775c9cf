"""Images in tar files, as WebDataset keeps them: one after the other, without unpacking."""

import tarfile
import zlib
from collections.abc import Iterator
from typing import IO, cast

from mlic.predict.sources import Source
from mlic.suffixes import is_image

__all__ = ["images_in", "is_compressed", "is_tar"]

_PLAIN = (".tar",)
_COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_DAMAGED = (tarfile.TarError, OSError, EOFError, zlib.error, ValueError)


def is_tar(name: str) -> bool:
    """Says whether a file is a tar file, by its name.

    Example:
        >>> is_tar("train-000.TAR"), is_tar("train.tar.gz"), is_tar("tar.jpg")
        (True, True, False)
    """
    return name.lower().endswith(_PLAIN + _COMPRESSED)


def is_compressed(name: str) -> bool:
    """Says whether only who unpacks a tar file knows where in it an image is."""
    return name.lower().endswith(_COMPRESSED)


def images_in(tar: str) -> Iterator[Source]:
    """Yields the images of a tar file in their order; what is damaged is a source with an error, and the last one.

    A link to an image is a source with an error too: what it leads to may be behind, or nowhere.

    Of a plain tar file only the headers are read here, and each image when it is needed; a compressed one is unpacked
    as it goes.
    """
    compressed, found = is_compressed(tar), False
    try:
        with tarfile.open(tar, "r|*" if compressed else "r:") as archive:
            while (member := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined]  # all that it has seen, a kilobyte each
                name = member.name.removeprefix("./")
                if member.isdir() or not is_image(name) or name.rpartition("/")[2].startswith("."):
                    continue
                whole, found = f"{tar}/{name}", True
                if not member.isreg():
                    what = f"a link to {member.linkname}" if member.islnk() or member.issym() else "no plain file"
                    yield Source(whole, key=_key(name), error=f"{whole}: {what}, which in a tar file is not followed")
                elif compressed:
                    data = cast("IO[bytes]", archive.extractfile(member)).read()
                    yield Source(whole, key=_key(name), data=data)
                else:
                    yield Source(whole, key=_key(name), path=tar, start=member.offset_data, size=member.size)
        if not found:
            yield Source(tar, error=f"{tar}: no image in this tar file")
    except _DAMAGED as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        yield Source(tar, error=f"{tar}: a damaged tar file ({reason}); what may follow in it is not labelled")


def _key(name: str) -> str:
    folder, slash, file = name.rpartition("/")
    return f"{folder}{slash}{file.partition('.')[0]}"
