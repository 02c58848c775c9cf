"""`BCELoss`: binary cross-entropy, one independent yes-or-no question per class."""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from mlic.errors import UsageError
from mlic.labels.counts import ClassCounts
from mlic.losses.base import Loss, Reduction
from mlic.losses.per_class import PerClass

__all__ = ["BCELoss"]


class BCELoss(Loss):
    """Binary cross-entropy: `-w y log(p) - (1 - y) log(1 - p)` with `p = sigmoid(logit)`. Takes soft labels.

    Args:
        pos_weight: `w`, how much more a present label counts than an absent one: one number for all classes, or one
            per class in the order of the classes; each 0 or more. None is 1. `balanced` takes the known negatives
            divided by the known positives of each class in the training data, at most `max_pos_weight`, so that the
            present labels of a class weigh as much as its absent ones; a class without either has nothing to balance,
            and its weight is 1. A weight raises the logits, by log(w) for scores that fit the data: such scores are no
            longer probabilities.
        max_pos_weight: the largest weight that `balanced` gives, above 0. The default is the default size of a batch:
            with more, one present label outweighs all the absent ones that its class can have in the batch, and the
            steps become noisy.
        label_smoothing: `s`, 0 to below 1; a label `y` becomes `y (1 - s) + s / 2`, which mixes it with a tossed coin
            (Szegedy et al. 2016, arXiv:1512.00567, for two outcomes). So 0.1 takes 0.95 for present and 0.05 for
            absent. Unknown stays unknown. Smooths in evaluation too, so that the losses of both can be compared.
        reduction: as `Loss` says.

    Raises:
        UsageError: if a number is out of its range; and when it is called, if the number of weights is not that of the
            classes, or if `balanced` weights are not known yet.

    Example:
        Undecided logits cost log(2) = 0.6931 a cell; the -1 costs nothing.

        >>> import torch
        >>> BCELoss()(torch.zeros(1, 3), torch.tensor([[1, 0, -1]])) / 2
        tensor(0.6931)
    """

    def __init__(
        self,
        pos_weight: float | list[float] | Literal["balanced"] | None = None,
        max_pos_weight: float = 32.0,
        label_smoothing: float = 0.0,
        reduction: Reduction = "batchmean",
    ) -> None:
        super().__init__(reduction)
        if isinstance(pos_weight, str) and pos_weight != "balanced":
            raise UsageError(f"pos_weight is '{pos_weight}'; expected a number, one per class, 'balanced', or None")
        if not 0 < max_pos_weight < math.inf:
            raise UsageError(f"max_pos_weight is {max_pos_weight}; expected a finite number above 0")
        if not 0 <= label_smoothing < 1:
            raise UsageError(f"label_smoothing is {label_smoothing}; expected 0 or more, and below 1")
        if isinstance(pos_weight, list):
            for column, weight in enumerate(pos_weight):
                _check(weight, f"pos_weight[{column}]")
        elif isinstance(pos_weight, float | int):
            _check(pos_weight, "pos_weight")
        self.pos_weight = pos_weight
        self.max_pos_weight = max_pos_weight
        self.label_smoothing = label_smoothing
        self._weights = PerClass("pos_weight", pos_weight) if isinstance(pos_weight, list) else None

    def adapt(self, counts: ClassCounts) -> None:
        """Sets the weights of `balanced`; others stay as they were given."""
        if self.pos_weight == "balanced":
            pairs = zip(counts.positives, counts.negatives, strict=True)
            self._weights = PerClass("pos_weight", [self._balance(*pair) for pair in pairs])

    def cells(
        self, logits: Float[Tensor, "batch classes"], labels: Float[Tensor, "batch classes"]
    ) -> Float[Tensor, "batch classes"]:
        """Returns the cross-entropy of each cell."""
        if self.label_smoothing:
            labels = labels * (1 - self.label_smoothing) + self.label_smoothing / 2
        return binary_cross_entropy_with_logits(logits, labels, pos_weight=self._weight(logits), reduction="none")

    def positive_weights(self, num_classes: int) -> list[float]:
        """Returns how much more a present label of each class counts than an absent one."""
        weights = self._weight(torch.zeros(1, num_classes))
        return [1.0] * num_classes if weights is None else weights.expand(num_classes).tolist()

    def _balance(self, positives: int, negatives: int) -> float:
        return min(negatives / positives, self.max_pos_weight) if positives and negatives else 1.0

    def _weight(self, logits: Float[Tensor, "batch classes"]) -> Float[Tensor, "..."] | None:
        """Returns the weight of a present label, for each class or for all of them; None for 1."""
        if self._weights is not None:
            return self._weights.like(logits)
        if isinstance(self.pos_weight, float | int):
            return logits.new_tensor(self.pos_weight)
        if self.pos_weight == "balanced":
            raise UsageError(
                "pos_weight is 'balanced', and how often each class is present in the training data is not known; "
                "take a datamodule that has class_counts, or call adapt(ClassCounts(...)) before"
            )
        return None


def _check(weight: float, name: str) -> None:
    if not (math.isfinite(weight) and weight >= 0):
        raise UsageError(f"{name} is {weight}; expected a finite number of 0 or more")
