"""Compares heads, losses and ways with unknown labels on photographs: tables and picture of docs/results.md.

OMP_WAIT_POLICY=PASSIVE python tools/compare_parts.py FOLDER [--only heads|losses|unknown|end_to_end ...]

FOLDER holds train.csv, val.csv and test.csv. Every training leaves its figures in docs/results.json, and one that is
there is not done again: a run that was stopped goes on, and a run of which nothing is missing only writes the tables
and draws the picture. The learning rate of a part is the one that is best on the validation samples.
"""

import argparse
import copy
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float, Int8, Shaped
from torch import Tensor
from torch.utils.data import DataLoader

from mlic import plugins
from mlic.backbones.base import Backbone
from mlic.backbones.timm import TimmBackbone
from mlic.classifier import MultiLabelClassifier
from mlic.datamodules.dataset import ImageDataset, collate
from mlic.datamodules.image import ImageDataModule
from mlic.heads.base import Head
from mlic.labels import LabelTable
from mlic.labels.counts import class_counts
from mlic.labels.unknown import resolved
from mlic.losses.base import Loss
from mlic.metrics import class_precision, class_recall, count_cells, f1_micro, mean_average_precision
from mlic.parameters import parameter_groups
from mlic.thresholds import fit_thresholds

_DOCS = Path(__file__).parents[1] / "docs"
_BATCH = 64
_PATIENCE = 8
_SHARES = (0.3, 0.6, 0.9)
_FINE_TUNING_EPOCHS = 6

Side = Literal["train", "val", "test"]
Figures = dict[str, float]


class Named(NamedTuple):
    """A part as a configuration would name it."""

    name: str
    arguments: dict[str, Any] = {}  # noqa: RUF012  # never written to


class Plan(NamedTuple):
    """How a head is trained: the rates to choose from, the most epochs, and the losses it is tried with."""

    part: Named
    rates: tuple[float, ...]
    epochs: int
    losses: tuple[str, ...]


class Run(NamedTuple):
    """A training on the frozen features. `unknown` says what stands in place of the labels that were deleted."""

    head: str
    loss: str
    rate: float
    seed: int
    deleted: float = 0.0
    unknown: Literal["ignore", "negative"] = "ignore"

    @property
    def key(self) -> str:
        """What it is called in the file of results."""
        labels = f"{self.deleted:.0%} deleted, {self.unknown}" if self.deleted else "all labels"
        return f"{self.head} | {self.loss} | {labels} | rate {self.rate:g} | seed {self.seed}"


_MAIN = ("bce", "focal", "asymmetric", "zlpr", "two_way")
_FAST, _SLOW = (3e-4, 1e-3, 3e-3, 1e-2), (1e-4, 3e-4, 1e-3)
HEADS = {
    "linear": Plan(Named("linear"), _FAST, 60, _MAIN),
    "linear, init_std 0.001": Plan(Named("linear", {"init_std": 0.001}), _FAST, 60, _MAIN),
    "linear, max": Plan(Named("linear", {"pooling": "max"}), _FAST, 40, _MAIN),
    "linear, avg_max": Plan(Named("linear", {"pooling": "avg_max"}), _FAST, 40, _MAIN),
    "linear, gem": Plan(Named("linear", {"pooling": "gem"}), _FAST, 40, _MAIN),
    "linear, lse": Plan(Named("linear", {"pooling": "lse"}), _FAST, 40, _MAIN),
    "mlp": Plan(Named("mlp"), _SLOW, 40, _MAIN),
    "csra": Plan(Named("csra"), _FAST, 40, _MAIN),
    "cam": Plan(Named("cam"), _FAST, 40, _MAIN),
    "ml_decoder": Plan(Named("ml_decoder"), _SLOW, 15, ("bce", "asymmetric")),
    "query2label": Plan(Named("query2label"), _SLOW, 15, ("bce", "asymmetric")),
}
LOSSES = {
    "bce, balanced": Named("bce", {"pos_weight": "balanced"}),
    **{part.name: Named(part.name) for part in plugins.available("losses") if part.built_in},
}
_PARTIAL = ("an_ls", "wan", "em", "epr", "large_loss")
PARTIAL = {f"{name}, unknown": Named(name, {"unobserved": "unknown"}) for name in _PARTIAL}
"""Losses that have their own way with unknown labels of samples of which something is known."""
METHODS: dict[str, tuple[str, Literal["ignore", "negative"]]] = {
    "bce, ignore": ("bce", "ignore"),
    "bce, negative": ("bce", "negative"),
    "asymmetric, negative": ("asymmetric", "negative"),
    "hill, negative": ("hill", "negative"),
    "splc, negative": ("splc", "negative"),
    "zlpr, ignore": ("zlpr", "ignore"),
    **{name: (name, "ignore") for name in PARTIAL},
}
"""Method -> its loss, and what stands in place of an unknown label."""
RECIPES = (("linear", "bce", 1), ("linear", "bce", 10), ("ml_decoder", "asymmetric", 1))
"""What is trained end to end: head, loss, and how many times the backbone's learning rate the head has."""
_COLOURS = {  # Okabe and Ito's, which all eyes tell apart
    "bce, ignore": ("#0072B2", "o"),
    "bce, negative": ("#D55E00", "s"),
    "asymmetric, negative": ("#E69F00", "v"),
    "splc, negative": ("#009E73", "^"),
    "wan, unknown": ("#CC79A7", "D"),
    "em, unknown": ("#56B4E9", "X"),
}


class Samples(NamedTuple):
    """Feature maps of the frozen backbone, and labels: 1 present, 0 absent, -1 unknown."""

    maps: Float[Tensor, "samples features h w"]
    labels: Int8[Tensor, "samples classes"]

    def averaged(self) -> "Samples":
        """Returns them with maps of one place, the average: the same to a head that averages."""
        return self._replace(maps=self.maps.mean(dim=(2, 3), keepdim=True))


class Results:
    """Figures by name, in a JSON file of one line a name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._figures: dict[str, Figures] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def of(self, key: str, measure: Callable[[], Figures]) -> Figures:
        """Returns the figures called `key`; measured, kept and told if they are not there."""
        if key not in self._figures:
            self._figures[key] = {name: round(value, 5) for name, value in measure().items()}
            lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(self._figures[name])}" for name in self._figures)
            fresh = self.path.with_suffix(".new")
            fresh.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
            fresh.replace(self.path)
            print(f"{key}: {self._figures[key]}", file=sys.stderr, flush=True)
        return self._figures[key]


class Bench:
    """Trains heads on the feature maps of a folder's photographs.

    Args:
        folder: holds train.csv, val.csv and test.csv.
        backbone: makes the backbone, which is frozen.
        results: what is known already.
        epochs: the most epochs of any training; None leaves it to the plans.
    """

    def __init__(
        self, folder: Path, backbone: Callable[[], Backbone], results: Results, epochs: int | None = None
    ) -> None:
        self.data = ImageDataModule(folder / "train.csv", folder / "val.csv", folder / "test.csv", num_workers=0)
        self._backbone, self._results, self._epochs = backbone, results, epochs

    def figures(self, run: Run) -> Figures:
        """Returns the figures of a training, which is done if it was not."""
        return self._results.of(run.key, lambda: self._trained(run))

    def rate(self, head: str, loss: str) -> float:
        """Returns the learning rate that is best on the validation samples; only `linear` has one for each loss."""
        tried = loss if head == "linear" else "bce"
        return max(HEADS[head].rates, key=lambda rate: self.figures(Run(head, tried, rate, 0))["val mAP"])

    @cached_property
    def samples(self) -> dict[str, Samples]:
        """The feature maps of train, val and test, as evaluation sees the images; the classifier normalises them."""
        sides: tuple[Side, ...] = ("train", "val", "test")
        classifier = MultiLabelClassifier(self.data.classes, self._backbone).eval()
        maps: list[Tensor] = []
        classifier.head.register_forward_pre_hook(lambda head, inputs: maps.append(inputs[0].contiguous()))
        found: dict[str, Samples] = {}
        for side in sides:
            dataset = ImageDataset(self.data.table(side), classifier.backbone.image_size)
            maps.clear()
            labels = []
            with torch.no_grad():
                for batch in DataLoader(dataset, 32, collate_fn=collate):
                    self.data.on_before_batch_transfer(batch, 0)  # an unreadable image is an error
                    classifier(batch.images)
                    labels.append(batch.labels)
            found[side] = Samples(torch.cat(maps), torch.cat(labels))
        return found

    @cached_property
    def averaged(self) -> dict[str, Samples]:
        """The same with averaged maps."""
        return {side: samples.averaged() for side, samples in self.samples.items()}

    def _trained(self, run: Run) -> Figures:
        plan = HEADS[run.head]
        averages = plan.part.name == "linear" and "pooling" not in plan.part.arguments
        samples = self.averaged if averages else self.samples
        table = _with_deleted(self.data.table("train"), run.deleted, run.seed, run.unknown)
        torch.manual_seed(run.seed)
        loss = cast(Loss, _made("losses", (LOSSES | PARTIAL)[run.loss]))
        loss.adapt(class_counts(table))
        head = cast(Head, _made("heads", plan.part, samples["train"].maps.shape[1], table.num_classes))
        train = samples["train"]._replace(labels=torch.from_numpy(table.dense()))
        started = time.process_time()
        epochs = _train(head, loss, train, samples["val"], run.rate, self._epochs or plan.epochs)
        seconds = time.process_time() - started
        logits = {side: _logits(head, samples[side].maps) for side in ("val", "test")}
        figures = judge(logits["val"], samples["val"].labels, logits["test"], samples["test"].labels, loss)
        parameters = sum(parameter.numel() for parameter in head.parameters())
        return {**figures, "epochs": epochs, "seconds": seconds, "parameters": parameters}


def judge(
    val_logits: Float[Tensor, "validated classes"],
    val_labels: Int8[Tensor, "validated classes"],
    logits: Float[Tensor, "samples classes"],
    labels: Int8[Tensor, "samples classes"],
    loss: Loss,
) -> Figures:
    """Returns mAP on the validation samples, and mAP, CF1 and OF1 on the test samples.

    Thresholds are fitted on the validation samples, unless the loss decides at 0. CF1 is the harmonic mean of the mean
    precision of the classes, where a class that is never predicted has a precision of 0, and of their mean recall; OF1
    is F1 over all cells together.
    """
    thresholds = torch.full((labels.shape[1],), 0.5)
    if not loss.decides_at_zero:
        thresholds = fit_thresholds(val_logits.sigmoid(), val_labels)
    counts = count_cells(logits.sigmoid() >= thresholds, labels)
    mean_precision, mean_recall = float(class_precision(counts, "all")), float(class_recall(counts))
    return {
        "val mAP": float(mean_average_precision(val_logits, val_labels)),
        "mAP": float(mean_average_precision(logits, labels)),
        "CF1": 2 * mean_precision * mean_recall / max(mean_precision + mean_recall, 1e-12),
        "OF1": float(f1_micro(counts)),
    }


def delete(
    labels: Shaped[np.ndarray, "samples classes"], share: float, seed: int
) -> Shaped[np.ndarray, "samples classes"]:
    """Makes a share of the known cells unknown, at random; a larger share deletes those of a smaller one and more."""
    known = np.flatnonzero(labels >= 0)
    chosen = np.random.default_rng(seed).permutation(known)[: round(share * len(known))]
    left = labels.copy()
    left.flat[chosen] = -1
    return left


def _with_deleted(table: LabelTable, share: float, seed: int, unknown: str) -> LabelTable:
    left = delete(table.dense(), share, seed)
    return resolved(LabelTable.from_dense(list(table.paths), table.classes, left, root=table.root), unknown)


def _made(kind: plugins.Kind, part: Named, *sizes: int) -> Any:
    return plugins.load(plugins.find(kind, part.name))(*sizes, **part.arguments)


def _train(head: Head, loss: Loss, train: Samples, val: Samples, rate: float, epochs: int) -> int:
    """Trains until mAP on the validation samples stops rising; leaves the best epoch's weights, returns its number."""
    optimizer = torch.optim.AdamW(parameter_groups(head.named_parameters(), lambda name: 1.0), lr=rate)
    best, best_epoch, weights = -1.0, 0, head.state_dict()
    for epoch in range(epochs):
        head.train()
        loss.train()
        loss.epoch = epoch
        for rows in torch.split(torch.randperm(len(train.maps)), _BATCH):
            optimizer.zero_grad()
            loss(head(train.maps[rows]), train.labels[rows]).backward()
            optimizer.step()
        score = float(mean_average_precision(_logits(head, val.maps), val.labels))
        if score > best:
            best, best_epoch, weights = score, epoch, copy.deepcopy(head.state_dict())
        elif epoch - best_epoch >= _PATIENCE:
            break
    head.load_state_dict(weights)
    return best_epoch + 1


def _logits(head: Head, maps: Float[Tensor, "samples features h w"]) -> Float[Tensor, "samples classes"]:
    head.eval()
    with torch.no_grad():
        return torch.cat([head(some).float() for some in torch.split(maps, _BATCH)])


def write_heads(bench: Bench, seeds: int) -> str:
    """Returns a table of mAP, of CF1 and of OF1 for each head and its losses."""
    lines = []
    for name in ("mAP", "CF1", "OF1", "val mAP"):
        rows = []
        for head, plan in HEADS.items():
            runs = {loss: _seeds(bench, head, loss, seeds) for loss in plan.losses}
            cells = [_spread(name, runs[loss]) if loss in runs else "" for loss in _MAIN]
            rest = [
                f"{runs['bce'][0]['parameters'] / 1e6:.2f} M",
                f"{bench.rate(head, 'bce'):g}",
                _seconds(runs["bce"]),
            ]
            rows.append([head, *cells, *(rest if name == "mAP" else [])])
        columns = ["parameters", "rate", "seconds"] if name == "mAP" else []
        title = "validation mAP" if name == "val mAP" else f"test {name}"
        lines.append(_table([title, *_MAIN, *columns], rows))
    return "\n".join(lines)


def write_losses(bench: Bench, seeds: int) -> str:
    """Returns a table of a linear head with each loss, the best first."""
    runs = {loss: _seeds(bench, "linear", loss, seeds) for loss in LOSSES}
    ranked = sorted(runs, key=lambda loss: -statistics.mean(run["mAP"] for run in runs[loss]))
    rows = [
        [
            loss,
            *(_spread(name, runs[loss]) for name in ("mAP", "CF1", "OF1", "val mAP")),
            f"{bench.rate('linear', loss):g}",
            " ".join(f"{run['epochs']:.0f}" for run in runs[loss]),
            _seconds(runs[loss]),
        ]
        for loss in ranked
    ]
    return _table(["loss", "test mAP", "CF1", "OF1", "validation mAP", "rate", "best epochs", "seconds"], rows)


def write_unknown(bench: Bench, seeds: int, picture: Path) -> str:
    """Returns a table of test mAP by the share of deleted labels, and draws the picture."""
    runs = {
        method: [[_partial(bench, loss, unknown, share, seed) for seed in range(seeds)] for share in (0.0, *_SHARES)]
        for method, (loss, unknown) in METHODS.items()
    }
    draw({method: [[run["mAP"] for run in point] for point in line] for method, line in runs.items()}, picture)
    tables = []
    for name in ("mAP", "CF1"):
        rows = [[method, *(_spread(name, point) for point in line)] for method, line in runs.items()]
        tables.append(_table([f"test {name}", "all labels", *(f"{share:.0%} deleted" for share in _SHARES)], rows))
    return "\n".join(tables)


def draw(lines: dict[str, list[list[float]]], picture: Path) -> None:
    """Draws the mean of each point and its standard deviation."""
    figure, axes = plt.subplots(figsize=(8, 5), dpi=150, layout="constrained")
    shares = [0, *(100 * share for share in _SHARES)]
    for place, (method, (colour, marker)) in enumerate(_COLOURS.items()):
        means = [statistics.mean(point) for point in lines[method]]
        spreads = [_deviation(point) for point in lines[method]]
        # Side by side, so that no bar hides another.
        at = [share + 0.6 * (place - (len(_COLOURS) - 1) / 2) for share in shares]
        axes.errorbar(at, means, spreads, color=colour, marker=marker, capsize=3, linewidth=2, label=method)
    axes.set_xlabel("deleted labels of the training images, %", fontsize=12)
    axes.set_ylabel("test mAP", fontsize=12)
    axes.set_xticks(shares)
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=12, loc="lower left")
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture)
    plt.close(figure)


def write_end_to_end(folder: Path, backbone: Sequence[str], results: Results) -> str:
    """Returns a table of what the command trains end to end."""
    rows = []
    for head, loss, multiplier in RECIPES:
        key = f"end to end | {head} | {loss} | head rate x {multiplier}"
        figures = results.of(key, partial(_fine_tuned, folder, backbone, head, loss, multiplier))
        cells = [f"{figures[name]:.3f}" for name in ("mAP", "f1_micro", "f1_macro")]
        best, seconds = f"{figures['epochs']:.0f}", f"{figures['seconds']:.0f}"
        rows.append([f"{head}, {loss}", f"x {multiplier}", *cells, best, seconds])
    return _table(["all layers learn", "head's rate", "test mAP", "OF1", "macro F1", "best epoch", "seconds"], rows)


def _fine_tuned(folder: Path, backbone: Sequence[str], head: str, loss: str, multiplier: int) -> Figures:
    sides = [word for side in ("train", "val", "test") for word in (f"--data.{side}", str(folder / f"{side}.csv"))]
    recipe = [
        *("--model.head", head, "--model.loss", loss, "--seed_everything", "0"),
        *("--model.optimizer", "torch.optim.AdamW", "--model.optimizer.lr", "3e-4"),
        *("--model.head_lr_multiplier", str(multiplier)),
        *("--model.lr_scheduler", "mlic.schedules.WarmupCosine", "--trainer.max_epochs", str(_FINE_TUNING_EPOCHS)),
    ]
    with tempfile.TemporaryDirectory() as runs:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        fitted = _mlic("fit", *backbone, *sides, *recipe, "--trainer.default_root_dir", runs)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        tested = _mlic("test", "--ckpt_path", str(Path(cast(str, fitted["run"])) / "best.ckpt"))
    figures = {name: float(tested[f"test/{name}"]) for name in ("mAP", "f1_micro", "f1_macro")}
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {**figures, "val mAP": float(fitted["val/mAP"]), "epochs": float(fitted["epochs"]), "seconds": seconds}


def _mlic(*words: str) -> dict[str, Any]:
    ended = subprocess.run([sys.executable, "-m", "mlic", *words, "--json"], stdout=subprocess.PIPE, check=True)
    return cast(dict[str, Any], json.loads(ended.stdout))


def _partial(bench: Bench, loss: str, unknown: Literal["ignore", "negative"], share: float, seed: int) -> Figures:
    rate = bench.rate("linear", loss)
    return bench.figures(Run("linear", loss, rate, seed, share, unknown if share else "ignore"))


def _seeds(bench: Bench, head: str, loss: str, seeds: int) -> list[Figures]:
    return [bench.figures(Run(head, loss, bench.rate(head, loss), seed)) for seed in range(seeds)]


def _spread(name: str, runs: Iterable[Figures]) -> str:
    values = [run[name] for run in runs]
    return f"{statistics.mean(values):.3f} ± {_deviation(values):.3f}"


def _deviation(values: list[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def _seconds(runs: Iterable[Figures]) -> str:
    return f"{statistics.mean(run['seconds'] for run in runs):.3g}"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def insert(document: Path, name: str, content: str) -> None:
    """Replaces what stands between `<!-- name -->` and `<!-- end of name -->`; appends them where they are missing."""
    text = document.read_text(encoding="utf-8") if document.exists() else ""
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    if start not in text:
        text = f"{text}\n{start}\n{end}\n"
    pattern = re.compile(f"{re.escape(start)}.*?{re.escape(end)}", re.DOTALL)
    block = f"{start}\n{content}{end}"
    document.write_text(pattern.sub(lambda match: block, text), encoding="utf-8")


def main(words: Sequence[str] | None = None) -> None:
    """Measures what is missing and writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sections = ("heads", "losses", "unknown", "end_to_end")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", choices=sections, default=sections)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="the most epochs of a training on frozen features")
    parser.add_argument("--backbone", default="efficientnet_lite0", help="or a model of timm, without weights")
    parser.add_argument("--docs", type=Path, default=_DOCS, help="where results.md, results.json and images/ are")
    given = parser.parse_args(words)
    torch.set_num_threads(min(2, os.cpu_count() or 1))
    results = Results(given.docs / "results.json")
    bench = Bench(given.folder, lambda: _backbone(given.backbone), results, given.epochs)
    write: dict[str, Callable[[], str]] = {
        "heads": lambda: write_heads(bench, given.seeds),
        "losses": lambda: write_losses(bench, given.seeds),
        "unknown": lambda: write_unknown(bench, given.seeds, given.docs / "images" / "unknown_labels.png"),
        "end_to_end": lambda: write_end_to_end(given.folder, ["--model.backbone", given.backbone], results),
    }
    for section in given.only:
        insert(given.docs / "results.md", section, write[section]())


def _backbone(name: str) -> Backbone:
    names = {part.name for part in plugins.available("backbones")}
    if name in names:
        return cast(Backbone, _made("backbones", Named(name, {"freeze": True})))
    return TimmBackbone(name, weights="none", freeze=True, image_size=32)


if __name__ == "__main__":
    main()
