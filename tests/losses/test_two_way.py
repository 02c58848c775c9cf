import math

import pytest
import torch

from mlic.errors import UsageError
from mlic.losses import TwoWayLoss

LOGITS = torch.linspace(-6, 6, 24, dtype=torch.float64).reshape(6, 4).sin() * 5
LABELS = (torch.arange(24) % 5 % 2).reshape(6, 4).to(torch.int8)


def gradient(logits, labels, **arguments):
    logits = logits.detach().requires_grad_()
    return torch.autograd.grad(TwoWayLoss(**arguments)(logits, labels), logits)[0]


def term(logits, labels, tp, tn):
    """The cost of some cells, written out; None where no class is present."""
    cells = list(zip(logits.tolist(), labels.tolist(), strict=True))
    absent, present = [z for z, y in cells if y == 0], [z for z, y in cells if y == 1]
    if not present:
        return None
    if not absent:
        return 0.0
    highest = tn * math.log(sum(math.exp(z / tn) for z in absent))
    lowest = tp * math.log(sum(math.exp(-z / tp) for z in present))
    return math.log1p(math.exp(highest + lowest))


def terms(logits, labels, tp, tn):
    found = [term(*row, tp, tn) for row in zip(logits, labels, strict=True)]
    return [cost for cost in found if cost is not None]


@pytest.mark.parametrize(("tp", "tn"), [(4.0, 1.0), (1.0, 1.0), (0.5, 3.0)])
def test_it_is_the_formula_written_out(tp, tn):
    labels = LABELS.clone()
    labels[1] = 1  # nothing to compare
    labels[2] = 0  # left out
    labels[:, 3] = 0  # left out
    labels[4, 1:3] = -1
    samples, classes = terms(LOGITS, labels, tp, tn), terms(LOGITS.T, labels.T, tp, tn)
    assert (len(samples), len(classes)) == (5, 3)
    loss = TwoWayLoss(tp, tn)
    expected = sum(samples) / len(samples) + sum(classes) / len(classes)
    assert loss(LOGITS, labels).item() == pytest.approx(expected)


def test_the_defaults_are_those_of_the_paper():
    assert (TwoWayLoss().tp, TwoWayLoss().tn) == (4.0, 1.0)


def test_a_table_on_its_side_has_the_same_loss():
    torch.testing.assert_close(TwoWayLoss()(LOGITS.T, LABELS.T), TwoWayLoss()(LOGITS, LABELS))


def test_only_differences_of_logits_matter():
    torch.testing.assert_close(TwoWayLoss()(LOGITS + 100, LABELS), TwoWayLoss()(LOGITS, LABELS))


def test_a_single_present_class_among_absent_ones_is_softmax_cross_entropy():
    # With a single sample, no class has anything to compare.
    logits, labels = LOGITS[:1], torch.tensor([[0, 0, 1, 0]])
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor([2]))
    torch.testing.assert_close(TwoWayLoss()(logits, labels), expected)


def test_low_temperatures_leave_the_highest_absent_and_the_lowest_present_one():
    logits, labels = torch.tensor([[1.0, -2.0, 3.0, 0.5]]), torch.tensor([[0, 1, 1, 0]])
    found = TwoWayLoss(tp=0.01, tn=0.01)(logits, labels)
    assert found.item() == pytest.approx(math.log1p(math.exp(1.0 + 2.0)), rel=1e-5)


def test_samples_and_classes_without_a_present_label_are_not_counted():
    more = torch.nn.functional.pad(LOGITS, (0, 2, 0, 3), value=-60.0)
    labels = torch.nn.functional.pad(LABELS, (0, 2, 0, 3), value=0)
    torch.testing.assert_close(TwoWayLoss()(more, labels), TwoWayLoss()(LOGITS, LABELS))


def test_a_sample_or_class_without_an_absent_label_costs_nothing_and_is_counted():
    logits = torch.zeros(2, 3, dtype=torch.float64)
    labels = torch.tensor([[1, 1, 1], [1, 0, 0]])
    # Sample 0 and class 0 cost nothing.
    samples, classes = terms(logits, labels, 4.0, 1.0), terms(logits.T, labels.T, 4.0, 1.0)
    assert (samples[0], classes[0]) == (0, 0)
    assert TwoWayLoss()(logits, labels).item() == pytest.approx(sum(samples) / 2 + sum(classes) / 3)


@pytest.mark.parametrize("label", [0, 1])
def test_labels_of_one_kind_have_nothing_to_compare_and_no_gradient(label):
    labels = torch.where(LABELS.eq(label), LABELS, -1)
    assert TwoWayLoss()(LOGITS, labels).item() == 0
    assert gradient(LOGITS, labels).eq(0).all()


def test_unknown_cells_in_a_class_count_as_if_they_were_not_there():
    labels = LABELS.clone()[:, :1]
    labels[::3] = -1
    known = (labels != -1)[:, 0]
    assert known.sum() == 4
    found = TwoWayLoss()(LOGITS[:, :1], labels)
    assert found > 0
    torch.testing.assert_close(found, TwoWayLoss()(LOGITS[known, :1], labels[known]))


def test_classes_that_no_sample_has_do_not_lessen_the_pull_on_those_that_some_have():
    more = torch.cat([LOGITS, torch.zeros(6, 1000)], dim=1)
    labels = torch.cat([LABELS, torch.zeros(6, 1000, dtype=torch.int8)], dim=1)
    before, after = gradient(LOGITS, LABELS), gradient(more, labels)[:, :4]
    present = LABELS == 1
    assert after[present].abs().ge(before[present].abs() - 1e-12).all()


def test_classes_that_samples_have_share_the_mean_over_the_classes_but_not_the_sum():
    # Every sample has one class. One sample alone is wrong, which moves the mean over the samples little.
    def of_class_0(classes, reduction):
        logits = torch.full((8 * classes, classes), -60.0, dtype=torch.float64)
        labels = torch.eye(classes, dtype=torch.int8).repeat(8, 1)
        logits[labels == 1] = 0.0
        logits[0] -= 60.0
        return gradient(logits, labels, reduction=reduction)[0, 0]

    torch.testing.assert_close(of_class_0(10, "batchmean"), of_class_0(5, "batchmean") / 2, rtol=0.2, atol=0)
    assert of_class_0(10, "sum") <= of_class_0(5, "sum") < -0.1


@pytest.mark.parametrize("reduction", ["batchmean", "sum"])
def test_gradcheck_holds_where_rows_and_columns_lack_a_side(reduction):
    labels = LABELS.clone()
    labels[0], labels[1], labels[2], labels[3, :2], labels[:, 3] = 1, 0, -1, -1, 0
    loss = TwoWayLoss(reduction=reduction)
    assert torch.autograd.gradcheck(lambda z: loss(z, labels), LOGITS.clone().requires_grad_())


def test_evaluation_gives_what_training_gives():
    loss = TwoWayLoss()
    assert torch.equal(loss.eval()(LOGITS, LABELS), loss.train()(LOGITS, LABELS))


@pytest.mark.parametrize("label", [0.25, float("nan"), 2.0])
def test_a_label_that_is_neither_present_nor_absent_is_refused_with_its_value(label):
    with pytest.raises(UsageError, match=f"a label is {label:g}; expected 1, 0 or -1"):
        TwoWayLoss()(torch.zeros(1, 3), torch.tensor([[1.0, label, -1.0]]))


def test_soft_labels_are_refused_before_a_training():
    assert not TwoWayLoss.takes_soft_labels


@pytest.mark.parametrize("arguments", [{"tp": 0.0}, {"tn": -1.0}, {"tp": math.inf}, {"tn": math.nan}])
def test_a_temperature_out_of_its_range_is_refused(arguments):
    ((name, value),) = arguments.items()
    with pytest.raises(UsageError, match=f"{name} is {value}; expected a finite number above 0"):
        TwoWayLoss(**arguments)
