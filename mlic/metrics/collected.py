"""`MultiLabelMetrics`: the rows of many batches and processes, each sample once."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Float32, Int8, Int64
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat
from torchmetrics.utilities.distributed import gather_all_tensors

from mlic.errors import UsageError
from mlic.metrics.figures import headline

__all__ = ["MultiLabelMetrics", "Rows"]

_STATES = {"index": torch.int64, "logits": torch.float32, "labels": torch.int8}


class Rows(NamedTuple):
    """What is known about some samples: one row each, sorted by `index`."""

    index: Int64[Tensor, " samples"]  # type: ignore[assignment]  # hides tuple.index, which nobody asks of rows
    logits: Float32[Tensor, "samples classes"]
    labels: Int8[Tensor, "samples classes"]


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
        again, before = order[repeats], order[repeats.roll(-1)]
        differ = (labels[again] != labels[before]).any(dim=1)
        if differ.any():
            sample = int(index[again[differ][0]])
            raise UsageError(
                f"two rows of sample index {sample} have different labels; "
                "expected a datamodule's batches to give every sample an index of its own"
            )
        kept = order[~repeats]
        return Rows(index[kept], logits[kept], labels[kept])

    def _no_rows(self, state: str) -> Tensor:
        """Returns a state of no rows, of the type and width that it has otherwise."""
        return torch.empty((0,) if state == "index" else (0, self.num_classes), dtype=_STATES[state])
