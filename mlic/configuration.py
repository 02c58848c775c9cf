"""Configurations: YAML and command-line words in, with the names of parts turned into class paths."""

import difflib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from mlic.errors import PluginError, UsageError
from mlic.plugins import Kind, available, find, load

__all__ = ["class_path_of", "expand_arguments", "expand_names", "read_yaml"]

_PLACES: dict[str, Kind] = {
    "model.backbone": "backbones",
    "model.head": "heads",
    "model.loss": "losses",
    "data": "datamodules",
}
_SIDES = ("train", "val", "test")
_READER = re.compile(rf"data\.(?:init_args\.)?(?:{'|'.join(_SIDES)})")
_CLASS_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_TIMM = "mlic.backbones.timm.TimmBackbone"


class _Loader(yaml.SafeLoader):
    """YAML 1.2's floats (`1e-3` is a number), and no key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key}' occurs twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$|[-+]?\.(?:inf|Inf|INF)$|\.(?:nan|NaN|NAN)$"),
    list("-+0123456789."),
)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Returns what a configuration file says.

    Raises:
        UsageError: if it cannot be read, is not YAML, or is not a mapping; with its line.
    """
    try:
        content = yaml.load(Path(path).read_text(encoding="utf-8-sig"), Loader=_Loader)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; expected a configuration file") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UsageError(f"{path}{line}: not valid YAML: {error.problem}") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path}: found {type(content).__name__}, expected a mapping such as `model:` and `data:`")
    return content


def class_path_of(kind: Kind, name: str) -> dict[str, Any]:
    """Returns `{"class_path": ..., "init_args": ...}` for the name of a part, a timm model or a class path.

    Raises:
        PluginError: if there is no such part, or it cannot be imported.

    Example:
        >>> class_path_of("heads", "linear")
        {'class_path': 'mlic.heads.linear.LinearHead'}
    """
    names = [part.name for part in available(kind)]
    if name not in names and ":" not in name:
        if kind == "backbones" and _is_timm_model(name):
            return {"class_path": _TIMM, "init_args": {"name": name}}
        if _CLASS_PATH.fullmatch(name):
            return {"class_path": name}
    try:
        plugin = find(kind, name)
    except PluginError as error:
        if kind == "backbones":
            raise PluginError(f"{error}, or any timm model{_near_timm(name)}") from None
        raise
    load(plugin)  # a part that does not import is told with its distribution, not as an unknown class
    return {"class_path": plugin.class_path}


def expand_names(config: dict[str, Any]) -> dict[str, Any]:
    """Returns a configuration in which every part is a class path.

    Raises:
        PluginError: if a named part does not exist.
    """
    expanded = _expanded(config, "")
    return expanded if isinstance(expanded, dict) else config


def expand_arguments(arguments: list[str]) -> list[str]:
    """Returns command-line words in which every part is a class path and every configuration file its content.

    Raises:
        PluginError: if a named part does not exist.
        UsageError: if a configuration file cannot be read.
    """
    expanded: list[str] = []
    words = iter(arguments)
    for word in words:
        option, equals, value = word.partition("=")
        if not option.startswith("-") or not _takes_name(option):
            expanded.append(word)
            continue
        if not equals:
            following = next(words, None)
            if following is None:
                expanded.append(word)
                continue
            value = following
        expanded += [option, _expanded_value(option, value)]
    return expanded


def _takes_name(option: str) -> bool:
    return option in ("-c", "--config") or any(True for _ in _kinds_of(option))


def _kinds_of(option: str) -> Iterator[Kind]:
    key = option.removeprefix("--").removesuffix(".help").removesuffix(".class_path")
    if key in _PLACES:
        yield _PLACES[key]
    elif _READER.fullmatch(key):
        yield "readers"


def _expanded_value(option: str, value: str) -> str:
    if option in ("-c", "--config"):
        return json.dumps(expand_names(read_yaml(value)))
    kind = next(_kinds_of(option))
    if option.endswith((".help", ".class_path")):
        return str(class_path_of(kind, value)["class_path"])
    if value.lstrip().startswith("{"):
        return json.dumps(_expanded_part(kind, yaml.load(value, Loader=_Loader)))
    part = _expanded_part(kind, value)
    return part if isinstance(part, str) else json.dumps(part)


def _expanded(value: Any, place: str) -> Any:
    if isinstance(value, dict):
        value = {key: _expanded(item, f"{place}.{key}" if place else str(key)) for key, item in value.items()}
    elif isinstance(value, list):
        value = [_expanded(item, place) for item in value]
    if place in _PLACES:
        return _expanded_part(_PLACES[place], value)
    inside_data = place.startswith("data.init_args.")
    if _READER.fullmatch(place) or (inside_data and isinstance(value, dict) and "class_path" in value):
        return _expanded_part("readers", value)
    return value


def _expanded_part(kind: Kind, value: Any) -> Any:
    if isinstance(value, str):
        if kind == "readers" and not _names_reader(value):
            return value  # the path of an annotation file
        return class_path_of(kind, value)
    if isinstance(value, dict) and isinstance(value.get("class_path"), str):
        part = class_path_of(kind, value["class_path"])
        init_args = {**part.get("init_args", {}), **(value.get("init_args") or {})}
        return {**value, "class_path": part["class_path"], **({"init_args": init_args} if init_args else {})}
    return value


def _names_reader(value: str) -> bool:
    return any(value == part.name for part in available("readers")) and not Path(value).exists()


def _is_timm_model(name: str) -> bool:
    import timm

    return bool(timm.is_model(name.removeprefix("timm/")))


def _near_timm(name: str) -> str:
    import timm

    near = difflib.get_close_matches(name, timm.list_models(), n=3)
    return f"; near to it: {', '.join(near)}" if near else ""
