from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlic.thresholds import DecisionRule, fit_decisions
from mlic.thresholds.conformal import conformal_threshold

INT8 = torch.int8


def missed_shares(threshold, scores, labels):
    """The share of its known positives that each image with any misses, exactly."""
    present = labels == 1
    hits, counts = (present & (scores >= threshold)).sum(dim=1).tolist(), present.sum(dim=1).tolist()
    return [1 - Fraction(hit, count) for hit, count in zip(hits, counts, strict=True) if count]


def by_brute_force(scores, labels, alpha):
    """The highest of all scores of positives that, as a threshold, keeps to alpha; None if there is none."""
    lowest = None
    for threshold in scores[labels == 1].unique().tolist():
        shares = missed_shares(threshold, scores, labels)
        if (sum(shares) + 1) / Fraction(len(shares) + 1) <= alpha:
            lowest = threshold
    return lowest


@settings(max_examples=300)
@given(st.data())
def test_no_higher_threshold_keeps_to_alpha_on_any_small_table(data):
    samples, classes = data.draw(st.integers(0, 12)), data.draw(st.integers(1, 4))
    cells = samples * classes
    grid = st.integers(0, 12).map(lambda number: number / 12)
    scores = torch.tensor(data.draw(st.lists(grid, min_size=cells, max_size=cells))).float().reshape(samples, classes)
    labels = torch.tensor(data.draw(st.lists(st.integers(-1, 1), min_size=cells, max_size=cells)), dtype=INT8)
    labels = labels.reshape(samples, classes)
    alpha = data.draw(st.sampled_from([Fraction(text) for text in ("1/10", "1/4", "1/3", "1/2", "9/10")]))
    found, expected = conformal_threshold(scores, labels, float(alpha)), by_brute_force(scores, labels, alpha)
    if expected is None:
        assert found is None
    else:
        assert torch.equal((scores >= found)[labels >= 0], (scores >= expected)[labels >= 0])


def test_the_higher_alpha_the_higher_the_threshold():
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(200, 5, generator=generator)
    labels = (torch.rand(200, 5, generator=generator) < scores).to(INT8)
    found = [conformal_threshold(scores, labels, alpha).item() for alpha in (0.01, 0.05, 0.1, 0.3, 0.9)]
    assert found == sorted(found)
    assert found[0] < found[-1]


def test_images_without_a_known_positive_take_no_part():
    scores, labels = torch.rand(30, 3, generator=torch.Generator().manual_seed(0)), torch.ones(30, 3, dtype=INT8)
    expected = missed_shares(conformal_threshold(scores, labels, 0.2), scores, labels)
    more = torch.cat([labels, torch.tensor([[0, -1, 0]] * 40, dtype=INT8)])
    found = conformal_threshold(torch.cat([scores, torch.rand(40, 3)]), more, 0.2)
    assert missed_shares(found, scores, labels) == expected


@pytest.mark.parametrize(("images", "enough"), [(8, False), (9, True)])
def test_too_few_images_for_alpha_give_a_threshold_of_0_and_are_told(images, enough):
    logits = torch.randn(images, 2, generator=torch.Generator().manual_seed(0))
    fitted = fit_decisions(DecisionRule(objective="fnr", target=0.1), logits, torch.ones(images, 2, dtype=INT8))
    assert fitted.unreached.tolist() == [not enough] * 2
    assert fitted.shared.all()
    assert fitted.decisions.present(logits).all()
    assert (fitted.decisions.thresholds == 0).all() == (not enough)


@pytest.mark.parametrize("calibration", ["none", "temperature"])
def test_new_images_miss_on_average_at_most_alpha_and_not_much_less(calibration):
    # Scores are unlike the chances, as of a bad model; half of the images have no class, and some labels are unknown.
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2000, 10, generator=generator)
    labels = (torch.rand(2000, 10, generator=generator) < torch.sigmoid(2 * logits - 2)).to(INT8)
    labels[::2] = labels[::2] * 0
    labels = labels.masked_fill(torch.rand(2000, 10, generator=generator) < 0.1, -1)
    rule, missed = DecisionRule(objective="fnr", target=0.1, calibration=calibration), []
    for _ in range(200):
        order = torch.randperm(2000, generator=generator)
        fitting, new = order[:200], order[200:]
        threshold = fit_decisions(rule, logits[fitting], labels[fitting]).decisions
        hits = (threshold.present(logits[new]) & (labels[new] == 1)).sum(dim=1)
        counts = (labels[new] == 1).sum(dim=1)
        missed.append(1 - (hits[counts > 0] / counts[counts > 0]).mean().item())
    # Over all splits of a table the promise is exact, so that only their number is to blame: four standard errors. It
    # is tight up to some 2 / n, for the 80 images with a class or more that are fitted on.
    mean, slack = torch.tensor(missed).mean().item(), 4 * torch.tensor(missed).std().item() / 200**0.5
    assert slack < 0.01
    assert 0.1 - 2 / 80 - slack < mean <= 0.1 + slack
