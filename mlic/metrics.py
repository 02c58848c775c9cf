"""How good the scores are: exact metrics in which an unknown cell counts for nothing.

The functions are pure; `MultiLabelMetrics` collects rows over batches and processes and calls them. A cell is predicted
present when `score >= threshold`. What is undefined (0 / 0) is NaN, and is left out of means over classes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Float32, Int8, Int64
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat
from torchmetrics.utilities.distributed import gather_all_tensors

from mlic.errors import MlicError, UsageError

__all__ = [
    "Counts",
    "MultiLabelMetrics",
    "Rows",
    "average_precision",
    "count_cells",
    "f1",
    "f1_macro",
    "f1_micro",
    "hamming",
    "hamming_all_negative",
    "headline",
    "mean_average_precision",
    "mean_of_defined",
    "per_class",
    "precision",
    "recall",
]

_BLOCK_CELLS = 2**18  # of 8 bytes: the classes that are sorted at a time stay within a processor's cache
_BEYOND = 2**32  # more than any rank
_STATES = {"index": torch.int64, "logits": torch.float32, "labels": torch.int8}


class Counts(NamedTuple):
    """The known cells of each class, by what they are and what was predicted: four numbers of cells, per class."""

    true_positives: Int64[Tensor, " classes"]
    false_positives: Int64[Tensor, " classes"]
    false_negatives: Int64[Tensor, " classes"]
    true_negatives: Int64[Tensor, " classes"]


class Rows(NamedTuple):
    """What is known about some samples: one row each, sorted by `index`."""

    index: Int64[Tensor, " samples"]  # type: ignore[assignment]  # hides tuple.index, which nobody asks of rows
    logits: Float32[Tensor, "samples classes"]
    labels: Int8[Tensor, "samples classes"]


def average_precision(
    scores: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]
) -> Float[Tensor, " classes"]:
    """Returns the average precision of each class over its known cells, 0 to 1, as float64.

    Non-interpolated: the sum over distinct scores of (recall gained) x (precision down to that score), so that equal
    scores count as one step, whatever their order; scikit-learn's `average_precision_score`. NaN for a class without
    any known positive.

    Args:
        scores: anything that ranks; logits rather than their sigmoids, of which many round to the same number.
        labels: 1 present, 0 absent, -1 unknown.

    Raises:
        MlicError: if the score of a known cell is not a number.

    Example:
        Two positives, ranked first and third: (1/1 + 2/3) / 2.

        >>> scores, labels = torch.tensor([[0.9], [0.8], [0.7]]), torch.tensor([[1], [0], [1]], dtype=torch.int8)
        >>> average_precision(scores, labels)
        tensor([0.8333], dtype=torch.float64)
    """
    _refuse_nan(scores, labels)
    width = max(1, _BLOCK_CELLS // max(1, len(scores)))
    blocks = zip(torch.split(scores, width, dim=1), torch.split(labels, width, dim=1), strict=True)
    return torch.cat([_block_average_precision(*block) for block in blocks])


def mean_of_defined(per_class: Float[Tensor, " classes"]) -> tuple[Float[Tensor, ""], int]:
    """Returns the mean over the classes where the value is defined (NaN if none is), and the number of these classes.

    Example:
        >>> mean_of_defined(torch.tensor([0.5, float("nan"), 1.0]))
        (tensor(0.7500), 2)
    """
    return per_class.nanmean(), int((~per_class.isnan()).sum())


def mean_average_precision(
    scores: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]
) -> Float[Tensor, ""]:
    """Returns mAP: the mean of `average_precision` over the classes with a known positive, as float64."""
    return mean_of_defined(average_precision(scores, labels))[0]


def count_cells(
    scores: Float[Tensor, "samples classes"],
    labels: Int8[Tensor, "samples classes"],
    thresholds: Float[Tensor, " classes"],
) -> Counts:
    """Counts the known cells of each class, by what they are and what was predicted.

    Example:
        >>> scores, labels = torch.tensor([[0.9], [0.8], [0.7]]), torch.tensor([[1], [0], [-1]], dtype=torch.int8)
        >>> counts = count_cells(scores, labels, torch.tensor([0.5]))
        >>> [int(count) for count in counts]
        [1, 1, 0, 0]
    """
    predicted = scores >= thresholds
    present, absent = labels == 1, labels == 0
    return Counts(
        (predicted & present).sum(dim=0),
        (predicted & absent).sum(dim=0),
        (~predicted & present).sum(dim=0),
        (~predicted & absent).sum(dim=0),
    )


def precision(counts: Counts) -> Float[Tensor, "*classes"]:
    """Returns the share of the cells predicted present that are, per class; NaN where none is predicted."""
    return counts.true_positives.double() / (counts.true_positives + counts.false_positives)


def recall(counts: Counts) -> Float[Tensor, "*classes"]:
    """Returns the share of the present cells that are predicted, per class; NaN where none is present."""
    return counts.true_positives.double() / (counts.true_positives + counts.false_negatives)


def f1(counts: Counts) -> Float[Tensor, "*classes"]:
    """Returns F1 = 2 TP / (2 TP + FP + FN) per class; NaN where nothing is present and nothing predicted."""
    doubled = 2 * counts.true_positives
    return doubled.double() / (doubled + counts.false_positives + counts.false_negatives)


def f1_micro(
    scores: Float[Tensor, "samples classes"],
    labels: Int8[Tensor, "samples classes"],
    thresholds: Float[Tensor, " classes"],
) -> Float[Tensor, ""]:
    """Returns F1 over all known cells together ("OF1"), so that frequent classes decide.

    Example:
        Right about the first class; the second is predicted twice, once rightly: 2 * 2 / (2 * 2 + 1).

        >>> scores, labels = torch.tensor([[0.9, 0.8], [0.1, 0.7]]), torch.tensor([[1, 1], [0, 0]], dtype=torch.int8)
        >>> f1_micro(scores, labels, torch.tensor([0.5, 0.5]))
        tensor(0.8000, dtype=torch.float64)
    """
    return f1(Counts(*(count.sum() for count in count_cells(scores, labels, thresholds))))


def f1_macro(
    scores: Float[Tensor, "samples classes"],
    labels: Int8[Tensor, "samples classes"],
    thresholds: Float[Tensor, " classes"],
) -> Float[Tensor, ""]:
    """Returns the mean F1 of the classes that have a known positive, each class counting the same.

    A class without any is left out even where it is predicted, as in mAP. It is not "CF1" of the literature, which is
    the harmonic mean of the mean precision and the mean recall.

    Example:
        The mean of 1 and 2/3.

        >>> scores, labels = torch.tensor([[0.9, 0.8], [0.1, 0.7]]), torch.tensor([[1, 1], [0, 0]], dtype=torch.int8)
        >>> f1_macro(scores, labels, torch.tensor([0.5, 0.5]))
        tensor(0.8333, dtype=torch.float64)
    """
    counts = count_cells(scores, labels, thresholds)
    present = counts.true_positives + counts.false_negatives > 0
    return mean_of_defined(torch.where(present, f1(counts), torch.nan))[0]


def hamming(
    scores: Float[Tensor, "samples classes"],
    labels: Int8[Tensor, "samples classes"],
    thresholds: Float[Tensor, " classes"],
) -> Float[Tensor, ""]:
    """Returns the Hamming loss: the share of the known cells that are predicted wrongly; lower is better.

    Example:
        >>> scores, labels = torch.tensor([[0.9, 0.8], [0.1, 0.7]]), torch.tensor([[1, 1], [0, 0]], dtype=torch.int8)
        >>> hamming(scores, labels, torch.tensor([0.5, 0.5]))
        tensor(0.2500, dtype=torch.float64)
    """
    counts = count_cells(scores, labels, thresholds)
    return (counts.false_positives + counts.false_negatives).sum().double() / (labels >= 0).sum()


def hamming_all_negative(labels: Int8[Tensor, "samples classes"]) -> Float[Tensor, ""]:
    """Returns the Hamming loss of predicting nothing: the share of the known cells that are present.

    A Hamming loss means something only beside it: where 2 % of the cells are present, predicting nothing is 98 % right.

    Example:
        >>> hamming_all_negative(torch.tensor([[1, 0], [0, 0], [-1, -1]], dtype=torch.int8))
        tensor(0.2500, dtype=torch.float64)
    """
    return (labels == 1).sum().double() / (labels >= 0).sum()


def headline(
    logits: Float32[Tensor, "samples classes"],
    labels: Int8[Tensor, "samples classes"],
    thresholds: Float[Tensor, " classes"],
) -> dict[str, Tensor]:
    """Returns the five numbers that are logged: `mAP`, `f1_micro`, `f1_macro`, `hamming`, `hamming_all_negative`.

    Each is a float32 scalar, 0 to 1 or NaN.

    Args:
        logits: mAP ranks these, so that the ties which the sigmoid makes of large logits do not decide.
        labels: 1 present, 0 absent, -1 unknown.
        thresholds: scores, that is probabilities: the sigmoid of the logits is compared with them.

    Raises:
        MlicError: if the logit of a known cell is not a number.
    """
    scores = logits.sigmoid()
    values = {
        "mAP": mean_average_precision(logits, labels),
        "f1_micro": f1_micro(scores, labels, thresholds),
        "f1_macro": f1_macro(scores, labels, thresholds),
        "hamming": hamming(scores, labels, thresholds),
        "hamming_all_negative": hamming_all_negative(labels),
    }
    # Not float64, which some devices (MPS) lack and to which a logger may move them.
    return {name: value.float() for name, value in values.items()}


def per_class(
    logits: Float32[Tensor, "samples classes"],
    labels: Int8[Tensor, "samples classes"],
    thresholds: Float[Tensor, " classes"],
) -> dict[str, Tensor]:
    """Returns a table of the classes as columns of length `classes`; arguments as in `headline`.

    `support` and `negatives` are numbers of known cells; `AP`, `f1`, `precision` and `recall` are 0 to 1, or NaN where
    undefined; `threshold` is what a score was compared with.

    Example:
        >>> logits, labels = torch.tensor([[2.0], [-1.0], [1.0]]), torch.tensor([[1], [0], [0]], dtype=torch.int8)
        >>> {name: float(column) for name, column in per_class(logits, labels, torch.tensor([0.5])).items()}
        ... # doctest: +NORMALIZE_WHITESPACE
        {'support': 1.0, 'negatives': 2.0, 'AP': 1.0, 'f1': 0.6666666666666666, 'precision': 0.5, 'recall': 1.0,
         'threshold': 0.5}
    """
    counts = count_cells(logits.sigmoid(), labels, thresholds)
    return {
        "support": counts.true_positives + counts.false_negatives,
        "negatives": counts.false_positives + counts.true_negatives,
        "AP": average_precision(logits, labels),
        "f1": f1(counts),
        "precision": precision(counts),
        "recall": recall(counts),
        "threshold": thresholds,
    }


class MultiLabelMetrics(Metric):
    """Collects logits over batches and processes and computes `headline` of them.

    Rows are kept in main memory (5 bytes a cell: 16 MB for 40,000 samples of 80 classes), so that a GPU holds them
    only while processes exchange theirs. The result does not depend on batch size, order, the number of processes or
    a distributed sampler's padding: of the rows with the same sample index one counts.

    Args:
        num_classes: the number of columns.
        thresholds: the score from which each class is predicted present; None is 0.5 for all.

    Attributes:
        thresholds: may be set at any time; the next `compute` uses it.

    Example:
        The second batch repeats sample 1, as a padded last batch does.

        >>> metrics = MultiLabelMetrics(num_classes=1)
        >>> metrics.update(torch.tensor([[2.0], [-3.0]]), torch.tensor([[1], [0]], dtype=torch.int8), torch.arange(2))
        >>> metrics.update(torch.tensor([[-3.0]]), torch.tensor([[0]], dtype=torch.int8), torch.tensor([1]))
        >>> metrics.rows()[0].tolist(), float(metrics.compute()["hamming_all_negative"])
        ([0, 1], 0.5)
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    index: list[Tensor] | Tensor
    logits: list[Tensor] | Tensor
    labels: list[Tensor] | Tensor

    def __init__(self, num_classes: int, thresholds: Float[Tensor, " classes"] | None = None) -> None:
        # Without the cache `compute` sees thresholds that were set after it was last called.
        super().__init__(compute_with_cache=False)
        self.num_classes = num_classes
        self.thresholds = torch.full((num_classes,), 0.5) if thresholds is None else thresholds.cpu()
        for state in _STATES:
            self.add_state(state, default=[], dist_reduce_fx="cat")

    def update(
        self,
        logits: Float[Tensor, "batch classes"],
        labels: Int8[Tensor, "batch classes"],
        index: Int64[Tensor, " batch"],
    ) -> None:
        """Adds a batch.

        Args:
            logits: of any floating type; kept as float32.
            labels: 1 present, 0 absent, -1 unknown.
            index: which sample of the data set each row is.

        Raises:
            UsageError: if the number of classes is not `num_classes`.
        """
        if logits.shape[1] != self.num_classes:
            raise UsageError(f"the logits are of {logits.shape[1]} classes; expected {self.num_classes}")
        for state, rows in (("logits", logits), ("labels", labels), ("index", index)):
            # A copy: a batch from a loader's worker is shared memory, and each one kept holds a file open.
            getattr(self, state).append(rows.detach().to("cpu", _STATES[state], copy=True))

    def compute(self) -> dict[str, Tensor]:
        """Returns `headline` of the rows of all processes; NaN for what nothing is known about.

        Every process has to call it. It raises what `headline` and `rows` raise.
        """
        _, logits, labels = self._own_rows()
        return headline(logits, labels, self.thresholds.cpu())

    def rows(self) -> Rows:
        """Returns the rows of all processes, in main memory: one per sample index, in its order.

        Every process has to call it.

        Raises:
            UsageError: if two rows of one sample index have different labels.
        """
        with self.sync_context():
            return self._own_rows()

    def sync(
        self,
        dist_sync_fn: Callable[..., Any] | None = None,
        process_group: Any | None = None,
        should_sync: bool = True,
        distributed_available: Callable[[], bool] | None = None,
    ) -> None:
        """Gives every process the rows of all; torchmetrics calls it, with the meaning that `Metric.sync` documents."""
        for state in _STATES:
            # Never an empty list: in its place torchmetrics 1.9.0 sends a float32 vector, which fits nothing.
            setattr(self, state, getattr(self, state) or [self._no_rows(state)])
        super().sync(dist_sync_fn or self._gather, process_group, should_sync, distributed_available)

    def _gather(self, rows: Tensor, group: Any | None = None) -> list[Tensor]:
        """Exchanges one state on the device that the processes talk through (NCCL knows no main memory)."""
        return [part.cpu() for part in gather_all_tensors(rows.to(self.device), group)]

    def _own_rows(self) -> Rows:
        """Returns the rows held now, those of all processes when synced."""
        index, logits, labels = (dim_zero_cat(getattr(self, state)).cpu() for state in _STATES)
        order = index.argsort(stable=True)
        repeats = torch.zeros_like(order, dtype=torch.bool)
        repeats[1:] = index[order[1:]] == index[order[:-1]]
        differ = (labels[order[1:]] != labels[order[:-1]]).any(dim=1) & repeats[1:]
        if differ.any():
            sample = int(index[order[1:][differ][0]])
            raise UsageError(
                f"two rows of sample index {sample} have different labels; "
                "expected a datamodule's batches to give every sample an index of its own"
            )
        kept = order[~repeats]
        return Rows(index[kept], logits[kept], labels[kept])

    def _no_rows(self, state: str) -> Tensor:
        """Returns a state of no rows, of the type and width that it has otherwise."""
        return torch.empty((0,) if state == "index" else (0, self.num_classes), dtype=_STATES[state])


def _block_average_precision(
    scores: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]
) -> Float[Tensor, " classes"]:
    """Returns `average_precision` of a few classes by one sort of whole numbers, much faster than sorting floats.

    A number holds, from its high bits to its low ones, the class, the rank of the score and whether the cell is
    positive. Known cells come first within a class, so a position counts known cells; positives come last among equal
    scores, so the last of them stands where the step ends.
    """
    samples, classes = scores.shape
    labels = labels.t().contiguous()
    ranks = torch.where(labels < 0, _BEYOND, _descending_ranks(scores.t().contiguous()))
    column = torch.arange(classes, device=scores.device).unsqueeze(1)
    keys = (((column * 2 * _BEYOND + ranks) << 1) | (labels == 1)).flatten().sort().values
    positives = (keys & 1).nonzero().squeeze(1)
    support = (labels == 1).sum(dim=1)
    column = positives // max(1, samples)
    hit = torch.arange(1, len(positives) + 1, device=scores.device) - (support.cumsum(0) - support)[column]
    precisions = hit.double() / (positives - column * samples + 1)
    # Each positive takes the precision of the last one that has its score.
    last = torch.ones_like(positives, dtype=torch.bool)
    last[:-1] = keys[positives[1:]] != keys[positives[:-1]]
    step = last.cumsum(0) - last.long()
    sums = [part.sum() for part in torch.split(precisions[last][step], support.tolist())]
    return torch.stack(sums) / support if sums else precisions


def _descending_ranks(scores: Float[Tensor, "classes samples"]) -> Int64[Tensor, "classes samples"]:
    """Returns whole numbers from 0 to below 2**32 that are smaller for higher scores, and equal for equal ones."""
    if scores.dtype == torch.float64:
        return scores.numel() - 1 - torch.searchsorted(scores.flatten().sort().values, scores)
    # Read as whole numbers, positive floats keep their order and negative ones reverse it. Adding 0 makes -0 a 0.
    bits = (scores.float() + 0.0).view(torch.int32)
    return 2**31 - 1 - (bits ^ ((bits >> 31) & 0x7FFFFFFF)).long()


def _refuse_nan(scores: Float[Tensor, "samples classes"], labels: Int8[Tensor, "samples classes"]) -> None:
    """Raises if a known cell has no number: sorted, it would count as the best of all."""
    bad = scores.isnan() & (labels >= 0)
    if bad.any():
        sample, column = bad.nonzero()[0].tolist()
        raise MlicError(
            f"the score of row {sample} for class {column} is not a number ({int(bad.sum())} cells in all); "
            "the model has diverged: lower the learning rate or clip the gradient"
        )
