import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from mlic.errors import UsageError
from mlic.labels.counts import ClassCounts
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


def test_one_pos_weight_that_is_no_weight_is_refused():
    with pytest.raises(UsageError, match="pos_weight is -1"):
        BCELoss(-1.0)


def test_balanced_weights_are_negatives_over_positives_up_to_the_cap():
    loss = BCELoss("balanced", max_pos_weight=20.0)
    loss.adapt(ClassCounts(positives=[50, 1, 5], negatives=[50, 99, 95], samples=100))
    assert torch.equal(loss(LOGITS, LABELS), BCELoss([1.0, 20.0, 19.0])(LOGITS, LABELS))


def test_with_balanced_weights_present_and_absent_labels_of_a_class_weigh_the_same():
    labels = torch.tensor([[1], [0], [0], [0], [-1]], dtype=torch.int8)
    loss, logits = BCELoss("balanced"), torch.zeros(5, 1, requires_grad=True)
    loss.adapt(ClassCounts(positives=[1], negatives=[3], samples=4))
    assert torch.autograd.grad(loss(logits, labels), logits)[0].sum() == 0


def test_a_class_without_positives_or_negatives_or_both_has_the_weight_1():
    loss = BCELoss("balanced")
    loss.adapt(ClassCounts(positives=[0, 10, 0], negatives=[10, 0, 0], samples=10))
    assert torch.equal(loss(LOGITS, LABELS), BCELoss()(LOGITS, LABELS))


def test_the_last_counts_are_the_ones_that_count():
    loss = BCELoss("balanced")
    for positives in (5, 2):
        loss.adapt(ClassCounts([positives] * 3, [10 - positives] * 3, 10))
        found = loss(LOGITS, LABELS)
    assert torch.equal(found, BCELoss(4.0)(LOGITS, LABELS))


def test_counts_change_no_weight_that_was_given():
    for given in (None, 2.0, [1.0, 2.0, 3.0]):
        loss = BCELoss(given)
        loss.adapt(ClassCounts([1, 1, 1], [9, 9, 9], 10))
        assert torch.equal(loss(LOGITS, LABELS), BCELoss(given)(LOGITS, LABELS))


def test_balanced_weights_without_counts_say_what_gives_them():
    with pytest.raises(UsageError, match=r"pos_weight is 'balanced'.*class_counts"):
        BCELoss("balanced")(LOGITS, LABELS)


def test_counts_of_another_number_of_classes_name_both_numbers():
    loss = BCELoss("balanced")
    loss.adapt(ClassCounts([1, 1], [9, 9], 10))
    with pytest.raises(UsageError, match="2 numbers and there are 3 classes"):
        loss(LOGITS, LABELS)


def test_smoothed_labels_are_mixed_with_one_half():
    torch.testing.assert_close(BCELoss(label_smoothing=0.2)(LOGITS, LABELS), BCELoss()(LOGITS, 0.8 * LABELS + 0.1))


def test_smoothing_pulls_a_logit_back_from_certainty_and_best_is_the_smoothed_label():
    best = torch.logit(torch.tensor([[0.95, 0.05]], dtype=torch.float64)).requires_grad_()
    total = BCELoss(label_smoothing=0.1)(best, torch.tensor([[1, 0]], dtype=torch.int8))
    torch.testing.assert_close(torch.autograd.grad(total, best)[0], torch.zeros_like(best))


def test_smoothing_leaves_unknown_labels_unknown():
    unknown = torch.full_like(LABELS, -1)
    assert BCELoss(label_smoothing=0.5)(LOGITS, unknown) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_pos_weight": 0.0}, "max_pos_weight is 0.0"),
        ({"max_pos_weight": float("inf")}, "max_pos_weight is inf"),
        ({"label_smoothing": 1.0}, "label_smoothing is 1.0"),
        ({"label_smoothing": -0.1}, "label_smoothing is -0.1"),
    ],
)
def test_numbers_out_of_range_are_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        BCELoss(**arguments)


def test_another_word_for_pos_weight_is_refused():
    # Past the checker of types, which runs in tests only.
    init = getattr(BCELoss.__init__, "__wrapped__", BCELoss.__init__)
    with pytest.raises(UsageError, match=r"'blanced'.*'balanced'"):
        init(BCELoss(), "blanced")
