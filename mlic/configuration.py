"""Configurations: YAML and command-line words in, one mapping out, with the names of parts turned into class paths."""

import difflib
import importlib
import inspect
import json
import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from mlic.errors import PluginError, UsageError, did_you_mean
from mlic.parts import resolve
from mlic.plugins import Kind, available, find, load

__all__ = ["class_path_of", "expand_names", "merge", "read_yaml", "settle"]

log = logging.getLogger(__name__)

Config = dict[str, Any]

_PLACES: dict[str, Kind] = {
    "model.backbone": "backbones",
    "model.head": "heads",
    "model.loss": "losses",
    "data": "datamodules",
}
_LIBRARIES = {
    "model.optimizer": ("mlic.exact", "torch.optim"),
    "model.lr_scheduler": ("mlic.schedules", "torch.optim.lr_scheduler"),
    "trainer.callbacks": ("mlic.averaging", "mlic.unfreezing", "pytorch_lightning.callbacks"),
}
_LISTS = ("trainer.callbacks",)  # each word adds to what comes before it, so they stay in their order
_SECTIONS = ("model", "data")
_READER = re.compile(r"data\.(?:init_args\.)?(train|val|test)")
_CLASS_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_TIMM = "mlic.backbones.timm.TimmBackbone"
_PART_KEYS = {"class_path", "init_args", "dict_kwargs"}


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


def read_yaml(path: str | Path) -> Config:
    """Returns what a configuration file says.

    Raises:
        UsageError: if it cannot be read, is not YAML, or is not a mapping; with its line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; expected a configuration file") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    return _mapping(text, str(path))


def class_path_of(kind: Kind, name: str) -> Config:
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


def expand_names(config: Mapping[str, Any]) -> Config:
    """Returns a configuration in which every part is a class path.

    Raises:
        PluginError: if a named part does not exist.
        UsageError: if a part is written in a way that would be misunderstood.
    """
    return {key: _expanded(value, key) for key, value in config.items()}


def merge(old: Any, new: Any) -> Any:
    """Returns `old` overridden by `new`, both plain data; mappings are merged key by key.

    Where a part becomes another class, it keeps the arguments that were given for the first one and that it takes too,
    so that `freeze: true` in a file holds for whichever backbone the command line names.

    Example:
        >>> merge({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}})
        {'a': {'b': 1, 'c': 3}}
    """
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        return new
    before, after = old.get("class_path"), new.get("class_path")
    if before and after and before != after:
        old = {"init_args": _accepted(old.get("init_args") or {}, before, after)}
    return {**old, **{key: merge(old[key], value) if key in old else value for key, value in new.items()}}


def settle(words: Iterable[str], base: Iterable[Mapping[str, Any]] = ()) -> tuple[Config, list[str]]:
    """Makes one configuration of all that is said, the command line last, and returns the words that are left.

    Taken out are the configuration files and every word that names a part; jsonargparse sees each part once, with its
    own defaults, and overrides single arguments by the words that are left.

    Args:
        words: the command line.
        base: configurations that come before those of the command line.

    Raises:
        PluginError: if a named part does not exist.
        UsageError: if a configuration file cannot be read, or a part would be misunderstood.
    """
    config: Config = {}
    for layer in base:
        config = merge(config, expand_names(layer))
    named: list[Config] = []
    left: list[str] = []
    remaining = iter(words)
    for word in remaining:
        option, equals, value = word.partition("=")
        key = option.removeprefix("--").removesuffix(".class_path")
        if option not in ("-c", "--config") and not (option.startswith("--") and _names_part(key)):
            left.append(word)
            continue
        following = value if equals else next(remaining, None)
        if following is None:
            raise UsageError(f"{option} needs a value")
        if option in ("-c", "--config"):
            config = merge(config, expand_names(read_yaml(following)))
        elif key.endswith(".help"):
            left += [option, _class_named(key.removesuffix(".help"), following)]
        elif key.removesuffix("+") in _LISTS:
            left += [option, _spelt_out(key.removesuffix("+"), following)]
        else:
            named.append(_nested(key, _said(key, following)))
    for part in named:
        config = merge(config, expand_names(part))
    return config, left


def _names_part(key: str) -> bool:
    place = key.removesuffix(".help")
    if place.removesuffix("+") in _LISTS:
        return True
    return place in _PLACES or place in _LIBRARIES or place in _SECTIONS or _READER.fullmatch(place) is not None


def _said(key: str, value: str) -> Any:
    """Returns what a word says: a mapping, the content of a file where a section may stand in one, or a name."""
    if value.lstrip().startswith("{"):
        return _mapping(value, f"--{key}")
    if key in _SECTIONS and Path(value).suffix in (".yaml", ".yml", ".json"):
        return read_yaml(value)
    if key == "model":
        raise UsageError(f"--model is '{value}'; expected a file or a mapping, or --model.backbone {value}")
    return None if value == "null" else float(value) if _is_share(key, value) else value


def _is_share(key: str, value: str) -> bool:
    return _READER.fullmatch(key) is not None and re.fullmatch(r"\d*\.?\d+(e-?\d+)?", value) is not None


def _nested(key: str, value: Any) -> Config:
    match = _READER.fullmatch(key)
    pieces = ["data", "init_args", match.group(1)] if match else key.split(".")
    for piece in reversed(pieces):
        value = {piece: value}
    return dict(value)


def _class_named(place: str, name: str) -> str:
    expanded = _expanded_part(place, name)
    return str(expanded["class_path"]) if isinstance(expanded, dict) else name


def _spelt_out(place: str, value: str) -> str:
    return json.dumps(_expanded(_parsed(value, f"--{place}"), place))


def _parsed(text: str, where: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UsageError(f"{where}{line}: not valid YAML: {error.problem}") from None


def _mapping(text: str, where: str) -> Config:
    content = _parsed(text, where)
    if not isinstance(content, dict):
        raise UsageError(f"{where}: found {type(content).__name__}, expected a mapping such as `model:` and `data:`")
    return content


def _expanded(value: Any, place: str) -> Any:
    if place in _LISTS and value is not None:
        # One stands in a list, too: from there alone what a constructor raises arrives as it was raised.
        return [_expanded_part(place, item) for item in (value if isinstance(value, list) else [value])]
    if isinstance(value, Mapping):
        value = {key: _expanded(item, f"{place}.{key}") for key, item in value.items()}
    elif isinstance(value, list):
        value = [_expanded(item, place) for item in value]
    inside_data = place.startswith("data.init_args.") and isinstance(value, dict) and "class_path" in value
    if inside_data or place in _PLACES or place in _LIBRARIES or _READER.fullmatch(place):
        return _expanded_part(place, value)
    return value


def _expanded_part(place: str, value: Any) -> Any:
    if isinstance(value, str):
        return _class_path_at(place, value) or value
    if not isinstance(value, dict):
        return value
    _refuse_misplaced(place, value)
    if not isinstance(value.get("class_path"), str):
        return value
    part = _class_path_at(place, value["class_path"], certain=True) or {"class_path": value["class_path"]}
    init_args = {**part.get("init_args", {}), **(value.get("init_args") or {})}
    return {**value, "class_path": part["class_path"], **({"init_args": init_args} if init_args else {})}


def _class_path_at(place: str, name: str, certain: bool = False) -> Config | None:
    """Returns the class that a name means at a place; None for the path of an annotation file."""
    if place in _LIBRARIES:
        return {"class_path": _library_class(place, name)}
    if place in _PLACES:
        return class_path_of(_PLACES[place], name)
    return class_path_of("readers", name) if certain or _names_reader(name) else None


def _library_class(place: str, name: str) -> str:
    if "." in name:
        return name
    known: dict[str, str] = {}
    for library in _LIBRARIES[place]:
        module = importlib.import_module(library)
        known |= {public: library for public in module.__all__ if inspect.isclass(getattr(module, public))}
    # In whatever case: `exact` and `adamw` are what people write.
    for public in (name, *(public for public in known if public.lower() == name.lower())):
        if public in known:
            return f"{known[public]}.{public}"
    raise UsageError(
        f"{place} is '{name}', which is not in {', '.join(_LIBRARIES[place])}{did_you_mean(name, list(known))}; "
        "for a class from elsewhere write its full path"
    )


def _refuse_misplaced(place: str, value: Mapping[str, Any]) -> None:
    """Refuses arguments beside `class_path`, and a part's name as a key; jsonargparse's words for them mislead."""
    others = [str(key) for key in value if key not in _PART_KEYS]
    if not others:
        return
    if "class_path" in value:
        raise UsageError(f"{place}: '{others[0]}' stands beside class_path; arguments belong under init_args")
    if "init_args" not in value and len(value) == 1 and isinstance(value[others[0]], Mapping | None):
        raise UsageError(
            f"{place}: found '{others[0]}' as a key; expected {{class_path: {others[0]}, init_args: {{...}}}}"
        )


def _accepted(arguments: Mapping[str, Any], before: str, after: str) -> Config:
    try:
        parameters = inspect.signature(resolve(after)).parameters
    except (ImportError, AttributeError, ValueError, TypeError):
        return {}
    kept = {name: value for name, value in arguments.items() if name in parameters}
    dropped = [name for name in arguments if name not in parameters and not (before == _TIMM and name == "name")]
    if dropped:
        log.info("%s does not take %s, which was given for %s", after, ", ".join(dropped), before)
    return kept


def _names_reader(value: str) -> bool:
    known = {name for part in available("readers") for name in (part.name, f"{part.distribution}:{part.name}")}
    return value in known and not Path(value).exists()


def _is_timm_model(name: str) -> bool:
    import timm

    return bool(timm.is_model(name.removeprefix("timm/")))


def _near_timm(name: str) -> str:
    import timm

    near = difflib.get_close_matches(name, timm.list_models(), n=3)
    return f"; near to it: {', '.join(near)}" if near else ""
