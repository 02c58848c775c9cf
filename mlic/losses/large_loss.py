"""`LargeLoss`: unobserved labels are assumed to be absent, except for those that fit worst."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, distributed
from torch.nn.functional import logsigmoid

from mlic.errors import UsageError
from mlic.losses.base import Reduction
from mlic.losses.processes import gathered, num_processes
from mlic.losses.unobserved import Unobserved, UnobservedLoss

__all__ = ["LargeLoss", "Scheme"]

Scheme = Literal["reject", "correct", "correct_permanently"]


class LargeLoss(UnobservedLoss):
    """Large-loss modification (Kim et al. 2022, arXiv:2206.03740): a network fits what is right before what is wrong.

    Unobserved labels cost the cross-entropy of absent ones. Of those of a batch, the given share with the largest loss
    are taken to be present ones that nobody saw, from the second epoch on:

    - `reject` (LL-R): they cost nothing in this step;
    - `correct` (LL-Ct): they count as present in this step;
    - `correct_permanently` (LL-Cp): they count as present for the rest of the training, which a checkpoint remembers.

    The share grows from epoch to epoch, except for `correct_permanently`, where what is corrected adds up. The batch is
    that of all processes. In evaluation (`eval()`) unobserved labels are absent ones.

    Args:
        scheme: what happens to the largest losses.
        share_per_epoch: by how much the share of the unobserved labels grows with each epoch, 0 to 1; the numbers that
            are taken are rounded up. In the paper 0.001 to 0.005.
        unobserved: as `UnobservedLoss` says.
        reduction: as `Loss` says.

    Raises:
        UsageError: if an argument is out of its range; and when it is called, if `correct_permanently` does not know
            which samples a batch holds (`index`).

    Example:
        In the second epoch one of four unobserved labels is rejected; the others are undecided.

        >>> loss = LargeLoss(share_per_epoch=0.25)
        >>> loss.epoch = 1
        >>> loss(torch.tensor([[0.0, 5.0, 0.0, 0.0]]), torch.zeros(1, 4)) / math.log(2)
        tensor(3.)
    """

    def __init__(
        self,
        scheme: Scheme = "reject",
        share_per_epoch: float = 0.002,
        unobserved: Unobserved = "absent",
        reduction: Reduction = "batchmean",
    ) -> None:
        super().__init__(unobserved, reduction)
        if scheme not in get_args(Scheme):
            raise UsageError(f"scheme is '{scheme}'; expected one of {', '.join(get_args(Scheme))}")
        if not 0 <= share_per_epoch <= 1:
            raise UsageError(f"share_per_epoch is {share_per_epoch}; expected a share of the labels, 0 to 1")
        self.scheme = scheme
        self.share_per_epoch = share_per_epoch
        self._corrected: dict[int, set[int]] = {}  # the classes of each sample

    def memory(self) -> dict[str, Tensor]:
        """Returns which labels were corrected for good: a row of sample and class for each."""
        pairs = [(sample, column) for sample, columns in self._corrected.items() for column in columns]
        return {"corrected": torch.tensor(sorted(pairs), dtype=torch.int64).reshape(-1, 2)}

    def remember(self, memory: Mapping[str, Tensor]) -> None:
        """Takes which labels were corrected for good."""
        self._corrected = {}
        self._correct(memory["corrected"].tolist() if "corrected" in memory else [])

    def partial_cells(
        self,
        logits: Float[Tensor, "batch classes"],
        labels: Float[Tensor, "batch classes"],
        unobserved: Bool[Tensor, "batch classes"],
    ) -> Float[Tensor, "batch classes"]:
        """Returns the cross-entropy of each cell, modified where it is among the largest of unobserved labels."""
        present, absent = -logsigmoid(logits), -logsigmoid(-logits)
        if not self.training:
            return labels * present + (1 - labels) * absent
        if self.scheme == "correct_permanently":
            labels = torch.where(self._corrected_before(unobserved), 1.0, labels)
            unobserved = unobserved & (labels == 0)
        largest = self._largest(absent.detach(), unobserved)
        if self.scheme == "reject":
            return torch.where(largest, 0.0, labels * present + (1 - labels) * absent)
        labels = torch.where(largest, 1.0, labels)
        return labels * present + (1 - labels) * absent

    def _share(self) -> float:
        epochs = min(self.epoch, 1) if self.scheme == "correct_permanently" else self.epoch
        return min(1.0, epochs * self.share_per_epoch)

    def _largest(
        self, losses: Float[Tensor, "batch classes"], unobserved: Bool[Tensor, "batch classes"]
    ) -> Bool[Tensor, "batch classes"]:
        """Returns which unobserved labels of this process are among those of all with the largest loss."""
        share = self._share()
        if share == 0:
            return torch.zeros_like(unobserved)
        # Observed ones are below all others.
        everyone = gathered(torch.where(unobserved, losses, -1.0))
        number = math.ceil(round(share * int((everyone >= 0).sum()), 6))
        # Of equal losses the first is taken: the sorting is stable.
        order = everyone.flatten().argsort(descending=True, stable=True)[:number]
        largest = torch.zeros_like(everyone, dtype=torch.bool)
        largest.view(-1)[order] = True
        largest &= everyone >= 0
        # Which process has a row, and which sample it is.
        own = distributed.get_rank() if num_processes() > 1 else 0
        permanently = self.scheme == "correct_permanently"
        index = self.index if permanently and self.index is not None else torch.full((len(losses),), -1)
        origin = gathered(torch.stack([torch.full_like(index, own), index], dim=1).to(losses.device))
        if permanently:
            # All processes note the corrections of all, so that a sample may come to another one in the next epoch.
            rows, columns = largest.nonzero().unbind(dim=1)
            self._correct(zip(origin[rows, 1].tolist(), columns.tolist(), strict=True))
        return largest[origin[:, 0] == own]

    def _correct(self, pairs: Iterable[Sequence[int]]) -> None:
        for sample, column in pairs:
            self._corrected.setdefault(sample, set()).add(column)

    def _corrected_before(self, unobserved: Bool[Tensor, "batch classes"]) -> Bool[Tensor, "batch classes"]:
        if self.index is None or len(self.index) != len(unobserved):
            raise UsageError(
                "LargeLoss corrects labels for the rest of the training, and does not know which samples these are; "
                "train with MultiLabelClassifier, set loss.index for each batch, or take scheme: correct"
            )
        samples = self.index.tolist()
        places = [(row, column) for row, sample in enumerate(samples) for column in self._corrected.get(sample, ())]
        before = torch.zeros_like(unobserved)
        if places:
            at = torch.tensor(places, device=before.device)
            before[at[:, 0], at[:, 1]] = True
        return before & unobserved
