"""What `data.yaml`, or a file of names, says about a data set in the layout of YOLO."""

import re
from pathlib import Path

from mlic.datamodules.annotations.peek import head
from mlic.datamodules.annotations.text import text_lines
from mlic.datamodules.annotations.yamlfiles import YamlNode, read_yaml
from mlic.errors import Faults, LabelError

__all__ = ["YoloConfig", "is_config", "names_of"]

_NAMES = re.compile(r"""^["']?names["']?\s*:""", re.MULTILINE)
_OTHERS = re.compile(r"""^["']?(?:train|val|test|path|nc)["']?\s*:""", re.MULTILINE)


class YoloConfig:
    """The content of a `data.yaml`.

    A name is what stands there, so that a class may be called `no` or `1`.

    Args:
        path: the file.
        faults: takes what is wrong with the names.

    Attributes:
        path: the file.
        names: the classes in order, each with its line; None if it names none. A faulty name keeps its position.

    Raises:
        LabelError: if the file is no YAML, or no mapping.
    """

    def __init__(self, path: Path, faults: Faults) -> None:
        self.path, self._faults = path, faults
        self._values = self._mapping(read_yaml(path))
        self.names = self._read_names()

    @property
    def start(self) -> str:
        """The folder that its paths start from, relative to that of the file; "" if it does not say."""
        node = self._value("path")
        return "" if node is None or node.text is None else node.text.strip()

    def entries(self, key: str) -> list[tuple[str, int]]:
        """Returns the folders or lists of a split, each with its line; none if it has none.

        Raises:
            LabelError: if there is something else.
        """
        node = self._value(key)
        if node is None:
            return []
        nodes = [node] if node.text is not None or node.is_mapping else node.items
        paths = []
        for item in nodes:
            if item.text is None:
                expected = "expected a folder of images, a list of folders, or a txt file that lists images"
                raise LabelError(f"{self.path}:{item.line}: '{key}' is no path; {expected}")
            if item.text.strip():
                paths.append((item.text.strip(), item.line))
        return paths

    def _value(self, key: str) -> YamlNode | None:
        node = self._values.get(key)
        return None if node is None or node.is_null else node

    def _read_names(self) -> list[tuple[str, int]] | None:
        node = self._value("names")
        if node is None:
            return None
        if node.text is not None:
            expected = "expected a list, or a mapping from positions to names"
            raise LabelError(f"{self.path}:{node.line}: 'names' is '{node.text:.40}'; {expected}")
        items = self._numbered(node) if node.is_mapping else node.items
        self._check_count(len(items))
        names = [((item.text or "").strip(), item.line) for item in items]
        _check_names(self.path, names, self._faults)
        return names

    def _numbered(self, node: YamlNode) -> list[YamlNode]:
        """Returns the names of a mapping from positions, in their order."""
        items: dict[int, YamlNode] = {}
        for key, value in node.pairs():
            text = (key.text or "").strip()
            place = f"{self.path}:{key.line}"
            if not re.fullmatch("[0-9]{1,9}", text):
                self._faults.add(f"{place}: the key '{text:.40}' of names is no position; expected 0, 1, 2 ...")
            elif int(text) in items:
                self._faults.add(f"{place}: position {text} of names is there twice; expected one name")
            else:
                items[int(text)] = value
        for wanted, position in enumerate(sorted(items)):
            if wanted != position:
                place = f"{self.path}:{items[position].line}"
                self._faults.add(f"{place}: names has position {position}, but none {wanted}; expected 0, 1, 2 ...")
                break
        return [items[position] for position in sorted(items)]

    def _check_count(self, count: int) -> None:
        node = self._value("nc")
        if node is not None and node.text != str(count):
            found = f"nc is {node.text or '':.40}, but there are {count} names"
            self._faults.add(f"{self.path}:{node.line}: {found}; expected as many")

    def _mapping(self, node: YamlNode) -> dict[str, YamlNode]:
        if not node.is_mapping:
            raise LabelError(f"{self.path}: holds no keys; expected names, train and val")
        values: dict[str, YamlNode] = {}
        for key, value in node.pairs():
            if key.text is not None:
                if key.text in values:
                    found = f"the key '{key.text:.40}' is there twice"
                    self._faults.add(f"{self.path}:{key.line}: {found}; expected it once")
                values[key.text] = value
        return values


def names_of(path: Path, faults: Faults) -> list[tuple[str, int]]:
    """Returns the classes of a file that names one a line, in order, each with its line.

    Raises:
        LabelError: if the file cannot be read, or a blank line makes the positions of the names unclear.
    """
    names = [(name, line) for line, name in text_lines(path)]
    blank = next((position for position, (_, line) in enumerate(names, 1) if line != position), None)
    if blank is not None:
        raise LabelError(f"{path}:{blank}: a blank line, so the positions of the names below it are not clear")
    if not names:
        faults.add(f"{path}: no class; expected one a line")
    _check_names(path, names, faults)
    return names


def _check_names(path: Path, names: list[tuple[str, int]], faults: Faults) -> None:
    first: dict[str, int] = {}
    for name, line in names:
        if not name:
            faults.add(f"{path}:{line}: a class has no name; expected one")
        elif name in first:
            faults.add(f"{path}:{line}: class '{name}' is there twice, first on line {first[name]}")
        first.setdefault(name, line)


def is_config(path: Path) -> bool:
    """Says whether a file is a `data.yaml`, whatever its name."""
    if path.suffix.lower() not in (".yaml", ".yml"):
        return False
    text = head(path)
    return _NAMES.search(text) is not None and _OTHERS.search(text) is not None
