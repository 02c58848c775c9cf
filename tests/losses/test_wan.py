"""Weak assumed negatives."""

import pytest
import torch

from mlic.errors import UsageError
from mlic.losses import ANLSLoss, BCELoss, WANLoss


def test_weight_1_assumes_negatives():
    logits, labels = torch.randn(4, 3), torch.tensor([[1, 0, 0]] * 4)
    torch.testing.assert_close(WANLoss(weight=1.0)(logits, labels), ANLSLoss(smoothing=0.0)(logits, labels))


def test_one_class_alone_has_the_whole_weight():
    assert torch.equal(WANLoss()(torch.ones(2, 1), torch.zeros(2, 1)), BCELoss()(torch.ones(2, 1), torch.zeros(2, 1)))


def test_a_weight_out_of_range_is_refused():
    with pytest.raises(UsageError, match="weight is -1"):
        WANLoss(weight=-1.0)
