import pytest
import torch
from torch import nn

from mlic.errors import UsageError
from mlic.heads.base import Head
from mlic.heads.linear import LinearHead
from mlic.parts import rebuild, spec


def test_is_the_linear_layer_of_the_mean_over_places() -> None:
    head = LinearHead(6, 3)
    feature_map = torch.randn(2, 6, 4, 5)
    by_hand = feature_map.flatten(2).mean(dim=2) @ head.linear.weight.T + head.linear.bias
    torch.testing.assert_close(head(feature_map), by_hand)


def test_logits_do_not_depend_on_where_a_feature_is() -> None:
    head = LinearHead(6, 3)
    feature_map = torch.randn(2, 6, 4, 5)
    torch.testing.assert_close(head(feature_map), head(feature_map.flip(2, 3)))


@pytest.mark.parametrize("size", [(1, 1), (7, 7), (3, 9)])
def test_takes_a_map_of_any_size(size: tuple[int, int]) -> None:
    assert LinearHead(6, 3)(torch.randn(2, 6, *size)).shape == (2, 3)


def test_parameters_are_features_plus_one_per_class() -> None:
    assert sum(parameter.numel() for parameter in LinearHead(2048, 80).parameters()) == (2048 + 1) * 80


def test_bias_begins_at_zero_so_an_empty_map_scores_half() -> None:
    assert torch.sigmoid(LinearHead(6, 3)(torch.zeros(2, 6, 2, 2))).eq(0.5).all()


def test_dropout_leaves_features_out_in_training_only() -> None:
    torch.manual_seed(0)
    head = LinearHead(200, 3, dropout=0.5)
    feature_map = torch.randn(2, 200, 2, 2)
    assert not torch.equal(head(feature_map), head(feature_map))
    head.eval()
    assert torch.equal(head(feature_map), head(feature_map))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_logits_have_the_type_of_the_head(dtype: torch.dtype) -> None:
    assert LinearHead(6, 3).to(dtype)(torch.randn(2, 6, 2, 2, dtype=dtype)).dtype == dtype


def test_the_sum_over_a_large_float16_map_does_not_overflow() -> None:
    head = LinearHead(1, 1).half()
    nn.init.ones_(head.linear.weight)
    assert head(torch.full((1, 1, 32, 32), 1000.0, dtype=torch.float16)).item() == 1000  # the sum would be 1,024,000


def test_float64_keeps_its_digits() -> None:
    head = LinearHead(1, 1).double()
    nn.init.ones_(head.linear.weight)
    assert head(torch.full((1, 1, 2, 2), 1 + 1e-12, dtype=torch.float64)).item() != 1


def test_every_place_receives_the_same_gradient() -> None:
    feature_map = torch.randn(1, 6, 2, 2, requires_grad=True)
    head = LinearHead(6, 1)
    head(feature_map).sum().backward()
    gradient = feature_map.grad
    assert gradient is not None
    torch.testing.assert_close(gradient, (head.linear.weight / 4).view(1, 6, 1, 1).expand(1, 6, 2, 2))


@pytest.mark.parametrize("dropout", [-0.1, 1.0, 1.5])
def test_dropout_outside_zero_to_one_is_refused(dropout: float) -> None:
    with pytest.raises(UsageError, match="dropout is"):
        LinearHead(6, 3, dropout=dropout)


@pytest.mark.parametrize("sizes", [(0, 3), (6, 0)])
def test_a_head_without_features_or_classes_is_refused(sizes: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="must be positive"):
        LinearHead(*sizes)


def test_is_rebuilt_from_its_spec_for_other_sizes() -> None:
    described = spec(LinearHead(6, 3, dropout=0.25), given=2)
    assert described == {"class_path": "mlic.heads.linear.LinearHead", "init_args": {"dropout": 0.25}}
    again = rebuild(described, Head, 8, 5)
    assert isinstance(again, LinearHead)
    assert (again.dropout.p, again.linear.weight.shape) == (0.25, (5, 8))
