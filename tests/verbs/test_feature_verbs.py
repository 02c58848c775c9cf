"""`mlic features`: filling stores, looking at them, clearing them."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from mlic.cli import main
from mlic.features import FeatureStore


@pytest.fixture
def words(small, tmp_path, monkeypatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return [*small, "--model.backbone.freeze", "true", "--data.augmentation.flip", "false"]


@pytest.fixture
def store(words, capsys) -> Path:
    """The store that `extract` has filled with 48 images."""
    assert main(["features", "extract", *words]) == 0
    return Path(capsys.readouterr().out.strip())


def run(capsys, *words: str, code: int = 0) -> str:
    capsys.readouterr()
    assert main(["features", *words]) == code
    said = capsys.readouterr()
    return said.err if code else said.out


def unuse(store: Path, days: int) -> None:
    then = time.time() - 86_400 * days
    os.utime(store / "space.json", (then, then))


def test_extract_fills_the_store_of_fit_and_trains_nothing(words, store, capsys):
    assert len(FeatureStore.opened(store)) == 48
    assert not Path("runs").exists()
    assert json.loads(run(capsys, "extract", *words, "--json")) == {"stores": [str(store)]}
    assert main(["fit", *words]) == 0
    assert "48 of 48 images are in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--features", "off"], "nothing else is to be done"),
        (["--model.backbone.freeze", "false"], "features cannot be kept, since the backbone learns"),
        (["--trainer.fast_dev_run", "true"], "shows a batch only"),
    ],
)
def test_extract_says_why_it_cannot(words, capsys, more, message):
    assert message in run(capsys, "extract", *words, *more, code=2)


def test_info_tells_what_there_is(store, capsys):
    assert f"{store} test_resnet 96x1x1 avg float32 48" in " ".join(run(capsys, "info").split())
    (figures,) = json.loads(run(capsys, "info", "--json"))
    assert (figures["images"], figures["backbone"]) == (48, "test_resnet")
    assert run(capsys, "info", "--folder", "elsewhere") == "no features are kept in elsewhere\n"


def test_prune_removes_what_nobody_uses(store, capsys):
    unuse(store, 40)
    assert json.loads(run(capsys, "prune", "--unused_days", "41", "--json")) == {"removed": 0, "freed": 0}
    freed = FeatureStore.opened(store).nbytes
    assert json.loads(run(capsys, "prune", "--json")) == {"removed": 1, "freed": freed}
    assert not store.exists()


def test_a_training_uses_a_store(words, store, capsys):
    unuse(store, 40)
    assert main(["fit", *words]) == 0
    assert run(capsys, "prune").startswith("0 stores removed")


def test_prune_removes_damaged_rows_from_the_others(store, capsys):
    (rows,) = store.glob("*.rows")
    data = bytearray(rows.read_bytes())
    data[100] ^= 255
    rows.write_bytes(data)
    assert json.loads(run(capsys, "prune", "--json")) == {"removed": 0, "freed": 96 * 4 + 20}
    assert len(FeatureStore.opened(store)) == 47


def test_what_cannot_be_removed_is_told(store, capsys, monkeypatch):
    def refuse(folder):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(shutil, "rmtree", refuse)
    assert f"{store}: cannot be removed (Read-only file system)" in run(capsys, "prune", "--unused_days", "0", code=2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "takes one of extract, info, prune; found nothing"),
        (["prun"], "did you mean 'prune'?"),
        (["prune", "--unused_days", "-1"], "expected 0 or more"),
    ],
)
def test_wrong_words_are_told(words, message, capsys):
    assert message in run(capsys, *words, code=2)
