import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlic import metrics as m
from mlic.errors import MlicError
from mlic.metrics.judging import figures, frequent_classes, prevalence
from mlic.metrics.resamples import resampled_figures


def same(found, expected):
    assert list(found) == list(expected)
    np.testing.assert_allclose([*found.values()], [*expected.values()], rtol=0, atol=1e-12)


def test_each_figure_is_that_of_its_function(table):
    logits, labels = table(80, 7, levels=8)
    scores, present = logits.sigmoid(), logits > -0.5
    counts = m.count_cells(present, labels)
    expected = {
        "mAP": m.mean_average_precision(logits, labels),
        "auroc_macro": m.auroc(logits, labels).nanmean(),
        "OP": m.overall_precision(counts),
        "OR": m.overall_recall(counts),
        "OF1": m.f1_micro(counts),
        "CP": m.class_precision(counts),
        "CR": m.class_recall(counts),
        "CF1": m.cf1(counts),
        "f1_micro": m.f1_micro(counts),
        "f1_macro": m.f1_macro(counts),
        "f1_weighted": m.f1_weighted(counts),
        "f1_samples": m.f1_samples(present, labels),
        "hamming": m.hamming(present, labels),
        "subset_accuracy": m.subset_accuracy(present, labels),
        "jaccard_macro": m.jaccard_macro(present, labels),
        "jaccard_samples": m.jaccard_samples(present, labels),
        "lrap": m.lrap(scores, labels),
        "coverage_error": m.coverage_error(scores, labels),
        "ranking_loss": m.ranking_loss(scores, labels),
        "one_error": m.one_error(scores, labels),
        "calibration_error": m.calibration_error(scores, labels).nanmean(),
        "brier": m.brier(scores, labels).nanmean(),
        "supported_classes": 5,
        "separable_classes": 4,
    }
    found = m.figures(logits, scores, present, labels)
    assert [*found][: len(m.FIGURES)] == [*m.FIGURES]
    same(found, expected)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 5))
def test_permuting_samples_changes_no_figure(table, seed, samples, classes):
    logits, labels = table(samples, classes, seed, levels=2)
    order = torch.randperm(samples, generator=torch.Generator().manual_seed(seed))
    found, expected = (
        m.figures(rows, rows.sigmoid(), rows > 0, marks)
        for rows, marks in ((logits[order], labels[order]), (logits, labels))
    )
    same(found, expected)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
def test_permuting_classes_changes_no_figure(table, seed, samples):
    logits, labels = table(samples, 5, seed, levels=2)
    order = torch.randperm(5, generator=torch.Generator().manual_seed(seed))
    found, expected = (
        m.figures(rows, rows.sigmoid(), rows > 0, marks)
        for rows, marks in ((logits[:, order], labels[:, order]), (logits, labels))
    )
    same(found, expected)


def test_what_is_in_unknown_cells_changes_no_figure(table):
    logits, labels = table(60, 6)
    other = torch.where(labels == -1, -logits + 1, logits)
    same(m.figures(other, other.sigmoid(), other > 0, labels), m.figures(logits, logits.sigmoid(), logits > 0, labels))


def test_an_unlabelled_image_changes_no_figure(table):
    logits, labels = table(60, 6)
    more, marks = torch.cat([logits, logits[:1]]), torch.cat([labels, torch.full_like(labels[:1], -1)])
    same(m.figures(more, more.sigmoid(), more > 0, marks), m.figures(logits, logits.sigmoid(), logits > 0, labels))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_an_empty_table_has_undefined_figures_and_no_classes(shape):
    logits, labels = torch.zeros(shape), torch.zeros(shape, dtype=torch.int8)
    found = m.figures(logits, logits.sigmoid(), logits > 0, labels)
    assert found.pop("supported_classes") == found.pop("separable_classes") == 0
    assert all(math.isnan(value) for value in found.values())


def test_a_logit_that_is_not_a_number_is_refused():
    logits, labels = torch.tensor([[torch.nan]]), torch.zeros(1, 1, dtype=torch.int8)
    with pytest.raises(MlicError, match="row 0 for class 0"):
        m.figures(logits, logits.sigmoid(), logits > 0, labels)


# --- baselines


def test_the_frequent_classes_are_those_of_half_of_the_images_or_as_many_as_an_image_has():
    assert frequent_classes(torch.tensor([0.5, 0.49, 0.9])).tolist() == [True, False, True]
    assert frequent_classes(torch.tensor([0.4, 0.2, 0.49, 0.45])).tolist() == [False, False, True, True]  # 1.54: two
    assert frequent_classes(torch.tensor([0.01, 0.02, torch.nan])).tolist() == [False, True, False]
    assert frequent_classes(torch.tensor([])).tolist() == []


def test_prevalence_is_of_known_cells():
    labels = torch.tensor([[1, 0, -1], [0, -1, -1]], dtype=torch.int8)
    assert prevalence(labels).nan_to_num(-1).tolist() == [0.5, 0.0, -1.0]


def test_all_negative_finds_nothing_and_ranks_nothing(table):
    _, labels = table(200, 5)
    found = m.baselines(labels)["all negative"]
    assert found["OR"] == found["CF1"] == found["f1_samples"] == 0
    assert found["auroc_macro"] == 0.5
    assert found["hamming"] == pytest.approx(float(m.hamming_all_negative(labels)))
    assert found["mAP"] == pytest.approx(float(prevalence(labels)[(labels == 1).any(dim=0)].mean()))


def test_the_frequent_classes_have_the_brier_score_of_their_prevalence(table):
    _, labels = table(200, 5)
    found, share = m.baselines(labels)["always the frequent classes"], prevalence(labels)
    assert found["brier"] == pytest.approx(float((share * (1 - share)).nanmean()))
    assert found["calibration_error"] == pytest.approx(0, abs=1e-12)


def test_frequencies_of_the_training_decide_what_is_said():
    labels = torch.tensor([[1, 0], [1, 0]], dtype=torch.int8)
    assert m.baselines(labels)["always the frequent classes"]["OF1"] == 1
    assert m.baselines(labels, torch.tensor([0.1, 0.8]))["always the frequent classes"]["OF1"] == 0


def test_the_classes_of_an_image_are_ranked_by_their_logits_where_all_scores_are_1():
    logits = torch.tensor([[30.0, 20.0, -1.0]])
    labels = torch.tensor([[1, 0, 0]], dtype=torch.int8)
    scores = logits.sigmoid()
    assert scores[0, 0] == scores[0, 1] == 1
    found = figures(logits, scores, logits > 0, labels, logits)
    assert (found["lrap"], found["one_error"], found["coverage_error"], found["ranking_loss"]) == (1, 0, 1, 0)
    drawn = resampled_figures(logits, scores, logits > 0, labels, resamples=3, strength=logits)
    assert drawn["one_error"].tolist() == [0, 0, 0]
    assert figures(logits, scores, logits > 0, labels)["one_error"] == 1  # of equal scores none is first
