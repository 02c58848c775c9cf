from pathlib import Path

import numpy as np
import pytest
import torch

from mlic.errors import UsageError
from mlic.scored import _ARRAYS, Scored
from mlic.strings import Strings
from mlic.thresholds import Decisions


@pytest.fixture
def scored():
    decisions = Decisions(torch.tensor([0.5, 0.25]), torch.tensor([1.0, 2.0]), torch.tensor([0.0, -1.0]), at_most=1)
    labels = torch.tensor([[1, 0], [-1, 1], [0, 0]], dtype=torch.int8)
    paths = Strings(["a.jpg", "b/ü.jpg", "\udcff.jpg"])
    return Scored("one", ("cat", "dög"), paths, Path("/photos"), torch.randn(3, 2), labels, decisions, {"loss": "bce"})


def test_what_is_saved_is_read_again(scored, tmp_path):
    scored.save(tmp_path / "scored.npz")

    again = Scored.load(tmp_path / "scored.npz")

    for part in ("name", "classes", "paths", "root", "about"):
        assert getattr(again, part) == getattr(scored, part)
    assert torch.equal(again.logits, scored.logits)
    assert torch.equal(again.labels, scored.labels)
    assert torch.equal(again.scores, scored.scores)
    assert torch.equal(again.present, scored.present)


@pytest.mark.parametrize("content", [b"", b"path,labels\n", b"PK\x03\x04damaged"])
def test_another_file_is_refused_by_its_name(content, tmp_path):
    (tmp_path / "other.npz").write_bytes(content)

    with pytest.raises(UsageError, match=r"other\.npz: no scores that mlic has written"):
        Scored.load(tmp_path / "other.npz")


def test_arrays_of_another_program_are_refused(tmp_path):
    np.save(tmp_path / "array.npy", np.zeros(3))
    np.savez(tmp_path / "arrays.npz", words=np.frombuffer(b"[]", np.uint8), **{name: np.zeros(2) for name in _ARRAYS})
    for name in ("array.npy", "arrays.npz"):
        with pytest.raises(UsageError, match=rf"{name}: no scores that mlic has written"):
            Scored.load(tmp_path / name)


def test_a_missing_file_is_refused_by_its_name(tmp_path):
    with pytest.raises(UsageError, match=r"none\.npz"):
        Scored.load(tmp_path / "none.npz")
