import numpy as np
import pytest
import torch
from sklearn.metrics import precision_recall_curve

from mlic.errors import MlicError
from mlic.metrics import average_precision, curve


@pytest.mark.parametrize("levels", [None, 2])
def test_the_points_are_those_of_scikit_learn_on_known_cells(table, levels):
    scores, labels = table(80, 6, levels=levels)
    for column in (0, 1, 5):
        known = labels[:, column] >= 0
        truth = labels[known, column].numpy()
        if not truth.any():
            continue
        precision, recall, thresholds = precision_recall_curve(truth, scores[known, column].numpy())
        found = curve(scores[:, column], labels[:, column])
        np.testing.assert_allclose(found.precision, precision[:-1][::-1])
        np.testing.assert_allclose(found.recall, recall[:-1][::-1])
        np.testing.assert_allclose(found.scores, thresholds[::-1])


def test_average_precision_is_the_area_under_the_steps(table):
    scores, labels = table(100, 6, levels=3)
    found = curve(scores[:, 0], labels[:, 0])
    area = (np.diff(found.recall, prepend=0) * found.precision).sum()
    assert area == pytest.approx(float(average_precision(scores, labels)[0]), abs=1e-12)


def test_without_a_positive_there_is_no_recall_and_without_a_known_cell_no_point():
    scores = torch.tensor([0.5, 0.2])
    assert np.isnan(curve(scores, torch.zeros(2, dtype=torch.int8)).recall).all()
    assert len(curve(scores, torch.full((2,), -1, dtype=torch.int8)).scores) == 0
    assert len(curve(scores[:0], torch.zeros(0, dtype=torch.int8)).scores) == 0


def test_a_score_that_is_not_a_number_is_refused():
    with pytest.raises(MlicError, match="row 1"):
        curve(torch.tensor([0.5, torch.nan]), torch.zeros(2, dtype=torch.int8))
