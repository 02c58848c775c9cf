import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from mlic.averaging import WeightEMA
from mlic.backbones.timm import TimmBackbone
from mlic.classifier import MultiLabelClassifier
from mlic.cli import main
from mlic.datamodules.image import ImageDataModule
from mlic.errors import UsageError

DECISIONS = {"thresholds", "slope", "offset"}
EMA = ["--trainer.callbacks", "WeightEMA", "--trainer.callbacks.decay", "0.8"]


def saved(checkpoint: Path | str, key: str = "state_dict") -> dict[str, torch.Tensor]:
    return torch.load(checkpoint, weights_only=True)[key]


def differing(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> set[str]:
    assert one.keys() == other.keys()
    return {name for name in one if not torch.equal(one[name], other[name])}


@pytest.fixture
def fitted(small, tmp_path, monkeypatch, capsys) -> Path:
    """The folder of a finished run with averaged weights."""
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *small, *EMA]) == 0, capsys.readouterr().err
    return tmp_path / "runs/run/v1"


def tiny(freeze: bool = False) -> MultiLabelClassifier:
    torch.manual_seed(0)
    return MultiLabelClassifier(
        ["red", "green", "blue"],
        backbone=lambda: TimmBackbone("test_resnet", weights="none", freeze=freeze, image_size=32),
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.1),
    )


def photographs(colours: Path) -> ImageDataModule:
    return ImageDataModule(colours / "train.csv", colours / "val.csv", batch_size=8, num_workers=0, image_size=32)


def trained(model: MultiLabelClassifier, colours: Path, *callbacks: pl.Callback, **options) -> pl.Trainer:
    options = {"max_epochs": 2, "accelerator": "cpu", "devices": 1, "enable_checkpointing": False, **options}
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(**options, **quiet, callbacks=list(callbacks))
    trainer.fit(model, datamodule=photographs(colours))
    return trainer


class Watching(pl.Callback):
    """Keeps the state that the training has at its start and after each step of the optimizer."""

    def __init__(self) -> None:
        self.states: list[dict[str, torch.Tensor]] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.keep(pl_module)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: object) -> None:
        if trainer.global_step == len(self.states):
            self.keep(pl_module)

    def keep(self, pl_module: pl.LightningModule) -> None:
        self.states.append({name: tensor.clone() for name, tensor in pl_module.state_dict().items()})


@pytest.mark.parametrize("accumulated", [1, 3])
def test_the_average_is_the_recursion_over_the_steps_of_the_optimizer(accumulated, colours):
    watching, model = Watching(), tiny()
    trained(model, colours, watching, WeightEMA(decay=0.3), accumulate_grad_batches=accumulated)
    assert len(watching.states) == 1 + 2 * (4 if accumulated == 1 else 2)  # an epoch's last batches are a step, too
    for name in ("backbone.network.conv1.0.weight", "head.linear.bias", "backbone.network.bn1.running_var"):
        average, *states = [state[name].double() for state in watching.states]
        for step, state in enumerate(states):
            decay = min(0.3, (1 + step) / (10 + step))
            average = decay * average + (1 - decay) * state
        assert model.state_dict()[name] == pytest.approx(average.float(), abs=1e-6)
        assert model.state_dict()[name] != pytest.approx(states[-1].float(), abs=1e-4)


def test_half_of_the_average_is_newer_after_the_half_life_whatever_is_accumulated(colours):
    # Twice as many steps in an epoch, and each keeps the square root.
    assert WeightEMA(half_life=3.0).decay_at(10**6, steps_per_epoch=7) ** 21 == pytest.approx(0.5)
    one, other = tiny(), tiny()
    trained(one, colours, WeightEMA(half_life=0.25), accumulate_grad_batches=2)
    trained(other, colours, WeightEMA(decay=0.5**2), accumulate_grad_batches=2)
    assert not differing(one.state_dict(), other.state_dict())


def test_a_half_life_needs_epochs_of_known_length(colours):
    class Endless(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(())

    trainer = pl.Trainer(max_steps=2, accelerator="cpu", logger=False, enable_checkpointing=False,
                         enable_progress_bar=False, callbacks=[WeightEMA(half_life=1.0)])  # fmt: skip
    with pytest.raises(UsageError, match="the training data does not tell how many batches an epoch has"):
        trainer.fit(tiny(), torch.utils.data.DataLoader(Endless(), batch_size=None))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "has neither decay nor half_life"),
        ({"decay": 0.9, "half_life": 1.0}, "has both decay and half_life"),
        ({"decay": 1.0}, "decay is 1.0; expected a number above 0 and below 1"),
        ({"half_life": 0.0}, "half_life is 0.0; expected a number of epochs above 0"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message, small, capsys):
    with pytest.raises(UsageError, match=message):
        WeightEMA(**arguments)
    words = [word for name, value in arguments.items() for word in (f"--trainer.callbacks.{name}", str(value))]
    assert main(["fit", *small, "--trainer.callbacks", "WeightEMA", *words]) == 2
    assert message in capsys.readouterr().err


def test_the_metrics_of_fit_are_those_of_the_saved_weights(fitted, colours, capsys):
    logged = json.loads((fitted / "metrics.json").read_text())
    for words in (["validate"], ["test", "--data.test", str(colours / "val.csv")]):
        capsys.readouterr()
        assert main([*words, "--ckpt_path", str(fitted / "best.ckpt"), "--json"]) == 0
        said = capsys.readouterr()
        figures = {name.partition("/")[2]: value for name, value in json.loads(said.out).items()}
        assert "warn" not in said.err.lower()
        for name in ("loss", "mAP", "f1_micro", "f1_macro", "hamming"):
            assert figures[name] == pytest.approx(logged[f"val/{name}"], abs=1e-6)


def test_the_training_takes_the_same_course_with_and_without_an_average(fitted, small):
    assert main(["fit", *small]) == 0
    plain, running = saved("runs/run/v2/last.ckpt"), saved(fitted / "last.ckpt", "current_model_state")
    assert differing(plain, running) <= DECISIONS  # which are fitted to what was validated
    averaged = saved(fitted / "last.ckpt")
    moved = {"backbone.network.conv1.0.weight", "head.linear.weight", "backbone.network.bn1.running_mean"}
    assert moved <= differing(averaged, running)


def test_thresholds_and_counters_are_never_averaged(fitted):
    averaged, running = saved(fitted / "last.ckpt"), saved(fitted / "last.ckpt", "current_model_state")
    assert not {"thresholds", "backbone.network.bn1.num_batches_tracked"} & differing(averaged, running)
    assert averaged["backbone.network.bn1.num_batches_tracked"] == 8
    assert averaged["thresholds"].tolist() != [0.5, 0.5, 0.5]
    told = json.loads((fitted / "thresholds.json").read_text())
    assert list(told.values()) == pytest.approx(saved(fitted / "best.ckpt")["thresholds"].tolist())


def test_a_checkpoint_with_an_average_is_one_like_any_other(fitted, colours, capsys):
    classifier = MultiLabelClassifier.from_checkpoint(fitted / "best.ckpt")
    assert not differing(classifier.state_dict(), saved(fitted / "best.ckpt"))
    image = next((colours / "images").iterdir())
    capsys.readouterr()
    assert main(["predict", "--ckpt_path", str(fitted / "best.ckpt"), str(image), "--output", "scores.csv"]) == 0
    assert Path("scores.csv").read_text().count("\n") == 2
    # What is the same in both models is stored once.
    twice = sum(tensor.nbytes for tensor in saved(fitted / "last.ckpt").values())
    assert (fitted / "last.ckpt").stat().st_size < 5 * twice  # two models and two moments of Adam


def test_a_resumed_run_ends_with_the_average_of_an_uninterrupted_one(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [*small, *EMA, "--data.augmentation.crop_scale", "0.5"]
    assert main(["fit", *words, "--trainer.max_epochs", "4"]) == 0
    assert main(["fit", *words, "--trainer.max_epochs", "2"]) == 0
    assert main(["fit", "--ckpt_path", "runs/run/v2/last.ckpt", "--trainer.max_epochs", "4"]) == 0
    for name in ("last.ckpt", "best.ckpt"):
        for key in ("state_dict", "current_model_state"):
            assert not differing(saved(f"runs/run/v1/{name}", key), saved(f"runs/run/v3/{name}", key))
        first, last = (saved(f"runs/run/v{number}/{name}", "averaging_state") for number in (1, 3))
        assert first["updates"] == last["updates"]


def test_a_run_that_is_killed_within_an_epoch_and_resumed_ends_the_same(colours, tmp_path):
    class Killing(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *args: object) -> None:
            if trainer.global_step == 6:
                trainer.save_checkpoint(tmp_path / "killed.ckpt")
                raise InterruptedError

    # Equal batches, since a loader does not go on where it was within an epoch.
    batch = next(iter(photographs(colours).train_dataloader()))
    loader = torch.utils.data.DataLoader([batch] * 4, batch_size=None)

    def fit(model: MultiLabelClassifier, *callbacks: pl.Callback, ckpt_path: Path | None = None) -> None:
        callbacks = (WeightEMA(decay=0.8), *callbacks)
        pl.Trainer(
            max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
            callbacks=list(callbacks),
        ).fit(model, loader, ckpt_path=ckpt_path, weights_only=True)  # fmt: skip

    whole, resumed = tiny(), tiny()
    fit(whole)
    with pytest.raises(InterruptedError):
        fit(tiny(), Killing())
    fit(resumed, ckpt_path=tmp_path / "killed.ckpt")
    assert resumed.trainer.global_step == 8
    assert not differing(whole.state_dict(), resumed.state_dict())


def test_a_checkpoint_without_an_average_can_be_gone_on_from_with_one(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *small]) == 0
    resumed = ["fit", "--ckpt_path", "runs/run/v1/last.ckpt", "--trainer.max_epochs", "3", *EMA]
    assert main(resumed) == 0
    assert saved("runs/run/v2/last.ckpt", "averaging_state")["updates"] == 4


def test_a_checkpoint_with_an_average_that_is_resumed_without_goes_on_from_the_weights_of_the_training(
    small, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *small, "--trainer.max_epochs", "3"]) == 0
    assert main(["fit", *small, *EMA]) == 0
    resumed = ["fit", "--ckpt_path", "runs/run/v2/last.ckpt", "--trainer.max_epochs", "3"]
    assert main([*resumed, "--trainer.callbacks", "null"]) == 0
    plain, without = saved("runs/run/v1/last.ckpt"), saved("runs/run/v3/last.ckpt")
    assert not differing(plain, without)
    assert "averaging_state" not in torch.load("runs/run/v3/last.ckpt", weights_only=True)


def test_without_validation_the_average_is_saved_as_well(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *small, *EMA, "--data.val", "null"]) == 0
    averaged = saved("runs/run/v1/best.ckpt")
    assert not differing(averaged, saved("runs/run/v1/last.ckpt"))
    assert "head.linear.weight" in differing(averaged, saved("runs/run/v1/last.ckpt", "current_model_state"))


def test_a_frozen_backbone_has_no_second_copy_of_its_weights(colours, tmp_path):
    callback = WeightEMA(decay=0.8)
    trainer = trained(tiny(freeze=True), colours, callback)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    names = set(saved(tmp_path / "a.ckpt", "averaging_state")["average"])
    assert {"head.linear.weight", "head.linear.bias"} == {name for name in names if "running" not in name}


def test_after_fit_the_model_has_the_average_and_a_checkpoint_both(colours, tmp_path):
    watching, model = Watching(), tiny()
    trainer = trained(model, colours, watching, WeightEMA(decay=0.8))
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    assert not differing(saved(tmp_path / "a.ckpt"), model.state_dict())
    assert differing(saved(tmp_path / "a.ckpt", "current_model_state"), watching.states[-1]) <= DECISIONS
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    trainer.validate(model, datamodule=photographs(colours), verbose=False)
    trainer.save_checkpoint(tmp_path / "b.ckpt")
    assert not differing(before, model.state_dict())
    assert not differing(before, saved(tmp_path / "b.ckpt"))


def test_a_validation_that_is_interrupted_gives_the_training_its_weights_back(colours):
    class Interrupting(pl.Callback):
        def on_validation_batch_start(self, trainer: pl.Trainer, *args: object) -> None:
            if not trainer.sanity_checking:
                raise InterruptedError

    watching, model = Watching(), tiny()
    with pytest.raises(InterruptedError):
        trained(model, colours, watching, WeightEMA(decay=0.8), Interrupting())
    assert not differing(model.state_dict(), watching.states[-1])


def test_what_is_unfrozen_later_is_averaged_from_then_on(colours, tmp_path):
    class Unfreezing(pl.Callback):
        def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            pl_module.backbone.requires_grad_(trainer.current_epoch == 1)

    model = tiny()
    model.backbone.requires_grad_(False)
    model.configure_optimizers = lambda: torch.optim.SGD(model.parameters(), lr=0.1)
    trainer = trained(model, colours, WeightEMA(decay=0.8), Unfreezing())
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    running = saved(tmp_path / "a.ckpt", "current_model_state")
    assert "backbone.network.conv1.0.weight" in differing(saved(tmp_path / "a.ckpt"), running)


def test_weights_of_low_precision_have_an_average_in_float32(colours):
    callback, model = WeightEMA(decay=0.999), tiny()
    trained(model, colours, callback, precision="bf16-true")
    assert model.head.linear.weight.dtype == torch.bfloat16
    checkpoint: dict = {"state_dict": model.state_dict()}
    callback.on_save_checkpoint(model.trainer, model, checkpoint)
    assert checkpoint["state_dict"]["head.linear.weight"].dtype == torch.float32
    assert checkpoint["current_model_state"]["head.linear.weight"].dtype == torch.bfloat16


def test_tied_weights_are_averaged_under_all_their_names(colours):
    class Tied(MultiLabelClassifier):
        def __init__(self) -> None:
            super().__init__(
                ["red", "green", "blue"],
                backbone=lambda: TimmBackbone("test_resnet", weights="none", image_size=32),
                optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.1),
            )
            self.same = self.head

    callback, model = WeightEMA(decay=0.8), Tied()
    trained(model, colours, callback)
    checkpoint: dict = {"state_dict": model.state_dict()}
    callback.on_save_checkpoint(model.trainer, model, checkpoint)
    for key in ("state_dict", "current_model_state"):
        assert torch.equal(checkpoint[key]["same.linear.weight"], checkpoint[key]["head.linear.weight"])


def test_a_strategy_that_cuts_the_model_is_refused(small, capsys):
    assert main(["fit", *small, *EMA, "--trainer.fast_dev_run", "true"]) == 0
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    trainer.strategy.__class__ = type("Sharded", (type(trainer.strategy),), {"restore_checkpoint_after_setup": True})
    with pytest.raises(UsageError, match="Sharded cuts it into pieces"):
        WeightEMA(decay=0.9).setup(trainer, tiny(), "fit")


@pytest.mark.slow
def test_two_processes_have_one_average(small, tmp_path):
    module = """
import pytorch_lightning as pl, torch
class Telling(pl.Callback):
    def on_fit_end(self, trainer, pl_module):
        torch.save({n: p.detach().clone() for n, p in pl_module.named_parameters()}, f"rank{trainer.global_rank}.pt")
"""
    (tmp_path / "telling.py").write_text(module)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(tmp_path)}

    def ran(*words: str) -> dict:
        program = [sys.executable, "-m", "mlic", *words, "--json"]
        ended = subprocess.run(program, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    fit = ran("fit", *small, "--trainer.devices", "2", *EMA, "--trainer.callbacks+", "telling.Telling")
    first, second = (torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1))
    assert not differing(first, second)
    validated = ran("validate", "--ckpt_path", f"{fit['run']}/best.ckpt", "--trainer.accelerator", "cpu")
    for name in ("val/loss", "val/mAP"):
        assert validated[name] == pytest.approx(fit[name], abs=1e-6)
