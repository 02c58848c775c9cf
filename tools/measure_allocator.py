"""Measures what `mlic.allocator.keep_blocks` and channels-last are worth, as ratios within one run.

    python tools/measure_allocator.py [BACKBONE] [BATCH]

The allocator cannot be switched back within a process, so each setting has processes of its own, in turn.
"""

import os
import statistics
import subprocess
import sys
import time

_SETTINGS = [("0", "nchw"), ("0", "channels_last"), ("1", "nchw"), ("1", "channels_last")]
_ROUNDS = 3


def seconds_a_batch(backbone: str, batch: int, layout: str) -> float:
    """Returns the time of one forward pass, the median of five, in this process."""
    import torch

    from mlic.allocator import keep_blocks
    from mlic.backbones.timm import TimmBackbone

    keep_blocks()
    formats = {"nchw": torch.contiguous_format, "channels_last": torch.channels_last}
    model = TimmBackbone(backbone, weights="none", freeze=True).to(memory_format=formats[layout])
    images = torch.rand(batch, 3, model.image_size, model.image_size).to(memory_format=formats[layout])
    times = []
    with torch.no_grad():
        for _ in range(6):
            started = time.perf_counter()
            model(images)
            times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def main() -> None:
    """Prints a line for each setting, relative to the first."""
    words = sys.argv[1:]
    if words[:1] == ["--one"]:
        print(seconds_a_batch(words[1], int(words[2]), words[3]))
        return
    backbone, batch = (words + ["tf_efficientnet_lite0", "32"][len(words) :])[:2]
    times: dict[tuple[str, str], list[float]] = {setting: [] for setting in _SETTINGS}
    for _ in range(_ROUNDS):
        for keep, layout in _SETTINGS:
            environment = {**os.environ, "MLIC_KEEP_BLOCKS": keep, "OMP_WAIT_POLICY": "PASSIVE"}
            command = [sys.executable, __file__, "--one", backbone, batch, layout]
            ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            times[keep, layout].append(float(ended.stdout))
    first = statistics.median(times[_SETTINGS[0]])
    for (keep, layout), seconds in times.items():
        median = statistics.median(seconds)
        blocks = "kept" if keep == "1" else "given back"
        print(f"{backbone}, batch {batch}: blocks {blocks:10} {layout:13} {median:.3f} s  {first / median:.2f}x")


if __name__ == "__main__":
    main()
