import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from mlic import unfreezing
from mlic.averaging import WeightEMA
from mlic.backbones.timm import TimmBackbone
from mlic.classifier import MultiLabelClassifier
from mlic.cli import main
from mlic.datamodules.image import ImageDataModule
from mlic.errors import UsageError
from mlic.unfreezing import GradualUnfreezing

State = dict[str, torch.Tensor]
STAGES = ["--trainer.callbacks", "GradualUnfreezing", "--trainer.callbacks.stages", "2"]

DECISIONS = {"thresholds", "slope", "offset"}  # which are fitted to what was validated


def tiny(name: str = "test_resnet") -> MultiLabelClassifier:
    torch.manual_seed(0)
    return MultiLabelClassifier(
        ["red", "green", "blue"],
        backbone=lambda: TimmBackbone(name, weights="none", image_size=32),
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=0.01, weight_decay=0.1),
    )


def trained(model: MultiLabelClassifier, colours: Path, *callbacks: pl.Callback, **options) -> pl.Trainer:
    options = {"max_epochs": 3, "accelerator": "cpu", "devices": 1, "enable_checkpointing": False, **options}
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(**options, **quiet, callbacks=list(callbacks))
    data = ImageDataModule(
        colours / "train.csv", colours / "val.csv", batch_size=8, num_workers=0, image_size=model.backbone.image_size
    )
    trainer.fit(model, datamodule=data)
    return trainer


class Watching(pl.Callback):
    """Keeps the state of the backbone at the start of the training and at the end of each epoch."""

    def __init__(self) -> None:
        self.states: list[State] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.states.append({name: tensor.clone() for name, tensor in pl_module.state_dict().items()})

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.on_train_start(trainer, pl_module)

    def changed_in(self, epoch: int) -> set[str]:
        before, after = self.states[epoch : epoch + 2]
        return {name for name in before if not torch.equal(before[name], after[name])} - DECISIONS


def of_layers(model: MultiLabelClassifier, first: int, last: int) -> set[str]:
    """Returns the names of what is in some layers of the backbone, their statistics included."""
    depths = {f"backbone.{name}": depth for name, depth in model.backbone.depths().items()}
    parents = {name.rpartition(".")[0]: depth for name, depth in depths.items()}
    return {
        name
        for name in model.state_dict()
        if name.startswith("backbone.") and first <= parents[name.rpartition(".")[0]] <= last
    }


@pytest.mark.parametrize("alone", [True, False])
def test_the_last_layers_are_released_first_and_what_waits_stays_as_it_is(alone, colours, monkeypatch):
    if not alone:  # as with several processes, which all have to compute the same gradients
        monkeypatch.setattr(unfreezing, "SingleDeviceStrategy", pl.strategies.DDPStrategy)
    watching, model = Watching(), tiny()
    trained(model, colours, watching, GradualUnfreezing(stages=2))
    head = {"head.linear.weight", "head.linear.bias"}
    # 5 layers; the larger piece is the one that is released first.
    assert watching.changed_in(0) == head
    assert watching.changed_in(1) == head | of_layers(model, 2, 4)
    assert watching.changed_in(2) == head | of_layers(model, 0, 4)
    assert of_layers(model, 0, 4) | head == set(model.state_dict()) - DECISIONS


def test_gradients_that_are_dropped_do_as_if_they_were_never_computed(colours, monkeypatch):
    options = {"gradient_clip_val": 0.01, "accumulate_grad_batches": 3}
    one, other = Watching(), Watching()
    trained(tiny(), colours, one, GradualUnfreezing(stages=2), **options)
    monkeypatch.setattr(unfreezing, "SingleDeviceStrategy", pl.strategies.DDPStrategy)
    trained(tiny(), colours, other, GradualUnfreezing(stages=2), **options)
    for name, tensor in one.states[-1].items():
        assert torch.allclose(tensor, other.states[-1][name], atol=1e-6), name


def test_a_piece_learns_for_as_many_epochs_as_told_before_the_next(colours):
    watching, model = Watching(), tiny("test_vit")
    trained(model, colours, watching, GradualUnfreezing(epochs_per_stage=2, stages=1), max_epochs=3)
    touched = [any(name.startswith("backbone.") for name in watching.changed_in(epoch)) for epoch in range(3)]
    assert touched == [False, False, True]


def test_what_is_told_is_what_is_released(small, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *small, *STAGES, "--trainer.max_epochs", "4"]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if " layers " in line]
    assert lines == [
        "epoch 1: the head learns alone; of the backbone's 5 layers the last follow in epoch 2, the first in epoch 3",
        "epoch 2: the head and the last 3 of the backbone's 5 layers learn (1 of 2 pieces are released)",
        "epoch 3: the head and the last 5 of the backbone's 5 layers learn (2 of 2 pieces are released)",
    ]


def test_too_few_epochs_are_told(small, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *small, *STAGES, "--trainer.max_epochs", "1"]) == 0
    assert "of the 2 pieces of the backbone, GradualUnfreezing releases 0 in 1 epochs" in capsys.readouterr().err


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    average = ["--trainer.callbacks+", "WeightEMA", "--trainer.callbacks.decay", "0.8"]
    words = [*small, *STAGES, *average, "--data.val", "null"]  # without validation the last epoch is saved for certain
    assert main(["fit", *words, "--trainer.max_epochs", "4"]) == 0
    assert main(["fit", *words, "--trainer.max_epochs", "2"]) == 0
    assert main(["fit", "--ckpt_path", "runs/run/v2/last.ckpt", "--trainer.max_epochs", "4"]) == 0
    for key in ("state_dict", "current_model_state"):
        whole, resumed = (torch.load(f"runs/run/v{k}/last.ckpt", weights_only=True)[key] for k in (1, 3))
        assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert torch.load("runs/run/v3/last.ckpt", weights_only=True)["averaging_state"]["updates"] == 16


def test_a_run_that_is_resumed_within_an_epoch_holds_the_same_pieces(colours, tmp_path):
    class Stopping(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *args: object) -> None:
            if trainer.global_step == 6:
                trainer.save_checkpoint(tmp_path / "stopped.ckpt")
                raise InterruptedError

    with pytest.raises(InterruptedError):
        trained(tiny(), colours, GradualUnfreezing(stages=2), Stopping())
    stopped = torch.load(tmp_path / "stopped.ckpt", weights_only=True)["state_dict"]
    model, watching = tiny(), Watching()
    trainer = pl.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        callbacks=[watching, GradualUnfreezing(stages=2)],
    )  # fmt: skip
    data = ImageDataModule(colours / "train.csv", colours / "val.csv", batch_size=8, num_workers=0)
    trainer.fit(model, datamodule=data, ckpt_path=tmp_path / "stopped.ckpt", weights_only=True)
    assert all(torch.equal(watching.states[0][name], stopped[name]) for name in stopped)
    assert watching.changed_in(0) - {"head.linear.weight", "head.linear.bias"} == of_layers(model, 2, 4)


def test_the_average_follows_what_is_released(colours):
    callback, model = WeightEMA(decay=0.5), tiny()
    trained(model, colours, callback, GradualUnfreezing(stages=1), max_epochs=2)
    checkpoint: dict = {"state_dict": model.state_dict()}
    callback.on_save_checkpoint(model.trainer, model, checkpoint)
    name = "backbone.network.conv1.0.weight"
    assert not torch.equal(checkpoint["state_dict"][name], checkpoint["current_model_state"][name])
    assert not torch.equal(checkpoint["state_dict"][name], tiny().state_dict()[name])


@pytest.mark.parametrize("interrupted", [False, True])
def test_the_backbone_is_left_as_it_was_found(interrupted, colours):
    class Interrupting(pl.Callback):
        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            if interrupted:
                raise InterruptedError

    model = tiny()
    model.backbone.network.bn1.eval()
    model.backbone.network.conv1.requires_grad_(False)
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    training = {name for name, module in model.named_modules() if module.training}
    if interrupted:
        with pytest.raises(InterruptedError):
            trained(model, colours, GradualUnfreezing(), Interrupting())
    else:
        trained(model, colours, GradualUnfreezing(), Interrupting(), max_epochs=4)
    assert learning == {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert training == {name for name, module in model.named_modules() if module.training}


def test_a_backbone_that_is_frozen_as_a_whole_is_refused(small, capsys):
    assert main(["fit", *small, *STAGES, "--model.backbone.freeze", "true"]) == 2
    assert "this one is frozen as a whole; leave out its freeze: true" in capsys.readouterr().err


def test_more_stages_than_layers_are_refused(small, capsys):
    assert main(["fit", *small, *STAGES[:-1], "6"]) == 2
    assert "stages are 6, and the backbone has 5 layers that learn" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"stages": 0}, "stages are 0; expected 1 or more"), ({"epochs_per_stage": 0}, "epochs_per_stage is 0; expected")],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        GradualUnfreezing(**arguments)


def test_a_backbone_that_leaves_out_depths_is_told(colours, monkeypatch):
    model = tiny()
    monkeypatch.setattr(model.backbone, "depths", lambda: {"network.conv1.0.weight": 0})
    with pytest.raises(UsageError, match=r"TimmBackbone\.depths\(\) leaves out network\.conv1\.1\.weight, "):
        trained(model, colours, GradualUnfreezing())


def test_evaluation_has_no_part_in_it(colours, caplog):
    model, trainer = tiny(), pl.Trainer(accelerator="cpu", logger=False, callbacks=[GradualUnfreezing(stages=50)])
    data = ImageDataModule(colours / "train.csv", colours / "val.csv", num_workers=0)
    with caplog.at_level(logging.INFO, logger="mlic.unfreezing"):
        trainer.validate(model, datamodule=data, verbose=False)
    assert not caplog.records


@pytest.mark.slow
def test_two_processes_hold_and_release_the_same(small, tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    words = [*small, *STAGES, "--trainer.devices", "2", "--trainer.gradient_clip_val", "1.0"]
    epochs = ["2", "3"]
    for number in epochs:
        program = [sys.executable, "-m", "mlic", "fit", *words, "--trainer.max_epochs", number, "--data.val", "null"]
        ended = subprocess.run(program, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
        assert ended.returncode == 0, ended.stderr
        assert ended.stderr.count("the head learns alone") == 1
    model = MultiLabelClassifier.from_checkpoint(tmp_path / "runs/run/v1/last.ckpt")
    two, three = (torch.load(tmp_path / f"runs/run/v{k}/last.ckpt", weights_only=True)["state_dict"] for k in (1, 2))
    changed = {name for name in two if not torch.equal(two[name], three[name])}
    assert of_layers(model, 0, 4) <= changed
    assert (two["backbone.network.bn1.num_batches_tracked"], three["backbone.network.bn1.num_batches_tracked"]) == (
        0,
        2,
    )
    assert two["backbone.network.layer4.0.bn1.num_batches_tracked"] == 2
