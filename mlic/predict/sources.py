"""`Source`: where the bytes of one image are, and what the image is called."""

import os
from pathlib import Path
from typing import NamedTuple

from mlic.errors import ImageError

__all__ = ["Source"]


class Source(NamedTuple):
    """One image to be: a file, a part of a file, or bytes that are there already.

    Attributes:
        name: what its row says.
        key: of an image in a tar file, its name there up to the first dot.
        path: the file; None where `data` has the bytes.
        folder: where `path` is looked for when it is not found from the working directory: that of the list it is in.
        start: where in the file it begins, in bytes.
        size: how many bytes it has; None for the whole file.
        data: its bytes.
        error: why there is nothing to read.
    """

    name: str
    key: str = ""
    path: str | None = None
    folder: str = ""
    start: int = 0
    size: int | None = None
    data: bytes | None = None
    error: str = ""

    @classmethod
    def of(cls, path: "str | Path | Source") -> "Source":
        """Returns the source for a path.

        Example:
            >>> Source.of(Path("a.jpg")).name
            'a.jpg'
        """
        return path if isinstance(path, Source) else cls(str(path), path=str(path))

    def content(self) -> Path | bytes:
        """Returns the file, or what is in it where it is a part of one.

        Raises:
            ImageError: if there is nothing to read, or not enough.
        """
        if self.error:
            raise ImageError(self.error)
        if self.data is not None:
            return self.data
        path = Path(self.path or "")
        if self.size is None:
            # Not Path.exists, which raises where a name is longer than the system has names.
            if self.folder and not path.is_absolute() and not os.path.exists(path):  # noqa: PTH110
                beside = Path(self.folder) / path
                return beside if os.path.exists(beside) else path  # noqa: PTH110
            return path
        try:
            with path.open("rb") as stream:
                stream.seek(self.start)
                data = stream.read(self.size)
        except OSError as error:
            raise ImageError(f"{self.name}: cannot be read ({error.strerror or error})") from error
        if len(data) < self.size:
            raise ImageError(f"{self.name}: truncated, {len(data)} of {self.size} bytes are there")
        return data

    def told(self, error: ImageError) -> str:
        """Returns what an error of reading says, with the name of the image where it only knows bytes.

        Example:
            >>> Source("a.tar/1.jpg", data=b"no").told(ImageError("image of 2 bytes: not an image"))
            'a.tar/1.jpg: not an image'
        """
        text = str(error)
        opening, _, rest = text.partition(": ")
        return f"{self.name}: {rest}" if opening.startswith("image of ") and opening.endswith(" bytes") else text
