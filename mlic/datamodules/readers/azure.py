"""`AzureReader`: the JSON lines of Azure Machine Learning, for AutoML for images and as its data labelling exports."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from mlic.datamodules.annotations.imagefiles import ImageFiles
from mlic.datamodules.annotations.jsonfiles import as_written, read_json_lines
from mlic.datamodules.annotations.peek import json_shape
from mlic.datamodules.annotations.samples import Samples
from mlic.datamodules.readers.base import LabelReader
from mlic.errors import LabelError
from mlic.labels import LabelTable

__all__ = ["AzureReader"]

log = logging.getLogger(__name__)


class _Image(msgspec.Struct, gc=False):
    image_url: str
    label: Any = None


class AzureReader(LabelReader):
    """Reads `{"image_url": "azureml://.../paths/imgs/a.jpg", "label": ["cat", "dog"]}`, an object a line.

    `label` lists the classes that are present, or is the one that is; what it does not list is absent, and so is a
    class that the training file names and this one never does. `[]` is a labelled image without any class; a line
    without `label`, or with null, an unlabelled image. An image without a line is not part of the table. Lines of one
    image are united.

    Names map to classes exactly, after spaces around them are stripped; classes are sorted by name. A name that is not
    among `classes`, where they are given, is an error with its line. Other keys, such as `image_details` and
    `label_confidence`, are not read.

    Nothing is downloaded: `azureml://` and `AmlDatastore://` need `uri_prefix`. Plain paths are files.

    Args:
        path: the file, UTF-8.
        root: the folder that plain paths start from; by default that of the file or, whichever has the images, the one
            above, or images or data in either.
        classes: the classes in order, all of them; by default those that the file names.
        shapes: whether a box or a polygon, as in files for detection and segmentation, means that its class is present;
            otherwise it is an error.
        uri_prefix: what the URIs of images begin with, such as `AmlDatastore://photos/`, to the local folder that holds
            the same.

    Raises:
        LabelError: by `read`, with all faults of the file, each with its line.
    """

    def __init__(
        self,
        path: Path,
        root: Path | None = None,
        classes: list[str] | None = None,
        shapes: bool = False,
        uri_prefix: dict[str, Path] | None = None,
    ) -> None:
        self._path, self._root, self._classes = Path(path), root, classes
        self._shapes, self._uri_prefix = shapes, uri_prefix

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Says whether `path` holds JSON lines with an `image_url`, and its `image_details` or `label`."""
        shape = json_shape(path)
        # `file_name` is the image of Hugging Face's metadata.jsonl, which may have any other key.
        return "image_url" in shape and not shape.isdisjoint({"image_details", "label"}) and "file_name" not in shape

    def read(self) -> LabelTable:
        """Returns the table; images in the order of the file."""
        lines = list(read_json_lines(self._path, _Image))
        files = ImageFiles.locate(
            self._root,
            self._path.parent,
            (image.image_url for _, image in lines if isinstance(image, _Image)),
            guesses=["..", "images", "data", "../images", "../data"],
            uri_prefix=self._uri_prefix,
        )
        samples = Samples(self._path, files, None if self._classes is None else dict.fromkeys(self._classes, 0))
        for line, image in lines:
            if isinstance(image, LabelError):
                samples.faults.add(str(image))
            else:
                self._add(samples, image, line)
        labels = [image.label for _, image in lines if isinstance(image, _Image) and image.label is not None]
        if labels and all(isinstance(label, str) for label in labels):
            log.warning(
                "%s: each label is one name, not a list, so each image has one class: the file is for single labels",
                self._path,
            )
        return samples.table(open_vocabulary=True)

    def _add(self, samples: Samples, image: _Image, line: int) -> None:
        row = samples.image(image.image_url, line)
        if image.label is None:
            return
        samples.labelled(row)
        labels = image.label if isinstance(image.label, list) else [image.label]
        for index, label in enumerate(labels):
            at = f"label[{index}]" if isinstance(image.label, list) else "label"
            name = label.get("label") if isinstance(label, Mapping) else label
            if isinstance(label, Mapping) and not self._shapes:
                expected = "expected a name, or give shapes: true if a box or polygon means that its class is present"
                samples.fault(line, f"{at} is an object, as for detection; {expected}")
            elif isinstance(name, str):
                samples.add(row, samples.column(name.strip(), line), line)
            else:
                samples.fault(line, f"{at} is {as_written(label)}; expected the name of a class")
