import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mlic.errors import UsageError
from mlic.heads.csra import CSRAHead
from mlic.heads.linear import LinearHead


def by_hand(head: CSRAHead, feature_map: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and attention as the paper writes them: with the features that each class attends to."""
    places = feature_map.flatten(2)
    attentions, logits = [], head.bias
    for m, temperature in zip(head.linear.weight.chunk(len(head.temperatures)), head.temperatures, strict=True):
        s = torch.softmax(temperature * torch.einsum("bdj,cd->bcj", places, m), dim=2)
        g = places.mean(dim=2)[:, None]
        a = torch.einsum("bcj,bdj->bcd", s, places)
        logits = logits + (m * (g + head.lam * a)).sum(dim=2)
        attentions.append(s)
    return logits, torch.stack(attentions).mean(dim=0).unflatten(2, feature_map.shape[2:])


@pytest.mark.parametrize("num_heads", [1, 2, 4, 6, 8])
def test_is_the_formula_of_the_paper(num_heads: int) -> None:
    torch.manual_seed(0)
    head = CSRAHead(6, 3, num_heads=num_heads, lam=0.3)
    nn.init.normal_(head.linear.weight)
    nn.init.normal_(head.bias)
    feature_map = torch.randn(2, 6, 4, 5)
    logits, attention = by_hand(head, feature_map)
    torch.testing.assert_close(head(feature_map), logits)
    torch.testing.assert_close(head.attention(feature_map), attention)


@pytest.mark.parametrize(
    ("num_heads", "temperatures"),
    [
        (1, [1]),
        (2, [1, 99]),
        (3, [1, 2, 99]),
        (4, [1, 2, 4, 99]),
        (6, [1, 2, 3, 4, 5, 99]),
        (8, [1, 2, 3, 4, 5, 6, 7, 99]),
    ],
)
def test_temperatures_are_those_of_the_paper(num_heads: int, temperatures: list[float]) -> None:
    assert CSRAHead(6, 3, num_heads=num_heads).temperatures == temperatures


def test_temperatures_may_be_given() -> None:
    assert CSRAHead(6, 3, num_heads=2, temperatures=[0.5, 10.0]).temperatures == [0.5, 10.0]


@pytest.mark.parametrize("num_heads", [1, 2, 4])
def test_with_lam_0_it_is_the_linear_head_of_all_weights_together(num_heads: int) -> None:
    linear, head = LinearHead(6, 3), CSRAHead(6, 3, num_heads=num_heads, lam=0.0)
    with torch.no_grad():
        head.linear.weight.copy_(linear.linear.weight.repeat(num_heads, 1) / num_heads)
    feature_map = torch.randn(2, 6, 4, 5)
    torch.testing.assert_close(head(feature_map), linear(feature_map))


def test_a_temperature_of_99_is_nearly_the_maximum() -> None:
    head = CSRAHead(1, 1, lam=1.0, temperatures=[99.0])
    nn.init.ones_(head.linear.weight)
    assert head(torch.tensor([[[[1.0, 2.0, 6.0]]]])).item() == pytest.approx(3 + 6)


def test_attention_is_where_the_score_of_the_class_is_highest() -> None:
    head = CSRAHead(2, 2, temperatures=[5.0])
    nn.init.eye_(head.linear.weight)  # class 0 scores by feature 0
    feature_map = torch.zeros(1, 2, 3, 3)
    feature_map[0, 0, 1, 2] = feature_map[0, 1, 2, 0] = 1
    attention = head.attention(feature_map)
    assert divmod(int(attention[0, 0].argmax()), 3) == (1, 2)
    assert divmod(int(attention[0, 1].argmax()), 3) == (2, 0)


def test_on_a_map_of_one_place_attention_counts_it_lam_times_more() -> None:
    head = CSRAHead(6, 3, lam=0.5)
    feature_map = torch.randn(2, 6, 1, 1)
    torch.testing.assert_close(head(feature_map), 1.5 * feature_map[:, :, 0, 0] @ head.linear.weight.T)


@pytest.mark.parametrize(("num_heads", "parameters"), [(1, 163_920), (2, 163_920 + 163_840)])
def test_parameters_and_multiply_adds_are_those_of_the_docstring(num_heads: int, parameters: int) -> None:
    head = CSRAHead(2048, 80, num_heads=num_heads)
    assert sum(parameter.numel() for parameter in head.parameters()) == parameters
    with FlopCounterMode(display=False) as counter:
        head(torch.zeros(1, 2048, 14, 14))
    projections = num_heads * 14 * 14 * 2048 * 80
    assert counter.get_total_flops() == 2 * projections
    weighted = num_heads * 14 * 14 * 80  # which the counter does not see
    assert round((projections + weighted) / num_heads / 1e6) == 32
    assert "163,920 parameters and 32 million multiply-adds" in str(CSRAHead.__doc__)


@pytest.mark.parametrize("num_heads", [1, 8])
def test_logits_begin_as_large_with_eight_heads_as_with_one(num_heads: int) -> None:
    torch.manual_seed(0)
    feature_map = torch.randn(8, 256, 1, 1)  # one place, so that all temperatures give the same
    logits = CSRAHead(256, 200, num_heads=num_heads, lam=0.0)(feature_map)
    assert logits.std().item() == pytest.approx(3**-0.5, rel=0.1)


def test_attention_is_sharp_in_float16_too() -> None:
    head = CSRAHead(1, 1, lam=1.0, temperatures=[99.0]).half()
    nn.init.ones_(head.linear.weight)
    feature_map = torch.tensor([[[[1.0, 2000.0]]]], dtype=torch.float16)  # 99 times 2000 is infinite in float16
    assert head(feature_map).item() == pytest.approx(3000, rel=1e-3)
    assert head.attention(feature_map).tolist() == [[[[0.0, 1.0]]]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_heads": 0}, "num_heads is 0"),
        ({"lam": -0.1}, "lam is -0.1"),
        ({"lam": float("nan")}, "lam is nan"),
        ({"temperatures": [1.0, 2.0]}, "2 temperatures and num_heads is 1"),
        ({"temperatures": [0.0]}, "a temperature is 0.0"),
        ({"temperatures": [float("inf")]}, "a temperature is inf"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        CSRAHead(6, 3, **options)  # type: ignore[arg-type]
