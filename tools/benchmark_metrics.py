"""Measures what judging costs: average precision against others, the end of an epoch, all figures and their intervals.

    python tools/benchmark_metrics.py [--rounds 5] [--threads 1] [--quick]

Each round runs every candidate once, in turn; the median of the rounds counts, of wall time and of processor time
(whose ratios a busy machine hardly moves). Every result is compared with scikit-learn's before. The aims are ratios of
processor time of 5 to scikit-learn and of 10 to torchmetrics, on 40,000 x 80 and 20,000 x 1,000.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor
from torchmetrics.functional.classification import multilabel_average_precision

from mlic.metrics import (
    BinnedMetrics,
    MultiLabelMetrics,
    auroc,
    average_precision,
    baselines,
    calibration_error,
    figures,
    headline,
    lrap,
)
from mlic.metrics.resamples import resampled_figures, resampled_map
from mlic.tables import text_table
from mlic.thresholds import fit_thresholds

_SIZES = [(40_000, 80), (514, 20), (20_000, 1_000), (2_000, 10_000)]
_BATCH = 32
_TOLERANCE = 1e-6
_RESAMPLES = 200
_RESAMPLED_CELLS = 4_000_000

Work = Callable[[], Any]


def main() -> None:
    """Prints a table for each size of the scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="of torch; numpy sorts in one")
    parser.add_argument("--quick", action="store_true", help="without the sizes that take others long")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")  # scikit-learn's, about classes without positives
    for samples, classes in _SIZES[: 2 if options.quick else len(_SIZES)]:
        logits, labels = table(samples, classes)
        rivals = ranking(logits, labels)
        check(rivals)
        print(f"\n{samples} x {classes}, {100 * (labels == 1).float().mean():.1f} % present, {options.rounds} rounds\n")
        report("average precision", measure(rivals, options.rounds))
        report("end of an epoch", measure(epoch_end(logits, labels), options.rounds))
        report("judging", measure(judging(logits, labels), options.rounds))


def table(samples: int, classes: int) -> tuple[Tensor, Tensor]:
    """Returns logits, with ties, and labels that follow them: each class has a frequency of its own."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(samples, classes, generator=generator) * 1.5 + torch.linspace(-6, -1, classes)
    logits = (logits * 1024).round() / 1024
    return logits, (torch.rand(samples, classes, generator=generator) < logits.sigmoid()).to(torch.int8)


def ranking(logits: Tensor, labels: Tensor) -> dict[str, Work]:
    """Returns average precision of every class, by each of the three."""
    scores, marks, whole = logits.numpy(), labels.numpy(), labels.long()

    def by_scikit_learn() -> Tensor:
        columns = range(scores.shape[1])
        found = [average_precision_score(marks[:, k], scores[:, k]) if marks[:, k].any() else np.nan for k in columns]
        return torch.tensor(found, dtype=torch.float64)

    return {
        "mlic": lambda: average_precision(logits, labels),
        "scikit-learn": by_scikit_learn,
        # It takes a score outside of 0..1 for a logit, and then its sigmoid.
        "torchmetrics, exact": lambda: multilabel_average_precision(
            logits, whole, logits.shape[1], average=None, thresholds=None
        ),
    }


def check(rivals: dict[str, Work]) -> None:
    """Raises if average precision is not scikit-learn's."""
    found, expected = rivals["mlic"](), rivals["scikit-learn"]()
    if not torch.allclose(found, expected, rtol=0, atol=_TOLERANCE, equal_nan=True):
        raise ValueError(f"average precision differs by {(found - expected).abs().nan_to_num().max()}")


def epoch_end(logits: Tensor, labels: Tensor) -> dict[str, Work]:
    """Returns what runs once in an epoch; `collect` is all batches of it, and `rows` puts them together."""
    classes = logits.shape[1]
    index = torch.arange(len(logits))
    batches = list(zip(*(torch.split(rows, _BATCH) for rows in (logits, labels, index)), strict=True))
    thresholds = torch.full((classes,), 0.5)

    def collect() -> MultiLabelMetrics:
        metrics = MultiLabelMetrics(classes)
        for batch in batches:
            metrics.update(*batch)
        return metrics

    collected = collect()

    def everything() -> None:
        rows = collect().rows()
        headline(rows.logits, rows.labels, fit_thresholds(rows.logits.sigmoid(), rows.labels))

    return {
        "everything": everything,
        f"collect batches of {_BATCH}": collect,
        "rows": collected.rows,
        "fit_thresholds": lambda: fit_thresholds(logits.sigmoid(), labels),
        "headline": lambda: headline(logits, labels, thresholds),
    }


def judging(logits: Tensor, labels: Tensor) -> dict[str, Work]:
    """Returns what a report needs; intervals where the table is not too large for a benchmark."""
    scores, present = logits.sigmoid(), logits > 0
    found: dict[str, Work] = {
        "figures": lambda: figures(logits, scores, present, labels),
        "baselines": lambda: baselines(labels),
        "auroc": lambda: auroc(logits, labels),
        "lrap": lambda: lrap(scores, labels),
        "calibration_error": lambda: calibration_error(scores, labels),
        "BinnedMetrics": lambda: binned(logits, labels),
    }
    if logits.numel() <= _RESAMPLED_CELLS:
        found[f"mAP, {_RESAMPLES} resamples"] = lambda: resampled_map([logits], labels, _RESAMPLES)
        found[f"figures, {_RESAMPLES} resamples"] = lambda: resampled_figures(
            logits, scores, present, labels, _RESAMPLES
        )
    return found


def binned(logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Returns binned figures, from batches of 1,024 samples."""
    metrics = BinnedMetrics(logits.shape[1], len(logits))
    for rows in torch.split(torch.arange(len(logits)), 1024):
        metrics.update(logits[rows], labels[rows], rows)
    return metrics.compute()


def measure(candidates: dict[str, Work], rounds: int) -> dict[str, tuple[float, float]]:
    """Returns the median wall and processor seconds of each."""
    walls: dict[str, list[float]] = {name: [] for name in candidates}
    processors: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, work in candidates.items():
            wall, processor = time.perf_counter(), time.process_time()
            work()
            processors[name].append(time.process_time() - processor)
            walls[name].append(time.perf_counter() - wall)
    return {name: (statistics.median(walls[name]), statistics.median(processors[name])) for name in candidates}


def report(title: str, times: dict[str, tuple[float, float]]) -> None:
    """Prints milliseconds, and how many times those of the first candidate they are."""
    first = next(iter(times.values()))
    rows = [
        [name, f"{1e3 * wall:.2f}", f"{1e3 * cpu:.2f}", f"{wall / first[0]:.2f}x", f"{cpu / first[1]:.2f}x"]
        for name, (wall, cpu) in times.items()
    ]
    print(text_table([title, "wall ms", "processor ms", "wall", "processor"], rows))


if __name__ == "__main__":
    main()
