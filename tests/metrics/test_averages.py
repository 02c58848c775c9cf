import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from mlic import ranks
from mlic.errors import MlicError
from mlic.metrics import average_precision, headline, mean_average_precision, mean_of_defined, micro_average_precision


def by_scikit_learn(scores, labels):
    """One class at a time on its known cells; NaN without a known positive."""
    found = []
    for column in range(labels.shape[1]):
        known = labels[:, column] >= 0
        truth = labels[known, column].numpy()
        found.append(average_precision_score(truth, scores[known, column].numpy()) if truth.any() else np.nan)
    return torch.tensor(found, dtype=torch.float64)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("samples", "classes", "levels"), [(50, 6, None), (200, 9, 2), (1, 6, None), (40, 1, 1), (7, 5, 1)]
)
def test_average_precision_is_that_of_scikit_learn_on_known_cells(table, close, samples, classes, levels, dtype):
    for seed in range(5):
        logits, labels = table(samples, classes, seed, levels)
        scores = logits.to(dtype)
        close(average_precision(scores, labels), by_scikit_learn(scores, labels))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_average_precision_is_that_of_scikit_learn_on_any_small_table(close, data):
    samples, classes = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 4))
    cells = samples * classes
    score = st.sampled_from([-1e38, -1.0, -1e-45, -0.0, 0.0, 1e-45, 0.25, 1.0, 1e38])
    scores = torch.tensor(data.draw(st.lists(score, min_size=cells, max_size=cells))).reshape(samples, classes)
    labels = torch.tensor(data.draw(st.lists(st.integers(-1, 1), min_size=cells, max_size=cells)), dtype=torch.int8)
    labels = labels.reshape(samples, classes)
    close(average_precision(scores, labels), by_scikit_learn(scores, labels))


def test_infinite_scores_rank_first_and_last(close):
    scores = torch.tensor([[float("inf")], [0.0], [-float("inf")], [-float("inf")]])
    labels = torch.tensor([[0], [1], [1], [-1]], dtype=torch.int8)
    close(average_precision(scores, labels), [(1 / 2 + 2 / 3) / 2])


def test_equal_scores_are_one_step_whatever_their_order():
    for order in ([0, 1, 2, 3], [3, 1, 0, 2], [2, 3, 1, 0]):
        labels = torch.tensor([[1], [0], [0], [1]], dtype=torch.int8)[order]
        assert average_precision(torch.zeros(4, 1), labels).item() == 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_permuting_samples_changes_no_bit(table, dtype):
    logits, labels = table(300, 7, levels=4)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(1))
    logits = logits.to(dtype)
    found = average_precision(logits[order], labels[order])
    assert torch.equal(found.nan_to_num(-1), average_precision(logits, labels).nan_to_num(-1))


def test_blocks_of_classes_change_no_bit(table, monkeypatch):
    logits, labels = table(30, 11, levels=4)
    whole = average_precision(logits, labels)
    for cells in (1, 30, 70, 1000):
        monkeypatch.setattr(ranks, "_BLOCK_CELLS", cells)
        assert torch.equal(average_precision(logits, labels).nan_to_num(-1), whole.nan_to_num(-1))


def test_scores_of_unknown_cells_change_no_bit(table):
    logits, labels = table()
    other = torch.where(labels == -1, torch.nan, logits)
    found = average_precision(other, labels)
    assert torch.equal(found.nan_to_num(-1), average_precision(logits, labels).nan_to_num(-1))


def test_a_class_without_known_positive_has_no_average_precision():
    labels = torch.tensor([[0, -1, 1], [0, -1, -1]], dtype=torch.int8)
    assert average_precision(torch.zeros(2, 3), labels).isnan().tolist() == [True, True, False]


@pytest.mark.parametrize(("samples", "classes"), [(0, 3), (3, 0), (0, 0)])
def test_an_empty_table_has_undefined_values_and_raises_nothing(samples, classes):
    logits, labels = torch.zeros(samples, classes), torch.zeros(samples, classes, dtype=torch.int8)
    assert average_precision(logits, labels).shape == (classes,)
    assert average_precision(logits, labels).isnan().all()
    assert all(value.isnan() for value in headline(logits, labels, torch.full((classes,), 0.5)).values())


def test_a_score_that_is_not_a_number_is_refused_where_the_label_is_known():
    scores = torch.zeros(3, 2)
    scores[1, 1] = torch.nan
    with pytest.raises(MlicError, match=r"row 1 for class 1 is not a number \(1 cells in all\)"):
        average_precision(scores, torch.zeros(3, 2, dtype=torch.int8))


def test_the_mean_runs_over_defined_classes_and_counts_them():
    mean, count = mean_of_defined(torch.tensor([0.25, torch.nan, 0.75]))
    assert (mean.item(), count) == (0.5, 2)
    mean, count = mean_of_defined(torch.tensor([torch.nan]))
    assert mean.isnan()
    assert count == 0


# --- interpolation


def interpolated(scores, labels, recalls):
    """By the definition of VOC: the best precision at each recall or a higher one; `recalls` None for all of them."""
    found = []
    for column in range(labels.shape[1]):
        known = labels[:, column] >= 0
        truth, values = labels[known, column] == 1, scores[known, column]
        if not truth.any():
            found.append(np.nan)
            continue
        cuts = [values >= cut for cut in values.unique()]
        points = [(int((truth & cut).sum()), int((truth & cut).sum()) / int(cut.sum())) for cut in cuts]
        support = int(truth.sum())
        needed = [recall * support / 10 for recall in range(11)] if recalls else range(1, support + 1)
        found.append(np.mean([max(precision for hits, precision in points if hits >= least) for least in needed]))
    return torch.tensor(found, dtype=torch.float64)


@pytest.mark.parametrize(("interpolation", "recalls"), [("voc07", 11), ("voc10", None)])
@pytest.mark.parametrize(("samples", "classes", "levels"), [(50, 6, None), (80, 7, 2), (1, 6, None), (40, 1, 1)])
def test_interpolated_average_precision_is_that_of_its_definition(
    table, close, samples, classes, levels, interpolation, recalls
):
    for seed in range(4):
        scores, labels = table(samples, classes, seed, levels)
        close(average_precision(scores, labels, interpolation), interpolated(scores, labels, recalls))


def test_interpolation_over_all_points_never_lowers_average_precision(table):
    scores, labels = table(200, 9)
    plain, raised = (average_precision(scores, labels, each).nan_to_num(0) for each in ("none", "voc10"))
    assert (raised >= plain).all()
    assert (raised > plain).any()


# --- means


def test_a_class_without_positives_counts_nothing_or_0(close):
    scores, labels = torch.tensor([[0.9, 0.3], [0.6, 0.2]]), torch.tensor([[1, 0], [0, -1]], dtype=torch.int8)
    close(mean_average_precision(scores, labels), 1.0)
    close(mean_average_precision(scores, labels, empty="zero"), 0.5)


def test_micro_average_precision_is_that_of_scikit_learn_on_all_known_cells(table, close):
    for levels in (None, 2):
        scores, labels = table(60, 6, levels=levels)
        known = labels >= 0
        close(micro_average_precision(scores, labels), average_precision_score(labels[known], scores[known]))
    assert micro_average_precision(scores[:, :0], labels[:, :0]).isnan()
    assert micro_average_precision(scores, torch.zeros_like(labels)).isnan()


def test_micro_average_precision_tells_which_score_is_not_a_number():
    scores = torch.tensor([[0.0, 0.0], [0.0, torch.nan]])
    with pytest.raises(MlicError, match="row 1 for class 1"):
        micro_average_precision(scores, torch.zeros(2, 2, dtype=torch.int8))
