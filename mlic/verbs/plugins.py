"""`mlic plugins`: the parts that a configuration may name, from metadata alone."""

import json
import sys

from mlic.errors import UsageError, did_you_mean
from mlic.plugins import KINDS, available
from mlic.tables import text_table

__all__ = ["run"]

_HELP = """\
usage: mlic plugins [KIND...] [--json]

Lists the parts that a configuration may name, with the package that brings each. Imports none of them.
KIND: {kinds}
"""


def run(arguments: list[str], as_json: bool) -> None:
    """Prints all parts, or those of the kinds that are named."""
    if "-h" in arguments or "--help" in arguments:
        sys.stdout.write(_HELP.format(kinds=", ".join(KINDS)))
        return
    for word in arguments:
        if word not in KINDS:
            raise UsageError(f"'{word}' is not a kind of part{did_you_mean(word, KINDS)}\nkinds: {', '.join(KINDS)}")
    parts = [part for kind in KINDS if not arguments or kind in arguments for part in available(kind)]
    if as_json:
        sys.stdout.write(json.dumps([part._asdict() for part in parts], indent=2) + "\n")
        return
    rows = [[part.kind, part.name, part.class_path, f"{part.distribution} {part.version}"] for part in parts]
    sys.stdout.write(text_table(["kind", "name", "class", "from"], rows))
    if not arguments or "backbones" in arguments:
        sys.stdout.write("\nbackbones also takes the name of any timm model, such as resnet50.\n")
