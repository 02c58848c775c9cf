"""`explain`: where in an image a class was seen, as numbers and as pictures."""

from mlic.explain.explanation import (
    MEANINGS,
    Asked,
    Explanation,
    Method,
    Seen,
    check_asked,
    explain,
    explain_seen,
    require_images,
    see,
)
from mlic.explain.names import FileNames
from mlic.explain.pictures import Tile, contact_sheet, overlay

__all__ = [
    "MEANINGS",
    "Asked",
    "Explanation",
    "FileNames",
    "Method",
    "Seen",
    "Tile",
    "check_asked",
    "contact_sheet",
    "explain",
    "explain_seen",
    "overlay",
    "require_images",
    "see",
]
