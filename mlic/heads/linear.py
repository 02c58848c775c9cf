"""`LinearHead`: global average, dropout, one linear layer."""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mlic.errors import UsageError
from mlic.heads.base import Head

__all__ = ["LinearHead"]


class LinearHead(Head):
    """Averages the feature map over its places and maps the average to logits, linearly.

    At 2048 features, 80 classes and a 14 x 14 map: 163,920 parameters, 0.16 million multiply-adds and 0.4 million
    additions an image. The average is taken in float32 at least: the sum over a large map may exceed float16.

    The weights begin as PyTorch's linear layers do and the bias as zeros, so scores begin near 0.5. A bias that begins
    at the frequency of each class would need the data before the model is made.

    Args:
        num_features: channels of the feature map.
        num_classes: number of logits.
        dropout: probability that a feature is left out of a training step, in [0, 1).

    Raises:
        UsageError: if `dropout` is outside [0, 1), or a size is not positive.

    Example:
        >>> head = LinearHead(2, 1)
        >>> _ = head.linear.weight.data.copy_(torch.tensor([[1.0, 10.0]]))
        >>> head(torch.tensor([[[[1.0, 3.0]], [[0.0, 4.0]]]])).item()  # averages 2 and 2
        22.0
    """

    def __init__(self, num_features: int, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        if num_features < 1 or num_classes < 1:
            raise UsageError(
                f"a linear head of {num_features} features and {num_classes} classes; both must be positive"
            )
        if not 0 <= dropout < 1:
            raise UsageError(f"dropout is {dropout}; expected a probability from 0 to below 1")
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(num_features, num_classes)
        nn.init.zeros_(self.linear.bias)

    def forward(self, feature_map: Float[Tensor, "batch features h w"]) -> Float[Tensor, "batch classes"]:
        """Returns the logits, for any height and width of the map."""
        dtype = torch.promote_types(feature_map.dtype, torch.float32)
        average = feature_map.mean(dim=(2, 3), dtype=dtype).to(feature_map.dtype)
        return cast(Tensor, self.linear(self.dropout(average)))
