"""What heads do at every place of a feature map: one linear layer there, and a softmax over the places."""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["at_each_place", "softmax_over_places"]


def at_each_place(
    linear: nn.Linear, feature_map: Float[Tensor, "batch features h w"]
) -> Float[Tensor, "batch outputs h w"]:
    """Returns what `linear` makes of the features of each place: a 1 x 1 convolution.

    No transposition is needed for a map that lies in memory with its channels last, as the classifier's maps do.

    Example:
        >>> linear = nn.Linear(2, 1, bias=False)
        >>> _ = linear.weight.data.copy_(torch.tensor([[1.0, 10.0]]))
        >>> at_each_place(linear, torch.tensor([[[[1.0, 3.0]], [[0.0, 4.0]]]])).tolist()
        [[[[1.0, 43.0]]]]
    """
    # Not movedim(1, -1), which torch 2.14.1 exports with a -1 that ONNX does not know.
    return cast(Tensor, linear(feature_map.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)


def softmax_over_places(scores: Float[Tensor, "batch classes h w"]) -> Float[Tensor, "batch classes h w"]:
    """Returns how much of its attention each class gives to each place, in float32 at least.

    Example:
        >>> softmax_over_places(torch.tensor([[[[5.0, 5.0]]]])).tolist()
        [[[[0.5, 0.5]]]]
    """
    dtype = torch.promote_types(scores.dtype, torch.float32)
    return scores.flatten(2).softmax(dim=2, dtype=dtype).view_as(scores)
