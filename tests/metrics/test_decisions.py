import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, hamming_loss, jaccard_score, precision_score, recall_score

from mlic.errors import UsageError
from mlic.metrics import (
    Counts,
    cf1,
    class_precision,
    class_recall,
    count_cells,
    f1,
    f1_macro,
    f1_micro,
    f1_samples,
    f1_weighted,
    hamming,
    hamming_all_negative,
    headline,
    jaccard,
    jaccard_macro,
    jaccard_samples,
    overall_precision,
    overall_recall,
    per_class,
    precision,
    recall,
    subset_accuracy,
    top_k,
)

SHAPES = [(60, 6), (1, 6), (40, 1), (300, 9)]


@pytest.fixture(params=SHAPES, ids=str)
def decided(request, table):
    """Decisions and labels, with unknown cells and classes that are all absent, all unknown and all present."""
    logits, labels = table(*request.param)
    return logits > -0.3, labels


def columns(present, labels):
    """The known cells of each class."""
    for column in range(labels.shape[1]):
        known = labels[:, column] >= 0
        yield (labels[known, column] == 1).numpy(), present[known, column].numpy()


def rows(present, labels):
    yield from columns(present.T, labels.T)


def test_precision_recall_f1_and_jaccard_are_those_of_scikit_learn_on_known_cells(decided, close):
    present, labels = decided
    counts = count_cells(present, labels)
    for column, (truth, predicted) in enumerate(columns(present, labels)):
        for function, oracle in ((precision, precision_score), (recall, recall_score), (f1, f1_score)):
            close(function(counts)[column], oracle(truth, predicted, zero_division=np.nan) if len(truth) else np.nan)
        any_present = (truth | predicted).any()
        close(jaccard(counts)[column], jaccard_score(truth, predicted) if any_present else np.nan)


def test_overall_figures_are_those_of_scikit_learn_on_all_known_cells(decided, close):
    present, labels = decided
    counts, known = count_cells(present, labels), labels >= 0
    truth, predicted = (labels == 1)[known].numpy(), present[known].numpy()
    close(overall_precision(counts), precision_score(truth, predicted, zero_division=np.nan))
    close(overall_recall(counts), recall_score(truth, predicted, zero_division=np.nan))
    close(f1_micro(counts), f1_score(truth, predicted, zero_division=np.nan))
    close(hamming(present, labels), hamming_loss(truth, predicted))
    close(hamming_all_negative(labels), hamming_loss(truth, np.zeros_like(truth)))


def test_means_of_classes_are_over_those_with_a_known_positive(decided, close):
    present, labels = decided
    counts = count_cells(present, labels)
    supported = [pair for pair in columns(present, labels) if pair[0].any()]
    every = list(columns(present, labels))

    def mean(oracle, pairs):
        return np.mean([oracle(*pair, zero_division=0) if len(pair[0]) else 0.0 for pair in pairs] or [np.nan])

    for over, pairs in (("supported", supported), ("all", every)):
        precisions, recalls = mean(precision_score, pairs), mean(recall_score, pairs)
        close(class_precision(counts, over), precisions)
        close(class_recall(counts, over), recalls)
        close(cf1(counts, over), 2 * precisions * recalls / (precisions + recalls) if recalls else recalls)
        close(f1_macro(counts, over), mean(f1_score, pairs))
    close(jaccard_macro(present, labels), mean(jaccard_score, supported))
    weights = [truth.sum() for truth, _ in supported]
    close(
        f1_weighted(counts), np.average([f1_score(*pair) for pair in supported], weights=weights) if weights else np.nan
    )


def test_means_of_images_are_over_those_where_something_is_present_or_predicted(decided, close):
    present, labels = decided
    counted = [pair for pair in rows(present, labels) if (pair[0] | pair[1]).any()]
    close(f1_samples(present, labels), np.mean([f1_score(*pair) for pair in counted] or [np.nan]))
    close(jaccard_samples(present, labels), np.mean([jaccard_score(*pair) for pair in counted] or [np.nan]))
    right = [bool((truth == predicted).all()) for truth, predicted in rows(present, labels) if len(truth)]
    close(subset_accuracy(present, labels), np.mean(right or [np.nan]))


def test_on_a_table_without_unknown_cells_means_are_those_of_scikit_learn(table, close):
    logits, labels = table(100, 6)
    labels, present = labels.clamp(min=0), logits > 0
    labels[:, 3:] = 1 - labels[:, :3]  # no class and no image without a positive
    truth, predicted, counts = labels.numpy(), present.numpy(), count_cells(present, labels)
    for average, found in (("macro", f1_macro(counts)), ("micro", f1_micro(counts)), ("weighted", f1_weighted(counts))):
        close(found, f1_score(truth, predicted, average=average, zero_division=0))
    close(f1_samples(present, labels), f1_score(truth, predicted, average="samples", zero_division=0))
    close(jaccard_samples(present, labels), jaccard_score(truth, predicted, average="samples"))
    close(class_precision(counts), precision_score(truth, predicted, average="macro", zero_division=0))


def test_a_class_that_is_never_predicted_has_a_precision_of_0_in_the_mean(close):
    labels = torch.tensor([[1, 1], [0, 0]], dtype=torch.int8)
    counts = count_cells(torch.tensor([[True, False], [False, False]]), labels)
    assert precision(counts)[1].isnan()
    close(class_precision(counts), 0.5)


def test_predicting_nothing_has_a_cf1_of_0_and_no_overall_precision(close):
    labels = torch.tensor([[1, 1], [0, 0]], dtype=torch.int8)
    counts = count_cells(torch.zeros(2, 2, dtype=torch.bool), labels)
    close(cf1(counts), 0.0)
    assert overall_precision(counts).isnan()


def test_predicting_nothing_has_the_hamming_loss_of_all_negative(table):
    _, labels = table()
    assert hamming(torch.zeros(50, 6, dtype=torch.bool), labels) == hamming_all_negative(labels)


def test_macro_f1_leaves_out_a_class_without_known_positive_even_if_it_is_predicted():
    labels = torch.tensor([[1, 0], [0, -1]], dtype=torch.int8)
    counts = count_cells(torch.tensor([[True, True], [False, True]]), labels)
    assert f1(counts).tolist() == [1.0, 0.0]
    assert f1_macro(counts).item() == 1.0


def test_decisions_on_unknown_cells_change_nothing(table):
    logits, labels = table()
    present, other = logits > 0, (logits > 0) ^ (labels == -1)
    for found, expected in zip(count_cells(other, labels), count_cells(present, labels), strict=True):
        assert torch.equal(found, expected)
    for function in (f1_samples, jaccard_samples, subset_accuracy, jaccard_macro, hamming):
        assert function(other, labels) == function(present, labels)


def test_counts_of_several_resamples_give_the_figures_of_each(table, close):
    logits, labels = table()
    each = [count_cells(logits > cut, labels) for cut in (-1, 0, 1)]
    stacked = Counts(*(torch.stack(counts) for counts in zip(*each, strict=True)))
    for function in (overall_precision, f1_micro, class_precision, class_recall, cf1, f1_macro, f1_weighted):
        close(function(stacked), torch.stack([function(counts) for counts in each]))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_an_empty_table_has_undefined_figures(shape):
    present, labels = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.int8)
    counts = count_cells(present, labels)
    for function in (overall_precision, overall_recall, f1_micro, class_precision, class_recall, cf1, f1_macro):
        assert function(counts).isnan()
    assert f1_weighted(counts).isnan()
    for function in (f1_samples, jaccard_samples, subset_accuracy, jaccard_macro, hamming):
        assert function(present, labels).isnan()


# --- top k


def test_top_k_takes_the_highest_scores_of_each_image(table):
    scores, _ = table(30, 6)
    present = top_k(scores, 2)
    assert present.sum(dim=1).tolist() == [2] * 30
    assert (
        torch.where(present, scores, torch.inf).amin(dim=1) >= torch.where(present, -torch.inf, scores).amax(1)
    ).all()


def test_of_equal_scores_top_k_takes_the_first_and_of_few_classes_all():
    assert top_k(torch.zeros(1, 4), 2).tolist() == [[True, True, False, False]]
    assert top_k(torch.zeros(1, 2), 3).tolist() == [[True, True]]


@pytest.mark.parametrize("k", [0, -1])
def test_top_k_of_no_class_is_refused(k):
    with pytest.raises(UsageError, match=f"k is {k}; expected a number of classes, 1 or more"):
        top_k(torch.zeros(1, 4), k)


def test_top_k_with_a_least_score_is_strict_top_k_where_the_score_is_reached(table):
    scores, _ = table(30, 6)
    assert torch.equal(top_k(scores, 3, least=0.5), top_k(scores, 3) & (scores >= 0.5))


# --- what is logged


def test_the_table_of_classes_is_made_of_the_same_counts(table, close):
    logits, labels = table(60, 6)
    thresholds = torch.linspace(0.2, 0.7, 6)
    present = logits.sigmoid() >= thresholds
    counts = count_cells(present, labels)
    found = per_class(logits, labels, thresholds)
    close(found["f1"], f1(counts))
    assert torch.equal(found["support"], (labels == 1).sum(dim=0))
    assert torch.equal(found["negatives"], (labels == 0).sum(dim=0))
    assert torch.equal(found["threshold"], thresholds)
    same = per_class(logits, labels, present, thresholds)
    assert list(same) == list(found)
    assert all(torch.equal(same[name].nan_to_num(-1), found[name].nan_to_num(-1)) for name in found)
    assert "threshold" not in per_class(logits, labels, present)


def test_a_score_on_the_threshold_is_present():
    labels = torch.tensor([[1]], dtype=torch.int8)
    assert headline(torch.zeros(1, 1), labels, torch.tensor([0.5]))["f1_micro"] == 1


def test_thresholds_and_the_decisions_that_they_make_have_the_same_headline(table):
    logits, labels = table()
    thresholds = torch.linspace(0.2, 0.7, 6)
    assert headline(logits, labels, thresholds) == headline(logits, labels, logits.sigmoid() >= thresholds)


def test_nothing_known_is_undefined_and_not_0():
    logits, labels = torch.zeros(3, 2), torch.full((3, 2), -1, dtype=torch.int8)
    assert all(value.isnan() for value in headline(logits, labels, torch.tensor([0.5, 0.5])).values())
