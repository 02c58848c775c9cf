import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mlic.heads.cam import CAMHead
from mlic.heads.linear import LinearHead


def random_head(num_features: int, num_classes: int) -> CAMHead:
    torch.manual_seed(0)
    head = CAMHead(num_features, num_classes)
    nn.init.normal_(head.queries.weight)
    nn.init.normal_(head.linear.bias)
    return head


def test_is_the_formula_with_the_features_that_each_class_attends_to() -> None:
    head = random_head(6, 3)
    feature_map = torch.randn(2, 6, 4, 5)
    places = feature_map.flatten(2)
    a = torch.softmax(torch.einsum("bdj,cd->bcj", places, head.queries.weight) / 6**0.5, dim=2)
    seen = torch.einsum("bcj,bdj->bcd", a, places)
    logits = (head.linear.weight * seen).sum(dim=2) + head.linear.bias
    torch.testing.assert_close(head(feature_map), logits)
    torch.testing.assert_close(head.attention(feature_map), a.unflatten(2, (4, 5)))


def test_begins_as_the_linear_head() -> None:
    head, linear = CAMHead(6, 3), LinearHead(6, 3)
    linear.linear.load_state_dict(head.linear.state_dict())
    feature_map = torch.randn(2, 6, 4, 5)
    torch.testing.assert_close(head(feature_map), linear(feature_map))
    torch.testing.assert_close(head.attention(feature_map), torch.full((2, 3, 4, 5), 1 / 20))


def test_queries_that_begin_at_0_learn_from_the_first_step() -> None:
    head = CAMHead(6, 3)
    head(torch.randn(2, 6, 4, 5)).square().sum().backward()
    gradient = head.queries.weight.grad
    assert gradient is not None
    assert (gradient.norm(dim=1) > 1e-4).all()


def test_a_place_without_attention_has_no_say() -> None:
    head = CAMHead(2, 1)
    with torch.no_grad():
        head.queries.weight.copy_(torch.tensor([[1000.0, 0.0]]))  # looks where feature 0 is
    feature_map = torch.zeros(1, 2, 1, 2)
    feature_map[0, 0, 0, 1] = 1
    before = head(feature_map)
    feature_map[0, 1, 0, 0] = 50  # at the other place
    assert torch.equal(head(feature_map), before)


def test_it_learns_where_to_look() -> None:
    # The class is present if feature 1 is positive at the place that feature 0 marks; elsewhere it is noise.
    generator = torch.Generator().manual_seed(0)
    marked = torch.randint(16, (64,), generator=generator)
    feature_map = torch.zeros(64, 2, 16)
    feature_map[:, 1] = torch.randn(64, 16, generator=generator)
    feature_map[torch.arange(64), 0, marked] = 1
    labels = (feature_map[torch.arange(64), 1, marked] > 0).float()[:, None]
    head = CAMHead(2, 1)
    optimizer = torch.optim.AdamW(head.parameters(), lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(head(feature_map.view(64, 2, 4, 4)), labels).backward()
        optimizer.step()
    attention = head.attention(feature_map.view(64, 2, 4, 4)).flatten(1)
    assert torch.equal(attention.argmax(dim=1), marked)
    assert attention.gather(1, marked[:, None]).min() > 0.8


def test_parameters_and_multiply_adds_are_those_of_the_docstring() -> None:
    head = CAMHead(2048, 80)
    assert sum(parameter.numel() for parameter in head.parameters()) == 327_760
    with FlopCounterMode(display=False) as counter:
        head(torch.zeros(1, 2048, 14, 14))
    projections = 2 * 14 * 14 * 2048 * 80
    assert counter.get_total_flops() == 2 * projections
    weighted = 14 * 14 * 80  # which the counter does not see
    assert round((projections + weighted) / 1e6) == 64
    assert "327,760 parameters and 64 million multiply-adds" in str(CAMHead.__doc__)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_attention_is_taken_in_float32(dtype: torch.dtype) -> None:
    attention = random_head(6, 3).to(dtype).attention(torch.randn(2, 6, 4, 5).to(dtype))
    assert attention.dtype == torch.float32
