"""Groups of classes that share a query: which class belongs to which, and the linear layer of each group."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mlic.errors import UsageError

__all__ = ["GroupLinear", "check_groups", "groups_of_classes"]


def check_groups(num_groups: int, num_classes: int) -> None:
    """Checks that there is a group at all, and a class for each.

    Raises:
        UsageError: if `num_groups` is not from 1 to `num_classes`.
    """
    if not 1 <= num_groups <= num_classes:
        raise UsageError(f"num_groups is {num_groups}; expected 1 to {num_classes}, the number of classes")


def groups_of_classes(num_classes: int, num_groups: int) -> Int[Tensor, " classes"]:
    """Returns the group that each class belongs to.

    Neighbours go together, every group has a class, and sizes differ by one at most. Where `num_groups` divides
    `num_classes` this is class div size, as Ridnik et al. 2021 (arXiv:2111.12933) have it. Elsewhere filling each group
    to the ceiling before the next one would leave groups empty: 49 of 100 for 101 classes.

    Example:
        >>> groups_of_classes(5, 2).tolist()
        [0, 0, 0, 1, 1]
    """
    return torch.arange(num_classes) * num_groups // num_classes


class GroupLinear(nn.Module):
    """The group fully-connected layer of Ridnik et al. 2021 (arXiv:2111.12933): each query gives its classes' logits.

    A group has a matrix of ceil(num_classes / num_groups) rows. Where groups differ in size, the last row of the
    smaller ones is not used.

    Args:
        width: length of a query.
        num_classes: number of logits.
        num_groups: number of queries, from 1 to `num_classes`.

    Raises:
        UsageError: if `num_groups` is out of its range.

    Example:
        >>> layer = GroupLinear(1, 3, 2)  # classes 0 and 1 belong to the first query, 2 to the second
        >>> _ = layer.weight.data.copy_(torch.tensor([[[1.0], [2.0]], [[3.0], [4.0]]]))
        >>> layer(torch.tensor([[[10.0], [100.0]]])).tolist()  # no class is left for the 4
        [[10.0, 20.0, 300.0]]
    """

    used: Tensor

    def __init__(self, width: int, num_classes: int, num_groups: int) -> None:
        super().__init__()
        check_groups(num_groups, num_classes)
        size = math.ceil(num_classes / num_groups)
        # As nn.Linear begins, whatever the number of classes.
        self.weight = nn.Parameter(torch.empty(num_groups, size, width).uniform_(-(width**-0.5), width**-0.5))
        self.bias = nn.Parameter(torch.zeros(num_classes))
        groups = groups_of_classes(num_classes, num_groups)
        first = torch.searchsorted(groups, torch.arange(num_groups))
        used = groups * size + torch.arange(num_classes) - first[groups]
        self.register_buffer("used", used, persistent=False)

    def forward(self, queries: Float[Tensor, "batch groups width"]) -> Float[Tensor, "batch classes"]:
        """Returns the logits, in the order of the classes."""
        logits = torch.einsum("bgw,gsw->bgs", queries, self.weight).flatten(1)
        if logits.shape[1] != len(self.bias):
            logits = logits.index_select(1, self.used)
        return logits + self.bias.to(logits.dtype)
