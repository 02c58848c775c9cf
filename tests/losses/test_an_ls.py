"""Assumed negatives with smoothing; `an` is the same without."""

import pytest
import torch

from mlic.errors import UsageError
from mlic.losses import ANLSLoss, BCELoss


def test_it_is_cross_entropy_with_twice_the_label_smoothing():
    logits, labels = torch.randn(4, 3), torch.tensor([[1, 0, -1]] * 4)
    torch.testing.assert_close(ANLSLoss(0.1)(logits, labels), BCELoss(label_smoothing=0.2)(logits, labels))


def test_smoothing_out_of_range_is_refused():
    with pytest.raises(UsageError, match=r"smoothing is 0\.5"):
        ANLSLoss(smoothing=0.5)
