import pytest
import torch

from mlic.errors import UsageError
from mlic.losses.focal import FocalLoss
from mlic.losses.hill import HillLoss

LOGITS = torch.linspace(-6, 6, 24, dtype=torch.float64).reshape(8, 3)


def pull(loss, logits, label):
    logits = logits.detach().requires_grad_()
    total = loss(logits, torch.full(logits.shape, label, dtype=torch.int8))
    return torch.autograd.grad(total, logits)[0]


def test_without_margin_a_present_label_costs_what_it_does_in_focal():
    ones = torch.ones_like(LOGITS)
    torch.testing.assert_close(HillLoss(margin=0.0)(LOGITS, ones), FocalLoss(alpha=-1.0)(LOGITS, ones))


def test_the_margin_lowers_the_logit_of_a_present_label_and_not_that_of_an_absent_one():
    ones, zeros = torch.ones_like(LOGITS), torch.zeros_like(LOGITS)
    moved, loss = HillLoss(margin=2.0), HillLoss(margin=0.0)
    torch.testing.assert_close(moved(LOGITS, ones), loss(LOGITS - 2, ones))
    torch.testing.assert_close(moved(LOGITS, zeros), loss(LOGITS, zeros))


def test_the_pull_on_an_absent_label_is_a_hill_with_its_top_at_one_half():
    logits = torch.logit(torch.linspace(0.02, 0.98, 49, dtype=torch.float64))[:, None]
    found = pull(HillLoss(reduction="sum"), logits, 0)[:, 0]
    assert found.argmax() == 24
    assert (found > 0).all()
    assert (found[:25].diff() > 0).all()
    assert (found[24:].diff() < 0).all()


def test_with_a_smaller_lambda_an_absent_label_that_the_model_is_sure_of_is_pulled_up():
    sure = torch.tensor([[3.0]])
    assert pull(HillLoss(lamb=1.2), sure, 0) < 0 < pull(HillLoss(lamb=1.6), sure, 0)


@pytest.mark.parametrize("lamb", [1.0, 1.5])
def test_float32_keeps_the_digits_of_float64_where_a_probability_rounds_to_1(lamb):
    logits, absent = torch.tensor([[9.0, 14.0, 20.0, 60.0]]), torch.zeros(1, 4)
    loss = HillLoss(lamb=lamb)
    torch.testing.assert_close(
        loss.cells(logits, absent), loss.cells(logits.double(), absent.double()).float(), rtol=1e-5, atol=0
    )


def test_a_soft_label_mixes_present_and_absent():
    loss = HillLoss()
    present, absent = loss(LOGITS, torch.ones_like(LOGITS)), loss(LOGITS, torch.zeros_like(LOGITS))
    torch.testing.assert_close(loss(LOGITS, torch.full_like(LOGITS, 0.3)), 0.3 * present + 0.7 * absent)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lamb": 0.9}, "lamb is 0.9"),
        ({"lamb": float("inf")}, "lamb is inf"),
        ({"margin": -1.0}, "margin is -1.0"),
        ({"gamma": float("nan")}, "gamma is nan"),
    ],
)
def test_numbers_out_of_range_are_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        HillLoss(**arguments)
