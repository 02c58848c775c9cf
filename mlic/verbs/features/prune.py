"""`mlic features prune`: frees room from stores that nobody uses, and from what is damaged in the others."""

import json
import logging
import shutil
import sys
from pathlib import Path

from jsonargparse import ArgumentParser

from mlic.errors import UsageError
from mlic.features import FeatureStore
from mlic.verbs.features.stores import figures_of

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(arguments: list[str], as_json: bool) -> None:
    """Removes stores that were not used for some days, and tidies up the others."""
    parser = ArgumentParser(
        prog="mlic features prune",
        description="Removes stores that nobody uses, and writes the others anew without damaged and repeated rows. "
        "Not while a training uses them.",
        exit_on_error=False,
    )
    parser.add_argument("--folder", type=Path | None, help="of the stores; by default the one that `fit` uses")
    parser.add_argument("--unused_days", type=float, default=30.0, help="stores not used for so long go; 0: all")
    config = parser.parse_args(arguments)
    if not config.unused_days >= 0:
        raise UsageError(f"--unused_days is {config.unused_days}; expected 0 or more")
    root: Path = config.folder or FeatureStore.default_root()
    freed = removed = 0
    for folder in FeatureStore.folders(root):
        figures = figures_of(folder)
        if figures.unused_days >= config.unused_days:
            freed, removed = freed + FeatureStore.opened(folder).nbytes, removed + 1
            try:
                shutil.rmtree(folder)
            except OSError as error:
                raise UsageError(f"{folder}: cannot be removed ({error.strerror}); remove it as its owner") from error
            log.info("%s: removed, unused for %.1f days", folder, figures.unused_days)
        else:
            freed += FeatureStore.opened(folder).compact()
    if as_json:
        sys.stdout.write(json.dumps({"removed": removed, "freed": freed}) + "\n")
    else:
        sys.stdout.write(f"{removed} stores removed, {freed / 2**20:.1f} MiB freed\n")
