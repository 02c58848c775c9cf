"""CVAT for images 1.1."""

from pathlib import Path
from xml.sax.saxutils import XMLGenerator

from mlic.datamodules.writers.base import Written, present, rows, size_of, without_unknown
from mlic.labels import LabelTable

__all__ = ["write"]


def write(table: LabelTable, output: Path) -> Written:
    """Writes an `image` for each labelled sample, with a `tag` for each class it has."""
    written = Written("cvat")
    table = without_unknown(table, written, can_be_unlabelled=False)
    with output.open("w", encoding="utf-8") as stream:
        xml = XMLGenerator(stream, "utf-8", short_empty_elements=True)
        xml.startDocument()
        xml.startElement("annotations", {})
        _element(xml, "version", "1.1")
        for name in ("meta", "task", "labels"):
            xml.startElement(name, {})
        for name in table.classes:
            xml.startElement("label", {})
            _element(xml, "name", name)
            xml.endElement("label")
        for name in ("labels", "task", "meta"):
            xml.endElement(name)
        for row, (path, labels) in enumerate(rows(table)):
            xml.characters("\n")
            size = {name: str(number) for name, number in size_of(table, row).items()}
            xml.startElement("image", {"id": str(row), "name": path, **size})
            for column in present(labels):
                xml.startElement("tag", {"label": table.classes[column], "source": "manual"})
                xml.endElement("tag")
            xml.endElement("image")
        xml.characters("\n")
        xml.endElement("annotations")
        xml.endDocument()
    return written


def _element(xml: XMLGenerator, name: str, text: str) -> None:
    xml.startElement(name, {})
    xml.characters(text)
    xml.endElement(name)
