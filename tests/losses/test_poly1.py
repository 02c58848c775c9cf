import pytest
import torch

from mlic.errors import UsageError
from mlic.losses.bce import BCELoss
from mlic.losses.poly1 import Poly1Loss

LOGITS = torch.linspace(-6, 6, 24, dtype=torch.float64).reshape(8, 3)
LABELS = (torch.arange(24) % 5 % 2).reshape(8, 3).to(torch.int8)


def test_with_epsilon_0_it_is_cross_entropy():
    torch.testing.assert_close(Poly1Loss(epsilon=0.0)(LOGITS, LABELS), BCELoss()(LOGITS, LABELS))


@pytest.mark.parametrize("epsilon", [-1.0, 0.5, 3.0])
def test_a_cell_costs_epsilon_times_the_probability_given_to_the_wrong_answer_more(epsilon):
    labels = LABELS.double()
    wrong = torch.where(LABELS == 1, 1 - LOGITS.sigmoid(), LOGITS.sigmoid())
    more = Poly1Loss(epsilon).cells(LOGITS, labels) - BCELoss().cells(LOGITS, labels)
    torch.testing.assert_close(more, epsilon * wrong)


def test_with_epsilon_minus_1_the_first_term_is_gone_and_a_nearly_right_cell_costs_the_second():
    logits = torch.tensor([[7.0]], dtype=torch.float64)
    wrong = (-logits).sigmoid()
    torch.testing.assert_close(
        Poly1Loss(epsilon=-1.0).cells(logits, torch.ones_like(logits)), wrong**2 / 2, rtol=1e-3, atol=0
    )


def test_a_soft_label_mixes_present_and_absent():
    loss = Poly1Loss()
    present, absent = loss(LOGITS, torch.ones_like(LOGITS)), loss(LOGITS, torch.zeros_like(LOGITS))
    torch.testing.assert_close(loss(LOGITS, torch.full_like(LOGITS, 0.3)), 0.3 * present + 0.7 * absent)


@pytest.mark.parametrize("epsilon", [-1.01, float("nan"), float("inf")])
def test_epsilon_out_of_its_range_is_refused(epsilon):
    with pytest.raises(UsageError, match="epsilon is"):
        Poly1Loss(epsilon)
