"""What heads tell about where a class is."""

from typing import Any

import pytest
import torch
from torch import Tensor

from mlic.heads import CAMHead, ClassMaps, CSRAHead, Head, LinearHead, MLDecoderHead, MLPHead, Query2LabelHead
from mlic.heads.base import AttentionHead

ADDING = [
    LinearHead(6, 3, dropout=0.5),
    CAMHead(6, 3),
    CSRAHead(6, 3, lam=0.3),
    CSRAHead(6, 3, num_heads=4, lam=0.7),
]


def feature_map(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2))


def biased(head: Head) -> tuple[Head, Tensor]:
    """The head in evaluation, with a bias, and with queries that look somewhere."""
    head = head.eval()
    bias: Any = head.bias if isinstance(head, CSRAHead) else head.linear.bias  # type: ignore[union-attr]
    with torch.no_grad():
        bias.copy_(torch.tensor([-3.0, 0.5, 2.0]))
        if isinstance(head, CAMHead):
            head.queries.weight.copy_(feature_map(3, 6))
    return head, bias


@pytest.mark.parametrize("head", ADDING, ids=lambda head: type(head).__name__)
@pytest.mark.parametrize("size", [(1, 1), (4, 5), (7, 7)])
def test_the_mean_of_a_map_and_the_bias_are_the_logit(head: Head, size: tuple[int, int]) -> None:
    head, bias = biased(head)
    seen = feature_map(2, 6, *size)
    found = head.maps(seen)
    assert isinstance(found, ClassMaps)
    assert found.method == "class_activation"
    assert found.values.shape == (2, 3, *size)
    torch.testing.assert_close(found.values.mean(dim=(2, 3)) + bias, head(seen))


@pytest.mark.parametrize("head", ADDING, ids=lambda head: type(head).__name__)
def test_a_place_without_features_adds_nothing_whatever_the_bias(head: Head) -> None:
    head, _ = biased(head)
    seen = feature_map(1, 6, 3, 3)
    seen[:, :, 1, 2] = 0
    found = head.maps(seen)
    assert found is not None
    assert torch.equal(found.values[0, :, 1, 2].abs(), torch.zeros(3))


@pytest.mark.parametrize("head", [MLDecoderHead(6, 3, width=8), Query2LabelHead(6, 3, width=8)])
def test_decoders_tell_their_attention(head: AttentionHead) -> None:
    seen = feature_map(2, 6, 4, 5)
    found = head.eval().maps(seen)
    assert found is not None
    assert found.method == "attention"
    assert torch.equal(found.values, head.attention(seen))


@pytest.mark.parametrize(
    "head", [MLPHead(6, 3), *(LinearHead(6, 3, pooling=name) for name in ("max", "avg_max", "gem", "lse"))]
)
def test_heads_whose_logit_is_no_sum_over_places_tell_nothing(head: Head) -> None:
    assert head.maps(feature_map(1, 6, 2, 2)) is None


def test_a_head_of_a_third_party_needs_nothing() -> None:
    class Mean(Head):
        def forward(self, feature_map: Tensor) -> Tensor:
            return feature_map.mean(dim=(2, 3))

    assert Mean().maps(feature_map(1, 6, 2, 2)) is None
