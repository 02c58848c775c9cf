"""`Query2LabelHead`: a learned query per class, in a transformer decoder with self-attention."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from jaxtyping import Float
from torch import Tensor, nn

from mlic.errors import UsageError
from mlic.heads.base import AttentionHead
from mlic.heads.checks import check_sizes
from mlic.heads.decoder import DecoderLayer, MultiHeadAttention, places_of
from mlic.heads.groups import GroupLinear, groups_of_classes
from mlic.heads.positions import sine_positions
from mlic.heads.queries import first_queries

__all__ = ["Query2LabelHead"]


class Query2LabelHead(AttentionHead):
    """Query2Label (Liu et al. 2021, arXiv:2107.10834): a transformer decoder that asks for each class.

    The features of each place go through a linear layer. A learned query per class looks, in each decoder layer, at the
    other queries and then at the places; the keys of the places, not their values, have sine positions added (Carion et
    al. 2020, arXiv:2005.12872). A linear layer per class makes its query a logit. The paper has an encoder layer
    before, in which places look at each other; here the backbone has to do that.

    At 2048 features, 80 classes and a 14 x 14 map: 2,672,464 parameters and 324 million multiply-adds an image, of
    which 29 million are spent once for a batch. The self-attention grows with the square of the number of queries:
    beyond a thousand classes let several share one (`num_groups`), or take `MLDecoderHead`.

    Args:
        num_features: channels of the feature map.
        num_classes: number of logits.
        num_groups: number of queries, from 1 to `num_classes`; by default one per class. Classes share them as in
            `MLDecoderHead`.
        width: length of a query, a multiple of 4. The paper's is up to 2048, with as many parameters as a backbone.
        num_heads: number of attentions side by side, which share the width.
        feed_forward: width of the hidden layer of the feed-forward networks.
        num_layers: number of decoder layers.
        dropout: probability that a number of what a step of a layer adds is left out, in [0, 1).
        queries: a file of embeddings of the classes to begin with, as in `MLDecoderHead`.

    Raises:
        UsageError: if a number is out of its range, `num_heads` or 4 does not divide `width`, or the file is not one of
            embeddings for these classes or groups.

    Example:
        >>> import torch
        >>> head = Query2LabelHead(6, 3, width=8)
        >>> head(torch.zeros(2, 6, 4, 5)).shape
        torch.Size([2, 3])
        >>> head.attention(torch.zeros(1, 6, 4, 5)).sum(dim=(2, 3)).round(decimals=4).tolist()
        [[1.0, 1.0, 1.0]]
    """

    group_of_class: Tensor

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        num_groups: int | None = None,
        width: int = 256,
        num_heads: int = 8,
        feed_forward: int = 1024,
        num_layers: int = 2,
        dropout: float = 0.1,
        queries: Path | None = None,
    ) -> None:
        super().__init__()
        check_sizes("a Query2Label head", num_features, num_classes)
        if width % 4:
            raise UsageError(f"width is {width}; sine positions ask for a multiple of 4, such as 256")
        if num_layers < 1:
            raise UsageError(f"num_layers is {num_layers}; expected 1 or more")
        if num_groups is None:
            num_groups = num_classes
        self.layers = nn.ModuleList(
            DecoderLayer(width, num_heads, feed_forward, dropout, MultiHeadAttention(width, num_heads))
            for _ in range(num_layers)
        )
        self.embedding = nn.Linear(num_features, width)
        self.classifier = GroupLinear(width, num_classes, num_groups)
        self.queries = nn.Parameter(first_queries(queries, num_classes, num_groups, width))
        self.register_buffer("group_of_class", groups_of_classes(num_classes, num_groups), persistent=False)

    @classmethod
    def without_files(cls, init_args: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the same arguments without the file of embeddings."""
        return {**init_args, "queries": None}

    def forward(self, feature_map: Float[Tensor, "batch features h w"]) -> Float[Tensor, "batch classes"]:
        """Returns the logits, for any height and width of the map."""
        last, queries, keys, values = self._before_last(feature_map)
        return cast(Tensor, self.classifier(last(queries, keys, values)))

    def attention(self, feature_map: Float[Tensor, "batch features h w"]) -> Float[Tensor, "batch classes h w"]:
        """Returns how much of its attention the query of each class gives to each place in the last layer."""
        last, queries, keys, _ = self._before_last(feature_map)
        attention = last.attention(queries, keys)
        by_class = attention.index_select(1, self.group_of_class)
        return by_class.view(*by_class.shape[:2], *feature_map.shape[2:])

    def _before_last(
        self, feature_map: Float[Tensor, "batch features h w"]
    ) -> tuple[
        DecoderLayer,
        Float[Tensor, "one_or_batch groups width"],
        Float[Tensor, "batch places width"],
        Float[Tensor, "batch places width"],
    ]:
        """Returns the last layer and what it is given: queries, keys and values."""
        values = self.embedding(places_of(feature_map))
        height, width = feature_map.shape[2:]
        keys = values + sine_positions(height, width, values.shape[2], values.device).to(values.dtype)
        *layers, last = self.layers
        queries = self.queries[None]
        for layer in layers:
            queries = layer(queries, keys, values)
        return cast(DecoderLayer, last), queries, keys, values
