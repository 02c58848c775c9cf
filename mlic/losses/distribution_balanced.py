"""`DistributionBalancedLoss`: for long-tailed data, in which a few classes are frequent and most are rare."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from mlic.errors import UsageError
from mlic.labels.counts import ClassCounts
from mlic.losses.base import Loss, Reduction
from mlic.losses.per_class import PerClass

__all__ = ["DistributionBalancedLoss"]


class DistributionBalancedLoss(Loss):
    """Distribution-balanced loss in its focal form (Wu et al. 2020, arXiv:2007.09654).

    It is made for class-aware sampling, which picks a class and then one of its samples. A sample that has frequent
    classes besides is then picked more often than a class alone asks for, by `1 / r`:

    - `r = (1 / n) / sum over the present classes of the sample (1 / their n)`, where `n` is the number of known
      positives of a class; the weight of the cell is `map_alpha + sigmoid(map_beta (r - map_mu))`. A sample without a
      known present class is never picked: its `r` is infinite, and its cells weigh `map_alpha + 1`.
    - The logit is lowered by `(init_bias / neg_scale) log(negatives / positives)`, which a rare class has to exceed;
      call it `z`. A present label costs `CE = -log(sigmoid(z))`, an absent one `CE = -log(1 - sigmoid(neg_scale z))`
      divided by `neg_scale`: the larger the scale, the sooner an absent label that is right is left alone.
    - Each is multiplied by the weight, by `balance` and by `(1 - exp(-CE))^gamma`, as in the focal loss.

    The costs of a cell are linear in its `y`, apart from the weight, into which a soft label enters as that share of a
    positive. A class without known positives (or negatives) in the training data is taken to have half a one.

    Args:
        map_alpha: the least weight of a cell, 0 or more.
        map_beta: how steeply the weight rises with `r`, 0 or more; 0 weighs all cells alike.
        map_mu: the `r` at which it is in the middle of its rise.
        neg_scale: lambda of the paper, above 0.
        init_bias: kappa of the paper, 0 or more.
        gamma: how fast the weight of a cell falls as it becomes right, 0 or more; 0 is the form without focus.
        balance: a factor for all cells, above 0.
        reduction: as `Loss` says.

    Raises:
        UsageError: if a number is out of its range; and when it is called, if it is not known how often each class is
            present (see `adapt`), or known for another number of classes.

    Example:
        The rare class alone is present, so its own r is 1, and that of the frequent one 1/9.

        >>> import torch
        >>> loss = DistributionBalancedLoss(map_beta=1000.0, neg_scale=1.0, init_bias=0.0, gamma=0.0, balance=1.0)
        >>> loss.adapt(ClassCounts(positives=[90, 10], negatives=[10, 90], samples=100))
        >>> loss.cells(torch.zeros(1, 2), torch.tensor([[0.0, 1.0]])) / math.log(2)
        tensor([[0.1000, 1.1000]])
    """

    def __init__(
        self,
        map_alpha: float = 0.1,
        map_beta: float = 10.0,
        map_mu: float = 0.2,
        neg_scale: float = 2.0,
        init_bias: float = 0.05,
        gamma: float = 2.0,
        balance: float = 2.0,
        reduction: Reduction = "batchmean",
    ) -> None:
        super().__init__(reduction)
        numbers = {"map_alpha": map_alpha, "map_beta": map_beta, "map_mu": map_mu, "init_bias": init_bias}
        for name, value in (numbers | {"gamma": gamma}).items():
            if not 0 <= value < math.inf:
                raise UsageError(f"{name} is {value}; expected a finite number of 0 or more")
        for name, value in (("neg_scale", neg_scale), ("balance", balance)):
            if not 0 < value < math.inf:
                raise UsageError(f"{name} is {value}; expected a finite number above 0")
        self.map_alpha = map_alpha
        self.map_beta = map_beta
        self.map_mu = map_mu
        self.neg_scale = neg_scale
        self.init_bias = init_bias
        self.gamma = gamma
        self.balance = balance
        self._rarity: PerClass | None = None
        self._bias: PerClass | None = None

    def adapt(self, counts: ClassCounts) -> None:
        """Takes how often each class is known to be present and absent in the training data."""
        pairs = [(max(pos, 0.5), max(neg, 0.5)) for pos, neg in zip(counts.positives, counts.negatives, strict=True)]
        self._rarity = PerClass("the count of positives", [1 / positives for positives, _ in pairs])
        scale = self.init_bias / self.neg_scale
        self._bias = PerClass("the bias", [scale * math.log(negatives / positives) for positives, negatives in pairs])

    def cells(
        self, logits: Float[Tensor, "batch classes"], labels: Float[Tensor, "batch classes"]
    ) -> Float[Tensor, "batch classes"]:
        """Returns the distribution-balanced loss of each cell."""
        if self._rarity is None or self._bias is None:
            raise UsageError(
                "how often each class is present in the training data is not known; take a datamodule that has "
                "class_counts, or call adapt(ClassCounts(...)) before"
            )
        rarity = self._rarity.like(logits)
        # Infinite for a sample without a present class; the largest number instead, as map_beta may be 0.
        ratio = (rarity / (labels * rarity).sum(dim=1, keepdim=True)).clamp(max=torch.finfo(logits.dtype).max)
        weight = self.balance * (self.map_alpha + torch.sigmoid(self.map_beta * (ratio - self.map_mu)))
        lowered = logits - self._bias.like(logits)
        present, absent = self._focal(lowered), self._focal(-self.neg_scale * lowered) / self.neg_scale
        return weight * (labels * present + (1 - labels) * absent)

    def _focal(self, logits: Float[Tensor, "batch classes"]) -> Float[Tensor, "batch classes"]:
        """Returns `(1 - p)^gamma CE` of a label that is present."""
        return -(self.gamma * logsigmoid(-logits)).exp() * logsigmoid(logits)
