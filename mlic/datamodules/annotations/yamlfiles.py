"""YAML as people save it: what stands where, never made into Python objects."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mlic.datamodules.annotations.text import open_text
from mlic.errors import LabelError

__all__ = ["YamlNode", "read_yaml"]

_LARGEST = 1 << 20  # characters: the names of 20,000 classes
_NULLS = ("", "~", "null", "Null", "NULL")
# The same language, thirty times quicker where PyYAML came with libyaml.
_LOADER: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass
class YamlNode:
    """A value and where it stands.

    Attributes:
        line: where it begins, from 1.
        text: of a scalar, as it is written, without quotation marks; None for another.
        items: of a sequence, its values; of a mapping each key, then its value.
        is_mapping: whether it is a mapping.
        is_null: whether it is nothing, which is also what `~` and `null` say.
    """

    line: int
    text: str | None = None
    items: "list[YamlNode]" = field(default_factory=list)
    is_mapping: bool = False
    is_null: bool = False

    def pairs(self) -> "Iterator[tuple[YamlNode, YamlNode]]":
        """Yields the keys and values of a mapping; nothing for another."""
        if self.is_mapping:
            yield from zip(self.items[::2], self.items[1::2], strict=True)


def read_yaml(path: Path, depth: int = 3) -> YamlNode:
    """Returns the one document of a file.

    A value that is named by reference is the same object wherever it is, so a file that refers to itself again and
    again takes no more memory than it is long. A text is what stands there: `no` is no boolean.

    Args:
        path: the file, UTF-8, with or without a byte-order mark.
        depth: how deep the result goes; what lies deeper is passed over.

    Raises:
        LabelError: if the file cannot be read, is no YAML (with its line), has no document or several, or is longer
            than a million characters.
    """
    with open_text(path) as stream:
        text = stream.read(_LARGEST + 1)
    if len(text) > _LARGEST:
        raise LabelError(f"{path}: longer than {_LARGEST} characters; expected a configuration")
    try:
        return _Composer(path, depth).document(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = path if mark is None else f"{path}:{mark.line + 1}:{mark.column + 1}"
        raise LabelError(f"{place}: no valid YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:  # a character that YAML does not allow
        reason = getattr(error, "reason", error)
        raise LabelError(f"{path}: no valid YAML: {reason}") from error
    except (RecursionError, ValueError, OverflowError) as error:
        raise LabelError(f"{path}: no valid YAML: {error}") from error


class _Composer:
    """Makes nodes of the events of a parser."""

    def __init__(self, path: Path, depth: int) -> None:
        self._path, self._depth = path, depth
        self._anchors: dict[str, YamlNode] = {}

    def document(self, events: Iterator[Any]) -> YamlNode:
        # The outermost node holds the documents.
        outermost = YamlNode(1)
        open_nodes = [outermost]
        for event in events:
            line = event.start_mark.line + 1
            if isinstance(event, yaml.CollectionEndEvent):
                open_nodes.pop()
            elif isinstance(event, yaml.NodeEvent):
                node = self._node(event, line)
                if len(open_nodes) <= self._depth:
                    open_nodes[-1].items.append(node)
                if isinstance(event, yaml.CollectionStartEvent):
                    open_nodes.append(node)
        if len(outermost.items) != 1:
            found = "has several documents" if outermost.items else "is empty"
            raise LabelError(f"{self._path}: {found}; expected one document")
        return outermost.items[0]

    def _node(self, event: Any, line: int) -> YamlNode:
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise LabelError(f"{self._path}:{line}: refers to '{event.anchor}', which is nowhere above")
            return self._anchors[event.anchor]
        node = YamlNode(line)
        if isinstance(event, yaml.ScalarEvent):
            node.text = event.value
            node.is_null = bool(event.implicit[0]) and event.value in _NULLS
        node.is_mapping = isinstance(event, yaml.MappingStartEvent)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node
