"""`SidecarReader`: the layout of the classic Multi-label-Inception-net, with a file of labels for each image."""

import os
from collections.abc import Mapping
from pathlib import Path

from mlic.datamodules.annotations.imagefiles import fold_suffix
from mlic.datamodules.annotations.listing import entries, files_below
from mlic.datamodules.annotations.text import text_lines
from mlic.datamodules.readers.base import LabelReader
from mlic.errors import Faults, LabelError, did_you_mean
from mlic.labels import LabelTable
from mlic.suffixes import IMAGE_SUFFIXES, is_image

__all__ = ["SidecarReader"]


class SidecarReader(LabelReader):
    """Reads `images/<any>/car.jpg`, its labels in `image_labels_dir/car.jpg.txt`, and the classes in `labels.txt`.

    A label file holds a label a line. A class that it does not list is absent, so an empty one is a labelled image
    without any class; an image without a label file is unlabelled. `labels.txt` holds a class a line, in order. Names
    map to classes exactly, after spaces around them are stripped; blank lines say nothing. A label that is not in
    `labels.txt`, a label file without image, and two images that would share a label file are errors.

    Images are JPEG, PNG, WebP, BMP, GIF or TIFF by their suffix, in any case; other files below `images`, and files
    and folders whose name starts with a dot, are no images.

    Args:
        path: the folder that holds the three; image paths are relative to it.
        images: the folder of the images, with folders in it to any depth.
        labels: the folder of the label files.
        names: the file of the classes.

    Raises:
        LabelError: by `read`, with all faults, each with its file and line.
    """

    def __init__(
        self, path: Path, images: str = "images", labels: str = "image_labels_dir", names: str = "labels.txt"
    ) -> None:
        self._path = Path(path)
        self._images, self._labels, self._names = self._path / images, self._path / labels, self._path / names

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Says whether `path` is a folder with `labels.txt` and `image_labels_dir`."""
        return (path / "labels.txt").is_file() and (path / "image_labels_dir").is_dir()

    def read(self) -> LabelTable:
        """Returns the table; images in the order of their paths."""
        faults = Faults()
        lines = self._read_names(faults)
        position = {name: column for column, name in enumerate(lines)}
        images = self._find_images(faults)
        label_files = self._find_label_files(images, faults)
        if images and not label_files and not faults.count:
            expected = f"expected one for each labelled image, such as {next(iter(images))}.txt"
            faults.add(f"{self._labels}: none of the {len(images)} images has a label file; {expected}")
        names = {path: name for name, path in images.items()}
        paths = sorted(names)
        # A generator: the labels of millions of images are never held as Python lists.
        present = (
            self._read_labels(label_files[names[path]], position, faults) if names[path] in label_files else None
            for path in paths
        )
        origins = {name: f"{self._names}:{line}" for name, line in lines.items()}
        table = LabelTable.from_present(paths, lines, present, root=self._path, origins=origins, source=str(self._path))
        faults.raise_if_any(table)
        return table

    def _read_names(self, faults: Faults) -> dict[str, int]:
        """Returns the classes in order, each with its line."""
        lines: dict[str, int] = {}
        for line, name in text_lines(self._names):
            if name in lines:
                faults.add(f"{self._names}:{line}: class '{name}' is there twice, first on line {lines[name]}")
            lines.setdefault(name, line)
        if not lines:
            faults.add(f"{self._names}: no class; expected one a line")
        return lines

    def _find_images(self, faults: Faults) -> dict[str, str]:
        """Returns the path of each image, relative to `path`, by its file name."""
        images: dict[str, str] = {}
        start = Path(os.path.relpath(self._images, self._path)).as_posix()
        prefix = "" if start == "." else f"{start}/"
        for folder, name in files_below(self._images):
            if not is_image(name):
                continue
            relative = f"{prefix}{folder}{name}"
            if name in images:
                faults.add(
                    f"{self._path}: '{images[name]}' and '{relative}' have one file name, so one label file; rename one"
                )
            images.setdefault(name, relative)
        if not images:
            faults.add(f"{self._images}: no image; expected files that end with {', '.join(sorted(IMAGE_SUFFIXES))}")
        return images

    def _find_label_files(self, images: Mapping[str, str], faults: Faults) -> dict[str, str]:
        """Returns the name of each image's label file, by the image's file name."""
        similar: dict[str, list[str]] = {}
        for image in images:
            similar.setdefault(fold_suffix(image), []).append(image)
        found: dict[str, str] = {}
        others: list[tuple[str, str]] = []
        for file in (entry.name for entry in entries(self._labels)):
            image, suffix = os.path.splitext(file)  # noqa: PTH122 (far quicker than Path)
            if suffix.lower() == ".txt" and image in images and image not in found:
                found[image] = file
            else:
                others.append((file, image))
        # Only what no file is named after exactly is looked for with its suffix in another case.
        for file, image in others:
            alike = [name for name in similar.get(fold_suffix(image), []) if name not in found]
            if file.lower().endswith(".txt") and len(alike) == 1:
                found[alike[0]] = file
            else:
                expected = f"expected the file name of an image below {self._images} and .txt, such as car.jpg.txt"
                faults.add(f"{self._labels / file}: there is no image for this label file; {expected}")
        return found

    def _read_labels(self, file: str, position: Mapping[str, int], faults: Faults) -> list[int] | None:
        """Returns the columns that a label file lists; None if it cannot be read."""
        path = self._labels / file
        try:
            lines = text_lines(path)
        except LabelError as error:
            faults.add(str(error))
            return None
        columns = []
        for line, name in lines:
            if name in position:
                columns.append(position[name])
                continue
            hint = "" if faults.is_full else did_you_mean(name, list(position))
            among = f"the {len(position)} classes of {self._names.name}"
            faults.add(f"{path}:{line}: class '{name}' is not among {among}{hint}")
        return columns
