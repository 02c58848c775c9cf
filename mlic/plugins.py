"""Parts by name: six entry-point groups, read as metadata; only the part that somebody names is imported."""

import os
import warnings
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, NamedTuple

from mlic.errors import PluginError, did_you_mean

__all__ = ["KINDS", "Kind", "Plugin", "available", "find", "load"]

Kind = Literal["backbones", "heads", "losses", "readers", "datamodules", "metrics"]
KINDS: tuple[Kind, ...] = ("backbones", "heads", "losses", "readers", "datamodules", "metrics")

_OURS = "mlic"


class Plugin(NamedTuple):
    """A part as its distribution's metadata announces it; nothing of it has been imported.

    Attributes:
        kind: one of `KINDS`.
        name: what users type.
        class_path: `package.module.Class`.
        distribution: the name of the package that brings it.
        version: that package's version.
    """

    kind: Kind
    name: str
    class_path: str
    distribution: str
    version: str

    @property
    def built_in(self) -> bool:
        """Whether it comes with mlic itself."""
        return self.distribution == _OURS


def available(kind: Kind) -> list[Plugin]:
    """Returns all parts of one kind, built-in ones first, then by name.

    With `MLIC_DISABLE_PLUGINS=1` in the environment only built-in parts are seen.
    """
    origins: dict[int, tuple[str, str]] = {}
    parts = {_described(kind, entry, origins) for entry in entry_points(group=f"mlic.{kind}")}
    if _disabled():
        parts = {part for part in parts if part.built_in}
    return sorted(parts, key=lambda part: (not part.built_in, part.name, part.distribution))


def find(kind: Kind, name: str) -> Plugin:
    """Returns the part called `name`, or `distribution:name`.

    A built-in wins over a plug-in of the same name, with a warning.

    Raises:
        PluginError: if there is none of that name, or two distributions bring one.
    """
    parts = available(kind)
    distribution, _, short = name.rpartition(":")
    found = [part for part in parts if part.name == short and distribution in ("", part.distribution)]
    if not found:
        names = [part.name for part in parts]
        disabled = " (MLIC_DISABLE_PLUGINS is set)" if _disabled() else ""
        raise PluginError(
            f"no {_one(kind)} is called '{name}'{did_you_mean(name, names)}{disabled}\n"
            f"{kind}: {', '.join(names) or 'none'}"
        )
    if len(found) == 1:
        return found[0]
    if found[0].built_in:
        others = ", ".join(f"{part.distribution}:{part.name}" for part in found[1:])
        warnings.warn(
            f"the built-in {_one(kind)} '{short}' is used; a plug-in has the same name (write {others} for it)",
            stacklevel=2,
        )
        return found[0]
    choices = " or ".join(f"{part.distribution}:{part.name}" for part in found)
    paths = ", ".join(part.class_path for part in found)
    raise PluginError(
        f"{len(found)} plug-ins call a {_one(kind)} '{name}'; write {choices}, or the full path ({paths})"
    )


def load(plugin: Plugin) -> type[Any]:
    """Imports the class of a part.

    Raises:
        PluginError: if it cannot be imported; with its distribution, version and the cause.
    """
    module, _, qualified_name = plugin.class_path.rpartition(".")
    try:
        loaded: type[Any] = EntryPoint(plugin.name, f"{module}:{qualified_name}", plugin.kind).load()
    except Exception as error:  # whatever a plug-in does while it is imported
        raise PluginError(
            f"the {_one(plugin.kind)} '{plugin.name}' of {plugin.distribution} {plugin.version} "
            f"({plugin.class_path}) cannot be imported: {type(error).__name__}: {error}"
        ) from error
    return loaded


def _disabled() -> bool:
    return os.environ.get("MLIC_DISABLE_PLUGINS", "0") not in ("", "0")


def _described(kind: Kind, entry: EntryPoint, origins: dict[int, tuple[str, str]]) -> Plugin:
    """Describes an entry; `origins` keeps name and version, for which Python parses a distribution's whole metadata."""
    key = id(entry.dist)
    if key not in origins:
        origins[key] = ("unknown", "?") if entry.dist is None else (entry.dist.name, entry.dist.version)
    return Plugin(kind, entry.name, entry.value.replace(":", ".").strip(), *origins[key])


def _one(kind: Kind) -> str:
    return {"losses": "loss", "metrics": "metric"}.get(kind, kind[:-1])
