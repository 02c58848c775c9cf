"""Small pictures of images as text that a page can hold, each once, within a budget of bytes."""

import base64
import io
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from mlic.errors import ImageError
from mlic.images import read_image
from mlic.threads import available_cores

__all__ = ["NO_ROOM", "Thumbnail", "thumbnails"]

NO_ROOM = "left out, for the page would become too large"

_SIDE, _QUALITY = 160, 70
_DECODED_FOR = 64  # `read_image` decodes a JPEG at least at 2.5 times this side: at 160 pixels
_AT_A_TIME = 32


class Thumbnail(NamedTuple):
    """A small picture, or why there is none.

    Attributes:
        uri: `data:image/jpeg;base64,...`; empty if there is none.
        width: in pixels.
        height: in pixels.
        reason: why there is none; empty if there is one.
    """

    uri: str
    width: int
    height: int
    reason: str = ""


def thumbnails(paths: Iterable[str], root: Path, budget: int) -> dict[str, Thumbnail]:
    """Makes pictures of at most 160 by 160 pixels, upright, the first ones first, until the budget is spent.

    Args:
        paths: of images, relative to `root`; the most important first. A path that comes again counts once.
        root: the folder that they start from.
        budget: how many characters all of them may have.
    """
    made: dict[str, Thumbnail] = {}
    wanted = list(dict.fromkeys(paths))
    with ThreadPoolExecutor(available_cores()) as pool:
        for name, picture in _made(wanted, root, pool):
            if len(picture.uri) <= budget:
                budget -= len(picture.uri)
                made[name] = picture
            elif picture.uri:
                break
    return {name: made.get(name, Thumbnail("", 0, 0, NO_ROOM)) for name in wanted}


def _made(paths: Sequence[str], root: Path, pool: ThreadPoolExecutor) -> Iterator[tuple[str, Thumbnail]]:
    for start in range(0, len(paths), _AT_A_TIME):
        some = paths[start : start + _AT_A_TIME]
        yield from zip(some, pool.map(lambda name: _thumbnail(root / name, name), some), strict=True)


def _thumbnail(file: Path, name: str) -> Thumbnail:
    try:
        pixels = read_image(file, _DECODED_FOR)
    except ImageError as error:
        # The page is read elsewhere: the path within the data is there already, the machine's says nothing.
        return Thumbnail("", 0, 0, str(error).removeprefix(f"{file}: "))
    image = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
    image.thumbnail((_SIDE, _SIDE))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY, optimize=True)
    uri = "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
    return Thumbnail(uri, image.width, image.height)
