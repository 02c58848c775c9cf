"""The checkpoints of a run's folder, with a training whose validation mAP the test decides."""

import shutil
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from mlic.runs import BestCheckpoint, LastCheckpoint


class Scripted(pl.LightningModule):
    """Has in each epoch the validation mAP that it is told."""

    def __init__(self, scores: list[float]) -> None:
        super().__init__()
        self.scores = scores
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch: torch.Tensor) -> torch.Tensor:
        return (self.weight - batch).square().sum()

    def validation_step(self, batch: torch.Tensor) -> None:
        self.log("val/mAP", self.scores[self.current_epoch])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(folder: Path, scores: list[float], ckpt_path: Path | None = None, **options) -> None:
    folder.mkdir(exist_ok=True)
    loader = torch.utils.data.DataLoader(torch.arange(3.0), batch_size=1)
    options = {"max_epochs": len(scores), "accelerator": "cpu", "devices": 1, "logger": False, **options}
    callbacks: list[pl.Callback] = [BestCheckpoint(folder), LastCheckpoint(folder)]
    trainer = pl.Trainer(**options, callbacks=callbacks, enable_progress_bar=False, enable_model_summary=False)
    trainer.fit(Scripted(scores), loader, loader, ckpt_path=ckpt_path, weights_only=True)


def epochs(checkpoint: Path) -> int:
    return 1 + torch.load(checkpoint, weights_only=True)["epoch"]


def test_last_is_the_end_of_the_last_epoch_whatever_it_scored(tmp_path):
    fit(tmp_path, [0.8, 0.9, 0.4, 0.3])
    assert (epochs(tmp_path / "best.ckpt"), epochs(tmp_path / "last.ckpt")) == (2, 4)


def test_last_is_the_end_of_an_epoch_that_was_not_validated(tmp_path):
    fit(tmp_path, [0.0, 0.9, 0.0], check_val_every_n_epoch=2)
    assert (epochs(tmp_path / "best.ckpt"), epochs(tmp_path / "last.ckpt")) == (2, 3)


def test_last_is_written_where_nothing_is_validated(tmp_path):
    fit(tmp_path, [0.0, 0.0], limit_val_batches=0)
    assert epochs(tmp_path / "last.ckpt") == 2
    assert not (tmp_path / "best.ckpt").exists()


@pytest.mark.filterwarnings("error:The dirpath has changed")
@pytest.mark.parametrize("name", ["best", "last"])
def test_a_resumed_run_repeats_no_epoch_and_knows_the_best_score_of_before(name, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    fit(first, [0.8, 0.9, 0.4, 0.3])
    fit(second, [0.0, 0.0, 0.7, 0.7, 0.7, 0.7], ckpt_path=first / f"{name}.ckpt")
    assert (epochs(second / "best.ckpt"), epochs(second / "last.ckpt")) == (2, 6)
    third = tmp_path / "third"
    fit(third, [*[0.0] * 6, 0.95], ckpt_path=second / "last.ckpt")
    assert (epochs(third / "best.ckpt"), epochs(third / "last.ckpt")) == (7, 7)


def test_the_best_of_a_run_that_was_moved_is_found_beside_the_checkpoint(tmp_path):
    fit(tmp_path / "first", [0.9, 0.4])
    shutil.move(tmp_path / "first", tmp_path / "moved")
    fit(tmp_path / "second", [0.0, 0.0, 0.7], ckpt_path=tmp_path / "moved/last.ckpt")
    assert epochs(tmp_path / "second/best.ckpt") == 1


def test_a_best_checkpoint_that_is_no_more_is_told(tmp_path, caplog):
    fit(tmp_path / "first", [0.9, 0.4])
    (tmp_path / "first/best.ckpt").unlink()
    fit(tmp_path / "second", [0.0, 0.0, 0.7], ckpt_path=tmp_path / "first/last.ckpt")
    assert epochs(tmp_path / "second/best.ckpt") == 3
    assert "first/best.ckpt, the best checkpoint so far, is no more" in caplog.text


def test_epochs_that_are_shorter_than_a_checkpoint_takes_share_one(tmp_path, monkeypatch):
    written: list[int] = []
    save = LastCheckpoint._save_checkpoint
    monkeypatch.setattr(
        LastCheckpoint,
        "_save_checkpoint",
        lambda self, trainer, path: (written.append(trainer.current_epoch), save(self, trainer, path))[1],
    )
    monkeypatch.setattr("mlic.runs._SECONDS_APART", 1e9)
    fit(tmp_path / "quick", [0.1] * 5)
    assert written == [0, 4]
    assert epochs(tmp_path / "quick" / "last.ckpt") == 5
    monkeypatch.setattr("mlic.runs._SECONDS_APART", 0.0)
    fit(tmp_path / "slow", [0.1] * 3)
    assert written == [0, 4, 0, 1, 2]
