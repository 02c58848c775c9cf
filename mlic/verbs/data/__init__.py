"""`mlic data`: looks at annotations, checks them, converts them, splits them, and finds labels that may be wrong."""

import importlib

from mlic.errors import UsageError, did_you_mean

__all__ = ["run"]

_ACTIONS = ("stats", "validate", "convert", "split", "suspects")


def run(arguments: list[str], as_json: bool) -> None:
    """Runs one action."""
    if not arguments or arguments[0] not in _ACTIONS:
        found = f"'{arguments[0]}'{did_you_mean(arguments[0], _ACTIONS)}" if arguments else "nothing"
        raise UsageError(f"mlic data takes one of {', '.join(_ACTIONS)}, then a path; found {found}")
    importlib.import_module(f"mlic.verbs.data.{arguments[0]}").run(arguments[1:], as_json)
