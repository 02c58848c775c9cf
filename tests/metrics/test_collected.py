import copy
import pickle

import pytest
import torch

from mlic.errors import UsageError
from mlic.metrics import MultiLabelMetrics, headline

KEYS = ["mAP", "f1_micro", "f1_macro", "hamming", "hamming_all_negative"]


def collect(logits, labels, index, batch_size, **arguments):
    collected = MultiLabelMetrics(logits.shape[1], **arguments)
    for rows in torch.arange(len(index)).split(batch_size):
        collected.update(logits[rows], labels[rows], index[rows])
    return collected


def same(found, expected):
    assert list(found) == list(expected) == KEYS
    for name in KEYS:
        assert torch.equal(found[name].nan_to_num(-1), expected[name].nan_to_num(-1)), name


def test_compute_is_headline_of_all_rows(table):
    logits, labels = table()
    thresholds = torch.linspace(0.1, 0.9, 6)
    collected = collect(logits, labels, torch.arange(50), 50, thresholds=thresholds)
    same(collected.compute(), headline(logits, labels, thresholds))


def test_batch_size_order_and_padding_change_nothing(table):
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
def test_half_logits_are_kept_as_float32(table, dtype):
    logits, labels = table()
    _, kept, _ = collect(logits.to(dtype), labels, torch.arange(50), 8).rows()
    assert torch.equal(kept, logits.to(dtype).float())


def test_rows_are_copies_of_the_batch(table):
    logits, labels = table()
    index = torch.arange(50)
    collected = collect(logits, labels, index, 50)
    expected = [rows.clone() for rows in collected.rows()]
    for batch in (logits, labels, index):
        batch.zero_()
    for found, wanted in zip(collected.rows(), expected, strict=True):
        assert torch.equal(found, wanted)


def test_thresholds_set_after_compute_are_used(table):
    logits, labels = table()
    collected = collect(logits, labels, torch.arange(50), 50)
    collected.compute()
    collected.thresholds = torch.full((6,), 1.1)
    assert collected.compute()["hamming"] == collected.compute()["hamming_all_negative"]


@pytest.mark.filterwarnings("ignore:The ``compute`` method:UserWarning")
def test_without_a_batch_everything_is_undefined_and_later_batches_count(table):
    logits, labels = table()
    collected = MultiLabelMetrics(6)
    assert collected.rows()[1].shape == (0, 6)
    assert all(value.isnan() for value in collected.compute().values())
    collected.update(logits, labels, torch.arange(50))
    same(collected.compute(), headline(logits, labels, torch.full((6,), 0.5)))


def test_reset_forgets_all_rows(table):
    logits, labels = table()
    collected = collect(logits, labels, torch.arange(50), 50)
    collected.reset()
    collected.update(logits[:9], labels[:9], torch.arange(9))
    assert collected.rows()[0].tolist() == list(range(9))


def test_forward_gives_the_batch_and_keeps_the_whole(table):
    logits, labels = table()
    collected = MultiLabelMetrics(6)
    half = torch.full((6,), 0.5)
    same(collected(logits[:20], labels[:20], torch.arange(20)), headline(logits[:20], labels[:20], half))
    same(collected(logits[20:], labels[20:], torch.arange(20, 50)), headline(logits[20:], labels[20:], half))
    same(collected.compute(), headline(logits, labels, half))


def test_it_can_be_copied_and_pickled_and_holds_no_weights(table):
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


def test_two_processes_and_an_odd_number_of_samples_give_the_same_as_one(table, in_processes, batches_of):
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
    for answers in in_processes(WORKER, cases):
        for (computed, rows, again, _), wanted, length in zip(answers, expected, lengths, strict=True):
            same(computed, wanted)
            same(again, wanted)
            assert torch.equal(rows[0], every[:length])
            assert torch.equal(rows[1], logits[:length])
