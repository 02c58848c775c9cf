"""Several processes learn what one process with the whole batch would. Run as a program, this file starts them."""

import datetime
import itertools
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from mlic.backbones.base import Backbone
from mlic.classifier import MultiLabelClassifier
from mlic.datamodules.base import Batch
from mlic.labels.counts import ClassCounts
from mlic.plugins import available, load

LOSSES = {plugin.name: plugin for plugin in available("losses") if plugin.built_in}
REDUCTIONS = ("batchmean", "mean", "sum")
SAMPLES, CLASSES = 12, 5
COUNTS = ClassCounts(positives=[3, 60, 10, 25, 1], negatives=[97, 40, 90, 75, 99], samples=100)
EPOCH = 5  # late enough for losses that correct labels
GROUPS = (2, 3)
SECONDS = 60  # until a process that waits in vain for another gives up


class Table(NamedTuple):
    """Samples, and which process has how many of them: the first ones are the first process's."""

    features: torch.Tensor
    labels: torch.Tensor
    lengths: tuple[int, ...]

    def of(self, rank):
        """The samples of one process; those of all for None."""
        start = sum(self.lengths[:rank])
        mine = slice(None) if rank is None else slice(start, start + self.lengths[rank])
        return self.features[mine], self.labels[mine], torch.arange(SAMPLES)[mine]


def tables(processes):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(SAMPLES, 3, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 2, (SAMPLES, CLASSES), generator=generator, dtype=torch.int8)
    few = torch.rand(SAMPLES, CLASSES, generator=generator) < 0.5
    third = SAMPLES // 3
    even = (6, 6) if processes == 2 else (4, 4, 4)
    known = {
        "unknown cells on the first process": few & (torch.arange(SAMPLES) < third)[:, None],
        "a process without a known cell": (torch.arange(SAMPLES) >= SAMPLES - even[-1])[:, None],
        "one known cell": torch.arange(SAMPLES * CLASSES).reshape(SAMPLES, CLASSES) != 7,
        "no known cell": torch.tensor(True),
    }
    found = {name: Table(features, labels.masked_fill(unknown, -1), even) for name, unknown in known.items()}
    found["uneven numbers of samples"] = Table(features, labels, (11, 1) if processes == 2 else (2, 9, 1))
    half = labels.masked_fill(few, -1)
    half[:third] = torch.where(torch.arange(CLASSES) == 0, half[:third], -1)
    found["uneven numbers of samples and known cells"] = Table(features, half, (third, 8, 0)[:processes])
    found["a process without samples"] = Table(features, half, (12, 0) if processes == 2 else (0, 12, 0))
    return found


class Cells(Backbone):
    """Gives the pixels back."""

    def __init__(self) -> None:
        super().__init__()
        self.num_features, self.image_size = 3, 2
        self.mean, self.std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

    def forward(self, images):
        return images


class Step(nn.Module):
    """What DDP wraps: a training step of a classifier."""

    def __init__(self, classifier):
        super().__init__()
        self.classifier = classifier

    def forward(self, batch):
        return self.classifier.training_step(batch, 0)


def gradient_of(model, loss):
    model.zero_grad()
    loss.backward()
    return loss.detach(), {name.split("module.")[-1]: p.grad.clone() for name, p in model.named_parameters()}


def learnt(name, processes, rank, wrap):
    """Returns value and gradient of each case of one loss, as one process has them."""
    torch.manual_seed(0)
    kind = load(LOSSES[name])
    model = wrap(nn.Linear(3, CLASSES).double())
    found = {}
    for layout, table in tables(processes).items():
        features, labels, index = table.of(rank)
        for reduction in REDUCTIONS:
            loss = kind(reduction=reduction).train()
            loss.adapt(COUNTS)
            loss.epoch, loss.index = EPOCH, index
            found[layout, reduction] = gradient_of(model, loss(model(features), labels))
    return found


def stepped(name, processes, rank, wrap):
    """Returns value and gradient of a training step for which one of several processes has no sample."""
    torch.manual_seed(0)
    classifier = MultiLabelClassifier(list("abcde"), backbone=Cells, loss=load(LOSSES[name])).train()
    classifier.loss.adapt(COUNTS)
    model = wrap(Step(classifier))
    images = torch.randint(0, 256, (SAMPLES, 3, 2, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    _, labels, index = tables(processes)["a process without samples"].of(rank)
    return {"step": gradient_of(model, model(Batch(images[index], labels, index)))}


def remembered(name, processes, rank, wrap):
    """Returns value and gradient in an epoch that finds samples on other processes than they were corrected on."""
    torch.manual_seed(0)
    model = wrap(nn.Linear(3, CLASSES).double())
    found = {}
    for layout, table in tables(processes).items():
        loss = load(LOSSES[name])("correct_permanently", 0.1).train()
        for loss.epoch in (1, 2):
            order = torch.arange(SAMPLES).roll(5 * loss.epoch)
            mine = Table(table.features[order], table.labels[order], table.lengths).of(rank)
            loss.index = order[mine[2]]
            found[layout, loss.epoch] = gradient_of(model, loss(model(mine[0]), mine[1]))
    return found


def work(rank, processes, folder):
    """What one of several processes does."""
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/rendezvous",
        rank=rank,
        world_size=processes,
        timeout=datetime.timedelta(seconds=SECONDS),
    )
    answers = {}
    for name, task in [*itertools.product(LOSSES, (learnt, stepped)), ("large_loss", remembered)]:
        try:
            answers[name, task.__name__] = task(name, processes, rank, DistributedDataParallel)
        except Exception as error:  # reported by the test of this loss
            answers[name, task.__name__] = f"{type(error).__name__}: {error}"
    torch.save(answers, folder / f"answers{rank}.pt")
    distributed.destroy_process_group()


def start(folder):
    """Runs a group of processes for each of `GROUPS`. They are forked, so that what takes long is imported once."""
    processes = []
    for size in GROUPS:
        (folder / str(size)).mkdir()
        processes += [
            multiprocessing.get_context("fork").Process(target=work, args=(rank, size, folder / str(size)))
            for rank in range(size)
        ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return max(abs(process.exitcode) for process in processes)


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What the processes of each group found: number of processes -> one dict for each."""
    folder = tmp_path_factory.mktemp("processes")
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    ran = subprocess.run(
        [sys.executable, __file__, folder], env=environment, capture_output=True, text=True, timeout=4 * SECONDS
    )
    assert ran.returncode == 0, ran.stderr
    return {size: [torch.load(folder / f"{size}/answers{rank}.pt") for rank in range(size)] for size in GROUPS}


def same(answers, task, name, tolerance):
    """Checks one loss: the averages over the processes are what a single process has for the whole batch."""
    for processes, found in answers.items():
        alone = task(name, processes, None, wrap=lambda model: model)
        for answer in found:
            assert not isinstance(answer[name, task.__name__], str), answer[name, task.__name__]
        for case, (value, gradients) in alone.items():
            each = [answer[name, task.__name__][case] for answer in found]
            where = f"{processes} processes, {case}: "
            close = {"rtol": tolerance, "atol": tolerance, "msg": lambda text, where=where: where + text}
            torch.testing.assert_close(torch.stack([one for one, _ in each]).mean(), value, **close)
            for one, averaged in each:
                assert one.isfinite()
                torch.testing.assert_close(averaged, gradients, **close)


@pytest.mark.parametrize("name", LOSSES)
def test_the_average_over_processes_is_what_one_process_has_for_the_whole_batch(answers, name):
    same(answers, learnt, name, 1e-10)


@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
@pytest.mark.parametrize("name", LOSSES)
def test_a_process_without_samples_neither_keeps_the_others_waiting_nor_changes_the_step(answers, name):
    same(answers, stepped, name, 1e-5)


def test_a_label_that_one_process_corrects_for_good_is_corrected_on_all(answers):
    same(answers, remembered, "large_loss", 1e-10)


def test_the_cases_have_a_gradient_to_differ_in():
    for table in ("unknown cells on the first process", "uneven numbers of samples and known cells"):
        alone = learnt("bce", 2, None, wrap=lambda model: model)[table, "batchmean"]
        assert all(gradient.abs().max() > 0.01 for gradient in alone[1].values())


if __name__ == "__main__":
    sys.exit(start(Path(sys.argv[1])))
