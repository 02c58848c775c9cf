import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from mlic.errors import UsageError
from mlic.losses.bce import BCELoss

LOGITS = torch.linspace(-6, 6, 24, dtype=torch.float64).reshape(8, 3)
LABELS = (torch.arange(24) % 5 % 2).reshape(8, 3).to(torch.int8)


def test_bce_is_that_of_torch():
    expected = binary_cross_entropy_with_logits(LOGITS, LABELS.double())
    torch.testing.assert_close(BCELoss(reduction="mean")(LOGITS, LABELS), expected)


def test_pos_weight_is_that_of_torch():
    weights = torch.tensor([0.5, 1.0, 7.0], dtype=torch.float64)
    expected = binary_cross_entropy_with_logits(LOGITS, LABELS.double(), pos_weight=weights)
    torch.testing.assert_close(BCELoss(weights.tolist(), reduction="mean")(LOGITS, LABELS), expected)


def test_one_pos_weight_is_the_same_for_every_class():
    assert torch.equal(BCELoss(3.0)(LOGITS, LABELS), BCELoss([3.0, 3.0, 3.0])(LOGITS, LABELS))


def test_pos_weight_1_is_no_weight():
    assert torch.equal(BCELoss(1.0)(LOGITS, LABELS), BCELoss()(LOGITS, LABELS))


def test_pos_weight_keeps_its_digits_when_the_model_becomes_half():
    loss = BCELoss([0.1, 0.2, 0.3])
    expected = loss(LOGITS, LABELS)
    loss(LOGITS.half(), LABELS)
    assert torch.equal(loss.half()(LOGITS, LABELS), expected)


def test_an_easy_absent_cell_keeps_its_digits_in_float32():
    found = BCELoss()(torch.tensor([[-30.0]]), torch.zeros(1, 1))
    assert found.item() == pytest.approx(9.357622968839e-14, rel=1e-6)


def test_pos_weight_of_another_length_names_both_numbers():
    with pytest.raises(UsageError, match="2 numbers and there are 3 classes"):
        BCELoss([1.0, 2.0])(LOGITS, LABELS)


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_pos_weight_that_is_no_weight_is_refused_with_its_place(weight):
    with pytest.raises(UsageError, match=r"pos_weight\[1\] is"):
        BCELoss([1.0, weight])
