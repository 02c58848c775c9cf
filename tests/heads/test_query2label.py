import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mlic.errors import UsageError
from mlic.heads.query2label import Query2LabelHead


def multiply_adds(head: Query2LabelHead, samples: int) -> int:
    # The kernels that fuse an attention are not counted.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        head(torch.randn(samples, 2048, 14, 14))
    return int(counter.get_total_flops()) // 2


def test_parameters_and_multiply_adds_are_those_of_the_docstring() -> None:
    head = Query2LabelHead(2048, 80)
    assert sum(parameter.numel() for parameter in head.parameters()) == 2_672_464
    assert round(multiply_adds(head, 1) / 1e6) == 324
    assert round((2 * multiply_adds(head, 1) - multiply_adds(head, 2)) / 1e6) == 29  # once for a batch
    description = Query2LabelHead.__doc__
    assert description is not None
    assert all(figure in description for figure in ("2,672,464", "324 million", "29 million"))


def test_logits_depend_on_where_a_feature_is() -> None:
    head = Query2LabelHead(6, 3, width=16).eval()
    feature_map = torch.randn(2, 6, 4, 5)
    assert not torch.allclose(head(feature_map.flip(2)), head(feature_map), atol=1e-4)
    assert not torch.allclose(head(feature_map.flip(3)), head(feature_map), atol=1e-4)


def test_positions_are_in_the_keys_and_not_in_the_values() -> None:
    # On a map that is the same everywhere there is nothing but positions, and nothing is gathered of them.
    head = Query2LabelHead(6, 3, width=16).eval()
    same = torch.randn(1, 6, 1, 1).expand(1, 6, 4, 5)
    torch.testing.assert_close(head(same), head(same[..., :2, :3]))
    attention = head.attention(same)
    assert not torch.allclose(attention, torch.full_like(attention, 1 / 20), atol=1e-5)


def test_a_query_knows_of_the_others() -> None:
    head = Query2LabelHead(6, 3, width=16).eval()
    feature_map = torch.randn(2, 6, 4, 5)
    before = head(feature_map)
    with torch.no_grad():
        head.queries[2] += 1
    assert not torch.allclose(head(feature_map)[:, 0], before[:, 0], atol=1e-4)


def test_the_order_of_the_classes_does_not_matter() -> None:
    head = Query2LabelHead(6, 5, width=16).eval()
    feature_map = torch.randn(2, 6, 4, 5)
    before, looks = head(feature_map), head.attention(feature_map)
    order = torch.tensor([3, 1, 4, 0, 2])
    with torch.no_grad():
        head.queries.copy_(head.queries[order])
        head.classifier.weight.copy_(head.classifier.weight[order])
        head.classifier.bias.copy_(head.classifier.bias[order])
    torch.testing.assert_close(head(feature_map), before[:, order])
    torch.testing.assert_close(head.attention(feature_map), looks[:, order])


@pytest.mark.parametrize("num_layers", [1, 3])
def test_attention_is_that_of_the_last_layer(num_layers: int) -> None:
    head = Query2LabelHead(6, 3, width=16, num_layers=num_layers)
    head.attention(torch.randn(2, 6, 4, 5)).square().sum().backward()
    touched = [layer.cross_attention.key.weight.grad is not None for layer in head.layers]
    assert touched == [True] * num_layers
    assert head.layers[-1].cross_attention.value.weight.grad is None  # what is gathered does not matter any more


def test_queries_learn() -> None:
    assert "queries" in dict(Query2LabelHead(6, 3, width=16).named_parameters())


def test_a_thousand_classes_take_a_thousand_queries_or_fewer() -> None:
    feature_map = torch.randn(1, 6, 4, 5)
    assert Query2LabelHead(6, 1000, width=16).queries.shape == (1000, 16)
    assert Query2LabelHead(6, 10_000, num_groups=50, width=16)(feature_map).shape == (1, 10_000)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"width": 18, "num_heads": 2}, "multiple of 4"), ({"num_layers": 0}, "num_layers is 0")],
)
def test_bad_arguments_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Query2LabelHead(6, 5, **options)
