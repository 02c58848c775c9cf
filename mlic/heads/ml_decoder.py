"""`MLDecoderHead`: group queries look at the places of the map, and each tells the logits of its classes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mlic.heads.base import AttentionHead
from mlic.heads.checks import check_sizes
from mlic.heads.decoder import DecoderLayer, places_of
from mlic.heads.groups import GroupLinear, groups_of_classes
from mlic.heads.queries import first_queries

__all__ = ["MLDecoderHead"]

_MOST_GROUPS = 100


class MLDecoderHead(AttentionHead):
    """ML-Decoder (Ridnik et al. 2021, arXiv:2111.12933): a transformer decoder whose cost does not grow with classes.

    The features of each place go through a linear layer and a ReLU. K queries look at the places in one decoder layer
    without self-attention, and the group fully-connected layer makes each one the logits of its classes: class c
    belongs to query c K div `num_classes`, the paper's rule where K divides that number. The queries are random and do
    not learn, as the paper has it, since the projection of the attention learns what to make of them.

    At 2048 features, 80 classes and a 14 x 14 map: 7,150,672 parameters, not counting the 61,440 numbers of queries
    that do not learn, and 910 million multiply-adds an image, of which 47 million are spent once for a batch. At 10,000
    classes the same with 100 queries are 14.8 million parameters and 1,010 million multiply-adds.

    Args:
        num_features: channels of the feature map.
        num_classes: number of logits.
        num_groups: the number K of queries, from 1 to `num_classes`; by default 100, or one per class if there are
            fewer.
        width: length of a query.
        num_heads: number of attentions side by side, which share the width.
        feed_forward: width of the hidden layer of the decoder's feed-forward network.
        dropout: probability that a number of what a step of the decoder adds is left out, in [0, 1).
        learn_queries: whether the queries learn.
        queries: a file of embeddings of the classes, such as those of their names by a language model, to begin with
            instead of random queries (`mlic.heads.queries`). A checkpoint holds what was made of them and needs the
            file no more.

    Raises:
        UsageError: if a number is out of its range, `num_heads` does not divide `width`, or the file is not one of
            embeddings for these classes or groups.

    Example:
        >>> head = MLDecoderHead(6, 3, width=8)
        >>> head(torch.zeros(2, 6, 4, 5)).shape
        torch.Size([2, 3])
        >>> head.attention(torch.ones(1, 6, 1, 2)).round(decimals=4).tolist()  # two like places
        [[[[0.5, 0.5]], [[0.5, 0.5]], [[0.5, 0.5]]]]
    """

    queries: Tensor
    group_of_class: Tensor

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        num_groups: int | None = None,
        width: int = 768,
        num_heads: int = 8,
        feed_forward: int = 2048,
        dropout: float = 0.1,
        learn_queries: bool = False,
        queries: Path | None = None,
    ) -> None:
        super().__init__()
        check_sizes("an ML-Decoder", num_features, num_classes)
        if num_groups is None:
            num_groups = min(_MOST_GROUPS, num_classes)
        self.layer = DecoderLayer(width, num_heads, feed_forward, dropout)
        self.embedding = nn.Linear(num_features, width)
        self.classifier = GroupLinear(width, num_classes, num_groups)
        begin = first_queries(queries, num_classes, num_groups, width)
        if learn_queries:
            self.queries = nn.Parameter(begin)
        else:
            # Not a parameter that does not learn: who unfreezes a head would make it learn.
            self.register_buffer("queries", begin)
        self.register_buffer("group_of_class", groups_of_classes(num_classes, num_groups), persistent=False)

    @classmethod
    def without_files(cls, init_args: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the same arguments without the file of embeddings."""
        return {**init_args, "queries": None}

    def forward(self, feature_map: Float[Tensor, "batch features h w"]) -> Float[Tensor, "batch classes"]:
        """Returns the logits, for any height and width of the map."""
        places = self._places(feature_map)
        return cast(Tensor, self.classifier(self.layer(self.queries[None], places, places)))

    def attention(self, feature_map: Float[Tensor, "batch features h w"]) -> Float[Tensor, "batch classes h w"]:
        """Returns how much of its attention the query of each class gives to each place, as the mean over heads."""
        attention = self.layer.attention(self.queries[None], self._places(feature_map))
        by_class = attention.index_select(1, self.group_of_class)
        return by_class.view(*by_class.shape[:2], *feature_map.shape[2:])

    def _places(self, feature_map: Float[Tensor, "batch features h w"]) -> Float[Tensor, "batch places width"]:
        return torch.relu(self.embedding(places_of(feature_map)))
