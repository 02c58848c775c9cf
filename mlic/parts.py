"""`Part`: a pluggable piece that can say how it was made, so that a checkpoint can rebuild it."""

import functools
import importlib
import inspect
from collections.abc import Mapping
from typing import Any, TypeVar

from mlic.errors import CheckpointError

__all__ = ["Part", "Spec", "class_of", "rebuild", "resolve", "spec"]

Spec = dict[str, Any]
"""How a part was made: `{"class_path": "package.module.Class", "init_args": {...}}`, plain data only."""

_PLAIN = (str, int, float, bool, type(None))


PartType = TypeVar("PartType", bound="Part")


class Part:
    """Remembers the arguments that its constructor was called with.

    Backbones, heads, losses and readers inherit from it. A plug-in author has nothing to do; the arguments should be
    plain data (numbers, strings, lists, dicts), since a checkpoint that is loaded with `weights_only=True` holds
    nothing else.
    """

    # Not `Self`, which beartype refuses in a method of a class that it does not decorate as a whole.
    def __new__(cls: type[PartType], *args: Any, **kwargs: Any) -> PartType:
        """Makes the part and notes what it was called with."""
        self = super().__new__(cls)
        # object.__setattr__, because torch.nn.Module forbids attributes before its own constructor has run.
        object.__setattr__(self, "_called_with", (args, kwargs))
        return self


def spec(part: Part, given: int = 0) -> Spec:
    """Returns how `part` was made.

    Args:
        part: a backbone, head, loss or reader.
        given: how many leading positional arguments whoever rebuilds it will supply (a head's two: `num_features` and
            `num_classes`); they are left out.

    Raises:
        CheckpointError: if an argument is not plain data.

    Example:
        >>> class Pool(Part):
        ...     def __init__(self, size: int = 2) -> None: ...
        >>> spec(Pool(size=3))["init_args"]
        {'size': 3}
    """
    cls = type(part)
    class_path = f"{cls.__module__}.{cls.__qualname__}"
    args, kwargs = part._called_with  # type: ignore[attr-defined]
    signature = inspect.signature(cls.__init__)
    bound = signature.bind_partial(part, *args, **kwargs)
    arguments = dict(list(bound.arguments.items())[1 + given :])
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            arguments.update(arguments.pop(parameter.name, {}))
    for name, value in arguments.items():
        arguments[name] = _plain(value, f"{class_path}({name}=...)")
    return {"class_path": class_path, "init_args": arguments}


def class_of(spec: Mapping[str, Any], base: type[PartType]) -> type[PartType]:
    """Imports the class that `spec` names.

    Args:
        spec: as `spec()` returned it.
        base: what the class must inherit from; nothing else that a checkpoint names is ever called.

    Raises:
        CheckpointError: if the class cannot be imported, or is not a `base`.
    """
    class_path = spec["class_path"]
    try:
        cls = resolve(class_path)
    except (ImportError, AttributeError, ValueError) as error:
        advice = (
            "it was defined in a script; put it into a module that can be imported, and train again"
            if class_path.startswith("__main__.")
            else "install the package it comes from"
        )
        raise CheckpointError(f"{class_path} cannot be imported ({error}); {advice}") from error
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise CheckpointError(f"{class_path} is named where a {base.__name__} was expected")
    return cls


def rebuild(spec: Mapping[str, Any], base: type[PartType], *args: Any) -> PartType:
    """Makes the part that `spec` describes.

    Args:
        spec: as `spec()` returned it.
        base: as in `class_of`.
        args: leading positional arguments.

    Raises:
        CheckpointError: as `class_of`, or if the class does not take these arguments.
    """
    cls = class_of(spec, base)
    try:
        return cls(*args, **spec.get("init_args", {}))
    except TypeError as error:
        raise CheckpointError(
            f"{spec['class_path']} does not take the checkpoint's arguments ({error}); "
            "install the version that wrote it"
        ) from error


def resolve(class_path: str) -> Any:
    """Imports `package.module.Class`, where `Class` may be nested (`module.Outer.Inner`)."""
    pieces = class_path.split(".")
    for cut in range(len(pieces) - 1, 0, -1):
        module = ".".join(pieces[:cut])
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError as error:
            # Only "there is no such module" may mean "the class is nested"; a broken import inside it is told.
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise
            continue
        return functools.reduce(getattr, pieces[cut:], found)
    raise ImportError(f"no module '{pieces[0]}'")


def _plain(value: Any, where: str) -> Any:
    """Copies `value`, with tuples as lists and paths as strings; refuses what is not plain data."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item, where) for item in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(item, where) for key, item in value.items()}
    if hasattr(value, "__fspath__"):
        return str(value)
    raise CheckpointError(
        f"{where} is a {type(value).__name__}, which a checkpoint cannot carry; "
        "take numbers, strings, lists or dicts as constructor arguments"
    )
