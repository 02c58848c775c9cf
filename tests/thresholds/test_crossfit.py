import pytest
import torch

from mlic.errors import MlicError, UsageError
from mlic.thresholds import DecisionRule, cross_fitted, cross_fitted_scores, fit_decisions
from mlic.thresholds.scaling import temperature_scaling


def mean_f1(present, labels):
    hits = (present & (labels == 1)).sum(dim=0)
    total = (present & (labels >= 0)).sum(dim=0) + (labels == 1).sum(dim=0)
    return (2 * hits / total).mean().item()


def table(samples, classes, positives, slope, seed):
    """Labels with so many positives in each class, and logits that are higher by `slope` where a label is present."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.zeros(samples, classes, dtype=torch.int8)
    for k in range(classes):
        labels[torch.randperm(samples, generator=generator)[:positives], k] = 1
    return torch.randn(samples, classes, generator=generator) + slope * labels - 2, labels


def three_figures(rule, slope, positives, seed):
    """Mean F1 on the samples that thresholds were fitted on, cross-fitted, and on many samples that are new."""
    logits, labels = table(200, 40, positives, slope, seed)
    decisions = fit_decisions(rule, logits, labels).decisions
    new_logits, new_labels = table(10_000, 40, positives * 50, slope, seed + 1)
    return (
        mean_f1(decisions.present(logits), labels),
        mean_f1(cross_fitted(rule, logits, labels), labels),
        mean_f1(decisions.present(new_logits), new_labels),
    )


@pytest.mark.parametrize("calibration", ["none", "temperature", "platt"])
def test_scores_that_say_nothing_look_good_where_they_were_fitted_and_no_better_than_they_are_cross_fitted(calibration):
    rule = DecisionRule(calibration=calibration)
    fitted, crossed, new = three_figures(rule, slope=0.0, positives=20, seed=0)
    # Whoever says yes to all has a precision of 0.1 and a recall of 1.
    assert fitted > 2 * 0.1 / 1.1 + 0.025
    assert new < 2 * 0.1 / 1.1 + 0.01
    assert crossed < 2 * 0.1 / 1.1 + 0.01


@pytest.mark.parametrize("seed", range(3))
def test_thresholds_of_twenty_positives_look_better_than_they_are_and_cross_fitted_ones_do_not(seed):
    fitted, crossed, new = three_figures(DecisionRule(), slope=1.5, positives=20, seed=seed)
    assert fitted - new > 0.03
    assert abs(crossed - new) < (fitted - new) / 2


def test_the_label_of_a_sample_does_not_reach_its_own_decision_or_score():
    logits, labels = table(60, 3, 20, 1.0, seed=0)
    rule = DecisionRule(calibration="platt", min_support=1)
    present, scores = cross_fitted(rule, logits, labels), cross_fitted_scores(rule, logits, labels)
    for row in range(0, 60, 7):
        other = labels.clone()
        other[row] = 1 - labels[row]
        assert torch.equal(cross_fitted(rule, logits, other)[row], present[row])
        assert torch.equal(cross_fitted_scores(rule, logits, other)[row], scores[row])
        assert not torch.equal(cross_fitted_scores(rule, logits, other), scores)


def test_with_as_many_folds_as_samples_each_is_decided_by_all_others():
    logits, labels = table(12, 3, 5, 1.0, seed=0)
    rule = DecisionRule(min_support=2)
    for folds in (12, 50):
        present = cross_fitted(rule, logits, labels, folds=folds)
        scores = cross_fitted_scores(rule, logits, labels, folds)
        for row in range(12):
            others = torch.arange(12) != row
            decisions = fit_decisions(rule, logits[others], labels[others]).decisions
            assert torch.equal(present[row], decisions.present(logits[row : row + 1])[0])
            assert torch.equal(scores[row], decisions.scores(logits[row : row + 1])[0])


def test_folds_are_of_one_size_and_the_same_each_time():
    logits, labels = table(103, 3, 40, 1.0, seed=0)
    rule = DecisionRule()
    first = cross_fitted_scores(rule, logits, labels)
    torch.manual_seed(5)
    assert torch.equal(cross_fitted_scores(rule, logits, labels), first)
    slopes = (first.double().logit() / logits)[:, 0].round(decimals=4)
    assert sorted(slopes.unique(return_counts=True)[1].tolist()) == [20, 20, 21, 21, 21]
    assert slopes.unique().mean().item() == pytest.approx(temperature_scaling(logits, labels).item(), rel=0.01)


def test_an_order_of_samples_that_means_something_is_no_fold():
    # Sorted by class: whoever held out one block after the other would fit on samples without its class.
    labels = torch.eye(5, dtype=torch.int8).repeat_interleave(40, dim=0)
    logits = torch.randn(200, 5, generator=torch.Generator().manual_seed(0)) + 4.0 * labels - 2
    rule = DecisionRule()
    in_sample = mean_f1(fit_decisions(rule, logits, labels).decisions.present(logits), labels)
    assert mean_f1(cross_fitted(rule, logits, labels), labels) > in_sample - 0.05


@pytest.mark.parametrize("samples", [0, 1, 2, 3])
def test_few_samples_are_decided_all_the_same(samples):
    logits, labels = torch.full((samples, 2), 3.0), torch.zeros(samples, 2, dtype=torch.int8)
    assert cross_fitted(DecisionRule(), logits, labels).tolist() == [[True, True]] * samples
    assert torch.equal(cross_fitted_scores(DecisionRule(), logits, labels), logits.sigmoid())


def test_where_the_loss_decides_at_0_nothing_changes_between_folds():
    logits, labels = table(60, 3, 20, 1.0, seed=0)
    assert torch.equal(cross_fitted(DecisionRule(calibration="platt"), logits, labels, True), logits > 0)


def test_at_most_holds_in_each_row():
    logits, labels = table(60, 5, 20, 1.0, seed=0)
    present = cross_fitted(DecisionRule(at_most=1), logits, labels)
    assert present.sum(dim=1).max() == 1


def test_unknown_cells_have_no_influence():
    logits, labels = table(100, 3, 40, 1.0, seed=0)
    labels = labels.masked_fill(torch.rand(100, 3, generator=torch.Generator().manual_seed(1)) < 0.2, -1)
    known, garbage = labels >= 0, torch.where(labels < 0, torch.nan, logits)
    for calibration in ("none", "temperature", "platt"):
        rule = DecisionRule(calibration=calibration)
        one, other = (cross_fitted(rule, numbers, labels) for numbers in (logits, garbage))
        assert torch.equal(one[known], other[known])
    garbage[known.nonzero()[0, 0], known.nonzero()[0, 1]] = torch.nan
    with pytest.raises(MlicError, match="not a number"):
        cross_fitted(DecisionRule(), garbage, labels)


@pytest.mark.parametrize("folds", [1, 0, -3])
def test_one_fold_is_none(folds):
    with pytest.raises(UsageError, match=f"folds is {folds}; expected 2 or more"):
        cross_fitted(DecisionRule(), torch.zeros(4, 1), torch.zeros(4, 1, dtype=torch.int8), folds=folds)
