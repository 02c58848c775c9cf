"""Expected positive regularisation."""

import pytest
import torch

from mlic.errors import UsageError
from mlic.labels.counts import ClassCounts
from mlic.losses import EPRLoss


def test_too_many_classes_are_pushed_down_and_too_few_up():
    for expected, sign in ((0.5, 1), (2.5, -1)):
        logits = torch.zeros(2, 3, requires_grad=True)
        EPRLoss(expected)(logits, torch.zeros(2, 3)).backward()
        assert (logits.grad.sign() == sign).all()


def test_the_counts_stand_in_for_the_expectation():
    logits, labels = torch.randn(4, 3), torch.tensor([[1, 0, 0]] * 4)
    loss = EPRLoss()
    loss.adapt(ClassCounts([3, 2, 1], [1, 2, 3], 4))
    torch.testing.assert_close(loss(logits, labels), EPRLoss(1.5)(logits, labels))


def test_unknown_labels_do_not_make_the_expectation_smaller():
    logits, labels = torch.randn(4, 2), torch.tensor([[1, -1]] * 4)
    loss = EPRLoss(unobserved="unknown")
    loss.adapt(ClassCounts([3, 1], [1, 3], 100))  # 3/4 of the labels of one class, and 1/4 of those of the other
    torch.testing.assert_close(loss(logits, labels), EPRLoss(1.0, unobserved="unknown")(logits, labels))
    loss.adapt(ClassCounts([3, 1], [0, 0], 100))
    with pytest.raises(UsageError, match="none of its labels is known to be absent"):
        loss(logits, labels)


def test_without_expectation_and_counts_it_says_what_is_missing():
    with pytest.raises(UsageError, match="expected_positives is not given"):
        EPRLoss()(torch.zeros(1, 2), torch.zeros(1, 2))


def test_an_expectation_out_of_range_is_refused():
    with pytest.raises(UsageError, match="expected_positives is 0"):
        EPRLoss(0.0)
