import pytest
import torch
from torch import nn

from mlic.errors import UsageError
from mlic.heads.decoder import DecoderLayer, MultiHeadAttention, places_of


@pytest.fixture
def attention() -> MultiHeadAttention:
    torch.manual_seed(0)
    layer = MultiHeadAttention(12, 3)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)  # biases too
    return layer


def test_attention_is_the_one_of_torch(attention: MultiHeadAttention) -> None:
    theirs = nn.MultiheadAttention(12, 3, batch_first=True)
    projections = [attention.query, attention.key, attention.value]
    theirs.in_proj_weight.data = torch.cat([layer.weight for layer in projections])
    theirs.in_proj_bias.data = torch.cat([layer.bias for layer in projections])
    theirs.out_proj.weight.data, theirs.out_proj.bias.data = attention.output.weight.data, attention.output.bias.data
    queries, keys, values = torch.randn(2, 5, 12), torch.randn(2, 7, 12), torch.randn(2, 7, 12)
    attended, weights = theirs(queries, keys, values, average_attn_weights=False)
    torch.testing.assert_close(attention(queries, keys, values), attended)
    torch.testing.assert_close(attention.weights(queries, keys), weights)


def test_the_weights_give_back_what_was_gathered(attention: MultiHeadAttention) -> None:
    queries, keys, values = torch.randn(1, 5, 12), torch.randn(2, 7, 12), torch.randn(2, 7, 12)
    parts = attention.value(values).view(2, 7, 3, 4)
    gathered = torch.einsum("bhqp,bphd->bqhd", attention.weights(queries, keys), parts).flatten(2)
    torch.testing.assert_close(attention.output(gathered), attention(queries, keys, values))


def test_queries_in_a_batch_of_one_are_those_of_every_sample() -> None:
    torch.manual_seed(0)
    layer = DecoderLayer(12, 3, 20, 0.0, MultiHeadAttention(12, 3))
    queries, keys, values = torch.randn(1, 5, 12), torch.randn(2, 7, 12), torch.randn(2, 7, 12)
    torch.testing.assert_close(layer(queries, keys, values), layer(queries.expand(2, -1, -1), keys, values))
    torch.testing.assert_close(layer.attention(queries, keys), layer.attention(queries.expand(2, -1, -1), keys))


def test_a_layer_is_the_one_of_torch() -> None:
    torch.manual_seed(0)
    layer = DecoderLayer(12, 3, 20, 0.0, MultiHeadAttention(12, 3))
    theirs = nn.TransformerDecoderLayer(12, 3, 20, 0.0, batch_first=True)
    assert layer.self_attention is not None
    for mine, other in ((layer.self_attention, theirs.self_attn), (layer.cross_attention, theirs.multihead_attn)):
        projections = [mine.query, mine.key, mine.value]
        other.in_proj_weight.data = torch.cat([projection.weight for projection in projections])
        other.out_proj.weight.data = mine.output.weight.data
    theirs.linear1, theirs.linear2 = layer.feed_forward[0], layer.feed_forward[2]
    queries, places = torch.randn(2, 5, 12), torch.randn(2, 7, 12)
    torch.testing.assert_close(layer(queries, places, places), theirs(queries, places))


def test_without_self_attention_a_query_knows_nothing_of_the_others() -> None:
    layer = DecoderLayer(12, 3, 20, 0.0)
    queries, places = torch.randn(1, 5, 12), torch.randn(2, 7, 12)
    torch.testing.assert_close(layer(queries, places, places)[:, 2:3], layer(queries[:, 2:3], places, places))


def test_queries_of_any_length_are_heard_alike() -> None:
    layer = DecoderLayer(12, 3, 20, 0.0)
    queries, places = torch.randn(1, 5, 12), torch.randn(2, 7, 12)
    torch.testing.assert_close(layer(100 * queries, places, places), layer(queries, places, places), rtol=0, atol=1e-3)


def test_dropout_does_not_fall_on_the_attention() -> None:
    layer = DecoderLayer(12, 3, 20, 0.5)
    queries, places = torch.randn(1, 5, 12), torch.randn(2, 7, 12)
    assert not layer(queries, places, places).equal(layer(queries, places, places))
    torch.testing.assert_close(layer.attention(queries, places).sum(dim=2), torch.ones(2, 5))


def test_a_map_with_its_channels_last_is_not_copied() -> None:
    feature_map = torch.randn(2, 6, 3, 4).contiguous(memory_format=torch.channels_last)
    assert places_of(feature_map).data_ptr() == feature_map.data_ptr()


@pytest.mark.parametrize(("width", "num_heads"), [(12, 5), (0, 1), (12, 0), (-8, 8), (12, -3)])
def test_heads_that_cannot_share_the_width_are_refused(width: int, num_heads: int) -> None:
    with pytest.raises(UsageError, match=f"width is {width} and num_heads {num_heads}"):
        MultiHeadAttention(width, num_heads)
