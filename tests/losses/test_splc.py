import pytest
import torch

from mlic.errors import UsageError
from mlic.losses.focal import FocalLoss
from mlic.losses.splc import SPLCLoss

LOGITS = torch.linspace(-6, 6, 24, dtype=torch.float64).reshape(8, 3)
LABELS = (torch.arange(24) % 5 % 2).reshape(8, 3).to(torch.int8)


def test_before_the_start_and_without_margin_it_is_focal():
    torch.testing.assert_close(SPLCLoss(margin=0.0)(LOGITS, LABELS), FocalLoss(alpha=-1.0)(LOGITS, LABELS))


def test_from_the_start_on_an_absent_label_above_tau_costs_what_a_present_one_does_without_margin():
    loss, focal = SPLCLoss(start_epoch=0), FocalLoss(alpha=-1.0)
    zeros = torch.zeros_like(LOGITS)
    expected = torch.where(LOGITS.sigmoid() > 0.6, focal.cells(LOGITS, zeros + 1), focal.cells(LOGITS, zeros))
    torch.testing.assert_close(loss.cells(LOGITS, zeros), expected)


def test_labels_are_corrected_in_the_start_epoch_and_after_it_and_not_before():
    loss = SPLCLoss(start_epoch=2)
    totals = []
    for loss.epoch in range(4):
        totals.append(loss(LOGITS, LABELS).item())
    assert totals[0] == totals[1] > totals[2] == totals[3]


def test_an_evaluation_takes_labels_as_they_are_in_every_epoch():
    corrected, never = SPLCLoss(start_epoch=0), SPLCLoss(start_epoch=1000)
    assert corrected(LOGITS, LABELS) < never(LOGITS, LABELS)
    assert torch.equal(corrected.eval()(LOGITS, LABELS), never.eval()(LOGITS, LABELS))


def test_a_corrected_label_pulls_its_logit_up_and_one_below_tau_pulls_it_down():
    logits = torch.logit(torch.tensor([[0.59, 0.61]], dtype=torch.float64)).requires_grad_()
    total = SPLCLoss(start_epoch=0)(logits, torch.zeros(1, 2, dtype=torch.int8))
    below, above = torch.autograd.grad(total, logits)[0][0]
    assert above < 0 < below


def test_a_present_label_is_never_corrected():
    ones = torch.ones_like(LABELS)
    assert torch.equal(SPLCLoss(start_epoch=0)(LOGITS, ones), SPLCLoss(start_epoch=1)(LOGITS, ones))


def test_an_unknown_label_that_the_model_is_sure_of_stays_unknown():
    logits = torch.full((1, 3), 5.0, requires_grad=True)
    total = SPLCLoss(start_epoch=0)(logits, torch.full((1, 3), -1, dtype=torch.int8))
    assert total == 0
    assert torch.autograd.grad(total, logits)[0].eq(0).all()


@pytest.mark.parametrize("start_epoch", [0, 1])
def test_a_soft_label_mixes_present_and_absent(start_epoch):
    loss = SPLCLoss(start_epoch=start_epoch)
    present, absent = loss(LOGITS, torch.ones_like(LOGITS)), loss(LOGITS, torch.zeros_like(LOGITS))
    torch.testing.assert_close(loss(LOGITS, torch.full_like(LOGITS, 0.3)), 0.3 * present + 0.7 * absent)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tau": 0.0}, "tau is 0.0"),
        ({"tau": 1.0}, "tau is 1.0"),
        ({"margin": -1.0}, "margin is -1.0"),
        ({"gamma": float("inf")}, "gamma is inf"),
        ({"start_epoch": -1}, "start_epoch is -1"),
    ],
)
def test_numbers_out_of_range_are_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        SPLCLoss(**arguments)
