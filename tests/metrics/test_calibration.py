import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss

from mlic.errors import UsageError
from mlic.metrics import brier, calibration, calibration_error, reliability


def by_definition(scores, labels, bins):
    """The expected calibration error of each class, bin by bin."""
    found = []
    for column in range(labels.shape[1]):
        known = labels[:, column] >= 0
        values, truth = scores[known, column].double().numpy(), labels[known, column].numpy()
        error = 0.0 if len(truth) else np.nan
        for number in range(bins):
            inside = np.minimum(np.floor(values * bins), bins - 1) == number
            if inside.any():
                error += inside.mean() * abs(values[inside].mean() - truth[inside].mean())
        found.append(error)
    return torch.tensor(found, dtype=torch.float64)


@pytest.mark.parametrize("bins", [1, 10, 15])
@pytest.mark.parametrize(("samples", "classes"), [(200, 6), (1, 6), (50, 1)])
def test_the_calibration_error_is_that_of_its_definition(table, close, samples, classes, bins):
    logits, labels = table(samples, classes, levels=8)
    scores = logits.sigmoid()
    scores[: samples // 3] = scores[: samples // 3].round()  # some are 0 and 1
    close(calibration_error(scores, labels, bins), by_definition(scores, labels, bins))


def test_brier_is_that_of_scikit_learn_on_known_cells(table, close):
    logits, labels = table(80, 6)
    scores = logits.double().sigmoid()
    for column, found in enumerate(brier(scores, labels)):
        known = labels[:, column] >= 0
        truth = labels[known, column].numpy()
        close(found, brier_score_loss(truth, scores[known, column], pos_label=1) if known.any() else np.nan)


def test_blocks_of_rows_change_nothing(table, close, monkeypatch):
    logits, labels = table(50, 6)
    scores = logits.sigmoid()
    whole = calibration_error(scores, labels), brier(scores, labels)
    monkeypatch.setattr(calibration, "_BLOCK_CELLS", 20)
    close(calibration_error(scores, labels), whole[0])
    close(brier(scores, labels), whole[1])


def test_scores_that_are_the_prevalence_have_no_calibration_error(close):
    labels = torch.tensor([[1], [0], [0], [0], [-1]], dtype=torch.int8)
    scores = torch.full((5, 1), 0.25)
    close(calibration_error(scores, labels), [0.0])
    close(brier(scores, labels), [0.25 * 0.75])


def test_the_diagram_counts_each_known_cell_once_and_leaves_empty_bins_undefined(table, close):
    logits, labels = table(100, 6)
    scores = logits.sigmoid()
    said, are, cells = reliability(scores, labels)
    assert cells.shape == (6, 15)
    assert cells.sum(dim=1).tolist() == (labels >= 0).sum(dim=0).tolist()
    assert torch.equal(said.isnan(), cells == 0)
    close((are.nan_to_num(0) * cells).sum(dim=1), (labels == 1).sum(dim=0).double())


def test_a_bin_holds_its_lower_edge_and_the_last_one_both():
    scores = torch.tensor([[0.0], [0.5], [1.0]])
    assert reliability(scores, torch.zeros(3, 1, dtype=torch.int8), bins=2).cells.tolist() == [[1, 2]]


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_an_empty_table_has_no_calibration(shape):
    scores, labels = torch.zeros(shape), torch.zeros(shape, dtype=torch.int8)
    assert calibration_error(scores, labels).isnan().tolist() == [True] * shape[1]
    assert brier(scores, labels).isnan().tolist() == [True] * shape[1]


@pytest.mark.parametrize("score", [-0.1, 1.5, float("nan")])
def test_what_is_no_probability_is_refused_where_the_label_is_known(score):
    scores, labels = torch.tensor([[0.5, 0.5], [0.5, score]]), torch.zeros(2, 2, dtype=torch.int8)
    for function in (calibration_error, brier):
        with pytest.raises(UsageError, match=r"row 1 for class 1 is .*; expected a probability"):
            function(scores, labels)
        labels[1, 1] = -1
        assert not function(scores, labels).isnan().any()
        labels[1, 1] = 0
