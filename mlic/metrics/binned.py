"""`BinnedMetrics`: figures of a table that no memory holds, from histograms; each sample once."""

import torch
from jaxtyping import Bool, Float, Int8, Int64
from torch import Tensor
from torchmetrics import Metric

from mlic.errors import UsageError
from mlic.metrics.histograms import (
    add_cells,
    average_precision_bounds,
    bin_edges,
    binned_auroc,
    binned_average_precision,
    binned_counts,
    bins_of,
)
from mlic.metrics.overall import f1_macro, f1_micro, share_wrong

__all__ = ["BinnedMetrics"]


class BinnedMetrics(Metric):
    """Counts logits in bins, over batches and processes, and computes BINNED figures of them: near the exact ones.

    Memory does not grow with the samples but for a byte each: 16 bytes a class and bin (33 MB for 1,000 classes), and
    1 MB for 1,000,000 samples, where `MultiLabelMetrics` would need 5 GB. Logits in one bin count as equal; how far the
    figures can be from the exact ones is computed besides.

    Each sample index counts once. What a process is given again is seen in its byte. A distributed sampler pads with
    samples of other processes, which come last: each process keeps its last sample apart until it is known whether
    another one had it. Where two processes share samples otherwise, it is refused: what is in a histogram cannot be
    taken out.

    Args:
        num_classes: the number of columns.
        num_samples: of the data set; each index is below it.
        bins: how many, an even number.
        thresholds: the score from which each class is predicted present; None is 0.5 for all. Each is lowered to the
            edge of a bin.

    Attributes:
        thresholds: may be set at any time; the next `compute` uses it.

    Example:
        The second batch repeats sample 1.

        >>> metrics = BinnedMetrics(num_classes=1, num_samples=2)
        >>> metrics
        BinnedMetrics(num_classes=1, num_samples=2, binned: 2048 bins of logits, not exact)
        >>> metrics.update(torch.tensor([[2.0], [-3.0]]), torch.tensor([[1], [0]], dtype=torch.int8), torch.arange(2))
        >>> metrics.update(torch.tensor([[-3.0]]), torch.tensor([[0]], dtype=torch.int8), torch.tensor([1]))
        >>> {name: float(value) for name, value in metrics.compute().items()}  # doctest: +NORMALIZE_WHITESPACE
        {'mAP_binned': 1.0, 'mAP_binned_low': 1.0, 'mAP_binned_high': 1.0, 'auroc_macro_binned': 1.0,
         'auroc_macro_binned_error': 0.0, 'f1_micro_binned': 1.0, 'f1_macro_binned': 1.0, 'hamming_binned': 0.0}
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = True

    histogram: Tensor
    seen: Tensor
    last_index: Tensor
    last_places: Tensor
    last_labels: Tensor

    def __init__(
        self, num_classes: int, num_samples: int, bins: int = 2048, thresholds: Float[Tensor, " classes"] | None = None
    ) -> None:
        # Without the cache `compute` sees thresholds that were set after it was last called.
        super().__init__(compute_with_cache=False)
        self.num_classes, self.num_samples, self.bins = num_classes, num_samples, bins
        self.thresholds = torch.full((num_classes,), 0.5) if thresholds is None else thresholds.cpu()
        self.edges = bin_edges(bins)
        self.add_state("histogram", torch.zeros(2, num_classes, bins, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("seen", torch.zeros(num_samples, dtype=torch.uint8), dist_reduce_fx="sum")
        # The sample that is kept apart; at first one without a known label.
        self.add_state("last_index", torch.full((1,), -1), dist_reduce_fx=None)
        self.add_state("last_places", torch.zeros(1, num_classes, dtype=torch.int32), dist_reduce_fx=None)
        self.add_state("last_labels", torch.full((1, num_classes), -1, dtype=torch.int8), dist_reduce_fx=None)

    def __repr__(self) -> str:
        """Says that the figures are binned."""
        sizes = f"num_classes={self.num_classes}, num_samples={self.num_samples}"
        return f"BinnedMetrics({sizes}, binned: {self.bins} bins of logits, not exact)"

    def update(
        self,
        logits: Float[Tensor, "batch classes"],
        labels: Int8[Tensor, "batch classes"],
        index: Int64[Tensor, " batch"],
    ) -> None:
        """Adds a batch.

        Args:
            logits: of any floating type.
            labels: 1 present, 0 absent, -1 unknown.
            index: which sample of the data set each row is.

        Raises:
            UsageError: if the number of classes is not `num_classes`, or an index is not below `num_samples`.
            MlicError: if the logit of a known cell is not a number.
        """
        if logits.shape[1] != self.num_classes:
            raise UsageError(f"the logits are of {logits.shape[1]} classes; expected {self.num_classes}")
        strange = index[(index < 0) | (index >= self.num_samples)]
        if len(strange):
            raise UsageError(
                f"sample index {int(strange[0])}; expected 0 to {self.num_samples - 1}, a row of the data set"
            )
        device = self.histogram.device
        places = bins_of(logits.to(device), labels.to(device), self.edges.to(device))
        new = self._new(index.to(device))
        known = self.last_index >= 0
        every = (
            torch.cat([self.last_index[known], index.to(device)[new]]),
            torch.cat([self.last_places[known], places[new]]),
            torch.cat([self.last_labels[known], labels.to(device)[new]]),
        )
        if len(every[0]):
            self.seen[every[0][:-1]] = 1
            add_cells(self.histogram, every[1][:-1], every[2][:-1])
            self.last_index, self.last_places, self.last_labels = (rows[-1:].clone() for rows in every)

    def compute(self) -> dict[str, Tensor]:
        """Returns binned figures of the rows of all processes: float32 scalars; NaN for what nothing is known about.

        `mAP_binned`, with the numbers that the exact one lies between (`_low`, `_high`); `auroc_macro_binned`, and how
        far from the exact one it is at most (`_error`); `f1_micro_binned`, `f1_macro_binned` and `hamming_binned`,
        which are exact where the thresholds are edges of bins. Every process has to call it.

        Raises:
            UsageError: if two processes share samples otherwise than by a sampler's padding.
        """
        histogram = self._whole()
        low, high = average_precision_bounds(histogram)
        area, error = binned_auroc(histogram)
        counts = binned_counts(histogram, self.edges.to(histogram.device), self.thresholds)
        values = {
            "mAP_binned": binned_average_precision(histogram).nanmean(),
            "mAP_binned_low": low.nanmean(),
            "mAP_binned_high": high.nanmean(),
            "auroc_macro_binned": area.nanmean(),
            "auroc_macro_binned_error": error.nanmean(),
            "f1_micro_binned": f1_micro(counts),
            "f1_macro_binned": f1_macro(counts),
            "hamming_binned": share_wrong(counts),
        }
        return {name: value.float() for name, value in values.items()}

    def cells(self) -> Int64[Tensor, "2 classes bins"]:
        """Returns the histogram of all processes, for the functions of `mlic.metrics.histograms`.

        Every process has to call it.

        Raises:
            UsageError: as `compute`.
        """
        with self.sync_context():
            return self._whole()

    def _new(self, index: Int64[Tensor, " batch"]) -> Bool[Tensor, " batch"]:
        """Tells which rows are of samples that this process has not yet had."""
        order = index.argsort(stable=True)
        first = torch.ones_like(index, dtype=torch.bool)
        first[order[1:]] = index[order[1:]] != index[order[:-1]]
        return first & (self.seen[index] == 0) & (index != self.last_index)

    def _whole(self) -> Int64[Tensor, "2 classes bins"]:
        """Returns the histogram with the samples that were kept apart, of all processes when synced."""
        shared = (self.seen > 1).nonzero()
        if len(shared):
            raise UsageError(
                f"sample {int(shared[0])} and {len(shared) - 1} others were given by several processes; "
                "expected what DistributedSampler gives: parts of the data set, each padded by its last sample at most"
            )
        histogram, seen = self.histogram.clone(), self.seen.clone()
        index = self.last_index.reshape(-1)
        places, labels = self.last_places.reshape(-1, self.num_classes), self.last_labels.reshape(-1, self.num_classes)
        for row, sample in enumerate(index.tolist()):
            if sample >= 0 and seen[sample] == 0:
                seen[sample] = 1
                add_cells(histogram, places[row : row + 1], labels[row : row + 1])
        return histogram
