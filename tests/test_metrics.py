import copy
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, hamming_loss, precision_score, recall_score

from mlic import ranks
from mlic.errors import MlicError, UsageError
from mlic.metrics import (
    MultiLabelMetrics,
    average_precision,
    count_cells,
    f1,
    f1_macro,
    f1_micro,
    hamming,
    hamming_all_negative,
    headline,
    mean_average_precision,
    mean_of_defined,
    per_class,
)

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "../shared/golden/metrics.json"
KEYS = ["mAP", "f1_micro", "f1_macro", "hamming", "hamming_all_negative"]


def table(samples=50, classes=6, seed=0, levels=None):
    """Random logits, with ties if `levels` is given; the last columns are all absent, all unknown and all present."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(samples, classes, generator=generator)
    if levels:
        logits = (logits * levels).round() / levels
    labels = torch.randint(-1, 2, (samples, classes), generator=generator).to(torch.int8)
    for offset, value in enumerate((0, -1, 1)):
        if offset < classes - 1:
            labels[:, classes - 1 - offset] = value
    return logits, labels


def by_scikit_learn(scores, labels):
    """One class at a time on its known cells; NaN without a known positive."""
    found = []
    for column in range(labels.shape[1]):
        known = labels[:, column] >= 0
        truth = labels[known, column].numpy()
        found.append(average_precision_score(truth, scores[known, column].numpy()) if truth.any() else np.nan)
    return torch.tensor(found, dtype=torch.float64)


def close(found, expected):
    expected = torch.as_tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12, equal_nan=True)


# --- average precision


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("samples", "classes", "levels"), [(50, 6, None), (200, 9, 2), (1, 6, None), (40, 1, 1), (7, 5, 1)]
)
def test_average_precision_is_that_of_scikit_learn_on_known_cells(samples, classes, levels, dtype):
    for seed in range(5):
        logits, labels = table(samples, classes, seed, levels)
        scores = logits.to(dtype)
        close(average_precision(scores, labels), by_scikit_learn(scores, labels))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_average_precision_is_that_of_scikit_learn_on_any_small_table(data):
    samples, classes = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 4))
    cells = samples * classes
    score = st.sampled_from([-1e38, -1.0, -1e-45, -0.0, 0.0, 1e-45, 0.25, 1.0, 1e38])
    scores = torch.tensor(data.draw(st.lists(score, min_size=cells, max_size=cells))).reshape(samples, classes)
    labels = torch.tensor(data.draw(st.lists(st.integers(-1, 1), min_size=cells, max_size=cells)), dtype=torch.int8)
    labels = labels.reshape(samples, classes)
    close(average_precision(scores, labels), by_scikit_learn(scores, labels))


def test_infinite_scores_rank_first_and_last():
    scores = torch.tensor([[float("inf")], [0.0], [-float("inf")], [-float("inf")]])
    labels = torch.tensor([[0], [1], [1], [-1]], dtype=torch.int8)
    close(average_precision(scores, labels), [(1 / 2 + 2 / 3) / 2])


def test_equal_scores_are_one_step_whatever_their_order():
    for order in ([0, 1, 2, 3], [3, 1, 0, 2], [2, 3, 1, 0]):
        labels = torch.tensor([[1], [0], [0], [1]], dtype=torch.int8)[order]
        assert average_precision(torch.zeros(4, 1), labels).item() == 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_permuting_samples_changes_no_bit(dtype):
    logits, labels = table(300, 7, levels=4)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(1))
    logits = logits.to(dtype)
    found = average_precision(logits[order], labels[order])
    assert torch.equal(found.nan_to_num(-1), average_precision(logits, labels).nan_to_num(-1))


def test_blocks_of_classes_change_no_bit(monkeypatch):
    logits, labels = table(30, 11, levels=4)
    whole = average_precision(logits, labels)
    for cells in (1, 30, 70, 1000):
        monkeypatch.setattr(ranks, "_BLOCK_CELLS", cells)
        assert torch.equal(average_precision(logits, labels).nan_to_num(-1), whole.nan_to_num(-1))


def test_scores_of_unknown_cells_change_no_bit():
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


# --- decisions


def test_precision_recall_and_f1_are_those_of_scikit_learn_on_known_cells():
    logits, labels = table(60, 6)
    scores, thresholds = logits.sigmoid(), torch.linspace(0.2, 0.7, 6)
    found = per_class(logits, labels, thresholds)
    for column in range(6):
        known = labels[:, column] >= 0
        truth = (labels[known, column] == 1).numpy()
        predicted = (scores[known, column] >= thresholds[column]).numpy()
        for name, function in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score)):
            expected = function(truth, predicted, zero_division=np.nan) if known.any() else np.nan
            close(found[name][column], expected)
        assert found["support"][column] == truth.sum()
        assert found["negatives"][column] == (~truth).sum()
    close(found["AP"], by_scikit_learn(logits, labels))
    assert torch.equal(found["threshold"], thresholds)


def test_micro_f1_and_hamming_are_those_of_scikit_learn_on_known_cells():
    logits, labels = table(60, 6)
    scores, thresholds, known = logits.sigmoid(), torch.full((6,), 0.4), labels >= 0
    truth, predicted = (labels == 1)[known].numpy(), (scores >= 0.4)[known].numpy()
    close(f1_micro(scores, labels, thresholds), f1_score(truth, predicted))
    close(hamming(scores, labels, thresholds), hamming_loss(truth, predicted))
    close(hamming_all_negative(labels), hamming_loss(truth, np.zeros_like(truth)))


def test_a_score_on_the_threshold_is_present():
    labels = torch.tensor([[1]], dtype=torch.int8)
    assert count_cells(torch.tensor([[0.5]]), labels, torch.tensor([0.5])).true_positives.item() == 1


def test_predicting_nothing_has_the_hamming_loss_of_all_negative():
    logits, labels = table()
    assert hamming(logits, labels, torch.full((6,), torch.inf)) == hamming_all_negative(labels)


def test_macro_f1_leaves_out_a_class_without_known_positive_even_if_it_is_predicted():
    labels = torch.tensor([[1, 0], [0, -1]], dtype=torch.int8)
    scores, thresholds = torch.tensor([[0.9, 0.9], [0.1, 0.9]]), torch.tensor([0.5, 0.5])
    assert f1(count_cells(scores, labels, thresholds)).tolist() == [1.0, 0.0]
    assert f1_macro(scores, labels, thresholds).item() == 1.0


def test_nothing_known_is_undefined_and_not_0():
    logits, labels = torch.zeros(3, 2), torch.full((3, 2), -1, dtype=torch.int8)
    assert all(value.isnan() for value in headline(logits, labels, torch.tensor([0.5, 0.5])).values())


# --- golden values


@pytest.mark.skipif(not GOLDEN.exists(), reason="no ../shared/golden/metrics.json beside the repository")
@pytest.mark.parametrize(("part", "targets"), [("full", "targets"), ("unknown", "targets_unknown")])
def test_the_golden_values_hold(part, targets):
    golden = json.loads(GOLDEN.read_text())
    scores = torch.tensor(golden["scores"], dtype=torch.float64)
    labels = torch.tensor(golden[targets], dtype=torch.int8)
    thresholds = torch.full((5,), 0.5, dtype=torch.float64)
    expected = golden[part]
    at_half = expected["thr_0.5"]
    close(average_precision(scores, labels), [np.nan if value is None else value for value in expected["ap"]])
    close(mean_average_precision(scores, labels), expected["mAP"])
    close(f1_micro(scores, labels, thresholds), at_half["OF1"])
    close(f1_macro(scores, labels, thresholds), at_half["macro_f1_valid"])
    close(hamming(scores, labels, thresholds), at_half["hamming_loss"])
    counts = count_cells(scores, labels, thresholds)
    assert counts.true_positives.tolist() == at_half["tp"]
    assert counts.false_positives.tolist() == at_half["fp"]
    assert counts.false_negatives.tolist() == at_half["fn"]
    assert sum(int(count.sum()) for count in counts) == expected["known"]
    close(f1(counts), at_half["f1_per_class"])


# --- the collecting class


def collect(logits, labels, index, batch_size, **arguments):
    collected = MultiLabelMetrics(logits.shape[1], **arguments)
    for rows in torch.arange(len(index)).split(batch_size):
        collected.update(logits[rows], labels[rows], index[rows])
    return collected


def same(found, expected):
    assert list(found) == list(expected) == KEYS
    for name in KEYS:
        assert torch.equal(found[name].nan_to_num(-1), expected[name].nan_to_num(-1)), name


def test_compute_is_headline_of_all_rows():
    logits, labels = table()
    thresholds = torch.linspace(0.1, 0.9, 6)
    collected = collect(logits, labels, torch.arange(50), 50, thresholds=thresholds)
    same(collected.compute(), headline(logits, labels, thresholds))


def test_batch_size_order_and_padding_change_nothing():
    logits, labels = table(levels=4)
    index = 10 * torch.arange(50) + 3
    expected = collect(logits, labels, index, 50).compute()
    generator = torch.Generator().manual_seed(1)
    for batch_size in (1, 7, 64):
        order = torch.cat([torch.randperm(50, generator=generator), torch.tensor([4, 4, 17])])
        collected = collect(logits[order], labels[order], index[order], batch_size)
        same(collected.compute(), expected)
        for found, given_rows in zip(collected.rows(), (index, logits, labels), strict=True):
            assert torch.equal(found, given_rows)


def test_ranking_uses_logits_where_scores_are_equal():
    logits = torch.tensor([[200.0], [100.0], [-100.0]])
    labels = torch.tensor([[1], [0], [0]], dtype=torch.int8)
    assert logits.sigmoid()[0] == logits.sigmoid()[1]
    assert collect(logits, labels, torch.arange(3), 3).compute()["mAP"] == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_logits_are_kept_as_float32(dtype):
    logits, labels = table()
    _, kept, _ = collect(logits.to(dtype), labels, torch.arange(50), 8).rows()
    assert torch.equal(kept, logits.to(dtype).float())


def test_rows_are_copies_of_the_batch():
    logits, labels = table()
    index = torch.arange(50)
    collected = collect(logits, labels, index, 50)
    expected = [rows.clone() for rows in collected.rows()]
    for batch in (logits, labels, index):
        batch.zero_()
    for found, wanted in zip(collected.rows(), expected, strict=True):
        assert torch.equal(found, wanted)


def test_thresholds_set_after_compute_are_used():
    logits, labels = table()
    collected = collect(logits, labels, torch.arange(50), 50)
    collected.compute()
    collected.thresholds = torch.full((6,), 1.1)
    assert collected.compute()["hamming"] == collected.compute()["hamming_all_negative"]


@pytest.mark.filterwarnings("ignore:The ``compute`` method:UserWarning")
def test_without_a_batch_everything_is_undefined_and_later_batches_count():
    logits, labels = table()
    collected = MultiLabelMetrics(6)
    assert collected.rows()[1].shape == (0, 6)
    assert all(value.isnan() for value in collected.compute().values())
    collected.update(logits, labels, torch.arange(50))
    same(collected.compute(), headline(logits, labels, torch.full((6,), 0.5)))


def test_reset_forgets_all_rows():
    logits, labels = table()
    collected = collect(logits, labels, torch.arange(50), 50)
    collected.reset()
    collected.update(logits[:9], labels[:9], torch.arange(9))
    assert collected.rows()[0].tolist() == list(range(9))


def test_forward_gives_the_batch_and_keeps_the_whole():
    logits, labels = table()
    collected = MultiLabelMetrics(6)
    half = torch.full((6,), 0.5)
    same(collected(logits[:20], labels[:20], torch.arange(20)), headline(logits[:20], labels[:20], half))
    same(collected(logits[20:], labels[20:], torch.arange(20, 50)), headline(logits[20:], labels[20:], half))
    same(collected.compute(), headline(logits, labels, half))


def test_it_can_be_copied_and_pickled_and_holds_no_weights():
    logits, labels = table()
    collected = collect(logits, labels, torch.arange(50), 20)
    expected = collected.compute()
    same(copy.deepcopy(collected).compute(), expected)
    same(pickle.loads(pickle.dumps(collected)).compute(), expected)
    assert collected.state_dict() == {}


def test_one_index_for_two_samples_is_refused():
    logits, labels = torch.zeros(2, 1), torch.tensor([[0], [1]], dtype=torch.int8)
    collected = collect(logits, labels, torch.tensor([7, 7]), 1)
    with pytest.raises(UsageError, match="sample index 7 have different labels"):
        collected.compute()


def test_logits_of_another_number_of_classes_are_refused():
    with pytest.raises(UsageError, match="of 2 classes; expected 3"):
        MultiLabelMetrics(3).update(torch.zeros(1, 2), torch.zeros(1, 2, dtype=torch.int8), torch.arange(1))


# --- several processes

WORKER = """
import sys
import torch
from mlic.metrics import MultiLabelMetrics

rank, world_size, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
meeting = f"file://{folder}/rendezvous"
torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=world_size)
answers = []
for classes, batches in torch.load(f"{folder}/cases.pt"):
    metrics = MultiLabelMetrics(classes)
    for batch in batches[rank]:
        metrics.update(*batch)
    answers.append((metrics.compute(), tuple(metrics.rows()), metrics.compute(), len(metrics.index)))
torch.save(answers, f"{folder}/answers{rank}.pt")
torch.distributed.destroy_process_group()
"""


def in_processes(folder, cases, world_size=2):
    """Runs every case (a number of classes, and the batches of each process); returns the answers of each process."""
    torch.save(cases, folder / "cases.pt")
    (folder / "worker.py").write_text(WORKER)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    workers = [
        subprocess.Popen(
            [sys.executable, folder / "worker.py", str(rank), str(world_size), folder],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world_size)
    ]
    try:
        for worker in workers:
            _, errors = worker.communicate(timeout=120)
            assert worker.returncode == 0, errors
    finally:
        for worker in workers:
            worker.kill()
    return [torch.load(folder / f"answers{rank}.pt") for rank in range(world_size)]


def batches_of(logits, labels, index, batch_size):
    return [(logits[rows], labels[rows], rows) for rows in index.split(batch_size)]


def test_two_processes_and_an_odd_number_of_samples_give_the_same_as_one(tmp_path):
    logits, labels = table(51, 6, levels=4)
    every = torch.arange(51)
    padded = torch.cat([every, every[:1]])  # as DistributedSampler pads
    unknown = torch.full_like(labels, -1)
    cases = [
        (6, [batches_of(logits, labels, padded[rank::2], 8) for rank in range(2)]),
        (6, [batches_of(logits, labels, every[:30], 8), batches_of(logits, labels, every[30:], 5)]),
        (6, [batches_of(logits, labels, every, 8), []]),
        (6, [[], batches_of(logits, labels, every, 51)]),
        (6, [batches_of(logits, unknown, every[rank::2], 8) for rank in range(2)]),
        (6, [[], []]),
    ]
    half = torch.full((6,), 0.5)
    expected = [headline(logits, labels, half)] * 4 + [headline(logits, unknown, half)]
    expected += [headline(logits[:0], labels[:0], half)]
    lengths = [51] * 5 + [0]
    for answers in in_processes(tmp_path, cases):
        for (computed, rows, again, _), wanted, length in zip(answers, expected, lengths, strict=True):
            same(computed, wanted)
            same(again, wanted)
            assert torch.equal(rows[0], every[:length])
            assert torch.equal(rows[1], logits[:length])
