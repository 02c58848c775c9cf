import itertools
import math

import pytest
import torch

from mlic.errors import UsageError
from mlic.labels.counts import ClassCounts
from mlic.losses.bce import BCELoss
from mlic.losses.distribution_balanced import DistributionBalancedLoss
from mlic.losses.focal import FocalLoss

LOGITS = torch.linspace(-6, 6, 24, dtype=torch.float64).reshape(8, 3)
LABELS = (torch.arange(24) % 5 % 2).reshape(8, 3).to(torch.int8)
COUNTS = ClassCounts(positives=[90, 30, 1], negatives=[10, 70, 99], samples=100)
# Of the three parts (weights, tolerance for absent labels, focus) none.
PLAIN = {"map_alpha": 0.5, "map_beta": 0.0, "neg_scale": 1.0, "init_bias": 0.0, "gamma": 0.0, "balance": 1.0}


def balanced(counts=COUNTS, **arguments):
    loss = DistributionBalancedLoss(**arguments)
    loss.adapt(counts)
    return loss


def weights(labels, counts=COUNTS, **arguments):
    """What each cell weighs, with the costs of its cross-entropy taken out."""
    labels = torch.as_tensor(labels, dtype=torch.float64)
    cells = balanced(counts, **(PLAIN | arguments)).cells(torch.zeros_like(labels), labels)
    return cells / math.log(2)


def test_without_its_three_parts_it_is_cross_entropy():
    torch.testing.assert_close(balanced(**PLAIN)(LOGITS, LABELS), BCELoss()(LOGITS, LABELS))


def test_with_focus_alone_it_is_focal():
    torch.testing.assert_close(
        balanced(**(PLAIN | {"gamma": 2.0}))(LOGITS, LABELS), FocalLoss(alpha=-1.0)(LOGITS, LABELS)
    )


def test_the_ratio_is_that_of_picking_a_sample_for_one_class_and_for_all_its_classes():
    found = weights([[1, 1, 0]], map_alpha=0.1, map_beta=10.0)
    picked = 1 / 90 + 1 / 30
    ratio = torch.tensor([[1 / 90 / picked, 1 / 30 / picked, 1 / picked]], dtype=torch.float64)
    torch.testing.assert_close(found, 0.1 + torch.sigmoid(10 * (ratio - 0.2)))


def test_a_frequent_class_weighs_less_beside_a_rare_one_than_alone():
    alone, beside = weights([[1, 0, 0], [1, 0, 1]], map_alpha=0.1, map_beta=10.0)[:, 0]
    assert beside < 0.3 * alone


def test_a_sample_without_a_present_class_weighs_as_one_whose_only_class_is_always_there():
    found = weights([[0, 0, 0]], map_alpha=0.1, map_beta=10.0)
    torch.testing.assert_close(found, torch.full_like(found, 1.1))
    common = ClassCounts(positives=[10**9, 30, 1], negatives=[1, 70, 99], samples=10**9 + 1)
    torch.testing.assert_close(weights([[1, 0, 0]], common, map_alpha=0.1, map_beta=10.0)[0, 1:], found[0, 1:])


@pytest.mark.parametrize("beta", [0.0, 1e-3, 10.0, 1e30])
def test_a_sample_without_a_present_class_has_a_finite_loss_for_every_slope(beta):
    for dtype in (torch.float32, torch.float64):
        assert balanced(map_beta=beta)(LOGITS.to(dtype), torch.zeros_like(LABELS)).isfinite()


def test_an_unknown_label_takes_no_part_in_the_weight_of_its_sample():
    labels = torch.tensor([[1, -1, 1], [-1, 0, 1]], dtype=torch.int8)
    logits = LOGITS[:2].clone().requires_grad_()
    total = balanced(reduction="sum")(logits, labels)
    assert torch.autograd.grad(total, logits)[0][labels == -1].eq(0).all()
    for row, known in ((0, [0, 2]), (1, [1, 2])):
        fewer = ClassCounts([COUNTS.positives[k] for k in known], [COUNTS.negatives[k] for k in known], 100)
        total = total - balanced(fewer, reduction="sum")(logits[row : row + 1, known], labels[row : row + 1, known])
    assert total.item() == pytest.approx(0, abs=1e-12)


def test_permuting_classes_and_counts_permutes_the_cells():
    order = [2, 0, 1]
    counts = ClassCounts([COUNTS.positives[k] for k in order], [COUNTS.negatives[k] for k in order], 100)
    labels = LABELS.double()
    torch.testing.assert_close(
        balanced(counts).cells(LOGITS[:, order], labels[:, order]), balanced().cells(LOGITS, labels)[:, order]
    )


def test_an_absent_label_costs_that_of_the_scaled_logit_divided_by_the_scale():
    zeros = torch.zeros_like(LOGITS)
    scaled = balanced(**(PLAIN | {"neg_scale": 5.0})).cells(LOGITS, zeros)
    torch.testing.assert_close(scaled, BCELoss().cells(5 * LOGITS, zeros) / 5)


def test_the_larger_the_scale_the_less_an_absent_label_that_is_right_is_pulled():
    logits = torch.full((1, 3), -2.0, dtype=torch.float64, requires_grad=True)
    pulls = []
    for scale in (1.0, 2.0, 5.0):
        total = balanced(neg_scale=scale)(logits, torch.zeros(1, 3, dtype=torch.int8))
        pulls.append(torch.autograd.grad(total, logits)[0][0, 0].item())
    assert pulls == sorted(pulls, reverse=True)


def test_the_bias_lowers_the_logit_of_a_rare_class_and_raises_that_of_a_frequent_one():
    labels = LABELS.double()
    bias = 0.1 * torch.tensor([10 / 90, 70 / 30, 99], dtype=torch.float64).log()
    torch.testing.assert_close(
        balanced(**(PLAIN | {"init_bias": 0.1})).cells(LOGITS, labels), BCELoss().cells(LOGITS - bias, labels)
    )
    assert bias[0] < 0 < bias[1] < bias[2]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_class_that_is_never_or_always_or_nowhere_known_has_finite_values_and_gradients(dtype):
    counts = ClassCounts(positives=[0, 100, 0], negatives=[100, 0, 0], samples=100)
    logits = torch.tensor([[-3.0, 0.0, 3.0]] * 8, dtype=dtype, requires_grad=True)
    labels = torch.tensor(list(itertools.product((0, 1), repeat=3)), dtype=torch.int8)
    cells = balanced(counts).cells(logits, labels.to(dtype))
    assert cells.isfinite().all()
    assert (cells > 0).all()
    assert torch.autograd.grad(cells.sum(), logits)[0].isfinite().all()


def test_a_class_without_positives_is_taken_for_rarer_than_one_with_one():
    one, none = (
        balanced(ClassCounts([50, positives], [50, 100 - positives], 100)).cells(
            torch.zeros(1, 2), torch.tensor([[1.0, 1.0]])
        )
        for positives in (1, 0)
    )
    assert none[0, 1] > one[0, 1]
    assert none[0, 0] < one[0, 0]


def test_the_gradient_is_the_derivative_of_the_value_with_unequal_counts_and_unknown_labels():
    labels = LABELS.clone()
    labels[0, 1] = labels[3] = -1
    labels[5] = 0
    loss = balanced()
    assert torch.autograd.gradcheck(lambda logits: loss(logits, labels), LOGITS.clone().requires_grad_())


def test_the_costs_of_a_soft_label_mix_present_and_absent_and_it_counts_as_that_share_of_a_positive():
    weight = weights([[0.5, 0, 0]], map_alpha=0.1, map_beta=10.0)
    assert weight[0, 0].item() == pytest.approx(0.1 + 1 / (1 + math.exp(-10 * (2 - 0.2))))
    plain = balanced(**(PLAIN | {"gamma": 2.0, "neg_scale": 2.0}))
    present, absent = plain(LOGITS, torch.ones_like(LOGITS)), plain(LOGITS, torch.zeros_like(LOGITS))
    torch.testing.assert_close(plain(LOGITS, torch.full_like(LOGITS, 0.3)), 0.3 * present + 0.7 * absent)


def test_the_last_counts_are_the_ones_that_count():
    loss = balanced(ClassCounts([5, 5, 5], [5, 5, 5], 10))
    loss(LOGITS, LABELS)
    loss.adapt(COUNTS)
    assert torch.equal(loss(LOGITS, LABELS), balanced()(LOGITS, LABELS))


def test_without_counts_it_says_what_gives_them():
    with pytest.raises(UsageError, match=r"how often each class is present.*class_counts"):
        DistributionBalancedLoss()(LOGITS, LABELS)


def test_counts_of_another_number_of_classes_name_both_numbers():
    with pytest.raises(UsageError, match="2 numbers and there are 3 classes"):
        balanced(ClassCounts([1, 2], [3, 4], 5))(LOGITS, LABELS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"map_alpha": -0.1}, "map_alpha is -0.1"),
        ({"map_beta": float("inf")}, "map_beta is inf"),
        ({"map_mu": float("nan")}, "map_mu is nan"),
        ({"neg_scale": 0.0}, "neg_scale is 0.0"),
        ({"init_bias": -1.0}, "init_bias is -1.0"),
        ({"gamma": -2.0}, "gamma is -2.0"),
        ({"balance": 0.0}, "balance is 0.0"),
    ],
)
def test_numbers_out_of_range_are_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        DistributionBalancedLoss(**arguments)
