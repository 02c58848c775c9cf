"""Places: what of a configuration a search may change."""

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from mlic.errors import UsageError, did_you_mean
from mlic.heads.base import Head
from mlic.losses.base import Loss
from mlic.parts import resolve
from mlic.schedules import Schedule

__all__ = ["MODEL", "PARTS", "VALUES", "arguments_of", "known_place", "owner", "put", "taken"]

Config = dict[str, Any]

MODEL = "model"
"""The place whose choices are spaces of their own: parts that go together."""

PARTS: dict[str, tuple[type, ...]] = {
    "model.head": (Head,),
    "model.loss": (Loss,),
    "model.optimizer": (Optimizer,),
    "model.lr_scheduler": (Schedule, LRScheduler),
}
"""Where a class is named, and of which kinds."""

_GIVEN = ("self", "args", "kwargs", "num_features", "num_classes", "params", "optimizer")


class _Value(NamedTuple):
    path: tuple[str, ...]
    fits: Callable[[Any], bool]
    expected: str


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _is_count(value: Any) -> bool:
    return _is_number(value) and isinstance(value, int)


VALUES = {
    "model.lr_scheduler_interval": _Value(
        ("model", "lr_scheduler_interval"), lambda value: value in ("epoch", "step"), "epoch or step"
    ),
    "model.head_lr_multiplier": _Value(("model", "head_lr_multiplier"), _is_number, "a number above 0"),
    "data.batch_size": _Value(("data", "init_args", "batch_size"), _is_count, "a whole number, 1 or more"),
    "trainer.max_epochs": _Value(("trainer", "max_epochs"), _is_count, "a whole number, 1 or more"),
    "trainer.gradient_clip_val": _Value(
        ("trainer", "gradient_clip_val"), lambda value: value is None or _is_number(value), "null or a number above 0"
    ),
}
"""Single values, and where the whole configuration has them."""


def known_place(name: str, where: str) -> str:
    """Returns the place that a space names.

    Args:
        name: as it is written; `init_args` may stand in it, as in a configuration.
        where: the space's file, for the message.

    Raises:
        UsageError: if nothing there can be searched over.
    """
    place = ".".join(piece for piece in name.split(".") if piece != "init_args")
    if place == MODEL or place in PARTS or place in VALUES or owner(place) is not None:
        return place
    known = [*PARTS, *VALUES]
    reason = (
        "; features are kept of one backbone and of unchanged images"
        if place.startswith(("model.back", "data."))
        else ""
    )
    raise UsageError(
        f"{where}: a search cannot change '{name}'{did_you_mean(place, known)}{reason}\nplaces: {', '.join(known)}, "
        "and arguments of a part such as model.optimizer.lr"
    )


def owner(place: str) -> str | None:
    """Returns the part that a place is an argument of.

    Example:
        >>> owner("model.optimizer.lr"), owner("model.optimizer")
        ('model.optimizer', None)
    """
    part, _, argument = place.rpartition(".")
    return part if part in PARTS and argument else None


def taken(config: Mapping[str, Any], place: str) -> Any:
    """Returns what a whole configuration has at a place."""
    value: Any = config
    for key in _path(place):
        value = value[key]
    return value


def put(config: Config, place: str, value: Any) -> None:
    """Sets what a whole configuration has at a place."""
    *path, last = _path(place)
    for key in path:
        config = config[key]
    config[last] = value


def arguments_of(class_path: str) -> tuple[str, ...] | None:
    """Returns the names of the arguments that a configuration may give a class; None if it takes any.

    Example:
        >>> arguments_of("mlic.schedules.WarmupCosine")
        ('warmup', 'final')
    """
    parameters = inspect.signature(resolve(class_path)).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return None
    return tuple(name for name in parameters if name not in _GIVEN)


def _path(place: str) -> tuple[str, ...]:
    return VALUES[place].path if place in VALUES else tuple(place.split("."))
