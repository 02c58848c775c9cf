"""`mlic features`: the store of what frozen backbones made of images: fill it, look at it, clear it."""

import importlib

from mlic.errors import UsageError, did_you_mean

__all__ = ["run"]

_ACTIONS = ("extract", "info", "prune")


def run(arguments: list[str], as_json: bool) -> None:
    """Runs one action."""
    if not arguments or arguments[0] not in _ACTIONS:
        found = f"'{arguments[0]}'{did_you_mean(arguments[0], _ACTIONS)}" if arguments else "nothing"
        raise UsageError(f"mlic features takes one of {', '.join(_ACTIONS)}; found {found}")
    importlib.import_module(f"mlic.verbs.features.{arguments[0]}").run(arguments[1:], as_json)
