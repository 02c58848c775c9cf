from typing import get_args

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mlic.errors import UsageError
from mlic.heads.base import Head
from mlic.heads.linear import LinearHead
from mlic.heads.pooling import Pooling, make_pooling
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


def test_parameters_and_multiply_adds_are_those_of_the_docstring() -> None:
    head = LinearHead(2048, 80)
    assert sum(parameter.numel() for parameter in head.parameters()) == 163_920
    with FlopCounterMode(display=False) as counter:
        head(torch.zeros(1, 2048, 14, 14))
    assert counter.get_total_flops() == 2 * 2048 * 80  # 0.16 million multiply-adds, twice that many operations
    assert "163,920 parameters, 0.16 million multiply-adds" in str(LinearHead.__doc__)


@pytest.mark.parametrize(("pooling", "more"), [("avg", 0), ("max", 0), ("avg_max", 0), ("gem", 1), ("lse", 1)])
def test_gem_and_lse_have_one_parameter_more(pooling: Pooling, more: int) -> None:
    parameters = sum(parameter.numel() for parameter in LinearHead(2048, 80, pooling=pooling).parameters())
    assert parameters == 163_920 + more


def test_a_checkpoint_of_the_average_holds_weight_and_bias_alone() -> None:
    assert set(LinearHead(6, 3).state_dict()) == {"linear.weight", "linear.bias"}


@pytest.mark.parametrize("pooling", get_args(Pooling))
def test_is_the_linear_layer_of_what_is_pooled(pooling: Pooling) -> None:
    head = LinearHead(6, 3, pooling=pooling)
    feature_map = torch.rand(2, 6, 4, 5)
    torch.testing.assert_close(head(feature_map), head.linear(make_pooling(pooling)(feature_map)))


def test_gem_of_negative_features_is_refused() -> None:
    with pytest.raises(UsageError, match="take pooling: lse"):
        LinearHead(6, 3, pooling="gem")(torch.randn(2, 6, 4, 5))


def test_the_logit_is_the_mean_of_the_class_activation() -> None:
    head = LinearHead(6, 3)
    nn.init.normal_(head.linear.bias)
    feature_map = torch.randn(2, 6, 4, 5)
    activation = head.class_activation(feature_map)
    assert activation.shape == (2, 3, 4, 5)
    torch.testing.assert_close(activation.mean(dim=(2, 3)), head(feature_map))


def test_the_class_activation_of_a_place_is_the_logit_of_that_place_alone() -> None:
    head = LinearHead(6, 3)
    nn.init.normal_(head.linear.bias)
    feature_map = torch.randn(2, 6, 4, 5)
    alone = head(feature_map[:, :, 2:3, 1:2])
    torch.testing.assert_close(head.class_activation(feature_map)[:, :, 2, 1], alone)


def test_class_activation_knows_no_dropout() -> None:
    head = LinearHead(6, 3, dropout=0.5)
    feature_map = torch.randn(2, 6, 4, 5)
    assert torch.equal(head.class_activation(feature_map), head.class_activation(feature_map))


@pytest.mark.parametrize("pooling", ["max", "avg_max", "gem", "lse"])
def test_other_poolings_have_no_class_activation(pooling: Pooling) -> None:
    with pytest.raises(UsageError, match="pooling: avg"):
        LinearHead(6, 3, pooling=pooling).class_activation(torch.rand(2, 6, 4, 5))


def test_weights_begin_with_the_deviation_that_is_asked_for() -> None:
    torch.manual_seed(0)
    weight = LinearHead(2048, 80, init_std=0.001).linear.weight
    assert weight.std().item() == pytest.approx(0.001, rel=0.02)
    assert abs(weight.mean().item()) < 1e-5
    assert weight.abs().max() > 0.003  # normal, and not uniform


def test_without_one_they_begin_as_the_docstring_says() -> None:
    torch.manual_seed(0)
    assert LinearHead(2048, 80).linear.weight.std().item() == pytest.approx((3 * 2048) ** -0.5, rel=0.02)


@pytest.mark.parametrize("init_std", [-0.1, float("inf"), float("nan")])
def test_a_deviation_that_is_none_is_refused(init_std: float) -> None:
    with pytest.raises(UsageError, match="init_std is"):
        LinearHead(6, 3, init_std=init_std)


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
