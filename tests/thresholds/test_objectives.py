"""Thresholds for precision, recall and F-beta, against all cuts tried one by one."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlic.errors import MlicError
from mlic.thresholds import DecisionRule, decide
from mlic.thresholds.fitting import fit_cuts

SCORES = [0.0, 1e-45, 0.25, 0.5, 0.5 + 2**-24, 0.5 + 2**-23, 1 - 2**-24, 1.0]
RULES = {
    "beta 2": DecisionRule(beta=2.0),
    "beta 0.5": DecisionRule(beta=0.5),
    "precision 0.6": DecisionRule(objective="precision", target=0.6),
    "precision 1": DecisionRule(objective="precision", target=1.0),
    "recall 0.7": DecisionRule(objective="recall", target=0.7),
    "recall 1": DecisionRule(objective="recall", target=1.0),
}


def quality(rule, chosen, labels):
    """How good a choice of cells is, as something that can be compared exactly, and whether it reaches the target."""
    hits = int((chosen & (labels == 1)).sum())
    cells, support = int((chosen & (labels >= 0)).sum()), int((labels == 1).sum())
    if rule.objective == "f1":
        square = Fraction(rule.beta) ** 2
        return ((1 + square) * hits / (cells + square * support), -cells), True
    precision, recall = Fraction(hits, cells), Fraction(hits, support)
    target = Fraction(str(rule.target))
    if rule.objective == "recall":
        return (recall >= target, -cells), recall >= target
    reached = precision >= target
    return ((reached, recall, -cells) if reached else (reached, precision, recall)), reached


def by_brute_force(rule, scores, labels):
    """The known cells that the best of all cuts chooses, and whether it reaches the target; None without a positive."""
    if not (labels == 1).any():
        return None
    cuts = scores[labels >= 0].unique()
    chosen = max(((scores >= cut) & (labels >= 0) for cut in cuts), key=lambda one: quality(rule, one, labels)[0])
    return chosen, quality(rule, chosen, labels)[1]


def check(rule, scores, labels):
    found = fit_cuts(rule, scores, labels)
    own = (labels == 1).sum(dim=0) >= max(1, rule.min_support)
    if rule.scope == "global":
        own = torch.zeros_like(own)
    assert torch.equal(found.shared, ~own)
    together = by_brute_force(rule, scores, labels)
    for k in range(labels.shape[1]):
        expected = by_brute_force(rule, scores[:, k], labels[:, k]) if own[k] else together
        if expected is None:
            assert found.thresholds[k] == 0.5
            assert found.unreached[k].item() == (rule.objective != "f1")
        else:
            cells, known = (scores[:, k], labels[:, k] >= 0) if own[k] else (scores, labels >= 0)
            assert torch.equal((cells >= found.thresholds[k]) & known, expected[0])
            assert found.unreached[k].item() == (not expected[1])


def table(samples, classes, seed, levels=None):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(samples, classes, generator=generator)
    if levels:
        scores = (scores * levels).round() / levels
    return scores, torch.randint(-1, 2, (samples, classes), generator=generator).to(torch.int8)


@pytest.mark.parametrize("scope", ["per_class", "global"])
@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("levels", [None, 2, 8])
def test_no_cut_is_better(name, scope, levels):
    rule = RULES[name]
    for seed in range(3):
        for min_support in (0, 9):
            asked = DecisionRule(rule.objective, rule.beta, rule.target, scope, min_support)
            for samples, classes in [(30, 4), (1, 3), (25, 1)]:
                check(asked, *table(samples, classes, seed, levels))


@settings(max_examples=150)
@given(st.data())
def test_no_cut_is_better_on_any_small_table(data):
    rule = RULES[data.draw(st.sampled_from(sorted(RULES)))]
    scope, min_support = data.draw(st.sampled_from(["per_class", "global"])), data.draw(st.integers(0, 3))
    samples, classes = data.draw(st.integers(0, 7)), data.draw(st.integers(1, 3))
    cells = samples * classes
    scores = torch.tensor(data.draw(st.lists(st.sampled_from(SCORES), min_size=cells, max_size=cells)))
    labels = torch.tensor(data.draw(st.lists(st.integers(-1, 1), min_size=cells, max_size=cells)), dtype=torch.int8)
    asked = DecisionRule(rule.objective, rule.beta, rule.target, scope, min_support)
    check(asked, scores.float().reshape(samples, classes), labels.reshape(samples, classes))


def test_the_higher_beta_the_more_is_found():
    scores, labels = table(200, 1, seed=0)
    thresholds = [fit_cuts(DecisionRule(beta=beta), scores, labels).thresholds.item() for beta in (0.1, 1.0, 10.0)]
    assert thresholds == sorted(thresholds, reverse=True)
    assert thresholds[0] > thresholds[2]


def test_a_recall_of_1_finds_all_and_a_threshold_above_would_not():
    scores, labels = table(50, 3, seed=1)
    found = fit_cuts(RULES["recall 1"], scores, labels)
    assert decide(scores, found.thresholds)[labels == 1].all()
    lowest = scores.masked_fill(labels != 1, 2).amin(dim=0)
    assert (found.thresholds <= lowest).all()
    assert not found.unreached.any()


def test_of_cuts_with_the_same_recall_the_most_precise_is_taken():
    # Down to 0.5 precision is 2/3, and down to 0.1 it is 2/5 with no more recall.
    scores = torch.tensor([[0.9], [0.7], [0.5], [0.3], [0.1]])
    labels = torch.tensor([[1], [0], [1], [0], [0]], dtype=torch.int8)
    found = fit_cuts(DecisionRule(objective="precision", target=0.4, min_support=1), scores, labels)
    assert found.thresholds.item() == pytest.approx(0.4)


def test_thresholds_lie_halfway_between_the_scores_of_a_cut():
    scores = torch.tensor([[0.9], [0.7], [0.6], [0.1]])
    labels = torch.tensor([[1], [0], [1], [0]], dtype=torch.int8)
    for rule, expected in [(RULES["recall 0.7"], 0.35), (RULES["precision 1"], 0.8)]:
        asked = DecisionRule(rule.objective, target=rule.target, min_support=1)
        assert fit_cuts(asked, scores, labels).thresholds.item() == pytest.approx(expected)


def test_a_precision_that_is_met_exactly_is_reached():
    scores = torch.linspace(1, 0.1, 10).unsqueeze(1)
    labels = torch.tensor([0] + [1] * 9, dtype=torch.int8).unsqueeze(1)
    for tenths in range(1, 10):
        rule = DecisionRule(objective="precision", target=tenths / 10, min_support=1)
        assert not fit_cuts(rule, scores, labels).unreached.item()
    assert fit_cuts(RULES["precision 1"], scores, labels).unreached.item()


@pytest.mark.parametrize("scope", ["per_class", "global"])
def test_a_score_that_is_not_a_number_is_refused_at_its_place(scope):
    scores, labels = table(6, 2, seed=0)
    scores[4, 1], labels[4, 1] = torch.nan, 0
    with pytest.raises(MlicError, match="row 4 for class 1"):
        fit_cuts(DecisionRule(scope=scope), scores, labels)
