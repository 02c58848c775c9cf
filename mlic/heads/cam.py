"""`CAMHead`: class-wise attention whose maps are the explanation."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mlic.heads.base import AttentionHead, ClassMaps
from mlic.heads.checks import check_sizes
from mlic.heads.maps import at_each_place, softmax_over_places

__all__ = ["CAMHead"]


class CAMHead(AttentionHead):
    """Gives each class an attention of its own, so that the place it looked at explains its logit.

    Class c has a query u_c, which says where to look, and weights w_c, which say what is seen there:

        a_j = softmax over the places j of u_c . x_j / sqrt(num_features)
        logit_c = w_c . (sum of a_j x_j) + b_c

    It is the attention pooling of multiple-instance learning (Ilse et al. 2018, arXiv:1802.04712), one pooling per
    class and with a linear score instead of a hidden layer. Unlike in `CSRAHead` what attracts the attention need not
    be what speaks for the class: a class may look at the road to see that there is no car.

    At 2048 features, 80 classes and a 14 x 14 map: 327,760 parameters and 64 million multiply-adds an image. What is
    kept for the gradient is a few maps per class, never the features of each class.

    The queries begin at 0, so the head begins as `LinearHead` does: it looks everywhere alike, and scores are near 0.5.

    Args:
        num_features: channels of the feature map.
        num_classes: number of logits.

    Raises:
        UsageError: if a size is not positive.

    Example:
        >>> head = CAMHead(1, 1)
        >>> _ = head.linear.weight.data.fill_(8.0)
        >>> feature_map = torch.tensor([[[[0.0, 1.0]]]])
        >>> head(feature_map).item()  # half of 8, before the queries learn
        4.0
        >>> _ = head.queries.weight.data.fill_(torch.tensor(3.0).log())
        >>> head.attention(feature_map).detach()  # 1 and 3, over 4
        tensor([[[[0.2500, 0.7500]]]])
        >>> round(head(feature_map).item(), 4)
        6.0
    """

    def __init__(self, num_features: int, num_classes: int) -> None:
        super().__init__()
        check_sizes("a cam head", num_features, num_classes)
        self.queries = nn.Linear(num_features, num_classes, bias=False)
        self.linear = nn.Linear(num_features, num_classes)
        nn.init.zeros_(self.queries.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, feature_map: Float[Tensor, "batch features h w"]) -> Float[Tensor, "batch classes"]:
        """Returns the logits, for any height and width of the map."""
        # w . (sum of a_j x_j) + b is the sum of a_j (w . x_j + b), since the a_j sum to 1.
        scores = at_each_place(self.linear, feature_map)
        return (self.attention(feature_map) * scores).sum(dim=(2, 3)).to(scores.dtype)

    def attention(self, feature_map: Float[Tensor, "batch features h w"]) -> Float[Tensor, "batch classes h w"]:
        """Returns how much of its attention each class gives to each place."""
        looks = at_each_place(self.queries, feature_map)
        raised = looks.to(torch.promote_types(looks.dtype, torch.float32))
        return softmax_over_places(raised / self.queries.in_features**0.5)

    def maps(self, feature_map: Float[Tensor, "batch features h w"]) -> ClassMaps:
        """Returns what each place adds to each logit: what is seen there, as often as the class looks there.

        The logit is the mean of it over the places, and the bias.

        Example:
            >>> head = CAMHead(1, 1)
            >>> _ = head.linear.weight.data.fill_(8.0)
            >>> head.maps(torch.tensor([[[[0.0, 1.0]]]])).values.tolist()
            [[[[0.0, 8.0]]]]
        """
        height, width = feature_map.shape[2:]
        seen = at_each_place(self.linear, feature_map) - self.linear.bias[:, None, None]
        return ClassMaps("class_activation", self.attention(feature_map) * seen * (height * width))
