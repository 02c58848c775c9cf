"""`CSRAHead`: class-specific residual attention."""

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mlic.errors import UsageError
from mlic.heads.base import AttentionHead, ClassMaps
from mlic.heads.checks import check_sizes
from mlic.heads.maps import at_each_place, softmax_over_places

__all__ = ["CSRAHead"]

_NEARLY_MAXIMUM = 99.0


class CSRAHead(AttentionHead):
    """Class-specific residual attention (Zhu and Wu 2021, arXiv:2108.02456).

    Each class i has weights m_i, and looks most where its own score is highest:

        s_j = softmax over the places j of T x_j . m_i
        logit_i = m_i . (g + lam a_i) + b_i,  g = mean of x_j,  a_i = sum of s_j x_j

    With several heads, each with weights and a temperature T of its own, their logits are added. From the paper come
    the formula, `lam` shared by the heads and the temperatures: 1 for one head; 1 and 99 for two; 1, 2, 4 and 99 for
    four; 1 to 5 and 99 for six; 1 to 7 and 99 for eight, where 99 makes the average weighted by s nearly a maximum. For
    other numbers the rule of six and eight is followed. The bias b_i, one per class, is an addition: without it a rare
    class has to learn that it is rare from the features.

    At 2048 features, 80 classes and a 14 x 14 map: 163,920 parameters and 32 million multiply-adds an image with one
    head; each further head has 163,840 parameters and 32 million multiply-adds. What is kept for the gradient is a few
    maps per class, never the features of each class.

    Each head's weights begin as those of `LinearHead`, divided by the root of the number of heads, and the bias as
    zeros, so scores begin near 0.5 whatever that number is.

    Args:
        num_features: channels of the feature map.
        num_classes: number of logits.
        num_heads: number of heads.
        lam: how much the attention counts beside the average, 0 or more; 0 is `LinearHead`. The authors' own commands
            take 0.1 with one head for VOC 2007 and 0.5 with six for COCO.
        temperatures: T of each head, above 0; None takes the paper's.

    Raises:
        UsageError: if a size or `num_heads` is not positive, `lam` is negative, or `temperatures` are not positive or
            not one per head.

    Example:
        >>> head = CSRAHead(1, 1, lam=0.5)
        >>> _ = head.linear.weight.data.fill_(1.0)
        >>> feature_map = torch.tensor([[[[0.0, math.log(3)]]]])
        >>> head.attention(feature_map).detach()  # 1 and 3, over 4
        tensor([[[[0.2500, 0.7500]]]])
        >>> round(head(feature_map).item() / math.log(3), 4)  # 0.5 + 0.5 * 0.75
        0.875
    """

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        num_heads: int = 1,
        lam: float = 0.2,
        temperatures: list[float] | None = None,
    ) -> None:
        super().__init__()
        check_sizes("a csra head", num_features, num_classes)
        if num_heads < 1:
            raise UsageError(f"num_heads is {num_heads}; expected 1 or more")
        if not (math.isfinite(lam) and lam >= 0):
            raise UsageError(f"lam is {lam}; expected a finite number of 0 or more, such as 0.2")
        self.temperatures = _temperatures(num_heads) if temperatures is None else list(temperatures)
        if len(self.temperatures) != num_heads:
            raise UsageError(f"{len(self.temperatures)} temperatures and num_heads is {num_heads}; give one per head")
        for temperature in self.temperatures:
            if not (math.isfinite(temperature) and temperature > 0):
                raise UsageError(f"a temperature is {temperature}; expected finite numbers above 0, such as 1 and 99")
        self.lam = lam
        self.linear = nn.Linear(num_features, num_heads * num_classes, bias=False)
        self.bias = nn.Parameter(torch.zeros(num_classes))
        with torch.no_grad():
            self.linear.weight /= math.sqrt(num_heads)

    def forward(self, feature_map: Float[Tensor, "batch features h w"]) -> Float[Tensor, "batch classes"]:
        """Returns the logits, for any height and width of the map."""
        # m . (sum of s_j x_j) is the sum of s_j (m . x_j): the scores that make the attention are also what it weighs.
        maps = at_each_place(self.linear, feature_map)
        logits: Tensor = self.bias
        for scores, attention in self._heads(maps):
            logits = logits + scores.mean(dim=(2, 3)) + self.lam * (attention * scores).sum(dim=(2, 3))
        return logits.to(maps.dtype)

    def attention(self, feature_map: Float[Tensor, "batch features h w"]) -> Float[Tensor, "batch classes h w"]:
        """Returns how much of its attention each class gives to each place, as the mean over the heads."""
        heads = self._heads(at_each_place(self.linear, feature_map))
        return torch.stack([attention for _, attention in heads]).mean(dim=0)

    def maps(self, feature_map: Float[Tensor, "batch features h w"]) -> ClassMaps:
        """Returns what each place adds to each logit, in the average and in the attention of all heads.

        The logit is the mean of it over the places, and the bias.

        Example:
            >>> head = CSRAHead(1, 1, lam=0.5)
            >>> _ = head.linear.weight.data.fill_(1.0)
            >>> values = head.maps(torch.tensor([[[[0.0, math.log(3)]]]])).values / math.log(3)
            >>> values.detach().round(decimals=4)  # 1 + 0.5 * 0.75 * 2 places
            tensor([[[[0.0000, 1.7500]]]])
        """
        height, width = feature_map.shape[2:]
        heads = self._heads(at_each_place(self.linear, feature_map))
        parts = [scores * (1 + self.lam * attention * (height * width)) for scores, attention in heads]
        return ClassMaps("class_activation", torch.stack(parts).sum(dim=0))

    def _heads(
        self, maps: Float[Tensor, "batch maps h w"]
    ) -> Iterator[tuple[Float[Tensor, "batch classes h w"], Float[Tensor, "batch classes h w"]]]:
        """Yields the scores and the attention of each head, in float32 at least."""
        raised = maps.to(torch.promote_types(maps.dtype, torch.float32))
        for scores, temperature in zip(raised.chunk(len(self.temperatures), dim=1), self.temperatures, strict=True):
            yield scores, softmax_over_places(temperature * scores)


def _temperatures(num_heads: int) -> list[float]:
    if num_heads == 1:
        return [1.0]
    if num_heads == 4:
        return [1.0, 2.0, 4.0, _NEARLY_MAXIMUM]
    return [*(float(temperature) for temperature in range(1, num_heads)), _NEARLY_MAXIMUM]
