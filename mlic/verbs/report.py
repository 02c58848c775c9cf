"""`mlic report`: the report of a model from what is there already, or a comparison of two."""

import json
import sys
from pathlib import Path

from mlic.errors import UsageError
from mlic.report import compare_reports, read_predictions, write_report
from mlic.runs import new_run_folder
from mlic.scored import Scored
from mlic.verbs.data.words import ActionParser, parse

__all__ = ["run"]

_FILE = "scored.npz"


def run(arguments: list[str], as_json: bool) -> None:
    """Writes a report or a comparison, and prints where it is."""
    parser = ActionParser("report", verb="")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--predictions", type=Path)
    if any(word.partition("=")[0] == "--predictions" for word in arguments):
        options, labels = parse(parser, arguments)
        models = [read_predictions(options.predictions, labels.read())]
    else:
        parser.add_argument("models", metavar="A", nargs="+", type=Path)
        options = parser.parse_args(arguments)
        if len(options.models) > 2:
            parser.error(f"one model, or two to compare, are expected; found {len(options.models)}")
        models = [Scored.load(_file(path)) for path in options.models]
    folder = options.output or new_run_folder(Path(), "report")
    written = compare_reports(models[0], models[1], folder) if len(models) == 2 else write_report(models[0], folder)
    files = {name: str(path) for name, path in written._asdict().items()}
    if as_json:
        sys.stdout.write(json.dumps(files) + "\n")
    else:
        sys.stdout.write("".join(f"{name:<11}{path}\n" for name, path in files.items()))


def _file(path: Path) -> Path:
    """Returns the file with the scores that a word means.

    Raises:
        UsageError: if there is none.
    """
    if path.is_file():
        return path
    for found in (path / _FILE, path / "report" / "latest" / _FILE):
        if found.is_file():
            return found
    raise UsageError(
        f"{path}: no {_FILE} here; expected that file, the folder of a report, or a run whose best.ckpt was tested "
        "(mlic test --ckpt_path ...)"
    )
