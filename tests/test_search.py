"""A search: what there is to choose, how trials compare with `mlic fit`, and what is left when something goes wrong."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from mlic.cli import main
from mlic.errors import MlicError, UsageError
from mlic.metrics import mean_average_precision
from mlic.metrics.resamples import resampled_map
from mlic.search.heads import Epoch, HeadTraining
from mlic.search.processes import in_processes
from mlic.search.ranking import standings
from mlic.search.space import Range, Space
from mlic.search.study import Study

LINEAR = {"class_path": "mlic.heads.LinearHead", "init_args": {"dropout": 0.25, "pooling": "avg"}}
BASE = {
    "model": {
        "head": LINEAR,
        "loss": {"class_path": "mlic.losses.BCELoss", "init_args": {"pos_weight": 2.0}},
        "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.003}},
        "lr_scheduler": {"class_path": "mlic.schedules.WarmupCosine", "init_args": {"warmup": 0.1}},
        "lr_scheduler_interval": "epoch",
        "head_lr_multiplier": 1.0,
    },
    "data": {"init_args": {"batch_size": 32}},
    "trainer": {"max_epochs": 20, "gradient_clip_val": None},
}


class Scripted:
    """Chooses what it is told, else the first, and notes what it was asked."""

    def __init__(self, **told: int) -> None:
        self.told = told
        self.asked: list[str] = []

    def number(self, name: str, range_: Range) -> int | float:
        self.asked.append(name)
        return range_.high

    def option(self, name: str, labels: list[str]) -> int:
        self.asked.append(name)
        return self.told.get(name.rpartition(".")[2], 0)


def space_of(folder: Path, text: str) -> Space:
    path = folder / "space.yaml"
    path.write_text(text)
    return Space(path)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("model.los: [bce]", "did you mean 'model.loss'"),
        ("model.backbone: [resnet18]", "features are kept of one backbone"),
        ("data.image_size: [224]", "unchanged images"),
        ("model.loss: [asymetric]", "did you mean 'asymmetric'"),
        ("model.loss: []", "no choices"),
        ("{}", "no places"),
        ("model.loss: bce", "expected a list of choices"),
        ("model.loss: {low: 1, high: 2}", "found a range"),
        ("model.loss: [mlic.heads.linear.LinearHead]", "is no Loss"),
        ("model.optimizer.lr: {low: 1.0, high: 0.1}", "expected low to be below high"),
        ("model.optimizer.lr: {low: 0.0, high: 0.1, log: true}", "above 0"),
        ("model.optimizer.lr: {low: 0.1, high: 1.0, logg: true}", "did you mean 'log'"),
        ("model.optimizer.lr: {low: small, high: 1.0}", "low is 'small'"),
        ("trainer.max_epochs: [0]", "found '0'; expected a whole number"),
        ("data.batch_size: {low: 1.5, high: 3.0}", "expected a whole number"),
        ("model: [linear]", "expected alternatives"),
        ("model: [{model: [{head: linear}]}]", "cannot change 'model.model'"),
        ("model.head.dropout: [0.1]\nmodel.head.init_args.dropout: [0.2]", "there twice"),
    ],
)
def test_a_bad_space_says_what_is_wrong_with_it(tmp_path, text, complaint):
    with pytest.raises(UsageError, match=complaint):
        space_of(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("model.head.droput: [0.1]", "did you mean 'dropout'"),
        ("model.loss: [{class_path: asymmetric, init_args: {gama_neg: 3}}]", "did you mean 'gamma_neg'"),
        ("model.loss: [bce, focal]\nmodel.loss.gamma_neg: [1.0]", "BCELoss takes no 'gamma_neg'|FocalLoss"),
    ],
)
def test_an_argument_that_no_part_takes_is_told(tmp_path, text, complaint):
    with pytest.raises(UsageError, match=complaint):
        space_of(tmp_path, text).check_arguments(BASE)


def test_an_argument_concerns_the_choices_that_take_it(tmp_path):
    space = space_of(tmp_path, "model.loss: [bce, asymmetric]\nmodel.loss.gamma_neg: {low: 0.0, high: 6.0}")
    space.check_arguments(BASE)
    assert space.choose(BASE, Scripted()).said == {"model.loss": "bce"}
    chosen = space.choose(BASE, Scripted(loss=1))
    assert chosen.said == {"model.loss": "asymmetric", "model.loss.gamma_neg": 6.0}
    assert chosen.config["model"]["loss"]["init_args"] == {"gamma_neg": 6.0}


def test_the_class_of_the_configuration_keeps_its_arguments_and_another_has_its_own_defaults(tmp_path):
    space = space_of(tmp_path, "model.head: [linear, mlp]")
    assert space.choose(BASE, Scripted()).config["model"]["head"]["init_args"] == LINEAR["init_args"]
    assert space.choose(BASE, Scripted(head=1)).config["model"]["head"]["init_args"] == {}
    assert BASE["model"]["head"] == LINEAR


def test_what_a_choice_says_wins_over_the_line_of_the_argument(tmp_path):
    text = "model.head: [{class_path: mlp, init_args: {dropout: 0.4, hidden: [8, 16]}}, mlp]\nmodel.head.dropout: [0.1]"
    space = space_of(tmp_path, text)
    assert space.choose(BASE, Scripted(hidden=1)).config["model"]["head"]["init_args"] == {"dropout": 0.4, "hidden": 16}
    assert space.choose(BASE, Scripted(head=1)).config["model"]["head"]["init_args"] == {"dropout": 0.1}


def test_of_alternatives_only_the_chosen_one_is_asked_for(tmp_path):
    text = """
model:
  - {head: linear, loss: bce, optimizer: exact}
  - head: [linear, mlp]
    optimizer.lr: {low: 0.1, high: 1.0}
data.batch_size: [64]
trainer.gradient_clip_val: [1.0]
"""
    space = space_of(tmp_path, text)
    exact, other = Scripted(), Scripted(model=1)
    config = space.choose(BASE, exact).config
    assert exact.asked == ["model"]
    assert config["model"]["optimizer"]["class_path"] == "mlic.exact.Exact"
    # It has no steps, so nothing that is about steps is there.
    assert config["model"]["lr_scheduler"] is config["trainer"]["gradient_clip_val"] is None
    assert config["data"]["init_args"]["batch_size"] == 32
    config = space.choose(BASE, other).config
    assert other.asked == ["model", "model=2:model.head", "model=2:model.optimizer.lr"]
    assert (config["model"]["optimizer"]["init_args"]["lr"], config["data"]["init_args"]["batch_size"]) == (1.0, 64)


def test_every_value_of_every_argument_is_tried_out_beforehand(tmp_path):
    text = "model.loss: [bce, {class_path: focal, init_args: {gamma: {low: 1.0, high: 2.0}, alpha: [0.1, 0.2, 0.3]}}]"
    found = [spec["init_args"] for place, spec in space_of(tmp_path, text).specimens(BASE) if place == "model.loss"]
    assert {arguments.get("gamma") for arguments in found} == {None, 1.0, 2.0}
    assert {arguments.get("alpha") for arguments in found} == {None, 0.1, 0.2, 0.3}


def test_resampled_map_is_map_of_the_resampled_rows():
    rng = np.random.default_rng(3)
    labels = torch.from_numpy(rng.choice([-1, 0, 1], size=(30, 4), p=[0.2, 0.6, 0.2]).astype(np.int8))
    scores = torch.from_numpy(rng.integers(0, 6, size=(30, 4)).astype(np.float32))  # many are equal
    found = resampled_map([scores, -scores], labels, 25, seed=5)
    again = np.random.default_rng(5)
    for resample in range(25):
        rows = torch.from_numpy(again.integers(30, size=30))
        for table, sign in enumerate((1, -1)):
            expected = float(mean_average_precision(sign * scores[rows], labels[rows]))
            assert found[table, resample] == pytest.approx(expected, abs=1e-12)


def test_equal_trials_are_not_clearly_apart_and_a_useless_one_is():
    rng = np.random.default_rng(0)
    labels = torch.from_numpy((rng.random((300, 3)) < 0.3).astype(np.int8))
    good = (labels.numpy() + 0.4 * rng.standard_normal((300, 3))).astype(np.float32)
    same = (good + 0.01 * rng.standard_normal((300, 3))).astype(np.float32)
    noise = rng.standard_normal((300, 3)).astype(np.float32)
    best, equal, useless = standings([0.9, 0.9, 0.3], [good, same, noise], labels)
    assert (best.clearly, equal.clearly, useless.clearly) == (False, False, True)
    assert 0 < equal.behind_spread < useless.behind_spread
    assert best.behind == best.behind_spread == 0


@pytest.mark.parametrize("processes", [1, 2])
def test_jobs_come_back_with_their_places(processes):
    jobs = [lambda number=number: (number * number, os.getpid()) for number in range(5)]
    found = dict(in_processes(jobs, processes))
    assert [found[number][0] for number in range(5)] == [0, 1, 4, 9, 16]
    assert (os.getpid() in {pid for _, pid in found.values()}) == (processes == 1)


def test_a_process_that_dies_loses_its_job_alone():
    jobs = [lambda: os._exit(3), lambda: 1, lambda: 2]
    found = dict(in_processes(jobs, 2))
    assert isinstance(found[0], MlicError)
    assert (found[1], found[2]) == (1, 2)


class Drawn(HeadTraining):
    """Trains nothing: mAP rises to the learning rate."""

    forks = True

    def __init__(self) -> None:
        pass

    def epochs(self, config: dict) -> Iterator[Epoch]:
        rate = config["model"]["optimizer"]["init_args"]["lr"]
        if rate > 0.9:
            raise UsageError("too much")
        for epoch in range(1, config["trainer"]["max_epochs"] + 1):
            yield Epoch(epoch, rate * epoch / 100, torch.full((2, 2), rate))


def study_of(tmp_path, processes: int, text: str = "model.optimizer.lr: {low: 0.1, high: 1.0}") -> Study:
    return Study(space_of(tmp_path, text), BASE, Drawn(), 0, processes=processes)


def test_the_number_of_processes_changes_nothing(tmp_path):
    alone, shared = (study_of(tmp_path, processes) for processes in (1, 3))
    alone.run(40)
    shared.run(40)
    plain = [[{**trial.row(), "seconds": 0} for trial in study.trials] for study in (alone, shared)]
    assert plain[0] == plain[1]
    assert len(plain[0]) == 40


def test_the_poor_are_left_early_and_failures_are_rows(tmp_path):
    study = study_of(tmp_path, 1)
    study.run(60)
    states = {trial.state for trial in study.trials}
    assert states == {"done", "pruned", "failed"}
    assert study.trials[0].state == "done"  # the configuration as it is, however poor
    for trial in study.trials[1:]:
        assert (trial.state == "failed") == (trial.said["model.optimizer.lr"] > 0.9)
        assert (trial.error == "UsageError: too much") == (trial.state == "failed")
    best = study.best()
    assert len(best) == 11
    assert best[10] is study.trials[0]
    assert best[0].mean_ap == max(trial.mean_ap or 0 for trial in study.trials) > 0.17
    assert sum(trial.logits is not None for trial in study.trials) == 11


def test_a_search_ends_when_there_is_nothing_else_to_try(tmp_path):
    study = study_of(tmp_path, 1, "model.optimizer.lr: [0.1, 0.2]\ntrainer.max_epochs: [3, 5]")
    study.run(50)
    assert len({json.dumps(trial.said) for trial in study.trials}) == len(study.trials) == 5


TEXT = """
model:
  - {head: linear, loss: bce, optimizer: exact}
  - head: [linear, {class_path: mlp, init_args: {hidden: 16, dropout: [0.0, 0.5]}}]
    loss: [bce, {class_path: asymmetric, init_args: {gamma_neg: {low: 0.0, high: 4.0}}}]
    optimizer: [{class_path: AdamW, init_args: {lr: {low: 0.01, high: 0.3, log: true}}}]
data.batch_size: [8, 16]
"""


@pytest.fixture
def words(small, tmp_path, monkeypatch) -> list[str]:
    """The words of a quick search, without the number of trials; the test data are not there."""
    monkeypatch.chdir(tmp_path)
    Path("space.yaml").write_text(TEXT)
    own = ["--model.backbone.freeze", "true", "--data.augmentation.flip", "false", "--data.test", "none/of/these.csv"]
    return ["search", "--space", "space.yaml", *small, *own, "--model.optimizer.lr", "0.05"]


def searched(words: list[str], capsys, code: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    found = main(words)
    said = capsys.readouterr()
    assert found == code, said.err
    return said.out, said.err


def map_of_fit(words: list[str], capsys) -> float:
    return json.loads(searched(["fit", *words, "--json"], capsys)[0])["val/mAP"]


def rows_of(path: str) -> list[dict]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_fit_gives_the_map_that_the_search_gave(words, capsys):
    result = json.loads(searched([*words, "--trials", "7", "--output", "found/best.yaml", "--json"], capsys)[0])
    assert result["best"] == "found/best.yaml"
    rows = rows_of("found/best.trials.jsonl")
    assert [row["trial"] for row in rows] == list(range(7))
    assert result["val/mAP"] == max(row["val/mAP"] for row in rows)
    assert map_of_fit(["--config", "found/best.yaml"], capsys) == pytest.approx(result["val/mAP"], abs=2e-3)
    assert map_of_fit(words[3:], capsys) == pytest.approx(rows[0]["val/mAP"], abs=2e-3)


@pytest.mark.parametrize(
    "text",
    [
        "model: [{head: linear, loss: bce, optimizer: exact}]",
        "model.head: [{class_path: mlp, init_args: {dropout: 0.5}}]\n"
        "model.lr_scheduler: [{class_path: ExponentialLR, init_args: {gamma: 0.5}}]\ndata.batch_size: [31]",
        "model.head: [{class_path: linear, init_args: {pooling: max}}]\n"
        "model.optimizer: [{class_path: SGD, init_args: {lr: 0.5}}]\ntrainer.gradient_clip_val: [0.01]",
    ],
)
def test_a_trial_of_any_kind_is_what_fit_does(words, text, capsys, monkeypatch):
    Path("space.yaml").write_text(text)
    monkeypatch.setattr(Study, "ranked", lambda study: [trial for trial in study.trials[::-1] if trial.mean_ap])
    result = json.loads(searched([*words, "--trials", "2", "--trainer.max_epochs=4", "--json"], capsys)[0])
    assert result["ranking"][0]["trial"] == 1
    penalties = yaml.safe_load(Path(result["best"]).read_text())["model"]["optimizer"]["init_args"].get("penalties")
    assert penalties is None or len(penalties) == 1  # of the whole path, the best
    assert map_of_fit(["--config", result["best"]], capsys) == pytest.approx(result["val/mAP"], abs=2e-3)


def test_the_table_says_whether_the_best_is_better(words, capsys):
    said, log = searched([*words, "--trials", "4"], capsys)
    assert "clearly better than" in said
    assert "next       mlic fit --config runs/run-search/v1/best.yaml" in said
    assert "the configuration as it is" in said
    assert "48 images" in log
    assert sorted(path.name for path in Path("runs/run-search/v1").iterdir()) == ["best.yaml", "trials.jsonl"]
    assert yaml.safe_load(Path("runs/run-search/v1/best.yaml").read_text())["data"]["init_args"]["train"]


def test_what_does_not_fit_is_a_row(words, capsys):
    Path("space.yaml").write_text("model.head: [mlp]\nmodel.optimizer: [exact]")
    said, _ = searched([*words, "--trials", "3"], capsys)
    assert "2, 0 left early, 1 failed" in said
    assert "optimizer Exact solves a linear head" in rows_of("runs/run-search/v1/trials.jsonl")[1]["error"]


def test_a_loss_that_refuses_the_labels_is_a_row(words, colours, tmp_path, capsys):
    header, *lines = (colours / "train.csv").read_text().splitlines()
    (tmp_path / "images").symlink_to(colours / "images")
    Path("soft.csv").write_text("\n".join([header, *(line.replace(",1", ",0.9") for line in lines)]) + "\n")
    Path("space.yaml").write_text("model.loss: [large_loss]")
    soft = ["--data.train", "csv", "--data.train.path", "soft.csv", "--data.train.soft", "true"]
    searched([*words, *soft, "--trials", "2", "--output", "best.yaml"], capsys)
    as_it_is, *others = rows_of("best.trials.jsonl")
    assert as_it_is["state"] == "done"
    assert all(row["state"] == "failed" and "soft labels" in row["error"] for row in others)


def test_ctrl_c_keeps_what_was_found(words, capsys, monkeypatch):
    kept = Study._keep

    def interrupted(study: Study, key: str, *rest: object) -> None:
        kept(study, key, *rest)
        if len(study.trials) == 3:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Study, "_keep", interrupted)
    said, log = searched([*words, "--trials", "50"], capsys, code=130)
    assert "stopped after" in log
    assert "next       mlic fit" in said
    assert len(rows_of("runs/run-search/v1/trials.jsonl")) >= 3
    assert Path("runs/run-search/v1/best.yaml").exists()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (["--space", "none.yaml"], "none.yaml: No such file"),
        (["--trials", "few"], "--trials is 'few'"),
        (["--trials", "0"], "--trials is '0'"),
        (["--features", "off"], "features are off"),
        (["--data.augmentation.flip", "true"], "training images are augmented at random"),
        (["--output", "space.yaml"], "is there already"),
        (["--data.val", "null"], "a search ranks by validation mAP"),
        (["--trainer.accumulate_grad_batches", "2"], "without trainer.accumulate_grad_batches"),
        (["--trainer.precision", "64-true"], "trains heads in 32-true"),
        (["--ckpt_path", "last.ckpt"], "leave out ckpt_path"),
        (["--model.backbone.freeze", "false"], "the backbone learns"),
    ],
)
def test_what_a_search_cannot_do_is_told_before_anything_is_computed(words, capsys, monkeypatch, change, complaint):
    monkeypatch.setattr("mlic.frozen.extract", lambda *args: pytest.fail("an image was run"))
    assert complaint in searched([*words, *change], capsys, code=2)[1]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("model.head.droput: [0.1]", "did you mean 'dropout'"),
        ("model.head: [{class_path: linear, init_args: {pooling: middle}}]", "LinearHead with"),
        ("model.optimizer.lr: [0.1, fast]", "AdamW with lr fast"),
        ("model.loss: [{class_path: focal, init_args: {gamma: {low: -1.0, high: 1.0}}}]", "gamma is -1.0"),
    ],
)
def test_a_space_that_does_not_fit_is_told_before_anything_is_computed(words, capsys, monkeypatch, text, complaint):
    monkeypatch.setattr("mlic.frozen.extract", lambda *args: pytest.fail("an image was run"))
    Path("space.yaml").write_text(text)
    assert complaint in searched(words, capsys, code=2)[1]


def test_without_optuna_it_says_how_to_get_it(words, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert 'pip install "mlic[search]"' in searched(words, capsys, code=2)[1]


def test_the_help_names_the_places(capsys):
    assert "model.lr_scheduler" in searched(["search", "--help"], capsys)[0]
