"""Measures what commands take to start, against `python -c pass`, and what the libraries cost that they import.

    python tools/benchmark_startup.py [--rounds 5] [--checkpoint best.ckpt --image a.jpg]

Each round starts every command once, in turn; the median of the rounds counts. Wall time is that of a busy machine as
it is; processor time, of the process and its children, hardly moves with the load. The first round, which fills the
disk's cache, does not count. With a checkpoint `mlic predict` on one image is among the commands.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

from mlic.tables import text_table

_COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "mlic --help": ["-m", "mlic", "--help"],
    "mlic fit --help": ["-m", "mlic", "fit", "--help"],
    "mlic plugins": ["-m", "mlic", "plugins"],
    "import torch": ["-c", "import torch"],
    "import torch, torch._dynamo": ["-c", "import torch, torch._dynamo"],
    "import torchvision": ["-c", "import torchvision"],
    "import torchmetrics": ["-c", "import torchmetrics"],
    "import pytorch_lightning": ["-c", "import pytorch_lightning"],
    "import timm": ["-c", "import timm"],
    "import mlic.metrics": ["-c", "import mlic.metrics"],
    "import mlic.classifier": ["-c", "import mlic.classifier"],
}


def main() -> None:
    """Prints a line for each command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--checkpoint", help="for `mlic predict`")
    parser.add_argument("--image", help="for `mlic predict`")
    options = parser.parse_args()
    commands = dict(_COMMANDS)
    if options.checkpoint and options.image:
        commands["mlic predict, one image"] = [
            *("-m", "mlic", "predict", "--ckpt_path", options.checkpoint, options.image)
        ]
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(options.rounds + 1):
        for name, words in commands.items():
            times[name].append(started(words))
    medians = {
        name: [statistics.median(part) for part in zip(*taken[1:], strict=True)] for name, taken in times.items()
    }
    first = medians["python -c pass"]
    rows = [
        [name, f"{wall:.2f}", f"{wall - first[0]:+.2f}", f"{processor:.2f}", f"{processor - first[1]:+.2f}"]
        for name, (wall, processor) in medians.items()
    ]
    load = os.getloadavg()[0]
    print(text_table(["command", "wall s", "more", "processor s", "more"], rows))
    print(f"load {load:.1f} on {os.cpu_count()} cores, {options.rounds} rounds")


def started(words: list[str]) -> tuple[float, float]:
    """Runs Python with some words and returns the wall and processor seconds until it has ended."""
    wall, before = time.perf_counter(), os.times()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = os.times()
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - wall, processor


if __name__ == "__main__":
    main()
