"""`LinearHead`: pooling, dropout, one linear layer."""

import math
from typing import cast

from jaxtyping import Float
from torch import Tensor, nn

from mlic.errors import UsageError
from mlic.heads.base import ClassMaps, Head
from mlic.heads.checks import check_dropout, check_sizes
from mlic.heads.maps import at_each_place
from mlic.heads.pooling import AveragePooling, Pooling, condensed, fixed_name, make_pooling

__all__ = ["LinearHead"]


class LinearHead(Head):
    """Pools the feature map over its places and maps the result to logits, linearly.

    At 2048 features, 80 classes and a 14 x 14 map: 163,920 parameters, 0.16 million multiply-adds and 0.4 million
    additions an image. `gem` and `lse` have one parameter more, and a power or an exponential for each of the 0.4
    million numbers of the map.

    The weights begin as PyTorch's linear layers do and the bias as zeros, so scores begin near 0.5. A bias that begins
    at the frequency of each class would need the data before the model is made.

    Args:
        num_features: channels of the feature map.
        num_classes: number of logits.
        dropout: probability that a feature is left out of a training step, in [0, 1).
        pooling: `avg`, `max`, `avg_max` (the mean of both), `gem` (generalised mean, only for features that are never
            negative) or `lse` (log-sum-exp, for any features).
        init_std: standard deviation of the normal distribution that the weights begin with; None is PyTorch's uniform
            one, whose standard deviation is 1 / sqrt(3 `num_features`).

    Raises:
        UsageError: if `dropout` is outside [0, 1), a size is not positive, `pooling` is none of these, or `init_std` is
            negative or not finite.

    Example:
        >>> import torch
        >>> head = LinearHead(2, 1)
        >>> _ = head.linear.weight.data.copy_(torch.tensor([[1.0, 10.0]]))
        >>> head(torch.tensor([[[[1.0, 3.0]], [[0.0, 4.0]]]])).item()  # averages 2 and 2
        22.0
    """

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        dropout: float = 0.0,
        pooling: Pooling = "avg",
        init_std: float | None = None,
    ) -> None:
        super().__init__()
        check_sizes("a linear head", num_features, num_classes)
        check_dropout(dropout)
        self.pooling = make_pooling(pooling)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(num_features, num_classes)
        nn.init.zeros_(self.linear.bias)
        if init_std is not None:
            if not (math.isfinite(init_std) and init_std >= 0):
                raise UsageError(f"init_std is {init_std}; expected a finite number of 0 or more, such as 0.001")
            nn.init.normal_(self.linear.weight, std=init_std)

    def forward(self, feature_map: Float[Tensor, "batch features h w"]) -> Float[Tensor, "batch classes"]:
        """Returns the logits, for any height and width of the map."""
        return cast(Tensor, self.linear(self.dropout(self.pooling(feature_map))))

    @property
    def condensed(self) -> str:
        """The name of the pooling, unless it learns."""
        return fixed_name(self.pooling)

    def condense(self, feature_map: Float[Tensor, "batch features h w"]) -> Float[Tensor, "batch features ..."]:
        """Returns the pooled features as a map of one place, unless the pooling learns."""
        return condensed(self.pooling, feature_map)

    def class_activation(self, feature_map: Float[Tensor, "batch features h w"]) -> Float[Tensor, "batch classes h w"]:
        """Returns what each place says about each class (Zhou et al. 2016, arXiv:1512.04150).

        The logit is the mean of it over the places, without dropout.

        Raises:
            UsageError: if the head pools otherwise than by the average.

        Example:
            >>> import torch
            >>> head = LinearHead(2, 1)
            >>> _ = head.linear.weight.data.copy_(torch.tensor([[1.0, 10.0]]))
            >>> head.class_activation(torch.tensor([[[[1.0, 3.0]], [[0.0, 4.0]]]])).tolist()
            [[[[1.0, 43.0]]]]
        """
        if not isinstance(self.pooling, AveragePooling):
            raise UsageError(
                f"a linear head with {type(self.pooling).__name__} has no class activation map, "
                "since its logit is not a mean over places; take pooling: avg"
            )
        return at_each_place(self.linear, feature_map)

    def maps(self, feature_map: Float[Tensor, "batch features h w"]) -> ClassMaps | None:
        """Returns what each place adds to each logit, if the head pools by the average: the mean, and the bias, is it.

        It is `class_activation` without the bias, so that 0 is a place that says nothing.
        """
        if not isinstance(self.pooling, AveragePooling):
            return None
        activation = self.class_activation(feature_map)
        return ClassMaps("class_activation", activation - self.linear.bias[:, None, None])
