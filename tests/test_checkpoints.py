import pytest
import torch

from mlic.checkpoints import read_checkpoint, write_checkpoint
from mlic.errors import CheckpointError

CARD = {"classes": ["cat"], "model": {"backbone": {}, "head": {}, "loss": {}}, "preprocessing": {}}


def test_what_is_written_is_read_again_and_nothing_else_is_left(tmp_path):
    write_checkpoint(tmp_path / "a.ckpt", {"mlic": CARD, "state_dict": {"weight": torch.ones(2)}})

    assert torch.equal(read_checkpoint(tmp_path / "a.ckpt")["state_dict"]["weight"], torch.ones(2))
    assert [path.name for path in tmp_path.iterdir()] == ["a.ckpt"]


def test_a_checkpoint_that_cannot_be_written_leaves_what_was_there(tmp_path, monkeypatch):
    write_checkpoint(tmp_path / "a.ckpt", {"mlic": CARD, "state_dict": {}})
    monkeypatch.setattr(torch, "save", lambda *_: (_ for _ in ()).throw(RuntimeError("no space left")))

    with pytest.raises(CheckpointError, match=r"a\.ckpt: cannot be written \(no space left\)"):
        write_checkpoint(tmp_path / "a.ckpt", {"mlic": {}, "state_dict": {}})

    assert read_checkpoint(tmp_path / "a.ckpt")["mlic"] == CARD
    assert [path.name for path in tmp_path.iterdir()] == ["a.ckpt"]


@pytest.mark.parametrize(
    ("name", "part"),
    [("model.safetensors", "name the folder"), ("model.pt2", "an exported model"), ("model.onnx", "an exported model")],
)
def test_of_an_exported_file_it_is_told_what_is_read_in_its_place(name, part, tmp_path):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(CheckpointError, match=part):
        read_checkpoint(tmp_path / name)
