"""Files that are short to send and long to decode, whatever their number of pixels; refused before any reader has them.

Pillow and libjpeg walk over millions of empty segments, scans and strips without complaint (13.0.0): half a minute to
several for 32 MB. An honest file has some dozens of segments.
"""

import re
import struct

from mlic.errors import ImageError

__all__ = ["refuse_trap"]

_SEGMENTS, _SCANS, _FILLING = 1000, 100, 1000  # of a JPEG; scans as libtiff has it for those in a TIFF
_BLOCKS = 20_000  # of a PNG or a GIF
_ENTRIES, _STRIPS = 1000, 1 << 16  # of a TIFF

_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # neither filling, nor what stands within compressed pixels
_BARE, _START_OF_SCAN, _END_OF_IMAGE = {0x01, 0xD8, 0xD9}, 0xDA, 0xD9
_PNG, _GIF, _TIFF = b"\x89PNG\r\n\x1a\n", (b"GIF87a", b"GIF89a"), (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_EXTENSION = 0x21
_TILE_SIDES, _PIECES = {322, 323}, {273, 279, 324, 325}


def refuse_trap(data: bytes, max_pixels: int) -> None:
    r"""Looks at how a file is built, in some milliseconds.

    Args:
        data: the file.
        max_pixels: that a tile of it may have.

    Raises:
        ImageError: if it has more parts than any program writes.

    Example:
        >>> refuse_trap(b"\xff\xd8" + b"\xff\xe5\0\2" * 2000, 100)
        Traceback (most recent call last):
        ...
        mlic.errors.ImageError: a JPEG of more than 1000 segments, which no program writes
    """
    if data.startswith(b"\xff\xd8"):
        _refuse_jpeg(data)
    elif data.startswith(_PNG):
        _refuse_png(data)
    elif data.startswith(_GIF):
        _refuse_gif(data)
    elif data.startswith(_TIFF):
        _refuse_tiff(data, max_pixels)


def _refuse_jpeg(data: bytes) -> None:
    position, segments, scans = 2, 0, 0
    while found := _MARKER.search(data, position):
        if not scans and found.start() - position > _FILLING:
            raise ImageError(f"a JPEG with more than {_FILLING} bytes between two segments, which no program writes")
        marker, position = data[found.end() - 1], found.end()
        if marker == _END_OF_IMAGE and scans:  # what is behind, such as the video of a phone, nobody reads
            return
        segments, scans = segments + 1, scans + (marker == _START_OF_SCAN)
        for number, most, what in ((segments, _SEGMENTS, "segments"), (scans, _SCANS, "scans")):
            if number > most:
                raise ImageError(f"a JPEG of more than {most} {what}, which no program writes")
        if marker not in _BARE:
            position += max(2, int.from_bytes(data[position : position + 2], "big"))
    if not scans and len(data) - position > _FILLING:
        raise ImageError("a JPEG without any pixels")


def _refuse_png(data: bytes) -> None:
    position, blocks = len(_PNG), 0
    while position + 8 <= len(data) and data[position + 4 : position + 8] != b"IEND":
        position += 12 + int.from_bytes(data[position : position + 4], "big")
        blocks += 1
        if blocks > _BLOCKS:
            raise ImageError(f"a PNG of more than {_BLOCKS} chunks, which no program writes")


def _refuse_gif(data: bytes) -> None:
    """Looks at what comes before the first picture."""
    flags = data[10] if len(data) > 10 else 0
    position, blocks = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0), 0
    while position + 2 < len(data) and data[position] == _EXTENSION:
        position += 2
        while position < len(data) and (length := data[position]):
            position += 1 + length
            blocks += 1
            if blocks > _BLOCKS:
                break
        position, blocks = position + 1, blocks + 1
        if blocks > _BLOCKS:
            raise ImageError(f"a GIF of more than {_BLOCKS} blocks before its picture, which no program writes")


def _refuse_tiff(data: bytes, max_pixels: int) -> None:
    """Looks at the first directory, the only one that is read."""
    order, is_big = "<" if data.startswith(b"II") else ">", 43 in data[2:4]
    head, number, entry = ("Q", "Q", "HHQQ") if is_big else ("I", "H", "HHII")
    try:
        (position,) = struct.unpack_from(order + head, data, 8 if is_big else 4)
        (entries,) = struct.unpack_from(order + number, data, position)
        if entries > _ENTRIES:
            raise ImageError(f"a TIFF of more than {_ENTRIES} tags, which no program writes")
        position += struct.calcsize("=" + number)
        size, tile = struct.calcsize("=" + entry), 1
        for place in range(position, position + entries * size, size):
            tag, kind, count, value = struct.unpack_from(order + entry, data, place)
            if tag in _PIECES and count > _STRIPS:
                raise ImageError(f"a TIFF of more than {_STRIPS} strips; expected larger ones")
            if tag in _TILE_SIDES:
                short = struct.unpack_from(order + "H", data, place + size - struct.calcsize("=" + head))[0]
                tile *= short if kind == 3 else value
    except struct.error:  # a damaged one is told by whoever reads it
        return
    if tile > max_pixels:
        raise ImageError(f"a TIFF whose tiles have {tile} pixels; this server takes {max_pixels} at most")
