import math

import pytest
import torch

from mlic.losses import ZLPRLoss

LOGITS = torch.linspace(-6, 6, 24, dtype=torch.float64).reshape(6, 4).sin() * 5
LABELS = (torch.arange(24) % 5 % 2).reshape(6, 4).to(torch.int8)


def gradient(logits, labels, **arguments):
    logits = logits.detach().requires_grad_()
    return torch.autograd.grad(ZLPRLoss(**arguments)(logits, labels), logits)[0]


def test_it_is_the_formula_written_out():
    expected = [
        math.log(1 + sum(math.exp(z) for z, y in row if not y)) + math.log(1 + sum(math.exp(-z) for z, y in row if y))
        for row in (list(zip(*pair, strict=True)) for pair in zip(LOGITS.tolist(), LABELS.tolist(), strict=True))
    ]
    assert ZLPRLoss(reduction="sum")(LOGITS, LABELS).item() == pytest.approx(sum(expected))


def test_with_one_class_it_is_cross_entropy():
    logits, labels = LOGITS.reshape(24, 1), LABELS.reshape(24, 1)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels.double())
    torch.testing.assert_close(ZLPRLoss()(logits, labels), expected)


def test_what_is_absent_is_what_is_present_upside_down():
    torch.testing.assert_close(ZLPRLoss()(-LOGITS, 1 - LABELS), ZLPRLoss()(LOGITS, LABELS))


def test_the_loss_is_least_where_the_logits_say_the_labels_by_their_signs():
    right = torch.where(LABELS == 1, 40.0, -40.0).double()
    assert ZLPRLoss()(right, LABELS) < 1e-12
    assert ZLPRLoss()(-right, LABELS) > 40


def test_a_logit_above_0_decides_so_no_thresholds_are_fitted():
    assert ZLPRLoss.decides_at_zero


@pytest.mark.parametrize("y", [0, 1])
def test_a_sample_whose_known_classes_are_all_of_one_kind_has_half_of_the_loss_and_a_finite_gradient(y):
    logits, labels = torch.tensor([[0.0, 0.0, 7.0]]), torch.tensor([[y, y, -1]])
    assert ZLPRLoss()(logits, labels).item() == pytest.approx(math.log(3))
    sign = 1 if y == 0 else -1
    torch.testing.assert_close(gradient(logits, labels), sign * torch.tensor([[1 / 3, 1 / 3, 0.0]]))


def test_the_gradient_of_a_sample_is_at_most_1_for_its_absent_classes_and_1_for_its_present_ones():
    found = gradient(1000 * LOGITS, LABELS, reduction="sum")
    assert (found * (LABELS == 0)).sum(dim=1).le(1 + 1e-9).all()
    assert (found * (LABELS == 1)).sum(dim=1).ge(-1 - 1e-9).all()


def test_classes_that_are_rightly_absent_take_nothing_from_the_others():
    more = torch.cat([LOGITS, torch.full((6, 100), -60.0)], dim=1)
    labels = torch.cat([LABELS, torch.zeros(6, 100, dtype=torch.int8)], dim=1)
    torch.testing.assert_close(gradient(more, labels)[:, :4], gradient(LOGITS, LABELS))


def test_a_soft_label_counts_as_much_on_each_side_as_it_is_present_and_absent():
    logits, labels = torch.tensor([[2.0, -1.0]]), torch.tensor([[0.25, 0.5]])
    absent = 0.75 * math.exp(2.0) + 0.5 * math.exp(-1.0)
    present = 0.25 * math.exp(-2.0) + 0.5 * math.exp(1.0)
    assert ZLPRLoss()(logits, labels).item() == pytest.approx(math.log(1 + absent) + math.log(1 + present))


@pytest.mark.parametrize("y", [5e-324, 1e-30, 0.5, 1 - 2**-53])
def test_a_soft_label_next_to_a_hard_one_has_a_finite_loss_and_gradient(y):
    labels = torch.full((1, 4), y, dtype=torch.float64)
    logits = torch.tensor([[-1e4, -1.0, 1.0, 1e4]], dtype=torch.float64)
    assert ZLPRLoss()(logits, labels).isfinite()
    assert gradient(logits, labels).isfinite().all()


def test_gradcheck_holds_for_soft_labels_and_rows_without_one_side():
    labels = torch.tensor([[0.3, 1.0, 0.0, -1.0], [1, 1, 1, 1], [0, 0, -1, 0], [-1, -1, -1, -1]], dtype=torch.float64)
    logits = LOGITS[:4].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: ZLPRLoss()(z, labels), logits)


def test_an_easy_sample_keeps_its_digits_in_float32():
    found = ZLPRLoss()(torch.tensor([[-30.0]]), torch.zeros(1, 1))
    assert found.item() == pytest.approx(9.357622968839e-14, rel=1e-6)
