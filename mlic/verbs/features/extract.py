"""`mlic features extract`: computes the features of a configuration's images, so that trainings find them."""

import json
import sys

from mlic.training import TrainingCLI

__all__ = ["run"]


def run(arguments: list[str], as_json: bool) -> None:
    """Fills the store that `mlic fit` with the same words would use, and prints where it is."""
    cli = TrainingCLI("extract", arguments)
    folders = cli.extract()
    if not cli.trainer.is_global_zero:
        return
    if as_json:
        sys.stdout.write(json.dumps({"stores": [str(folder) for folder in folders]}) + "\n")
    else:
        sys.stdout.write("".join(f"{folder}\n" for folder in folders))
