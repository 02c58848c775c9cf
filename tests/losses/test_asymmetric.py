import pytest
import torch

from mlic.errors import UsageError
from mlic.losses.asymmetric import AsymmetricLoss
from mlic.losses.bce import BCELoss
from mlic.losses.focal import FocalLoss

LOGITS = torch.linspace(-6, 6, 24, dtype=torch.float64).reshape(8, 3)
LABELS = (torch.arange(24) % 5 % 2).reshape(8, 3).to(torch.int8)


def gradient(loss, logits, labels):
    logits = logits.detach().requires_grad_()
    return torch.autograd.grad(loss(logits, labels), logits)[0]


@pytest.mark.parametrize("detach_weight", [False, True])
def test_without_focus_and_clip_it_is_cross_entropy(detach_weight):
    loss = AsymmetricLoss(gamma_neg=0.0, gamma_pos=0.0, clip=0.0, detach_weight=detach_weight)
    torch.testing.assert_close(loss(LOGITS, LABELS), BCELoss()(LOGITS, LABELS))
    torch.testing.assert_close(gradient(loss, LOGITS, LABELS), gradient(BCELoss(), LOGITS, LABELS))


def test_with_equal_focus_and_no_clip_it_is_focal():
    loss, focal = AsymmetricLoss(gamma_neg=2.0, gamma_pos=2.0, clip=0.0), FocalLoss(alpha=-1.0, gamma=2.0)
    torch.testing.assert_close(loss(LOGITS, LABELS), focal(LOGITS, LABELS))
    torch.testing.assert_close(gradient(loss, LOGITS, LABELS), gradient(focal, LOGITS, LABELS))


def test_an_absent_label_below_the_clip_costs_nothing_and_pulls_nothing():
    logits = torch.logit(torch.tensor([[1e-30, 0.001, 0.0499, 0.1]], dtype=torch.float64))
    found = gradient(AsymmetricLoss(clip=0.05), logits, torch.zeros_like(logits))
    assert found[0, :3].eq(0).all()
    assert found[0, 3] > 0


def test_the_clip_leaves_present_labels_alone():
    ones = torch.ones_like(LABELS)
    assert torch.equal(AsymmetricLoss(clip=0.3)(LOGITS, ones), AsymmetricLoss(clip=0.0)(LOGITS, ones))


def test_detaching_changes_the_gradient_and_not_the_value():
    through, detached = AsymmetricLoss(), AsymmetricLoss(detach_weight=True)
    assert torch.equal(through(LOGITS, LABELS), detached(LOGITS, LABELS))
    assert not torch.allclose(gradient(through, LOGITS, LABELS), gradient(detached, LOGITS, LABELS))


@pytest.mark.parametrize("clip", [0.0, 1e-6, 0.05])
def test_float32_keeps_the_digits_of_float64_where_a_probability_rounds_to_1(clip):
    logits = torch.tensor([[9.0, 14.0, 20.0, 60.0]])
    loss, absent = AsymmetricLoss(clip=clip, reduction="sum"), torch.zeros(1, 4)
    torch.testing.assert_close(loss(logits, absent), loss(logits.double(), absent).float(), rtol=1e-5, atol=0)
    torch.testing.assert_close(
        gradient(loss, logits, absent), gradient(loss, logits.double(), absent).float(), rtol=1e-5, atol=1e-30
    )


def test_a_soft_label_mixes_present_and_absent():
    loss = AsymmetricLoss(gamma_pos=1.0)
    mixed = loss(LOGITS, torch.full_like(LOGITS, 0.3))
    present, absent = loss(LOGITS, torch.ones_like(LOGITS)), loss(LOGITS, torch.zeros_like(LOGITS))
    torch.testing.assert_close(mixed, 0.3 * present + 0.7 * absent)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"clip": 1.0}, "clip is 1.0"),
        ({"clip": -0.1}, "clip is -0.1"),
        ({"gamma_neg": -1.0}, "gamma_neg is -1.0"),
        ({"gamma_pos": float("nan")}, "gamma_pos is nan"),
    ],
)
def test_numbers_out_of_range_are_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        AsymmetricLoss(**arguments)
