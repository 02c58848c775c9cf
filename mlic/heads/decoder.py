"""A transformer decoder's layer for queries that look at the places of a feature map."""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from mlic.errors import UsageError
from mlic.heads.checks import check_dropout

__all__ = ["DecoderLayer", "MultiHeadAttention", "places_of"]


class MultiHeadAttention(nn.Module):
    """Multi-head attention (Vaswani et al. 2017, arXiv:1706.03762).

    Queries that are the same for all samples may come as a batch of one, and are projected once.

    Args:
        width: length of queries, keys and values.
        num_heads: number of attentions side by side, each on `width / num_heads` numbers.

    Raises:
        UsageError: if `num_heads` does not divide `width`.
    """

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        if width < 1 or num_heads < 1 or width % num_heads:
            raise UsageError(
                f"width is {width} and num_heads {num_heads}; expected a width that the heads can share equally, "
                "such as 768 and 8"
            )
        self.num_heads = num_heads
        self.query = _linear(width)
        self.key = _linear(width)
        self.value = _linear(width)
        self.output = _linear(width)

    def forward(
        self,
        queries: Float[Tensor, "one_or_batch queries width"],
        keys: Float[Tensor, "batch places width"],
        values: Float[Tensor, "batch places width"],
    ) -> Float[Tensor, "batch queries width"]:
        """Returns what each query gathers from the values."""
        gathered = self._gather(queries, keys, self._by_head(self.value(values)))
        return cast(Tensor, self.output(gathered.transpose(1, 2).flatten(2)))

    def weights(
        self, queries: Float[Tensor, "one_or_batch queries width"], keys: Float[Tensor, "batch places width"]
    ) -> Float[Tensor, "batch heads queries places"]:
        """Returns how much each head of each query takes from each place: 0 or more, and 1 in sum.

        It is what the heads gather, in the very way of `forward`, if the value of a place is a 1 for itself and a 0 for
        every other place.

        Example:
            >>> layer = MultiHeadAttention(4, 2)
            >>> layer.weights(torch.randn(1, 1, 4), torch.ones(1, 2, 4)).round(decimals=4).tolist()  # two like places
            [[[[0.5, 0.5]], [[0.5, 0.5]]]]
        """
        places = torch.eye(keys.shape[1], device=keys.device, dtype=keys.dtype)
        return self._gather(queries, keys, places.expand(keys.shape[0], self.num_heads, -1, -1))

    def _gather(
        self,
        queries: Float[Tensor, "one_or_batch queries width"],
        keys: Float[Tensor, "batch places width"],
        values: Float[Tensor, "batch heads places value"],
    ) -> Float[Tensor, "batch heads queries value"]:
        # Not len(keys), which would fix the size of the batch in an exported model.
        asked = self._by_head(self.query(queries)).expand(keys.shape[0], -1, -1, -1)
        offered = self._by_head(self.key(keys))
        return functional.scaled_dot_product_attention(asked, offered, values.to(offered.dtype))

    def _by_head(self, rows: Float[Tensor, "n rows width"]) -> Float[Tensor, "n heads rows part"]:
        return rows.view(*rows.shape[:2], self.num_heads, rows.shape[2] // self.num_heads).transpose(1, 2)


class DecoderLayer(nn.Module):
    """One layer of a transformer decoder (Vaswani et al. 2017, arXiv:1706.03762), norms after each step.

    The queries look at each other, if they do, then at the places, and then a feed-forward network works on each. As in
    the paper dropout falls on what a step adds. It does not fall on the attention, which sums to 1 in training too.

    Args:
        width: length of queries, keys and values.
        num_heads: number of attentions side by side.
        feed_forward: width of the hidden layer of the feed-forward network.
        dropout: probability that a number is left out of a training step, in [0, 1).
        self_attention: how the queries look at each other; None if they do not. The norm after it stays, so that
            queries of any length are heard alike.

    Raises:
        UsageError: if a number is out of its range, or `num_heads` does not divide `width`.
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        feed_forward: int,
        dropout: float,
        self_attention: MultiHeadAttention | None = None,
    ) -> None:
        super().__init__()
        check_dropout(dropout)
        if feed_forward < 1:
            raise UsageError(f"feed_forward is {feed_forward}; expected the width of a layer, such as 2048")
        self.self_attention = self_attention
        self.self_norm = nn.LayerNorm(width)
        self.cross_attention = MultiHeadAttention(width, num_heads)
        self.cross_norm = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(nn.Linear(width, feed_forward), nn.ReLU(), nn.Linear(feed_forward, width))
        self.feed_forward_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        queries: Float[Tensor, "one_or_batch queries width"],
        keys: Float[Tensor, "batch places width"],
        values: Float[Tensor, "batch places width"],
    ) -> Float[Tensor, "batch queries width"]:
        """Returns the queries after they have looked at the places.

        Args:
            queries: a batch of one, if they are the same for all samples; what they do among themselves is then
                computed once.
            keys: what the attention compares the queries with.
            values: what it gathers.
        """
        asking = self._asking(queries)
        seen: Tensor = self.cross_norm(asking + self.dropout(self.cross_attention(asking, keys, values)))
        return cast(Tensor, self.feed_forward_norm(seen + self.dropout(self.feed_forward(seen))))

    def attention(
        self, queries: Float[Tensor, "one_or_batch queries width"], keys: Float[Tensor, "batch places width"]
    ) -> Float[Tensor, "batch queries places"]:
        """Returns how much of its attention each query gives to each place, as the mean over heads, in float32."""
        weights = self.cross_attention.weights(self._asking(queries), keys)
        return weights.mean(dim=1, dtype=torch.promote_types(weights.dtype, torch.float32))

    def _asking(self, queries: Float[Tensor, "n queries width"]) -> Float[Tensor, "n queries width"]:
        """Returns the queries as they look at the places."""
        if self.self_attention is not None:
            queries = queries + self.dropout(self.self_attention(queries, queries, queries))
        return cast(Tensor, self.self_norm(queries))


def places_of(feature_map: Float[Tensor, "batch features h w"]) -> Float[Tensor, "batch places features"]:
    """Returns the features of each place, row by row; a map that lies in memory channels last is not copied.

    Example:
        >>> places_of(torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])).tolist()
        [[[1.0, 3.0], [2.0, 4.0]]]
    """
    return feature_map.movedim(1, -1).flatten(1, 2)


def _linear(width: int) -> nn.Linear:
    """Makes a projection of the attention, which begins as Glorot and Bengio 2010 have it: numbers keep their size."""
    layer = nn.Linear(width, width)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
