import pytest
import torch
from torch import nn

from mlic.parameters import multiply_rates, parameter_groups


def network():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


def test_only_weights_with_several_axes_decay():
    groups = parameter_groups(network().named_parameters(), lambda name: 1.0)
    decayed = [p for group in groups if "weight_decay" not in group for p in group["params"]]
    left_alone = [p for group in groups if group.get("weight_decay") == 0 for p in group["params"]]
    assert sorted(p.ndim for p in decayed) == [2, 4]
    assert len(left_alone) == 4


def test_a_named_parameter_does_not_decay():
    groups = parameter_groups(nn.Linear(2, 2).named_parameters(), lambda name: 1.0, {"weight"})
    assert [group["weight_decay"] for group in groups] == [0.0]


def test_every_learning_parameter_is_in_one_group_and_a_frozen_one_in_none():
    net = network()
    net[0].weight.requires_grad_(False)
    groups = parameter_groups(net.named_parameters(), lambda name: 0.1 if name.startswith("3") else 1.0)
    found = [id(p) for group in groups for p in group["params"]]
    assert sorted(found) == sorted(id(p) for p in net.parameters() if p.requires_grad)


def test_rates_are_those_of_the_optimizer_times_the_multiplier():
    groups = parameter_groups(network().named_parameters(), lambda name: 0.1 if name.startswith("3") else 1.0)
    optimizer = torch.optim.AdamW(groups, lr=0.5, weight_decay=0.3)
    multiply_rates(optimizer)
    assert sorted({group["lr"] for group in optimizer.param_groups}) == pytest.approx([0.05, 0.5])
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.0, 0.3}
