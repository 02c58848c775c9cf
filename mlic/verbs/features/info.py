"""`mlic features info`: which stores there are, and how large."""

import json
import sys
from pathlib import Path

from jsonargparse import ArgumentParser

from mlic.features import FeatureStore
from mlic.verbs.features.stores import figures_of, table_of

__all__ = ["run"]


def run(arguments: list[str], as_json: bool) -> None:
    """Prints a line for each store."""
    parser = ArgumentParser(prog="mlic features info", exit_on_error=False)
    parser.add_argument("--folder", type=Path | None, help="of the stores; by default the one that `fit` uses")
    root: Path = parser.parse_args(arguments).folder or FeatureStore.default_root()
    stores = [figures_of(folder) for folder in FeatureStore.folders(root)]
    if as_json:
        sys.stdout.write(json.dumps([store._asdict() for store in stores], indent=2) + "\n")
    elif stores:
        sys.stdout.write(table_of(stores))
    else:
        sys.stdout.write(f"no features are kept in {root}\n")
