"""A reader."""

from pathlib import Path

from mlic import LabelReader, LabelTable


class FileNameReader(LabelReader):
    """Reads the labels from file names: `dog+ball_01.jpg` shows a dog and a ball, `_02.jpg` none of the classes.

    Args:
        path: a folder of JPEGs.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> LabelTable:
        """Returns the table; classes are sorted by name."""
        names = sorted(file.name for file in self.path.glob("*.jpg"))
        present = [[label for label in name.split("_")[0].split("+") if label] for name in names]
        classes = sorted({label for labels in present for label in labels})
        return LabelTable.from_present(names, classes, present, root=self.path)
