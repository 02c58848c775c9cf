"""How the parts of a data set in the layout of YOLO lie together."""

import logging
from pathlib import Path

from mlic.datamodules.readers.yoloconfig import YoloConfig, names_of
from mlic.datamodules.readers.yolofiles import Paths, usual_entries
from mlic.errors import Faults, LabelError, did_you_mean

__all__ = ["CONFIGS", "NAMES", "YoloLayout"]

log = logging.getLogger(__name__)

CONFIGS = ("data.yaml", "dataset.yaml", "data.yml", "dataset.yml")
"""Where the configuration of a folder may be."""

NAMES = ("classes.txt", "obj.names", "labels/classes.txt", "images/classes.txt")
"""Where the names of the classes may be."""

_SIDES = ("train", "val", "test")


class YoloLayout:
    """The parts of a data set.

    Args:
        path: the folder, or its configuration.
        root: the data root, if it is known.
        classes: the names of the classes, for where no file names them.
        faults: takes what is wrong with the names.

    Attributes:
        source: the file that names the classes.
        names: the classes in the order of their positions, each with its line; a faulty one has a name like another.
        root: the data root.
        paths: finds what the files name.

    Raises:
        LabelError: if there are no names, or a file cannot be read.
    """

    def __init__(self, path: Path, root: Path | None, classes: list[str] | None, faults: Faults) -> None:
        self._home = path if path.is_dir() else path.parent
        configs = [self._home / name for name in CONFIGS] if path.is_dir() else [path]
        found = [file for file in configs if file.is_file() or not path.is_dir()]
        self._config = YoloConfig(found[0], faults) if found else None
        self.source, self.names = self._named(found, classes, faults)
        start = self._start(found[0]) if found else self._home
        self.root = start if root is None else root
        self.paths = Paths(self.root, [start, self._home])

    def _named(
        self, configs: list[Path], classes: list[str] | None, faults: Faults
    ) -> tuple[Path, list[tuple[str, int]]]:
        if self._config is not None and self._config.names is not None:
            return configs[0], self._config.names
        files = [self._home / name for name in NAMES if (self._home / name).is_file()]
        if files:
            return files[0], names_of(files[0], faults)
        source = configs[0] if configs else self._home
        if classes is None:
            expected = f"expected names in data.yaml, or a file {' or '.join(NAMES[:2])}; or give classes"
            raise LabelError(f"{source}: the classes have no names; {expected}")
        return source, [(name, 0) for name in classes]

    def _start(self, config: Path) -> Path:
        """Returns the folder that the paths of the configuration start from."""
        written = "" if self._config is None else self._config.start.replace("\\", "/")
        start = Path(self._home, written)
        if start.is_dir():
            return start
        log.info("%s: the folder '%s' is not there, so paths start from %s", config, written, self._home)
        return self._home

    def entries(self, split: str | None) -> list[str]:
        """Returns the folders of images and the lists of images that make up a split, or all of the data set.

        Raises:
            LabelError: if there are none, or one is missing or outside the data root.
        """
        found, named = self._configured(split)
        if not found and not named:
            found = [(entry, entry) for entry in usual_entries(self._home, split)]
        if not found:
            raise LabelError(self._nothing(split, named))
        for entry, place in found:
            if f"{self.paths.relative(entry)}/".startswith("../"):
                expected = "expected a folder below it; give root: a folder that holds all images"
                raise LabelError(f"{place} lies outside the data root {self.root}; {expected}")
        return list(dict.fromkeys(entry for entry, _ in found))

    def _configured(self, split: str | None) -> tuple[list[tuple[str, str]], bool]:
        """Returns what the configuration names and is there, each with words for it; and whether it names any."""
        if self._config is None:
            return [], False
        found, named = [], False
        for key in _SIDES if split is None else (split,):
            for written, line in self._config.entries(key):
                named = True
                place = f"{self._config.path}:{line}: '{written}' of {key}"
                entry = self.paths.entry(written)
                if entry is not None:
                    found.append((entry, place))
                elif split is None:
                    log.warning("%s is not there, so it is left out", place)
                else:
                    raise LabelError(
                        f"{place} is not there; expected a folder of images, or a txt file that lists them"
                    )
        return found, named

    def _nothing(self, split: str | None, named: bool) -> str:
        if split is None:
            what = "none of its train, val and test is there" if named else "there are no images"
            return f"{self.source}: {what}; expected a folder of images, or a txt file that lists them"
        sides = [] if self._config is None else [side for side in _SIDES if self._config.entries(side)]
        expected = " or ".join(sides) or f"images/{split}, {split}/images, {split}.txt or obj_{split}_data"
        return f"{self.source}: there is no split '{split}'; expected {expected}{did_you_mean(split, sides)}"
