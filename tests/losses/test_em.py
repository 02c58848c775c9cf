"""Entropy maximisation."""

import pytest
import torch

from mlic.errors import UsageError
from mlic.losses import BCELoss, EMLoss


def test_the_pull_on_an_unobserved_label_is_towards_one_half_and_none_there():
    logits = torch.tensor([[-2.0, 0.0, 2.0]], requires_grad=True)
    EMLoss()(logits, torch.zeros(1, 3)).backward()
    assert logits.grad[0, 0] < 0
    assert logits.grad[0, 1] == 0
    assert logits.grad[0, 2] > 0


def test_without_weight_only_observed_labels_count():
    logits, labels = torch.randn(4, 3), torch.tensor([[1, 0, -1]] * 4)
    loss = EMLoss(alpha=0.0, unobserved="unknown")
    torch.testing.assert_close(loss(logits, labels), BCELoss()(logits, labels))


def test_alpha_out_of_range_is_refused():
    with pytest.raises(UsageError, match=r"alpha is -0\.1"):
        EMLoss(alpha=-0.1)
