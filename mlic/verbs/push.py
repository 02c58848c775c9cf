"""`mlic push`: a folder that `mlic export` wrote to the Hugging Face hub."""

import argparse
import json
import sys
from pathlib import Path

from mlic.hub import push

__all__ = ["run"]


def run(arguments: list[str], as_json: bool) -> None:
    """Uploads the folder and says where it is."""
    parser = argparse.ArgumentParser(prog="mlic push", add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repo", required=True)
    parser.add_argument("--private", action="store_true")
    said = parser.parse_args(arguments)
    address = push(said.folder, said.repo, private=said.private)
    sys.stdout.write(json.dumps({"address": address}) + "\n" if as_json else f"pushed     {address}\n")
