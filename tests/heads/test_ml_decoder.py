import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mlic.heads.ml_decoder import MLDecoderHead


def multiply_adds(head: MLDecoderHead, samples: int) -> int:
    # The kernels that fuse an attention are not counted.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        head(torch.randn(samples, 2048, 14, 14))
    return int(counter.get_total_flops()) // 2


def test_parameters_and_multiply_adds_are_those_of_the_docstring() -> None:
    head = MLDecoderHead(2048, 80)
    assert sum(parameter.numel() for parameter in head.parameters()) == 7_150_672
    assert head.queries.numel() == 61_440
    assert round(multiply_adds(head, 1) / 1e6) == 910
    assert round((2 * multiply_adds(head, 1) - multiply_adds(head, 2)) / 1e6) == 47  # once for a batch
    description = MLDecoderHead.__doc__
    assert description is not None
    assert all(figure in description for figure in ("7,150,672", "61,440", "910 million", "47 million"))


def test_ten_thousand_classes_cost_little_more_than_eighty() -> None:
    head = MLDecoderHead(2048, 10_000)
    assert round(sum(parameter.numel() for parameter in head.parameters()) / 1e6, 1) == 14.8
    assert round(multiply_adds(head, 1) / 1e6) == 1010
    assert head(torch.randn(1, 2048, 7, 7)).shape == (1, 10_000)
    assert head.attention(torch.randn(1, 2048, 7, 7)).shape == (1, 10_000, 7, 7)


@pytest.mark.parametrize(("num_classes", "num_queries"), [(1, 1), (7, 7), (100, 100), (101, 100), (10_000, 100)])
def test_there_are_a_hundred_queries_at_most(num_classes: int, num_queries: int) -> None:
    assert MLDecoderHead(6, num_classes, width=8).queries.shape == (num_queries, 8)


@pytest.mark.parametrize("num_classes", [101, 150, 199])
def test_every_query_has_a_say_in_some_logit(num_classes: int) -> None:
    head = MLDecoderHead(6, num_classes, width=8, learn_queries=True)
    head(torch.randn(1, 6, 2, 2)).square().sum().backward()
    assert head.queries.grad is not None
    assert head.queries.grad.any(dim=1).all()


def test_logits_are_those_of_the_papers_formulas() -> None:
    # Written out for a single attention head: embedding, cross-attention, feed-forward, group fully-connected.
    torch.manual_seed(0)
    head = MLDecoderHead(6, 4, num_groups=2, width=8, num_heads=1, feed_forward=12, dropout=0.0).eval()
    feature_map = torch.randn(2, 6, 3, 5)
    embedded = head.embedding(feature_map.flatten(2).transpose(1, 2)).relu()
    layer, cross = head.layer, head.layer.cross_attention
    asking = layer.self_norm(head.queries)
    scores = cross.query(asking) @ cross.key(embedded).transpose(1, 2) / 8**0.5
    attended = cross.output(scores.softmax(dim=2) @ cross.value(embedded))
    first = layer.cross_norm(asking + attended)
    second = layer.feed_forward_norm(first + layer.feed_forward[2](layer.feed_forward[0](first).relu()))
    columns = [
        second[:, i // 2] @ head.classifier.weight[i // 2, i % 2] + head.classifier.bias[i]
        for i in range(4)  # i div g, i mod g, with g = 4 / 2
    ]
    torch.testing.assert_close(head(feature_map), torch.stack(columns, dim=1))


def test_logits_do_not_depend_on_where_a_feature_is_and_attention_goes_with_it() -> None:
    head = MLDecoderHead(6, 3, width=8).eval()
    feature_map = torch.randn(2, 6, 4, 5)
    torch.testing.assert_close(head(feature_map.flip(2, 3)), head(feature_map))
    torch.testing.assert_close(head.attention(feature_map.flip(2, 3)), head.attention(feature_map).flip(2, 3))


def test_queries_do_not_learn_and_are_kept_in_the_state() -> None:
    head = MLDecoderHead(6, 3, width=8)
    assert "queries" not in dict(head.named_parameters())
    assert "queries" in head.state_dict()
    head.requires_grad_(True)
    assert not head.queries.requires_grad
    assert not head.half().queries.is_floating_point() or head.queries.dtype == torch.float16


def test_queries_learn_if_told_to() -> None:
    head = MLDecoderHead(6, 3, width=8, learn_queries=True)
    assert "queries" in dict(head.named_parameters())
    frozen = MLDecoderHead(6, 3, width=8)
    assert head.state_dict().keys() == frozen.state_dict().keys()
