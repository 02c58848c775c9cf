"""`is_foreign`: which CSV files belong to other formats than a plain table of labels."""

import re
from pathlib import Path

from mlic.datamodules.annotations.peek import first_rows

__all__ = ["is_foreign"]

_OPEN_IMAGES = ["imageid", "source", "labelname", "confidence"]
_LABEL_STUDIO = {"annotation_id", "annotator", "lead_time"}
_DESCRIPTIONS = ["labelname", "displayname"]
_MACHINE_ID = re.compile(r"/[a-z]/\w+")  # `/m/0cmf2`, which Open Images calls a class by


def is_foreign(path: Path) -> bool:
    """Says whether the first row of a CSV file is one of Open Images, Label Studio, Vertex or Hugging Face.

    `metadata.csv` is Hugging Face's where it names files and has a column of labels; with a column a class it is a
    plain table.
    """
    rows = first_rows(path, 1)
    if not rows:
        return False
    header = rows[0]
    names = [name.casefold() for name in header]
    return (
        names[:4] == _OPEN_IMAGES
        or set(names) >= _LABEL_STUDIO
        or any(cell.startswith("gs://") for cell in header)
        or (path.name == "metadata.csv" and _names_files(names) and not {"label", "labels"}.isdisjoint(names))
        or (len(header) == 2 and (names == _DESCRIPTIONS or _MACHINE_ID.fullmatch(header[0]) is not None))
    )


def _names_files(names: list[str]) -> bool:
    return any(name == "file_name" or name.endswith("_file_name") for name in names)
