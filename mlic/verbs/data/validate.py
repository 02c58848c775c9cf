"""`mlic data validate`: all that is wrong with a data set."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mlic.datamodules.inspection import Finding, inspect_sides
from mlic.datamodules.sources import reader_of
from mlic.errors import LabelError
from mlic.verbs.data.words import ActionParser, parse

__all__ = ["run"]

_SHOWN = 20  # findings of one kind


def run(arguments: list[str], as_json: bool) -> None:
    """Prints the findings.

    Raises:
        LabelError: if there is an error among them, or with `--strict` a warning.
    """
    parser = ActionParser("validate")
    parser.add_argument("--val", type=Path)
    parser.add_argument("--test", type=Path)
    parser.add_argument("--strict", action="store_true")
    options, reader = parse(parser, arguments)
    others = {"val": options.val, "test": options.test}
    readers = {side: reader_of(path, like=reader) for side, path in others.items() if path is not None}
    findings = list(inspect_sides({"train": reader, **readers}))
    if as_json:
        sys.stdout.write(json.dumps([finding._asdict() for finding in findings]) + "\n")
    else:
        sys.stdout.write(_page(findings))
    errors = sum(finding.number for finding in findings if finding.severity == "error")
    warnings = sum(finding.number for finding in findings if finding.severity == "warning")
    if errors or (options.strict and warnings):
        strict = ", which --strict takes for errors" if options.strict and warnings else ""
        raise LabelError(f"{options.source}: {_number(errors, 'error')}, {_number(warnings, 'warning')}{strict}")


def _page(findings: Sequence[Finding]) -> str:
    lines = []
    totals = Counter((finding.severity, finding.kind) for finding in findings if finding.number == 1)
    # A line that says "1 more" takes the room of the one that it hides.
    room = {kind: total if total == _SHOWN + 1 else _SHOWN for kind, total in totals.items()}
    shown = Counter[tuple[str, str]]()
    for finding in findings:
        kind = finding.severity, finding.kind
        if finding.number == 1:
            shown[kind] += 1
            if shown[kind] > room[kind]:
                continue
        lines.append(f"{finding.severity:7}  {finding.message}")
    for (severity, name), total in totals.items():
        hidden = total - room[severity, name]
        if hidden > 0:
            lines.append(f"{severity:7}  {hidden} more of the kind '{name}'; --json lists all")
    return "".join(f"{line}\n" for line in lines or ["nothing is wrong"])


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
