"""CVAT for images 1.1."""

from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from mlic.datamodules.writers.base import Written, present, rows, size_of, without_unknown
from mlic.labels import LabelTable

__all__ = ["write"]


def write(table: LabelTable, output: Path) -> Written:
    """Writes an `image` for each labelled sample, with a `tag` for each class it has."""
    written = Written("cvat")
    table = without_unknown(table, written, can_be_unlabelled=False)
    with output.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(
            '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta><task><labels>\n'
        )
        stream.writelines(f"<label><name>{escape(name)}</name></label>\n" for name in table.classes)
        stream.write("</labels></task></meta>\n")
        for row, (path, labels) in enumerate(rows(table)):
            size = "".join(f' {side}="{pixels}"' for side, pixels in size_of(table, row).items())
            tags = "".join(f'<tag label={quoteattr(table.classes[at])} source="manual"/>' for at in present(labels))
            stream.write(f'<image id="{row}" name={quoteattr(path)}{size}>{tags}</image>\n')
        stream.write("</annotations>\n")
    return written
