"""Measures `mlic predict` on photographs against a bare forward on tensors that are ready, in turn in one run.

    python tools/benchmark_predict.py FOLDER [--backbones efficientnet_lite0,inception_v3] [--num_images 2000]

FOLDER holds photographs. Weights are random: they do not change the time. Each way takes the same images in the same
number of threads: the bare ones have them in memory as squares; `predict` reads files, decodes, resizes, computes,
decides and writes a CSV with a row for each. What it takes to make an engine stands apart, since it does not grow with
the number of images. Processor time stands beside wall time, since other programs change the one more than the other.
"""

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mlic.threads import choose_threads, settle_threads

settle_threads()

import torch  # noqa: E402

from mlic.allocator import keep_blocks  # noqa: E402
from mlic.backbones.efficientnet_lite0 import EfficientNetLite0  # noqa: E402
from mlic.backbones.inception_v3 import InceptionV3  # noqa: E402
from mlic.backbones.timm import TimmBackbone  # noqa: E402
from mlic.classifier import MultiLabelClassifier  # noqa: E402
from mlic.export.facts import describe  # noqa: E402
from mlic.export.onnxfile import write_onnx  # noqa: E402
from mlic.images import read_square  # noqa: E402
from mlic.predict import Predictor, Source  # noqa: E402
from mlic.predict.formats import Csv  # noqa: E402
from mlic.predict.inputs import Given  # noqa: E402
from mlic.predict.lanes import LOT, see_in_lanes  # noqa: E402
from mlic.predict.rowfile import RowFile  # noqa: E402
from mlic.scorers import EngineChoice  # noqa: E402
from mlic.scorers.checkpoint import CheckpointScorer  # noqa: E402

_OWN: dict[str, type[TimmBackbone]] = {"inception_v3": InceptionV3, "efficientnet_lite0": EfficientNetLite0}
_CLASSES = [f"class {number}" for number in range(20)]
_BATCH, _READY = 32, 64
_ENGINES: tuple[EngineChoice, ...] = ("torch", "onnxruntime")

Way = Callable[[list[Path]], object]


class Ready(CheckpointScorer):
    """A scorer that has its images in memory: reading costs nothing."""

    squares: Iterator[torch.Tensor]

    def read(self, source: Path | bytes):  # type: ignore[no-untyped-def] # noqa: ANN201 - as its base has it
        """Returns the next one, whatever is asked for."""
        return next(self.squares).numpy()


def ways(name: str, files: list[Path], folder: Path) -> dict[str, Way]:
    """Returns what is to be measured."""
    torch.manual_seed(0)
    classifier = MultiLabelClassifier(
        _CLASSES, backbone=lambda: _OWN[name]("none") if name in _OWN else TimmBackbone(name, "none")
    ).eval()
    squares = [read_square(file, classifier.backbone.image_size) for file in files[:_READY]]
    lanes = choose_threads().lanes

    def forward(paths: list[Path]) -> None:
        with torch.inference_mode():
            for start in range(0, len(paths), _BATCH):
                lot = itertools.islice(itertools.cycle(squares), min(_BATCH, len(paths) - start))
                classifier.decisions.scores(classifier(torch.stack(list(lot))))

    def bare(engine: EngineChoice) -> Way:
        scorer = Ready(classifier, engine=engine)
        scorer.squares = itertools.cycle(squares)
        if scorer.engine != engine:
            print(f"{name}: {engine} gave way to {scorer.engine}")

        def run(paths: list[Path]) -> None:
            for _ in see_in_lanes(scorer, Given(paths).lots(LOT), lambda images: (scorer(images), None), lanes):
                pass

        return run

    def predict(model: MultiLabelClassifier | Path, engine: EngineChoice) -> Way:
        started = time.perf_counter()
        predictor = Predictor(model, engine=engine)
        predictor.prepare()
        print(f"{name}: {predictor.engine_name} made in {time.perf_counter() - started:.1f} s", flush=True)

        def run(paths: list[Path]) -> None:
            rows = RowFile(folder / "rows.csv", Csv(_CLASSES), {})
            predictor.write(map(Source.of, paths), rows)
            rows.finish()

        return run

    found: dict[str, Way] = {"forward, batches of 32": forward}
    found |= {f"forward, {engine}, lanes": bare(engine) for engine in _ENGINES}
    found |= {f"predict, {engine}": predict(classifier, engine) for engine in _ENGINES}
    return found | {"predict, exported .onnx": predict(exported(classifier, folder / "model.onnx"), "auto")}


def exported(classifier: MultiLabelClassifier, path: Path) -> Path:
    """Writes a classifier as `mlic export` does."""
    checkpoint: dict[str, Any] = {}
    classifier.on_save_checkpoint(checkpoint)
    write_onnx(classifier, describe(classifier, checkpoint["mlic"]), path)
    return path


def measure(name: str, files: list[Path], num_images: int, rounds: int) -> None:
    """Prints a line for each way."""
    each = num_images // rounds
    remaining = itertools.cycle(files)
    with tempfile.TemporaryDirectory() as folder:
        found = ways(name, files, Path(folder))
        wall: dict[str, list[float]] = {way: [] for way in found}
        work: dict[str, list[float]] = {way: [] for way in found}
        for run in found.values():
            run(files[:_BATCH])
        for _ in range(rounds):
            paths = list(itertools.islice(remaining, each))
            for way, run in found.items():
                started, worked = time.perf_counter(), time.process_time()
                run(paths)
                wall[way].append(time.perf_counter() - started)
                work[way].append(time.process_time() - worked)
    print(f"{name}, {each * rounds:,} images: a second, processor ms each; share of each `forward`: wall, processor")
    for way in found:
        ratios = [
            f"{_ratio(wall[other], wall[way]):.2f}, {_ratio(work[other], work[way]):.2f}"
            for other in found
            if way.startswith("predict") and other.startswith("forward")
        ]
        print(
            f"  {way:28} {each * rounds / sum(wall[way]):7.1f}  {1000 * sum(work[way]) / (each * rounds):7.1f}  "
            f"{'   '.join(ratios)}",
            flush=True,
        )


def _ratio(times: list[float], others: list[float]) -> float:
    """Returns how many times as fast the others are, as the median over the rounds."""
    return statistics.median(one / other for one, other in zip(times, others, strict=True))


def main() -> None:
    """Measures what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--backbones", default="efficientnet_lite0,inception_v3")
    parser.add_argument("--num_images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    files = sorted(file for file in arguments.folder.rglob("*") if file.suffix.lower() in (".jpg", ".jpeg"))
    if not files:
        parser.error(f"{arguments.folder}: no JPEG image")
    keep_blocks()
    print(f"{choose_threads()}")
    for name in arguments.backbones.split(","):
        measure(name, files, arguments.num_images, arguments.rounds)


if __name__ == "__main__":
    main()
