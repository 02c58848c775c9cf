import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlic import ranks
from mlic.errors import MlicError
from mlic.thresholds import decide, fit_thresholds


def f1(chosen, labels):
    """F1 over known cells; 0 where nothing is present and nothing chosen."""
    hits = (chosen & (labels == 1)).sum().item()
    total = (chosen & (labels >= 0)).sum().item() + (labels == 1).sum().item()
    return 2 * hits / total if total else 0.0


def best_by_brute_force(scores, labels):
    """The best F1 over all cuts, and the smallest set of known cells that a best cut chooses."""
    cuts = sorted(set(scores[labels >= 0].tolist()), reverse=True)
    best = max((f1(scores >= cut, labels) for cut in cuts), default=0.0)
    for cut in cuts:
        if f1(scores >= cut, labels) == best:
            return best, (scores >= cut) & (labels >= 0)
    return best, torch.zeros_like(labels, dtype=torch.bool)


def column(values, dtype=torch.float32):
    return torch.tensor(values, dtype=dtype).unsqueeze(1)


def table(samples, classes, seed, levels=None):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(samples, classes, generator=generator)
    if levels:
        scores = (scores * levels).round() / levels
    return scores, torch.randint(-1, 2, (samples, classes), generator=generator).to(torch.int8)


def check(scores, labels, min_support):
    found = fit_thresholds(scores, labels, min_support=min_support)
    chosen = decide(scores, found) & (labels >= 0)
    shared, _ = best_by_brute_force(scores.flatten(), labels.flatten())
    fallback = (labels == 1).sum(dim=0) < max(1, min_support)
    for k in range(labels.shape[1]):
        if not fallback[k]:
            best, smallest = best_by_brute_force(scores[:, k], labels[:, k])
            assert f1(chosen[:, k], labels[:, k]) == best
            assert torch.equal(chosen[:, k], smallest)
    if fallback.any() and (labels == 1).any():
        cut = found[fallback]
        assert (cut == cut[0]).all()
        assert f1(scores >= cut[0], labels) == shared
    return found


@pytest.mark.parametrize("levels", [None, 2, 8])
@pytest.mark.parametrize(("samples", "classes"), [(30, 5), (1, 4), (25, 1), (2, 3)])
def test_no_cut_is_better_and_no_equally_good_one_chooses_less(samples, classes, levels):
    for seed in range(5):
        for min_support in (0, 1, 9):
            check(*table(samples, classes, seed, levels), min_support)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_no_cut_is_better_on_any_small_table(data):
    samples, classes = data.draw(st.integers(1, 7)), data.draw(st.integers(1, 3))
    cells = samples * classes
    score = st.sampled_from([0.0, 1e-45, 0.25, 0.5, 0.5 + 2**-24, 0.5 + 2**-23, 1 - 2**-24, 1.0])
    scores = torch.tensor(data.draw(st.lists(score, min_size=cells, max_size=cells))).reshape(samples, classes)
    labels = torch.tensor(data.draw(st.lists(st.integers(-1, 1), min_size=cells, max_size=cells)), dtype=torch.int8)
    check(scores, labels.reshape(samples, classes), data.draw(st.integers(0, 3)))


def test_the_threshold_lies_halfway_to_the_next_lower_score():
    found = fit_thresholds(column([0.9, 0.8, 0.4, 0.1]), column([1, 1, 0, 0], torch.int8), min_support=1)
    assert found.item() == pytest.approx(0.6)


def test_between_neighbouring_floats_the_threshold_is_the_upper_one():
    low = torch.tensor(0.7)
    high = torch.nextafter(low, torch.tensor(1.0))
    scores = torch.stack([high, low]).unsqueeze(1)
    found = fit_thresholds(scores, column([1, 0], torch.int8), min_support=1)
    assert decide(scores, found).flatten().tolist() == [True, False]


def test_where_all_known_are_present_the_threshold_is_half_of_the_lowest_score():
    assert fit_thresholds(column([0.9, 0.3]), column([1, 1], torch.int8), min_support=1).item() == pytest.approx(0.15)


@pytest.mark.parametrize("score", [0.0, 1e-45])
def test_where_no_number_lies_below_the_lowest_score_it_is_the_threshold(score):
    scores = column([score, 0.5])
    found = fit_thresholds(scores, column([1, 1], torch.int8), min_support=1)
    assert found.item() == scores[0].item()


def steps(score, count):
    """The float that many floats above `score`, or below it."""
    towards = torch.tensor(2.0 if count > 0 else -1.0)
    for _ in range(abs(count)):
        score = torch.nextafter(score, towards)
    return score


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_noise_of_the_last_bit_changes_no_decision(data):
    score = torch.tensor(data.draw(st.sampled_from([1e-38, 0.1, 0.25 - 2**-25, 0.5 - 2**-24, 0.7])))
    scores = [score]
    for gap in data.draw(st.lists(st.integers(3, 9), max_size=6)):
        scores.append(steps(scores[-1], gap))
    noise = data.draw(st.lists(st.integers(-1, 1), min_size=len(scores), max_size=len(scores)))
    labels = data.draw(st.lists(st.integers(0, 1), min_size=len(scores), max_size=len(scores)))
    found = fit_thresholds(torch.stack(scores).unsqueeze(1), column(labels, torch.int8), min_support=1)
    if any(labels):
        noisy = torch.stack([steps(score, count) for score, count in zip(scores, noise, strict=True)])
        assert torch.equal(noisy >= found, torch.stack(scores) >= found)


def test_noise_of_the_last_bit_changes_no_decision_on_a_whole_table():
    scores, labels = table(200, 20, seed=5)
    found = fit_thresholds(scores, labels, min_support=1)
    expected = decide(scores, found)
    for towards in (-1.0, 2.0):
        assert torch.equal(decide(scores.nextafter(torch.tensor(towards)), found), expected)


def test_scores_of_unknown_cells_have_no_influence():
    scores, labels = table(40, 5, seed=0)
    other = torch.where(labels == -1, torch.nan, scores)
    for min_support in (1, 14):
        assert torch.equal(
            fit_thresholds(other, labels, min_support=min_support),
            fit_thresholds(scores, labels, min_support=min_support),
        )


def test_a_class_with_few_positives_gets_the_threshold_of_all_cells():
    scores = torch.tensor([[0.9, 0.2], [0.8, 0.1], [0.3, 0.05]])
    labels = torch.tensor([[1, 1], [1, 0], [0, 0]], dtype=torch.int8)
    own = fit_thresholds(scores, labels, min_support=1)
    assert own.tolist() == pytest.approx([0.55, 0.15])
    mixed = fit_thresholds(scores, labels, min_support=2)
    assert mixed[0] == own[0]
    # Micro F1 is 2 * 2 / (2 + 3) = 0.8 down to 0.8 and 2 * 3 / (4 + 3) = 0.86 down to 0.2.
    assert mixed[1].item() == pytest.approx(0.15)


def test_classes_without_positives_follow_the_others():
    scores = torch.tensor([[0.9, 0.6, 0.5], [0.2, 0.1, 0.4]])
    labels = torch.tensor([[1, 0, -1], [0, 0, -1]], dtype=torch.int8)
    found = fit_thresholds(scores, labels, min_support=1)
    assert found.tolist() == pytest.approx([0.55, 0.75, 0.75])


@pytest.mark.parametrize("label", [0, -1])
@pytest.mark.parametrize("shape", [(3, 2), (0, 2), (1, 1)])
def test_without_a_known_positive_every_threshold_is_one_half(label, shape):
    found = fit_thresholds(torch.rand(shape), torch.full(shape, label, dtype=torch.int8))
    assert found.tolist() == [0.5] * shape[1]


def test_no_classes_give_no_thresholds():
    assert fit_thresholds(torch.zeros(3, 0), torch.zeros(3, 0, dtype=torch.int8)).shape == (0,)


def test_order_of_samples_and_blocks_of_classes_change_no_bit(monkeypatch):
    scores, labels = table(60, 7, seed=3, levels=16)
    expected = fit_thresholds(scores, labels)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    assert torch.equal(fit_thresholds(scores[order], labels[order]), expected)
    for cells in (1, 130):
        monkeypatch.setattr(ranks, "_BLOCK_CELLS", cells)
        assert torch.equal(fit_thresholds(scores, labels), expected)


def test_by_default_ten_positives_are_needed():
    scores = torch.linspace(0, 1, 40).unsqueeze(1).repeat(1, 2)
    labels = torch.zeros(40, 2, dtype=torch.int8)
    labels[:9, 0] = 1
    labels[30:, 1] = 1
    found = fit_thresholds(scores, labels)
    assert found[0] == found[1]
    labels[9, 0] = 1
    assert fit_thresholds(scores, labels)[0] != found[0]


def test_thresholds_have_the_type_of_the_scores():
    scores, labels = table(40, 3, seed=0)
    assert fit_thresholds(scores, labels).dtype == torch.float32
    assert fit_thresholds(scores.double(), labels).dtype == torch.float64


def test_a_score_that_is_not_a_number_is_refused():
    with pytest.raises(MlicError, match="not a number"):
        fit_thresholds(column([float("nan")]), column([1], torch.int8))


def test_on_calibrated_scores_the_threshold_is_half_of_the_best_f1():
    # Lipton et al. 2014, theorem 1, up to sampling error.
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(200_000, 1, generator=generator) ** 2
    labels = (torch.rand(200_000, 1, generator=generator) < scores).to(torch.int8)
    found = fit_thresholds(scores, labels)
    assert found.item() == pytest.approx(f1(decide(scores, found), labels) / 2, abs=0.02)
