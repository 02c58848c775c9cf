"""Which files are images, by their names: known without the libraries that read them."""

import os

__all__ = ["IMAGE_SUFFIXES", "is_image"]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
"""The suffixes, in lower case, of the files that `mlic.images.read_image` is meant for; it goes by the bytes."""


def is_image(name: str) -> bool:
    """Says whether a file name has the suffix of an image.

    Example:
        >>> is_image("car.JPG"), is_image("car.txt")
        (True, False)
    """
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122 (a hundred times quicker than Path)
