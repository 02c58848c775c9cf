"""Suspects: planted errors are found by models that have not seen them, and unknown labels are never accused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from mlic.errors import UsageError
from mlic.labels import LabelTable
from mlic.solver import RidgeLogistic
from mlic.suspects import (
    Rates,
    error_rates,
    find_suspects,
    folds_of,
    learnable,
    out_of_fold,
    sure_unknowns,
    suspicion,
)
from mlic.suspects.pictures import Tile, contact_sheet
from mlic.thresholds.scaling import temperature_scaling

SAMPLES, FEATURES, TELLING, CLASSES = 600, 500, 20, 8


def table_of(labels: np.ndarray, root: str = "here", groups=None) -> LabelTable:
    paths = [f"photos/{number:04}.jpg" for number in range(len(labels))]
    names = [f"class {number}" for number in range(labels.shape[1])]
    return LabelTable.from_dense(paths, names, labels, root=Path(root), groups=groups)


@pytest.fixture(scope="module")
def truth() -> tuple[np.ndarray, np.ndarray]:
    """Features of which a few tell, and labels that a linear rule makes of them, present in 10 to 37 % of samples."""
    rng = np.random.default_rng(7)
    features = rng.normal(size=(SAMPLES, FEATURES)).astype(np.float32)
    features[:, TELLING:] *= 0.3
    logits = features[:, :TELLING] @ rng.normal(size=(TELLING, CLASSES))
    cuts = np.array([np.quantile(logits[:, column], 0.9 - 0.3 * column / CLASSES) for column in range(CLASSES)])
    return features, (logits > cuts).astype(np.int8)


def planted(labels: np.ndarray, value: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns labels of which a share of the present (1) or absent (0) ones is turned round, and which they are."""
    wrong = (np.random.default_rng(seed).random(labels.shape) < share) & (labels == value)
    return np.where(wrong, 1 - labels, labels).astype(np.int8), wrong


def calibrated(logits, labels):
    return torch.sigmoid(temperature_scaling(logits.double(), labels) * logits.double())


def scored(features, noisy):
    labels = torch.from_numpy(noisy)
    return calibrated(out_of_fold(features, labels, folds_of(table_of(noisy), 5)).logits, labels)


def in_sample(features, noisy, penalty):
    solver = RidgeLogistic(features, noisy)
    found = solver.solve(penalty * solver.scale)
    return torch.from_numpy(features) @ found.weight.T + found.bias


@pytest.mark.parametrize(("value", "gain"), [(0, 0.05), (1, -0.05)])
def test_planted_errors_come_first_by_models_that_have_not_seen_them(truth, value, gain):
    features, labels = truth
    noisy, wrong = planted(labels, value, 0.05, seed=1)
    marked, judged = torch.from_numpy(noisy), noisy == 1 - value
    unseen = out_of_fold(features, marked, folds_of(table_of(noisy), 5))

    def order(logits):
        accused = suspicion(calibrated(logits, marked), marked, Rates(0.05, 0.05)).numpy()
        return average_precision_score(wrong[judged], accused[judged])

    def share_found(logits):
        found = find_suspects(calibrated(logits, marked), marked)
        return wrong[found.rows.numpy(), found.columns.numpy()].sum() / wrong.sum()

    assert order(unseen.logits) > wrong[judged].mean() + 0.4
    # A head that fits what it has seen takes added labels for granted; missing ones, each among many absent labels, it
    # still puts first. With the penalty that unseen samples prefer it orders both as well, but is confident of neither.
    assert order(unseen.logits) > order(in_sample(features, noisy, 0.01)) + gain
    assert share_found(unseen.logits) > 0.4
    assert share_found(unseen.logits) > 2 * share_found(in_sample(features, noisy, unseen.penalty))


def test_most_of_what_is_suspected_first_is_wrong(truth):
    features, labels = truth
    noisy, added = planted(labels, 0, 0.05, seed=2)
    noisy, missing = planted(noisy, 1, 0.05, seed=3)
    wrong = added ^ missing
    found = find_suspects(scored(features, noisy), torch.from_numpy(noisy))
    right = wrong[found.rows.numpy(), found.columns.numpy()]
    assert right[:100].mean() > 0.8
    assert right.sum() > 0.5 * wrong.sum()
    assert {"missing", "wrong"} == set(found.at(torch.arange(100)).kinds)


def test_labels_without_errors_are_accused_with_little_suspicion(truth):
    features, labels = truth
    noisy, _ = planted(labels, 0, 0.05, seed=2)
    clean = find_suspects(scored(features, labels), torch.from_numpy(labels))
    accused = find_suspects(scored(features, noisy), torch.from_numpy(noisy))
    assert (clean.suspicion > 0.9).sum() < 0.2 * (accused.suspicion > 0.9).sum()


def test_an_unknown_label_is_no_error_and_teaches_nothing(truth):
    features, labels = truth
    noisy = np.where(np.random.default_rng(5).random(labels.shape) < 0.3, -1, labels).astype(np.int8)
    scores = scored(features, noisy)
    found = find_suspects(scores, torch.from_numpy(noisy))
    assert not (found.labels < 0).any()
    assert suspicion(scores, torch.from_numpy(noisy), Rates(0.1, 0.1)).isnan().equal(torch.from_numpy(noisy < 0))
    sure = sure_unknowns(scores, torch.from_numpy(noisy))
    assert (sure.labels == -1).all()
    assert len(sure.rows) > 50
    right = torch.tensor([kind == "unknown, present" for kind in sure.kinds]).numpy()
    assert (right == labels[sure.rows.numpy(), sure.columns.numpy()]).mean() > 0.95


def test_the_scores_of_known_labels_do_not_depend_on_unknown_samples(truth):
    features, labels = truth
    some = labels.copy()
    some[::3] = -1
    folds = folds_of(table_of(labels), 5)
    whole = out_of_fold(features, torch.from_numpy(some), folds, [1.0])
    kept = np.arange(len(labels)) % 3 != 0
    parts = out_of_fold(features[kept], torch.from_numpy(labels[kept]), folds[torch.from_numpy(kept)], [1.0])
    torch.testing.assert_close(whole.logits[torch.from_numpy(kept)], parts.logits, atol=1e-3, rtol=1e-3)
    assert whole.loss == pytest.approx(parts.loss, rel=1e-4)


def test_a_label_changes_no_score_of_its_own_sample(truth):
    features, labels = truth
    folds = folds_of(table_of(labels), 5)
    other = labels.copy()
    other[17] = 1 - other[17]
    one, two = (out_of_fold(features, torch.from_numpy(each), folds, [1.0]).logits for each in (labels, other))
    assert one[17].equal(two[17])
    beside = int((folds != folds[17]).nonzero()[0])
    assert not one[beside].equal(two[beside])


def test_the_penalty_is_the_one_that_unseen_samples_prefer(truth):
    features, labels = truth
    folds, known = folds_of(table_of(labels), 5), torch.from_numpy(labels)
    found = out_of_fold(features, known, folds, [100.0, 0.1, 0.001])
    losses = [out_of_fold(features, known, folds, [penalty]).loss for penalty in (100.0, 0.1, 0.001)]
    assert found.loss == pytest.approx(min(losses), rel=1e-3)
    assert found.penalty == (100.0, 0.1, 0.001)[int(np.argmin(losses))]


def test_folds_depend_on_neither_the_folder_nor_the_order_nor_other_samples(truth):
    table = table_of(truth[1])
    folds = folds_of(table, 5)
    assert folds_of(table_of(truth[1], "elsewhere"), 5).equal(folds)
    order = np.random.default_rng(0).permutation(len(table))[:200]
    assert folds_of(table.take(order), 5).equal(folds[order])
    assert torch.bincount(folds, minlength=5).min() > 0.7 * len(table) / 5


def test_a_group_is_in_one_fold(truth):
    groups = [f"patient {number // 4}" for number in range(SAMPLES)]
    folds = folds_of(table_of(truth[1], groups=groups), 5)
    assert folds.reshape(-1, 4).eq(folds.reshape(-1, 4)[:, :1]).all()
    assert len(folds.unique()) == 5


def test_the_order_of_samples_changes_no_score(truth):
    features, labels = truth
    order = np.random.default_rng(0).permutation(len(labels))
    folds = folds_of(table_of(labels), 5)
    one = out_of_fold(features, torch.from_numpy(labels), folds, [1.0])
    two = out_of_fold(features[order], torch.from_numpy(labels[order]), folds[order], [1.0])
    torch.testing.assert_close(one.logits[order], two.logits, atol=2e-2, rtol=2e-2)


def test_a_class_with_too_few_labels_cannot_be_judged():
    labels = np.zeros((50, 4), np.int8)
    labels[:25, 0] = 1
    labels[:4, 1] = 1  # fewer than folds
    labels[:, 2] = 1  # never absent
    labels[:25, 3], labels[25:, 3] = 1, -1  # never known to be absent
    assert learnable(torch.from_numpy(labels), torch.arange(50) % 5, 5).tolist() == [True, False, False, False]


def test_samples_of_one_fold_are_too_few():
    with pytest.raises(UsageError, match="fewer than two folds"):
        out_of_fold(np.zeros((2, 3), np.float32), torch.ones(2, 1, dtype=torch.int8), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(UsageError, match="expected 2 or more"):
        folds_of(table_of(np.zeros((3, 1), np.int8)), 1)


def test_a_fold_without_samples_does_no_harm():
    labels = torch.tensor([[1], [0], [1], [0]], dtype=torch.int8)
    found = out_of_fold(np.eye(4, dtype=np.float32), labels, torch.tensor([0, 0, 3, 3]))
    assert found.logits.isfinite().all()


def test_a_class_whose_scores_say_nothing_has_no_suspects():
    labels = torch.tensor([[1], [1], [0], [0]], dtype=torch.int8)
    upside_down = torch.tensor([[0.1], [0.2], [0.8], [0.9]])
    assert not len(find_suspects(upside_down, labels).rows)
    assert not len(find_suspects(torch.full((4, 1), 0.5), labels).rows)
    assert error_rates(upside_down, labels) == Rates(0.0, 0.0)


def test_suspicion_is_the_odds_of_the_score_times_those_of_the_rates():
    scores = torch.rand(200, 3, generator=torch.Generator().manual_seed(0)).double()
    labels = (torch.rand(200, 3, generator=torch.Generator().manual_seed(1)) < 0.5).to(torch.int8)
    found, odds = suspicion(scores, labels, Rates(0.2, 0.05)), scores / (1 - scores)
    expected = torch.where(labels == 1, 0.05 / 0.8 / odds, odds * 0.2 / 0.95)
    torch.testing.assert_close(found / (1 - found), expected)


def test_suspicion_of_scores_of_0_and_1_is_a_number():
    labels = torch.tensor([[0, 0, 1, 1]], dtype=torch.int8)
    found = suspicion(torch.tensor([[0.0, 1.0, 0.0, 1.0]]), labels, Rates(0.1, 0.1))
    assert found.tolist() == [[0.0, 1.0, 1.0, 0.0]]


def test_a_contact_sheet_has_a_place_for_each_and_says_which_image_cannot_be_read(tmp_path):
    tiles = [Tile(tmp_path / f"{number}.jpg", "$a$", "$b$", "absent", 0.9, "missing") for number in range(7)]
    figure = contact_sheet("title", tiles)
    assert len(figure.axes) == 12
    said = [axes.texts[0].get_text() for axes in figure.axes if axes.texts]
    assert len(said) == 7
    assert all("no such file" in text for text in said)
