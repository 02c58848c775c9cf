import numpy as np
import pytest
import torch
from sklearn.metrics import coverage_error as sk_coverage_error
from sklearn.metrics import label_ranking_average_precision_score, label_ranking_loss

from mlic import ranks
from mlic.errors import MlicError
from mlic.metrics import coverage_error, lrap, one_error, ranking_loss
from mlic.metrics.ranking import row_ranking


def sk_one_error(truth, scores):
    """Whether an absent class has the highest score, alone or with others."""
    return np.mean([(row[values == values.max()] == 0).any() for row, values in zip(truth, scores, strict=True)])


PAIRS = [
    (lrap, label_ranking_average_precision_score),
    (coverage_error, sk_coverage_error),
    (ranking_loss, label_ranking_loss),
    (one_error, sk_one_error),
]


def by_scikit_learn(function, scores, labels):
    """The mean over the images with something to rank, each with its known classes alone."""
    found = []
    for values, marks in zip(scores, labels, strict=True):
        known = marks >= 0
        if (marks == 1).any() and (marks == 0).any():
            found.append(function(marks[known][None].numpy(), values[known][None].double().numpy()))
    return np.mean(found) if found else np.nan


@pytest.mark.parametrize(("function", "oracle"), PAIRS)
@pytest.mark.parametrize(("samples", "classes", "levels"), [(50, 6, None), (60, 9, 1), (1, 6, None), (7, 1, 1)])
def test_each_is_that_of_scikit_learn_on_the_known_classes_of_each_image(
    table, close, function, oracle, samples, classes, levels
):
    for seed in range(4):
        scores, labels = table(samples, classes, seed, levels)
        close(function(scores, labels), by_scikit_learn(oracle, scores, labels))


@pytest.mark.parametrize(("function", "oracle"), PAIRS)
def test_without_unknown_cells_it_is_scikit_learn_on_the_whole_table(table, close, function, oracle):
    scores, labels = table(80, 6, levels=2)
    labels = labels.clamp(min=0)  # the last columns keep a present and an absent class in each row
    close(function(scores, labels), oracle(labels.numpy(), scores.numpy()))


def test_an_image_with_nothing_to_rank_does_not_count():
    scores = torch.tensor([[0.9, 0.1]] * 4)
    labels = torch.tensor([[0, 1], [1, 1], [0, 0], [1, -1]], dtype=torch.int8)
    for figure in row_ranking(scores, labels):
        assert figure.isnan().tolist() == [False, True, True, True]


def test_blocks_of_images_change_no_bit(table, monkeypatch):
    scores, labels = table(30, 6, levels=2)
    whole = row_ranking(scores, labels)
    for cells in (1, 12, 100):
        monkeypatch.setattr(ranks, "_BLOCK_CELLS", cells)
        for found, expected in zip(row_ranking(scores, labels), whole, strict=True):
            assert torch.equal(found.nan_to_num(-1), expected.nan_to_num(-1))


def test_the_order_of_classes_changes_nothing(table, close):
    scores, labels = table(40, 8, levels=1)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    for function, _ in PAIRS:
        close(function(scores[:, order], labels[:, order]), function(scores, labels))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_an_empty_table_has_nothing_to_rank(shape):
    for function, _ in PAIRS:
        assert function(torch.zeros(shape), torch.zeros(shape, dtype=torch.int8)).isnan()


def test_a_score_that_is_not_a_number_is_refused_by_its_place():
    scores = torch.zeros(3, 2)
    scores[2, 1] = torch.nan
    with pytest.raises(MlicError, match="row 2 for class 1"):
        lrap(scores, torch.tensor([[0, 1]] * 3, dtype=torch.int8))
