"""`MLPHead`: pooling, a hidden layer, dropout, a linear layer."""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mlic.errors import UsageError
from mlic.heads.base import Head
from mlic.heads.checks import check_dropout, check_sizes
from mlic.heads.pooling import Pooling, condensed, fixed_name, make_pooling

__all__ = ["MLPHead"]


class MLPHead(Head):
    """Pools the feature map over its places and maps the result to logits through one hidden layer of ReLUs.

    At 2048 features, 80 classes and a 14 x 14 map: 1,090,128 parameters, 1.1 million multiply-adds and 0.4 million
    additions an image.

    The hidden layer begins as He et al. 2015 (arXiv:1502.01852) derive it for ReLUs, so its numbers are as large as the
    features; the last one begins as in `LinearHead`.

    Args:
        num_features: channels of the feature map.
        num_classes: number of logits.
        hidden: width of the hidden layer.
        dropout: probability that a number of the hidden layer is left out of a training step, in [0, 1).
        pooling: as in `LinearHead`.

    Raises:
        UsageError: if `dropout` is outside [0, 1), a size or `hidden` is not positive, or `pooling` is unknown.

    Example:
        >>> head = MLPHead(1, 1, hidden=2)
        >>> _ = head.hidden.weight.data.copy_(torch.tensor([[1.0], [-1.0]]))
        >>> _ = head.linear.weight.data.copy_(torch.tensor([[2.0, 5.0]]))
        >>> head(torch.tensor([[[[1.0, 3.0]]]])).item()  # averages to 2; the second ReLU gives 0
        4.0
    """

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        hidden: int = 512,
        dropout: float = 0.0,
        pooling: Pooling = "avg",
    ) -> None:
        super().__init__()
        check_sizes("an MLP head", num_features, num_classes)
        check_dropout(dropout)
        if hidden < 1:
            raise UsageError(f"hidden is {hidden}; expected the width of a layer, such as 512")
        self.pooling = make_pooling(pooling)
        self.hidden = nn.Linear(num_features, hidden)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(hidden, num_classes)
        nn.init.kaiming_normal_(self.hidden.weight, nonlinearity="relu")
        nn.init.zeros_(self.hidden.bias)
        nn.init.zeros_(self.linear.bias)

    def forward(self, feature_map: Float[Tensor, "batch features h w"]) -> Float[Tensor, "batch classes"]:
        """Returns the logits, for any height and width of the map."""
        hidden = torch.relu(self.hidden(self.pooling(feature_map)))
        return cast(Tensor, self.linear(self.dropout(hidden)))

    @property
    def condensed(self) -> str:
        """The name of the pooling, unless it learns."""
        return fixed_name(self.pooling)

    def condense(self, feature_map: Float[Tensor, "batch features h w"]) -> Float[Tensor, "batch features ..."]:
        """Returns the pooled features as a map of one place, unless the pooling learns."""
        return condensed(self.pooling, feature_map)
