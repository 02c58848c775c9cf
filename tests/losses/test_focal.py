import pytest
import torch
from torchvision.ops import sigmoid_focal_loss

from mlic.errors import UsageError
from mlic.losses.bce import BCELoss
from mlic.losses.focal import FocalLoss

LOGITS = torch.linspace(-6, 6, 24, dtype=torch.float64).reshape(8, 3)
LABELS = (torch.arange(24) % 5 % 2).reshape(8, 3).to(torch.int8)


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (-1.0, 2.0), (0.75, 1.5), (0.0, 0.5), (1.0, 0.0)])
def test_focal_is_that_of_torchvision(alpha, gamma):
    expected = sigmoid_focal_loss(LOGITS, LABELS.double(), alpha=alpha, gamma=gamma, reduction="sum")
    torch.testing.assert_close(FocalLoss(alpha, gamma, "sum")(LOGITS, LABELS), expected)


def test_focal_with_gamma_0_is_cross_entropy():
    torch.testing.assert_close(FocalLoss(alpha=-1.0, gamma=0.0)(LOGITS, LABELS), BCELoss()(LOGITS, LABELS))


def test_alpha_one_half_is_half_of_no_alpha():
    torch.testing.assert_close(2 * FocalLoss(alpha=0.5)(LOGITS, LABELS), FocalLoss(alpha=-1.0)(LOGITS, LABELS))


def test_a_right_cell_counts_less_than_in_cross_entropy_and_a_wrong_one_about_the_same():
    loss, one = FocalLoss(alpha=-1.0), torch.ones(1, 1, dtype=torch.int8)
    right, wrong = torch.tensor([[4.0]]), torch.tensor([[-9.0]])
    assert loss(right, one) < 0.001 * BCELoss()(right, one)
    assert loss(wrong, one) > 0.999 * BCELoss()(wrong, one)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"alpha": 1.5}, "alpha is 1.5"), ({"alpha": -0.5}, "alpha is -0.5"), ({"gamma": -1.0}, "gamma is -1.0")],
)
def test_numbers_out_of_range_are_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        FocalLoss(**arguments)
