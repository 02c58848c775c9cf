from typing import get_args

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mlic.errors import UsageError
from mlic.heads.mlp import MLPHead
from mlic.heads.pooling import Pooling, make_pooling


@pytest.mark.parametrize("pooling", get_args(Pooling))
def test_is_two_layers_with_a_relu_between_on_what_is_pooled(pooling: Pooling) -> None:
    head = MLPHead(6, 3, hidden=8, pooling=pooling)
    feature_map = torch.rand(2, 6, 4, 5)
    pooled = make_pooling(pooling)(feature_map)
    hidden = (pooled @ head.hidden.weight.T + head.hidden.bias).clamp(min=0)
    torch.testing.assert_close(head(feature_map), hidden @ head.linear.weight.T + head.linear.bias)


def test_parameters_and_multiply_adds_are_those_of_the_docstring() -> None:
    head = MLPHead(2048, 80)
    assert sum(parameter.numel() for parameter in head.parameters()) == 1_090_128
    with FlopCounterMode(display=False) as counter:
        head(torch.zeros(1, 2048, 14, 14))
    assert counter.get_total_flops() == 2 * (2048 * 512 + 512 * 80)
    assert round((2048 * 512 + 512 * 80) / 1e6, 1) == 1.1
    assert "1,090,128 parameters, 1.1 million multiply-adds" in str(MLPHead.__doc__)


def test_it_tells_apart_what_no_linear_head_can() -> None:
    # Exclusive or: present where just one of two features is.
    torch.manual_seed(0)
    head = MLPHead(2, 1, hidden=16)
    feature_map = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]).view(4, 2, 1, 1)
    labels = torch.tensor([[0.0], [1.0], [1.0], [0.0]])
    optimizer = torch.optim.AdamW(head.parameters(), lr=0.03)
    for _ in range(200):
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(head(feature_map), labels).backward()
        optimizer.step()
    assert torch.equal(head(feature_map) > 0, labels.bool())


@pytest.mark.parametrize("num_features", [16, 256, 4096])
def test_the_hidden_layer_begins_as_large_as_the_features(num_features: int) -> None:
    torch.manual_seed(0)
    head = MLPHead(num_features, 3, hidden=1024)
    hidden = torch.relu(head.hidden(torch.randn(64, num_features)))
    assert hidden.square().mean().sqrt().item() == pytest.approx(1, rel=0.1)


def test_dropout_acts_on_the_hidden_layer_in_training_only() -> None:
    torch.manual_seed(0)
    head = MLPHead(6, 3, dropout=0.5)
    feature_map = torch.randn(2, 6, 2, 2)
    assert not torch.equal(head(feature_map), head(feature_map))
    head.eval()
    assert torch.equal(head(feature_map), head(feature_map))


def test_gem_of_negative_features_is_refused() -> None:
    with pytest.raises(UsageError, match="take pooling: lse"):
        MLPHead(6, 3, pooling="gem")(torch.randn(2, 6, 4, 5))


def test_a_hidden_layer_of_no_width_is_refused() -> None:
    with pytest.raises(UsageError, match="hidden is 0"):
        MLPHead(6, 3, hidden=0)


@pytest.mark.parametrize("dropout", [-0.1, 1.0])
def test_dropout_outside_zero_to_one_is_refused(dropout: float) -> None:
    with pytest.raises(UsageError, match="dropout is"):
        MLPHead(6, 3, dropout=dropout)
