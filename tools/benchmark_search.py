"""Measures a search of a hundred trials on kept features, and what a trial would cost through the Trainer.

python tools/benchmark_search.py [--train 2400] [--val 600] [--features 1280] [--classes 20] [--trials 100]
    [--beside 6] [--rounds 3] [--space configs/search.yaml]

First the search: wall and processor time of all trials, how many were left early, and what it found beside the
configuration as it is. Then some of its trials, those nearest to the median time, run in turn by `HeadTraining`, as a
search does, and by a Trainer made for each, as `mlic fit` does but for the run's folder; of the rounds, the shortest is
shown.

Features are rectified correlated normals and labels depend on them. A process of the search has one thread of torch,
the Trainer what mlic chooses. The table is Markdown.
"""

# ruff: noqa: E402

from mlic.allocator import keep_blocks
from mlic.threads import settle_threads

settle_threads()  # before torch is imported
keep_blocks()

import argparse
import contextlib
import copy
import logging
import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import Dataset

from mlic.classifier import MultiLabelClassifier
from mlic.datamodules.base import MultiLabelDataModule
from mlic.datamodules.features import FeatureData, Kept
from mlic.datamodules.sampling import Draw, EpochSampler
from mlic.heads.linear import LinearHead
from mlic.labels import LabelTable
from mlic.labels.counts import ClassCounts, class_counts
from mlic.parts import resolve
from mlic.progress import quietly
from mlic.search.heads import HeadTraining
from mlic.search.space import Space
from mlic.search.study import Study, in_words

ADAMW = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 3e-3, "weight_decay": 0.01}}
BASE: dict[str, Any] = {
    "model": {
        "head": {"class_path": "mlic.heads.linear.LinearHead", "init_args": {}},
        "loss": {"class_path": "mlic.losses.bce.BCELoss", "init_args": {}},
        "optimizer": ADAMW,
        "lr_scheduler": {"class_path": "mlic.schedules.WarmupCosine", "init_args": {}},
        "lr_scheduler_interval": "epoch",
        "head_lr_multiplier": 1.0,
    },
    "data": {"init_args": {"batch_size": 32}},
    "trainer": {"max_epochs": 20, "gradient_clip_val": None},
}


class Drawn(MultiLabelDataModule):
    """Labels without images."""

    def __init__(self, tables: dict[str, LabelTable]) -> None:
        super().__init__()
        self.tables = tables

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self.tables["train"].classes)

    @property
    def validates(self) -> bool:
        """There are validation samples."""
        return True

    @property
    def class_counts(self) -> ClassCounts:
        """Of the training samples."""
        return class_counts(self.tables["train"])


def draw(sizes: dict[str, int], features: int, classes: int) -> dict[str, Kept]:
    """Returns rectified correlated normals, and labels that depend on them."""
    rng = np.random.default_rng(0)
    count = sum(sizes.values())
    axes = np.linalg.qr(rng.standard_normal((features, features)))[0]
    latent = (rng.standard_normal((count, features)) * (1 + np.arange(features)) ** -0.6) @ axes
    x = np.maximum(latent / latent.std() + 0.3 * rng.standard_normal(latent.shape) - 0.5, 0).astype(np.float32)
    slope = (x - x.mean(0)) @ rng.standard_normal((features, classes))
    scores = 1.5 * slope / slope.std(0) + rng.logistic(size=slope.shape)
    present = scores > np.quantile(scores, 1 - np.geomspace(0.02, 0.4, classes), axis=0).diagonal()
    names = [f"class{number}" for number in range(classes)]
    kept, start = {}, 0
    for side, size in sizes.items():
        rows = slice(start, start + size)
        said = [[names[column] for column in np.flatnonzero(row)] for row in present[rows]]
        table = LabelTable.from_present([f"{side}{row}.jpg" for row in range(size)], names, said, root=Path())
        kept[side] = Kept(table, np.arange(size), [x[rows][:, :, None, None]])
        start += size
    return kept


def feature_data(kept: dict[str, Kept], batch_size: int) -> FeatureData:
    """Returns the data as `mlic fit` has them behind a frozen backbone."""

    def sampler(rows: Any, world: int, rank: int) -> EpochSampler:
        places: Dataset[Draw] = rows
        return EpochSampler(places, world, rank, seed=0)

    images = Drawn({side: its.table for side, its in kept.items()})
    images.image_size = 32
    return FeatureData(images, kept, sampler, batch_size, 25)  # type: ignore[arg-type]


def measured(run: Callable[[], Any]) -> tuple[float, float]:
    """Returns seconds of the clock on the wall, and of the processor in this process and those that it has forked."""
    wall, processor = time.perf_counter(), sum(os.times()[:4])
    run()
    return time.perf_counter() - wall, sum(os.times()[:4]) - processor


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Takes one thread of torch, as each process of a search does."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def by_trainer(kept: dict[str, Kept], config: dict[str, Any], num_features: int) -> float:
    """Trains as `mlic fit` does; returns the best mAP."""
    model, best = config["model"], [0.0]

    class Best(pl.Callback):
        def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            best.append(float(trainer.callback_metrics["val/mAP"]))

    def made(part: str) -> Callable[..., Any]:
        found, arguments = resolve(model[part]["class_path"]), model[part]["init_args"]
        return lambda *given: found(*given, **arguments)

    class Frozen(torch.nn.Module):
        num_features, image_size, mean, std, frozen = 0, 32, (0.5,) * 3, (0.5,) * 3, True

        def undecayed(self) -> tuple[str, ...]:
            return ()

    backbone: Any = Frozen()
    backbone.num_features = num_features
    data = feature_data(kept, config["data"]["init_args"]["batch_size"])
    schedule = None if model["lr_scheduler"] is None else made("lr_scheduler")()
    torch.manual_seed(0)
    classifier = MultiLabelClassifier(
        data.classes, lambda: backbone, made("head"), made("loss"), made("optimizer"), schedule
    )
    with quietly():
        trainer = pl.Trainer(
            accelerator="cpu",
            devices=1,
            max_epochs=max(config["trainer"]["max_epochs"], 13 if schedule is None else 0),
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            callbacks=[Best()],
        )
        trainer.fit(classifier, data)
    return max(best)


def main() -> None:
    """Prints two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("train", 2400), ("val", 600), ("features", 1280), ("classes", 20), ("trials", 100)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--beside", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--space", type=Path, default=Path(__file__).parents[1] / "configs" / "search.yaml")
    options = parser.parse_args()
    logging.getLogger("mlic").addHandler(logging.NullHandler())
    kept = draw({"train": options.train, "val": options.val}, options.features, options.classes)
    data = feature_data(kept, 32)
    torch.manual_seed(0)
    training = HeadTraining(options.features, data.classes, 0, torch.get_rng_state(), torch.device("cpu"))
    training.take(LinearHead(1, 1).condensed, data)
    study = Study(Space(options.space), BASE, training, 0)
    wall, processor = measured(lambda: study.run(options.trials))
    states = [trial.state for trial in study.trials]
    best = study.ranked()[0]
    print("| trials | wall, s | processor, s | left early | failed | as it is | best | what |")
    print("|---|---|---|---|---|---|---|---|")
    print(
        f"| {len(states)} | {wall:.1f} | {processor:.1f} | {states.count('pruned')} | {states.count('failed')} | "
        f"{study.trials[0].mean_ap:.4f} | {best.mean_ap:.4f} | {in_words(best)} |\n"
    )
    done = [trial for trial in study.trials if trial.state == "done" and trial.config["model"]["lr_scheduler"]]
    middle = statistics.median(trial.seconds for trial in done)
    chosen = sorted(done, key=lambda trial: abs(trial.seconds - middle))[: options.beside]
    print("| trial | search, s (processor) | Trainer, s (processor) | ratio | mAP | mAP |")
    print("|---|---|---|---|---|---|")
    for trial in chosen:
        times: dict[str, list[tuple[float, float]]] = {"search": [], "trainer": []}
        found: dict[str, float] = {}
        for _ in range(options.rounds):
            config = copy.deepcopy(trial.config)

            def search(config: dict[str, Any] = config, found: dict[str, float] = found) -> None:
                found["search"] = max(epoch.mean_ap for epoch in training.epochs(config))

            def through(config: dict[str, Any] = config, found: dict[str, float] = found) -> None:
                found["trainer"] = by_trainer(kept, config, options.features)

            with one_thread():
                times["search"].append(measured(search))
            times["trainer"].append(measured(through))
        ours, theirs = (min(times[name], key=lambda pair: pair[1]) for name in ("search", "trainer"))
        print(
            f"| {trial.number} | {ours[0]:.2f} ({ours[1]:.2f}) | {theirs[0]:.2f} ({theirs[1]:.2f}) | "
            f"{theirs[1] / ours[1]:.2f} | {found['search']:.4f} | {found['trainer']:.4f} |"
        )


if __name__ == "__main__":
    main()
