"""Measures the forward pass of a frozen network on a CPU: engines, lanes, and lanes that decode, in turn in one run.

    python tools/benchmark_engines.py FOLDER [--backbones inception_v3,efficientnet_lite0,resnet50] [--batches 4]

FOLDER holds JPEG images. Weights are random: they do not change the time. Processor time stands beside wall time, since
another program on the machine changes the one more than the other. `of bare` compares lanes that decode with the
fastest engine on tensors that are ready, on as many cores.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from mlic.threads import choose_threads, settle_threads

settle_threads()

import torch  # noqa: E402
from torch import Tensor  # noqa: E402

from mlic.allocator import keep_blocks  # noqa: E402
from mlic.backbones.base import Backbone  # noqa: E402
from mlic.backbones.efficientnet_lite0 import EfficientNetLite0  # noqa: E402
from mlic.backbones.inception_v3 import InceptionV3  # noqa: E402
from mlic.backbones.timm import TimmBackbone  # noqa: E402
from mlic.engines import Engine, TorchEngine, make_engine  # noqa: E402
from mlic.heads.pooling import AveragePooling  # noqa: E402
from mlic.images import read_image, squash  # noqa: E402
from mlic.lanes import run_lanes  # noqa: E402

_WHOLE_BATCH = 16
_OWN: dict[str, type[TimmBackbone]] = {"inception_v3": InceptionV3, "efficientnet_lite0": EfficientNetLite0}


class Module:
    """The plain module, as it runs without an engine."""

    name = "module"

    def __init__(self, backbone: Backbone, layout: torch.memory_format) -> None:
        self._backbone = backbone
        self._layout = layout
        self._mean = torch.tensor(backbone.mean).view(1, 3, 1, 1)
        self._std = torch.tensor(backbone.std).view(1, 3, 1, 1)

    def __call__(self, images: Tensor) -> Tensor:
        """Returns the pooled features."""
        with torch.no_grad():
            normalised = (images.float() / 255 - self._mean) / self._std
            backbone = self._backbone.to(memory_format=self._layout)  # costs nothing where it is so already
            feature_map: Tensor = backbone(normalised.contiguous(memory_format=self._layout))
            return feature_map.mean(dim=(2, 3))


def made(name: str) -> Backbone:
    """Returns a frozen backbone without weights."""
    return _OWN[name]("none", freeze=True) if name in _OWN else TimmBackbone(name, "none", freeze=True)


def variants(name: str, files: list[Path], batches: list[int]) -> dict[str, Callable[[int], None]]:
    """Returns what is to be measured: each runs so many images."""
    lanes = choose_threads().lanes
    backbone = made(name)
    size = backbone.image_size
    ready = list(torch.randint(0, 256, (_WHOLE_BATCH, 3, size, size), dtype=torch.uint8))
    pool = AveragePooling()
    started = time.perf_counter()
    fused = TorchEngine(backbone, backbone.mean, backbone.std, size, pool)
    print(f"{name}: {fused.num_fused} fused and compared in {time.perf_counter() - started:.1f} s", flush=True)

    def runtime(num_threads: int) -> Engine:
        return make_engine(
            backbone, backbone.mean, backbone.std, size, pool, engine="onnxruntime", num_threads=num_threads
        )

    started = time.perf_counter()
    shared, single = runtime(lanes), runtime(1)
    print(f"{name}: {single.name} twice in {time.perf_counter() - started:.1f} s", flush=True)

    def whole(engine: Callable[[Tensor], Tensor]) -> Callable[[int], None]:
        def run(num_images: int) -> None:
            for _ in range(0, num_images, _WHOLE_BATCH):
                engine(torch.stack(ready))

        return run

    def in_lanes(engine: Engine, batch: int, source: Iterable[Path | Tensor]) -> Callable[[int], None]:
        def decode(item: Path | Tensor) -> Tensor:
            return item if isinstance(item, Tensor) else squash(read_image(item), size)

        def run(num_images: int) -> None:
            items = itertools.islice(itertools.cycle(source), num_images)
            for _ in run_lanes(items, decode, engine, num_lanes=lanes, batch_size=batch):
                pass

        return run

    found = {
        "module": whole(Module(backbone, torch.contiguous_format)),
        "module, channels last": whole(Module(made(name), torch.channels_last)),
        "torch": whole(fused),
        "onnxruntime": whole(shared),
    }
    for engine, batch in itertools.product((fused, single), batches):
        found[f"{engine.name}, lanes of {batch}"] = in_lanes(engine, batch, ready)
        found[f"{engine.name}, lanes of {batch}, JPEG"] = in_lanes(engine, batch, files)
    return found


def measure(name: str, files: list[Path], batches: list[int], num_images: int, rounds: int) -> None:
    """Prints a line for each variant."""
    found = variants(name, files, batches)
    wall: dict[str, list[float]] = {variant: [] for variant in found}
    work: dict[str, list[float]] = {variant: [] for variant in found}
    for run in found.values():
        run(_WHOLE_BATCH)
    for _ in range(rounds):
        for variant, run in found.items():
            started, worked = time.perf_counter(), time.process_time()
            run(num_images)
            wall[variant].append(time.perf_counter() - started)
            work[variant].append(time.process_time() - worked)
    first = statistics.median(wall["module"])
    bare = min(statistics.median(times) for variant, times in wall.items() if "JPEG" not in variant)
    bare_work = min(statistics.median(times) for variant, times in work.items() if "JPEG" not in variant)
    print(f"{name}, images a second  [against module]  processor ms an image  (of bare: wall, processor)")
    for variant in found:
        seconds, worked = statistics.median(wall[variant]), statistics.median(work[variant])
        of_bare = f"  ({bare / seconds:.2f}, {bare_work / worked:.2f})" if "JPEG" in variant else ""
        print(
            f"  {variant:32} {num_images / seconds:7.1f}  [{first / seconds:.2f}]  "
            f"{1000 * worked / num_images:7.1f}{of_bare}",
            flush=True,
        )


def main() -> None:
    """Measures each backbone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--backbones", default="inception_v3,efficientnet_lite0,resnet50")
    parser.add_argument("--batches", default="4", help="images a lane takes at a time, such as 1,2,4,8")
    parser.add_argument("--images", type=int, default=64, help="a round")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    keep_blocks()
    print(choose_threads())
    files = sorted(given.folder.rglob("*.jpg"))[: given.images]
    batches = [int(word) for word in given.batches.split(",")]
    for name in given.backbones.split(","):
        measure(name, files, batches, given.images, given.rounds)


if __name__ == "__main__":
    main()
