from dataclasses import replace

import pytest
import torch

from mlic.errors import MlicError
from mlic.thresholds import DecisionRule, Decisions, decide, fit_decisions, fit_thresholds

PLAIN = DecisionRule(calibration="none")
RULES = [
    DecisionRule(objective=objective, target=target, scope=scope, calibration=calibration)
    for objective, target in [("f1", None), ("precision", 0.6), ("recall", 0.9), ("fixed", None), ("fnr", 0.2)]
    for scope in ("per_class", "global")
    for calibration in ("none", "temperature", "platt")
    if (objective, calibration) != ("fnr", "platt")
]


def table(samples=300, classes=6, seed=0, unknown=0.2):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(samples, classes, generator=generator) * 2 - 1
    labels = (torch.rand(samples, classes, generator=generator) < torch.sigmoid(0.6 * logits - 1)).to(torch.int8)
    return logits, labels.masked_fill(torch.rand(samples, classes, generator=generator) < unknown, -1)


def same(one, other):
    left, right = one.decisions, other.decisions
    return all(
        torch.equal(a, b)
        for a, b in zip(
            (left.thresholds, left.slope, left.offset, *one[1:]),
            (right.thresholds, right.slope, right.offset, *other[1:]),
            strict=True,
        )
    )


def test_without_calibration_the_thresholds_are_those_of_the_sigmoid():
    logits, labels = table()
    fitted = fit_decisions(PLAIN, logits, labels)
    assert torch.equal(fitted.decisions.thresholds, fit_thresholds(logits.sigmoid(), labels))
    assert torch.equal(fitted.decisions.scores(logits), logits.sigmoid())


@pytest.mark.parametrize("calibration", ["temperature", "platt"])
def test_calibration_moves_scores_and_leaves_the_decisions_of_a_class_as_they_were(calibration):
    logits, labels = table()
    plain, other = (
        fit_decisions(replace(PLAIN, calibration=name), logits, labels).decisions for name in ("none", calibration)
    )
    assert torch.equal(plain.present(logits), other.present(logits))
    assert not torch.allclose(plain.scores(logits), other.scores(logits), atol=0.02)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_unknown_cells_have_no_influence(rule):
    logits, labels = table()
    garbage = torch.where(labels < 0, torch.nan, logits)
    assert same(fit_decisions(rule, logits, labels), fit_decisions(rule, garbage, labels))


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("label", [0, -1])
@pytest.mark.parametrize("samples", [0, 1, 30])
def test_without_a_positive_scores_are_the_sigmoid_and_nothing_is_promised(rule, label, samples):
    logits = torch.linspace(-3, 2, samples * 3).reshape(samples, 3)
    fitted = fit_decisions(rule, logits, torch.full((samples, 3), label, dtype=torch.int8))
    assert torch.equal(fitted.decisions.scores(logits), logits.sigmoid())
    assert fitted.decisions.thresholds.tolist() == [0.0 if rule.objective == "fnr" else 0.5] * 3
    assert fitted.unreached.all() == (rule.objective in ("precision", "recall", "fnr"))


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_no_classes_give_no_decisions(rule):
    fitted = fit_decisions(rule, torch.zeros(4, 0), torch.zeros(4, 0, dtype=torch.int8))
    assert fitted.decisions.present(torch.zeros(4, 0)).shape == (4, 0)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_logit_that_is_not_a_number_is_refused_where_the_label_is_known(rule):
    logits, labels = table()
    labels[7, 2], logits[7, 2] = 0, torch.nan
    with pytest.raises(MlicError, match="row 7 for class 2 is not a number"):
        fit_decisions(rule, logits, labels)


@pytest.mark.parametrize("calibration", ["none", "temperature", "platt"])
@pytest.mark.parametrize("scope", ["per_class", "global"])
def test_where_the_loss_decides_at_0_a_logit_above_0_decides(calibration, scope):
    logits, labels = table()
    rule = DecisionRule(calibration=calibration, scope=scope)
    fitted = fit_decisions(rule, logits, labels, decides_at_zero=True)
    assert torch.equal(fitted.decisions.present(logits), logits > 0)
    assert not fitted.shared.any()
    if calibration == "platt":
        assert not torch.allclose(fitted.decisions.thresholds, torch.tensor(0.5), atol=0.01)
    else:
        assert fitted.decisions.thresholds.tolist() == [0.5] * 6


def test_where_the_loss_decides_at_0_an_image_still_has_at_most_so_many_classes():
    logits, labels = table()
    fitted = fit_decisions(DecisionRule(at_most=1), logits, labels, decides_at_zero=True)
    present = fitted.decisions.present(logits)
    assert torch.equal(present.any(dim=1), (logits > 0).any(dim=1))
    assert present.sum(dim=1).max() == 1


@pytest.mark.parametrize("rule", [*(rule for rule in RULES if rule.objective != "f1"), DecisionRule(beta=2.0)], ids=str)
def test_what_is_asked_for_expressly_is_followed_though_the_loss_decides_at_0(rule):
    logits, labels = table()
    assert same(fit_decisions(rule, logits, labels), fit_decisions(rule, logits, labels, decides_at_zero=True))


@pytest.mark.parametrize("target", [None, 0.3])
def test_a_fixed_threshold_is_on_calibrated_scores(target):
    logits, labels = table()
    fitted = fit_decisions(DecisionRule(objective="fixed", target=target), logits, labels)
    assert fitted.decisions.slope[0] != 1
    assert torch.equal(fitted.decisions.present(logits), fitted.decisions.scores(logits) >= (target or 0.5))


def test_what_shares_a_threshold_and_what_misses_the_target_is_told():
    # The first class is sorted, the second the wrong way round, and the third has one positive.
    logits = torch.linspace(3, -3, 40).unsqueeze(1).repeat(1, 3)
    labels = torch.zeros(40, 3, dtype=torch.int8)
    labels[:20, 0], labels[20:, 1], labels[0, 2] = 1, 1, 1
    rule = DecisionRule(objective="precision", target=0.9)
    fitted = fit_decisions(rule, logits, labels)
    assert fitted.shared.tolist() == [False, False, True]
    assert fitted.unreached.tolist() == [False, True, True]
    assert not fitted.pooled.any()
    assert fit_decisions(replace(rule, calibration="platt"), logits, labels).pooled.tolist() == [False, True, True]


def test_with_one_threshold_for_all_no_class_has_its_own():
    logits, labels = table()
    fitted = fit_decisions(DecisionRule(scope="global"), logits, labels)
    assert fitted.shared.all()
    assert len(fitted.decisions.thresholds.unique()) == 1


def test_at_most_reaches_the_decisions_and_no_threshold():
    logits, labels = table()
    free, bound = (fit_decisions(DecisionRule(at_most=at_most), logits, labels).decisions for at_most in (None, 2))
    assert torch.equal(free.thresholds, bound.thresholds)
    assert torch.equal(bound.present(logits), decide(bound.scores(logits), bound.thresholds, 2))
    assert free.present(logits).sum(dim=1).max() > 2


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_decisions_are_float32_unless_the_logits_are_more(dtype):
    logits, labels = table()
    decisions: Decisions = fit_decisions(DecisionRule(), logits.to(dtype), labels).decisions
    expected = torch.float64 if dtype == torch.float64 else torch.float32
    assert {decisions.thresholds.dtype, decisions.slope.dtype, decisions.offset.dtype} == {expected}
    assert decisions.scores(logits.to(dtype)).dtype == expected


def test_the_order_of_the_samples_changes_no_decision():
    logits, labels = table()
    order = torch.randperm(len(logits), generator=torch.Generator().manual_seed(1))
    for rule in RULES:
        one, other = (fit_decisions(rule, logits[rows], labels[rows]) for rows in (slice(None), order))
        assert torch.equal(one.decisions.present(logits), other.decisions.present(logits))


def test_the_threshold_of_calibrated_scores_is_half_of_the_best_f1():
    # Lipton et al. 2014, theorem 1, up to sampling error. Only Platt scaling makes these scores calibrated.
    generator = torch.Generator().manual_seed(0)
    true_logits = torch.randn(200_000, 2, generator=generator) * 1.5 - torch.tensor([1.0, 3.0])
    labels = (torch.rand(200_000, 2, generator=generator) < true_logits.sigmoid()).to(torch.int8)
    logits = 3 * true_logits + 4
    decisions = fit_decisions(DecisionRule(calibration="platt"), logits, labels).decisions
    present = decisions.present(logits)
    best = 2 * (present & (labels == 1)).sum(dim=0) / (present.sum(dim=0) + labels.sum(dim=0))
    torch.testing.assert_close(decisions.thresholds, best / 2, atol=0.02, rtol=0)
    wrong = fit_decisions(PLAIN, logits, labels).decisions.thresholds
    assert (wrong - best / 2).abs().min() > 0.1
