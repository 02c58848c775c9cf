import copy
import math
import pickle

import numpy as np
import pytest
import torch

from mlic import metrics as m
from mlic.errors import MlicError, UsageError
from mlic.metrics import BinnedMetrics
from mlic.metrics.histograms import (
    average_precision_bounds,
    bin_edges,
    binned_auroc,
    binned_average_precision,
    binned_counts,
)


def collect(logits, labels, index=None, batch_size=7, **arguments):
    index = torch.arange(len(logits)) if index is None else index
    samples = arguments.pop("num_samples", len(logits))
    collected = BinnedMetrics(logits.shape[1], samples, **arguments)
    for rows in torch.arange(len(index)).split(batch_size):
        collected.update(logits[rows], labels[rows], index[rows])
    return collected


def snapped(logits, edges):
    """Logits that are equal where their bins are."""
    return torch.bucketize(logits, edges, right=True).float()


def same(found, expected):
    assert list(found) == list(expected)
    for name in found:
        assert torch.equal(found[name].nan_to_num(-1), expected[name].nan_to_num(-1)), name


@pytest.mark.parametrize(("samples", "classes"), [(200, 6), (1, 6), (40, 1)])
@pytest.mark.parametrize("bins", [2, 16, 2048])
def test_figures_are_exact_figures_of_logits_that_are_equal_within_a_bin(table, close, samples, classes, bins):
    logits, labels = table(samples, classes)
    logits = logits * 4
    cells, equal = collect(logits, labels, bins=bins).cells(), snapped(logits, bin_edges(bins))
    close(binned_average_precision(cells), m.average_precision(equal, labels))
    close(binned_auroc(cells)[0], m.auroc(equal, labels))
    assert cells.sum() == (labels >= 0).sum()


@pytest.mark.parametrize("bins", [2, 8, 64, 2048])
@pytest.mark.parametrize("levels", [None, 3])
def test_exact_figures_lie_within_the_bounds(table, bins, levels):
    for seed in range(5):
        logits, labels = table(60, 9, seed, levels)
        cells = collect(logits, labels, bins=bins).cells()
        exact, (low, high) = m.average_precision(logits, labels), average_precision_bounds(cells)
        defined = ~exact.isnan()
        assert torch.equal(low.isnan(), ~defined)
        assert torch.equal(high.isnan(), ~defined)
        assert (low[defined] <= exact[defined] + 1e-12).all()
        assert (high[defined] >= exact[defined] - 1e-12).all()
        assert (high[defined] <= 1 + 1e-12).all()
        area, error = binned_auroc(cells)
        apart = (area - m.auroc(logits, labels)).abs()
        assert (apart <= error + 1e-12)[~apart.isnan()].all()


def test_with_2048_bins_figures_of_20000_samples_are_within_a_thousandth_and_say_so(table):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(20_000, 8, generator=generator) * 1.5 + torch.linspace(-6, 0, 8)
    labels = (torch.rand(20_000, 8, generator=generator) < logits.sigmoid()).to(torch.int8)
    found = collect(logits, labels, batch_size=4096).compute()
    assert abs(found["mAP_binned"] - m.mean_average_precision(logits, labels)) < 1e-3
    assert found["mAP_binned_high"] - found["mAP_binned_low"] < 0.02
    assert abs(found["auroc_macro_binned"] - m.auroc(logits, labels).mean()) <= found["auroc_macro_binned_error"] < 1e-3
    assert all("binned" in name for name in found)


def test_counts_are_exact_where_the_threshold_is_an_edge(table):
    logits, labels = table(80, 6)
    logits[:5] = 0.0
    collected = collect(logits, labels)
    for threshold, cut in ((0.5, 0.0), (0.0, -math.inf), (1.1, math.inf)):
        found = binned_counts(collected.cells(), collected.edges, torch.full((6,), threshold))
        for counts, wanted in zip(found, m.count_cells(logits >= cut, labels), strict=True):
            assert torch.equal(counts, wanted)


def test_a_threshold_between_edges_is_lowered_to_the_edge():
    collected = collect(torch.tensor([[-9.0], [1.0], [2.0]]), torch.ones(3, 1, dtype=torch.int8), bins=4)
    counts = binned_counts(collected.cells(), collected.edges, torch.tensor([0.8]))
    assert counts.true_positives.item() == 2


def test_batch_size_order_and_repeats_change_nothing(table):
    logits, labels = table(50, 6)
    expected = collect(logits, labels, batch_size=50).compute()
    generator = torch.Generator().manual_seed(1)
    for batch_size in (1, 7, 64):
        order = torch.cat([torch.randperm(50, generator=generator), torch.tensor([4, 4, 17])])
        collected = collect(logits[order], labels[order], order, batch_size, num_samples=50)
        same(collected.compute(), expected)
        assert collected.cells().sum() == (labels >= 0).sum()


def test_memory_does_not_grow_with_what_is_added(table):
    logits, labels = table(500, 6)
    collected = collect(logits, labels)
    sizes = {name: getattr(collected, name).numel() for name in collected._defaults}
    assert sizes == {name: default.numel() for name, default in collected._defaults.items()}
    assert BinnedMetrics(1000, 1).histogram.nbytes < 33e6


def test_infinite_logits_are_in_the_outermost_bins():
    logits = torch.tensor([[math.inf], [-math.inf], [1e38], [-1e38]])
    labels = torch.tensor([[1], [0], [1], [0]], dtype=torch.int8)
    cells = collect(logits, labels, bins=4).cells()
    assert cells.tolist() == [[[2, 0, 0, 0]], [[0, 0, 0, 2]]]


def test_it_says_that_it_is_binned():
    assert "binned: 64 bins" in repr(BinnedMetrics(3, 10, bins=64))


def test_thresholds_set_after_compute_are_used(table):
    logits, labels = table()
    collected = collect(logits, labels)
    collected.compute()
    collected.thresholds = torch.full((6,), 1.1)
    assert collected.compute()["f1_micro_binned"] == 0


@pytest.mark.filterwarnings("ignore:The ``compute`` method:UserWarning")
def test_without_a_batch_everything_is_undefined_and_later_batches_count(table):
    logits, labels = table()
    collected = BinnedMetrics(6, 50)
    assert all(value.isnan() for value in collected.compute().values())
    collected.update(logits[:0], labels[:0], torch.arange(0))
    collected.update(logits, labels, torch.arange(50))
    same(collected.compute(), collect(logits, labels).compute())


def test_reset_forgets_all_and_forward_gives_the_batch_and_keeps_the_whole(table):
    logits, labels = table()
    collected = BinnedMetrics(6, 50)
    same(collected(logits[:20], labels[:20], torch.arange(20)), collect(logits[:20], labels[:20]).compute())
    same(collected(logits[20:], labels[20:], torch.arange(20, 50)), collect(logits[20:], labels[20:]).compute())
    same(collected.compute(), collect(logits, labels).compute())
    collected.reset()
    collected.update(logits[:9], labels[:9], torch.arange(9))
    same(collected.compute(), collect(logits[:9], labels[:9]).compute())


def test_it_can_be_copied_and_pickled_and_holds_no_weights(table):
    logits, labels = table()
    collected = collect(logits, labels)
    same(copy.deepcopy(collected).compute(), collected.compute())
    same(pickle.loads(pickle.dumps(collected)).compute(), collected.compute())
    assert collected.state_dict() == {}


@pytest.mark.parametrize("bins", [0, 1, 7])
def test_a_number_of_bins_that_0_does_not_divide_is_refused(bins):
    with pytest.raises(UsageError, match="expected an even number"):
        BinnedMetrics(1, 1, bins=bins)


def test_what_does_not_fit_is_refused():
    metrics = BinnedMetrics(2, 3)
    labels = torch.zeros(1, 2, dtype=torch.int8)
    with pytest.raises(UsageError, match="of 3 classes; expected 2"):
        metrics.update(torch.zeros(1, 3), torch.zeros(1, 3, dtype=torch.int8), torch.tensor([0]))
    for index in (3, -1):
        with pytest.raises(UsageError, match=f"sample index {index}; expected 0 to 2"):
            metrics.update(torch.zeros(1, 2), labels, torch.tensor([index]))
    with pytest.raises(MlicError, match="row 0 for class 1 is not a number"):
        metrics.update(torch.tensor([[0.0, torch.nan]]), labels, torch.tensor([0]))


# --- several processes

WORKER = """
import sys
import torch
from mlic.errors import UsageError
from mlic.metrics import BinnedMetrics

rank, world_size, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
meeting = f"file://{folder}/rendezvous"
torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=world_size)
answers = []
for samples, batches in torch.load(f"{folder}/cases.pt"):
    metrics = BinnedMetrics(6, samples)
    for batch in batches[rank]:
        metrics.update(*batch)
    try:
        answers.append((metrics.compute(), metrics.cells(), metrics.compute()))
    except UsageError as error:
        answers.append(str(error))
torch.save(answers, f"{folder}/answers{rank}.pt")
torch.distributed.destroy_process_group()
"""


def test_two_processes_and_an_odd_number_of_samples_give_the_same_as_one(table, in_processes, batches_of):
    logits, labels = table(51, 6)
    every = torch.arange(51)
    shuffled = torch.randperm(51, generator=torch.Generator().manual_seed(1))
    padded = [torch.cat([order, order[:1]]) for order in (every, shuffled)]  # as DistributedSampler pads
    cases = [
        *((51, [batches_of(logits, labels, order[rank::2], 8) for rank in range(2)]) for order in padded),
        (51, [batches_of(logits, labels, every[:30], 8), batches_of(logits, labels, every[30:], 5)]),
        (51, [batches_of(logits, labels, every, 8), []]),
        (1, [batches_of(logits, labels, every[:1], 8)] * 2),  # one sample for two processes
        (51, [batches_of(logits, labels, every[:30], 8), batches_of(logits, labels, every[28:], 8)]),
    ]
    whole, first = collect(logits, labels), collect(logits[:1], labels[:1])
    expected = [whole] * 4 + [first]
    for answers in in_processes(WORKER, cases, seconds=240):
        for (computed, cells, again), wanted in zip(answers, expected, strict=False):
            same(computed, wanted.compute())
            same(again, wanted.compute())
            assert torch.equal(cells, wanted.cells())
        assert "sample 28 and 0 others were given by several processes" in answers[-1]


def test_rows_and_histograms_agree_where_no_two_logits_share_a_bin(table, close):
    logits, labels = table(40, 6)
    spread = bin_edges(2048)[:: 2048 // 40][torch.argsort(torch.argsort(logits, dim=0), dim=0)]
    cells = collect(spread, labels).cells()
    close(binned_average_precision(cells), m.average_precision(spread, labels))
    assert np.nanmax(binned_auroc(cells)[1]) == 0
