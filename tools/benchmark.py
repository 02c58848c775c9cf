"""Measures what training a head behind a frozen backbone costs: whole commands, epochs from the store, and memory.

    python tools/benchmark.py fit [--num_images 2000] [--backbone inception_v3] [--epochs 30]
    python tools/benchmark.py epochs [--num_images 2000] [--num_features 2048] [--num_classes 80] [--batch_size 32]
    python tools/benchmark.py memory
    python tools/benchmark.py demo

`fit` compares `mlic fit` with an empty store, with a full one, and with `--features off`, of which it runs two epochs
and extrapolates. `epochs` compares epochs of a Trainer, progress and validation metrics on, with a bare loop on tensors
in memory, in turn. Processor time stands beside wall time, since another program on the machine changes the one more
than the other. docs/performance.md has the results, and those of the other tools/benchmark_*.py.
"""

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mlic.threads import settle_threads

settle_threads()

import pytorch_lightning as pl  # noqa: E402
import torch  # noqa: E402

from mlic.allocator import keep_blocks  # noqa: E402
from mlic.backbones.base import Backbone  # noqa: E402
from mlic.classifier import MultiLabelClassifier  # noqa: E402
from mlic.datamodules.base import Batch, MultiLabelDataModule  # noqa: E402
from mlic.datamodules.features import FeatureData, Kept  # noqa: E402
from mlic.datamodules.sampling import EpochSampler  # noqa: E402
from mlic.devices import forget_absent_gpus  # noqa: E402
from mlic.features import FeatureStore, StoredFeatures  # noqa: E402
from mlic.frozen import steps_at_once  # noqa: E402
from mlic.labels import LabelTable  # noqa: E402
from mlic.progress import EpochLines, quietly  # noqa: E402
from mlic.scenes import write_scenes  # noqa: E402
from mlic.tables import text_table  # noqa: E402

_EPOCH = re.compile(r"^epoch .*\((\d+\.\d) s\)$", re.MULTILINE)


class Times(NamedTuple):
    """Seconds of the clock, and of the processor."""

    wall: float
    processor: float


class Command(NamedTuple):
    """What a command took and said."""

    times: Times
    said: str
    result: dict[str, float]


def run(words: Sequence[str], folder: Path) -> Command:
    """Runs `mlic` in a folder, with a cache of its own there."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "mlic", *words, "--json"], cwd=folder, env=environment, capture_output=True, text=True
    )
    wall = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Command(Times(wall, processor), done.stderr, json.loads(done.stdout))


def fit(num_images: int, backbone: str, epochs: int) -> None:
    """Compares whole trainings: no store, an empty one, a full one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_scenes(folder / "scenes", num_images=num_images, seed=0)
        frozen = ["--model.backbone", backbone, "--model.backbone.freeze", "true", "--data.augmentation.flip", "false"]
        if backbone == "inception_v3":
            frozen += ["--model.backbone.weights", "none"]  # no network is needed, and it takes the same time
        sides = ["--data.train", "scenes/train.csv", "--data.val", "scenes/val.csv"]
        words = ["fit", *frozen, *sides, "--model.optimizer.lr", "0.003", "--trainer.devices", "1"]
        off = run([*words, "--features", "off", "--trainer.max_epochs", "2"], folder)
        seconds = [float(found) for found in _EPOCH.findall(off.said)]
        share = (epochs - 2) * seconds[-1]
        whole = Times(off.times.wall + share, off.times.processor * (1 + share / off.times.wall))
        two = run([*words, "--features", "two", "--trainer.max_epochs", "2"], folder)
        longer = ["--trainer.max_epochs", str(epochs)]
        cold = run([*words, *longer], folder)
        warm = run([*words, *longer, "--model.loss", "asymmetric"], folder)
        imports = run(["fit", "--features", "two", *words[1:], "--trainer.max_epochs", "0"], folder)
        rows = [
            [f"features off, {epochs} epochs, extrapolated from 2", *_shown(whole, whole)],
            ["store empty", *_shown(cold.times, whole)],
            ["store full, another loss", *_shown(warm.times, whole)],
            ["the same without an epoch: imports and start", *_shown(imports.times, whole)],
        ]
        print(f"{backbone}, {num_images} images drawn, {_load()}")
        print(text_table(["mlic fit", "wall s", "processor s", "times as fast", "by processor"], rows))
        print(f"validation mAP after 2 epochs: off {off.result['val/mAP']:.5f}, kept {two.result['val/mAP']:.5f}")


class Wide(Backbone):
    """Stands for a backbone of so many features; no image runs through it."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features, self.image_size = num_features, 8
        self.mean = self.std = (0.5, 0.5, 0.5)
        self.freeze()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns nothing of use."""
        return images.new_zeros(len(images), self.num_features, 1, 1)


class Labels(MultiLabelDataModule):
    """Has nothing but classes."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self._classes = tuple(f"class {number}" for number in range(num_classes))

    @property
    def classes(self) -> tuple[str, ...]:
        """The names."""
        return self._classes

    @property
    def validates(self) -> bool:
        """There are validation samples."""
        return True


class Clock(pl.Callback):
    """Takes the time of the epochs, the first of which warms up."""

    def __init__(self) -> None:
        self.marks: list[Times] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Notes when an epoch starts, which is when the one before has ended."""
        self.marks.append(_now())

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Notes when the last one ends."""
        self.marks.append(_now())


def kept(folder: Path, num_images: int, num_features: int, num_classes: int, seed: int) -> Kept:
    """Returns features in a store of their own, and labels that depend on them."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(num_images, num_features)).astype(np.float32)
    weights = np.random.default_rng(9).normal(size=(num_features, num_classes)).astype(np.float32)
    scores = features @ weights / num_features**0.5 + random.normal(size=(num_images, num_classes))
    labels = (scores > 1.5).astype(np.int8)
    keys = random.integers(0, 256, (num_images, 16), np.uint8)
    store = FeatureStore(folder, (num_features, 1, 1), "float32")
    with store.writer() as writer:
        writer.add(keys, features[:, :, None, None])
    classes = [f"class {number}" for number in range(num_classes)]
    table = LabelTable.from_dense([f"{row}.jpg" for row in range(num_images)], classes, labels, root=folder)
    return Kept(table, np.arange(num_images), [store.features(keys)])


def trainer_epochs(sides: dict[str, Kept], batch_size: int, num_epochs: int) -> Times:
    """Takes the mean time of an epoch of the Trainer."""
    num_features, num_classes = sides["train"].views[0].shape[1], len(sides["train"].table.classes)
    clock = Clock()
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=num_epochs + 1,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        callbacks=[EpochLines(), clock],
    )
    steps = steps_at_once(trainer, 4 * batch_size * num_features)

    def sampler(rows: np.ndarray, world: int, rank: int) -> EpochSampler:
        return EpochSampler(rows, world, rank, seed=0)  # type: ignore[arg-type]

    data = FeatureData(Labels(num_classes), sides, sampler, batch_size, steps)  # type: ignore[arg-type]
    model = MultiLabelClassifier(data.classes, backbone=lambda: Wide(num_features))
    with quietly():
        trainer.fit(model, data)
    first, last = clock.marks[1], clock.marks[-1]
    return Times((last.wall - first.wall) / num_epochs, (last.processor - first.processor) / num_epochs)


def bare_epochs(side: Kept, batch_size: int, num_epochs: int) -> Times:
    """Takes the mean time of an epoch of a loop on tensors, which does nothing but learn."""
    batch: Batch = side.batch(np.arange(len(side.rows)))  # type: ignore[assignment]
    features, labels = batch.features.flatten(1), batch.labels.float()  # type: ignore[attr-defined]
    head = torch.nn.Linear(features.shape[1], labels.shape[1])
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3)
    for epoch in range(num_epochs + 1):
        if epoch == 1:
            started = _now()
        for rows in torch.randperm(len(features)).split(batch_size):  # type: ignore[no-untyped-call]
            loss = torch.nn.functional.binary_cross_entropy_with_logits(head(features[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    ended = _now()
    return Times((ended.wall - started.wall) / num_epochs, (ended.processor - started.processor) / num_epochs)


def epochs(num_images: int, num_features: int, num_classes: int, batch_size: int, rounds: int = 5) -> None:
    """Compares the epochs of both, in turn."""
    forget_absent_gpus()  # as `mlic fit` does; a loop that knows no Lightning has nothing to forget
    with tempfile.TemporaryDirectory() as name:
        sides = {
            "train": kept(Path(name) / "train", num_images, num_features, num_classes, seed=0),
            "val": kept(Path(name) / "val", num_images // 5, num_features, num_classes, seed=1),
        }
        ours, bare = [], []
        for _ in range(rounds):
            bare.append(bare_epochs(sides["train"], batch_size, 10))
            ours.append(trainer_epochs(sides, batch_size, 10))
    rows = []
    for which, column in (("wall", 0), ("processor", 1)):
        ratios = [one[column] / other[column] for one, other in zip(bare, ours, strict=True)]
        figures = [statistics.median(times[column] for times in series) for series in (bare, ours)]
        rows.append([which, *(f"{1000 * figure:.0f}" for figure in figures), f"{statistics.median(ratios):.2f}"])
    size = f"{num_images} x {num_features}, {num_classes} classes, batches of {batch_size}"
    print(f"epochs on {size}, validation on {num_images // 5}; medians of {rounds}, {_load()}")
    print(text_table(["", "bare loop ms", "mlic ms", "of bare rate"], rows))


def memory(num_features: int = 2048) -> None:
    """Reads stores of different sizes in a process each, and tells its largest memory."""
    rows = []
    for num_images in (1_000, 10_000, 100_000):
        with tempfile.TemporaryDirectory() as name:
            command = [sys.executable, __file__, "read", name, str(num_images), str(num_features)]
            peak, size = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            rows.append([f"{num_images:,}", f"{int(size) / 2**20:.0f}", f"{int(peak) / 2**10:.0f}"])
    print(text_table(["images", "store MiB", "anonymous memory of a pass MiB"], rows))


def read(folder: Path, num_images: int, num_features: int) -> None:
    """Fills a store, checks it and reads it in random order, as an epoch does; prints the memory that this took."""
    random = np.random.default_rng(0)
    keys = random.integers(0, 256, (num_images, 16), np.uint8)
    store = FeatureStore(folder, (num_features, 1, 1), "float16")
    with store.writer() as writer:
        for start in range(0, num_images, 500):
            block = keys[start : start + 500]
            writer.add(block, random.normal(size=(len(block), num_features, 1, 1)).astype(np.float32))
    if len(store.missing(keys)):
        raise SystemExit("rows are missing")
    features: StoredFeatures = store.features(keys)
    peak, total = 0, 0.0
    for rows in np.array_split(random.permutation(num_images), max(1, num_images // 800)):
        total += float(features[rows].sum(dtype=np.float64))
        peak = max(peak, _anonymous())
    print(peak, store.nbytes)


def demo() -> None:
    """Runs `mlic demo` twice: the second time, the store is full."""
    with tempfile.TemporaryDirectory() as name:
        first, second = (run(["demo"], Path(name)).times for _ in range(2))
        print(f"mlic demo, {_load()}")
        print(text_table(["", "wall s", "processor s"], [["first", *_two(first)], ["again", *_two(second)]]))


def _anonymous() -> int:
    """Returns the memory in KiB that is this process's own: without files that are mapped."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon")]
    return int(line.split()[1])


def _now() -> Times:
    return Times(time.perf_counter(), time.process_time())


def _two(times: Times) -> list[str]:
    return [f"{times.wall:.1f}", f"{times.processor:.1f}"]


def _shown(times: Times, whole: Times) -> list[str]:
    return [*_two(times), f"{whole.wall / times.wall:.0f}", f"{whole.processor / times.processor:.0f}"]


def _load() -> str:
    return f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"


def main() -> None:
    """Runs what is named."""
    keep_blocks()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("fit", "epochs", "memory", "demo", "read"))
    parser.add_argument("rest", nargs="*")
    parser.add_argument("--num_images", type=int, default=2000)
    parser.add_argument("--num_features", type=int, default=2048)
    parser.add_argument("--num_classes", type=int, default=80)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--backbone", default="inception_v3")
    parser.add_argument("--epochs", type=int, default=30)
    said = parser.parse_args()
    actions: dict[str, Callable[[], None]] = {
        "fit": lambda: fit(said.num_images, said.backbone, said.epochs),
        "epochs": lambda: epochs(said.num_images, said.num_features, said.num_classes, said.batch_size),
        "memory": memory,
        "demo": demo,
        "read": lambda: read(Path(said.rest[0]), int(said.rest[1]), int(said.rest[2])),
    }
    actions[said.what]()


if __name__ == "__main__":
    main()
