"""`StudioImages`: where on this machine the images of Label Studio's tasks are."""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_plus

from mlic.datamodules.annotations.imagefiles import ImageFiles
from mlic.datamodules.annotations.samples import Samples
from mlic.errors import LabelError, did_you_mean, shortened
from mlic.suffixes import is_image

__all__ = ["StudioImages", "candidates", "find_image_key"]

_GUESSES = ("images", "upload", "media", "media/upload", "data", "..", "../images")
_KEYS = ("image", "img", "image_url", "image_path", "photo", "picture", "url", "path", "file")
_LOOKED_AT = 1000  # tasks that tell which key holds the image
_SHOWN = 100  # characters of a value in a message
_LONGEST = 4096  # characters of a path

_LOCAL_FILES = re.compile(r"(?:https?://[^/]+)?/?data/local-files/?\?d=([^&]*).*", re.DOTALL)
_UPLOAD = re.compile(r"(?:https?://[^/]+)?/?data/upload/(.+)", re.DOTALL)
_RESOLVED = re.compile(r".*/(?:resolve|presign)/?\?fileuri=([^&]+).*", re.DOTALL)
_PREFIXED = re.compile(r"[0-9a-f]{8}-(.+)", re.DOTALL)


def candidates(value: str) -> list[str]:
    """Returns the paths that the image of a task may have, the likeliest first.

    Example:
        >>> candidates("/data/upload/3/ab12cd34-a.jpg")
        ['upload/3/ab12cd34-a.jpg', '3/ab12cd34-a.jpg', 'ab12cd34-a.jpg', 'a.jpg']
        >>> candidates("/data/local-files/?d=my%20photos/c.jpg")
        ['my photos/c.jpg', 'my%20photos/c.jpg']
        >>> candidates("s3://bucket/x.jpg")
        ['s3://bucket/x.jpg']
    """
    if match := _RESOLVED.fullmatch(value):
        value = _decoded(match[1]) or value
    if match := _LOCAL_FILES.fullmatch(value):
        found = [unquote(match[1]), match[1], unquote_plus(match[1])]
    else:
        bare = re.split(r"[?#]", value, maxsplit=1)[0] if "://" in value else value
        found = [value, bare, unquote(bare)]
    if match := _UPLOAD.fullmatch(value):
        found = [path for tail in (match[1], unquote(match[1])) for path in _uploaded(tail)]
        if "://" in value:  # there may be a folder for it
            found.insert(0, value)
    return list(dict.fromkeys(found))


def find_image_key(tasks: Iterable[Mapping[str, Any]], told: str | None, path: Path) -> str:
    """Returns the key of the tasks' data that holds the image.

    Args:
        tasks: the data of each.
        told: by the user; None takes the key whose values look like images.
        path: of the file, for messages.

    Raises:
        LabelError: if no key or several may be it, or there is none of the name that the user told.
    """
    first = list(islice(tasks, _LOOKED_AT))
    keys = list(dict.fromkeys(key for data in first for key in data))
    if told is not None:
        if keys and told not in keys:
            hint = did_you_mean(told, keys) or f"; there are {', '.join(keys)}"
            raise LabelError(f"{path}: the data of the tasks has no '{told}'{hint}")
        return told
    texts = {key for data in first for key, value in data.items() if isinstance(value, str)}
    like = {key for data in first for key, value in data.items() if _looks_like_image(value)}
    found = [key for key in keys if key in like]
    likely = found if len(found) == 1 else [key for key in _KEYS if key in (found or texts)]
    if likely:
        return likely[0]
    if found:
        names = " and ".join(f"'{key}'" for key in found)
        raise LabelError(f"{path}: {names} of the tasks' data may hold the image; give image_key: one of them")
    there = f"; there are {', '.join(keys)}" if keys else ""
    raise LabelError(f"{path}: nothing in the tasks' data looks like an image{there}; give image_key: what holds it")


class StudioImages:
    """Gives each task the row of its image.

    Args:
        path: the export.
        key: what holds the image in the data of a task.
        root: the folder that paths start from; None finds it beside the export.
        uri_prefix: as in `ImageFiles`.
        tasks: the data of each.
    """

    def __init__(
        self,
        path: Path,
        key: str,
        root: Path | None,
        uri_prefix: Mapping[str, str | Path] | None,
        tasks: Sequence[Mapping[str, Any]],
    ) -> None:
        self._key = key
        values = (value for data in tasks if isinstance(value := data.get(key), str) and len(value) <= _LONGEST)
        written = (path for value in values for path in candidates(value))
        self.files = ImageFiles.locate(root, path.parent, written, guesses=_GUESSES, uri_prefix=uri_prefix)
        self._owners: dict[str, str] = {}

    def row(self, samples: Samples, data: Mapping[str, Any], place: int) -> int:
        """Returns the row of a task's image; -1 for a fault, which is noted."""
        value = data.get(self._key)
        if value is None or value == "":
            samples.fault(place, f"its data has no '{self._key}'; expected an image there, or give image_key")
        elif not isinstance(value, str):
            samples.fault(place, f"'{self._key}' is {_short(value)}; expected the path or URI of one image")
        elif value.startswith("data:") or len(value) > _LONGEST:
            samples.fault(
                place, f"'{self._key}' is an image as text ({_short(value)}), which is not read; save it as a file"
            )
        else:
            return self._find(samples, value, place)
        return -1

    def _find(self, samples: Samples, value: str, place: int) -> int:
        paths = candidates(value)
        for path in paths:
            try:
                found = self.files.find(path)
            except LabelError:
                continue
            if _is_upload(value) and (owner := self._owners.setdefault(found, value)) != value:
                samples.fault(
                    place,
                    f"'{value}' and '{owner}' may both be '{found}'; expected the uploaded files with their prefixes",
                )
                return -1
            return samples.image(path, place)
        if len(paths) == 1 or "://" in paths[0]:
            return samples.image(paths[0], place)
        looked_for = f"looked for {', '.join(map(repr, paths))} below {self.files.root}"
        samples.fault(place, f"no image '{value}'; {looked_for}; give root: the folder that one of them starts from")
        return -1


def _uploaded(tail: str) -> list[str]:
    name = tail.rpartition("/")[2]
    prefixed = _PREFIXED.fullmatch(name)
    return [f"upload/{tail}", tail, name, *([prefixed[1]] if prefixed else [])]


def _is_upload(value: str) -> bool:
    return _UPLOAD.fullmatch(value) is not None


def _decoded(text: str) -> str:
    """Returns the URI that Label Studio writes in base 64; "" if it is none."""
    try:
        return base64.b64decode(unquote(text), validate=True).decode()
    except (binascii.Error, ValueError):
        return ""


def _looks_like_image(value: object) -> bool:
    if not isinstance(value, str):
        return False
    return value.startswith("data:image/") or (len(value) <= _LONGEST and any(map(is_image, candidates(value))))


def _short(value: object) -> str:
    return shortened(repr(value), _SHOWN)
