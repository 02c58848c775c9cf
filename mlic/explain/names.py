"""Names of files that any file system takes, for images and classes that may be called anything."""

import unicodedata
from pathlib import PurePath

__all__ = ["FileNames", "safe"]

_LONGEST = 80  # bytes of a part, so that a whole name stays below the 255 that file systems take


def safe(text: str) -> str:
    r"""Returns a text as a part of a file name: letters and digits of any script, `-`, `_` and `.`.

    Example:
        >>> safe("plates/cups & more"), safe("naïve 犬"), safe(".."), safe("\udcff")
        ('plates_cups_more', 'naïve_犬', '_', '_')
    """
    kept = "".join(c if c.isalnum() or c in "-." else "_" for c in unicodedata.normalize("NFC", text))
    joined = "_".join(part for part in kept.split("_") if part).strip(".") or "_"
    return joined.encode()[:_LONGEST].decode(errors="ignore")


class FileNames:
    """Gives each picture a name of its own, also where a file system takes upper for lower case.

    Example:
        >>> names = FileNames()
        >>> names.image("a/1.jpg"), names.image("b/1.png")
        ('1', '1-2')
        >>> names.overlay("1", "T/V"), names.overlay("1", "t_v")
        ('1--T_V', '1--t_v-2')
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def image(self, path: str) -> str:
        """Returns a new name for an image, without a suffix."""
        return self._free(safe(PurePath(path).stem))

    def overlay(self, image: str, class_name: str) -> str:
        """Returns a new name for a class of an image, without a suffix."""
        return self._free(f"{image}--{safe(class_name)}")

    def _free(self, wanted: str) -> str:
        name, number = wanted, 1
        while name.casefold() in self._taken:
            number += 1
            name = f"{wanted}-{number}"
        self._taken.add(name.casefold())
        return name
