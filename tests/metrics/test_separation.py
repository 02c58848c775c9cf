import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from mlic.errors import MlicError
from mlic.metrics import auroc


def by_scikit_learn(scores, labels):
    """One class at a time on its known cells; NaN without a known positive or without a known negative."""
    found = []
    for column in range(labels.shape[1]):
        known = labels[:, column] >= 0
        truth = labels[known, column]
        both = (truth == 1).any() and (truth == 0).any()
        found.append(roc_auc_score(truth, scores[known, column]) if both else np.nan)
    return torch.tensor(found, dtype=torch.float64)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("samples", "classes", "levels"), [(50, 6, None), (200, 9, 2), (1, 6, None), (40, 1, 1), (7, 5, 1)]
)
def test_auroc_is_that_of_scikit_learn_on_known_cells(table, close, samples, classes, levels, dtype):
    for seed in range(5):
        logits, labels = table(samples, classes, seed, levels)
        scores = logits.to(dtype)
        close(auroc(scores, labels), by_scikit_learn(scores, labels))


@given(st.data())
def test_auroc_is_the_share_of_pairs_in_the_right_order(close, data):
    cells = data.draw(st.integers(2, 9))
    score = st.sampled_from([-np.inf, -1.0, -0.0, 0.0, 0.25, np.inf])
    scores = torch.tensor(data.draw(st.lists(score, min_size=cells, max_size=cells)))
    labels = torch.tensor(data.draw(st.lists(st.integers(-1, 1), min_size=cells, max_size=cells)), dtype=torch.int8)
    present, absent = scores[labels == 1][:, None], scores[labels == 0][None]
    pairs = (present > absent).double() + 0.5 * (present == absent)
    close(auroc(scores[:, None], labels[:, None]), [float(pairs.mean()) if pairs.numel() else np.nan])


def test_equal_scores_are_chance():
    assert auroc(torch.zeros(4, 1), torch.tensor([[1], [0], [0], [-1]], dtype=torch.int8)).tolist() == [0.5]


def test_an_empty_table_has_no_area():
    assert auroc(torch.zeros(0, 2), torch.zeros(0, 2, dtype=torch.int8)).isnan().tolist() == [True, True]
    assert auroc(torch.zeros(2, 0), torch.zeros(2, 0, dtype=torch.int8)).shape == (0,)


def test_a_score_that_is_not_a_number_is_refused():
    with pytest.raises(MlicError, match="row 0 for class 0"):
        auroc(torch.tensor([[torch.nan]]), torch.zeros(1, 1, dtype=torch.int8))
