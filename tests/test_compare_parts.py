"""The tool that makes docs/results.md, on a tiny backbone and a few small photographs."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from mlic.losses import BCELoss


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    path = Path(__file__).parents[1] / "tools" / "compare_parts.py"
    spec = importlib.util.spec_from_file_location("compare_parts", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # a NamedTuple asks for the module that it is defined in
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def few(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves two heads, two losses and two ways with unknown labels."""
    keep = {"HEADS": ("linear", "csra"), "LOSSES": ("bce", "asymmetric"), "METHODS": ("bce, ignore", "bce, negative")}
    for name, kept in {**keep, "_COLOURS": keep["METHODS"]}.items():
        monkeypatch.setattr(tool, name, {key: getattr(tool, name)[key] for key in kept})
    monkeypatch.setattr(tool, "_MAIN", ("bce", "asymmetric"))
    for head, plan in tool.HEADS.items():
        monkeypatch.setitem(tool.HEADS, head, plan._replace(rates=(1e-2, 1e-1), losses=("bce", "asymmetric")))


def run(tool: ModuleType, folder: Path, docs: Path) -> str:
    words = ["--only", "heads", "losses", "unknown", "--seeds", "2", "--epochs", "2", "--backbone", "test_resnet"]
    tool.main([str(folder), *words, "--docs", str(docs)])
    return (docs / "results.md").read_text(encoding="utf-8")


@pytest.mark.usefixtures("few")
def test_a_run_writes_tables_and_a_picture_and_a_second_run_trains_nothing(
    tool: ModuleType, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "results.md").write_text("# Words\n\n<!-- losses -->\nold\n<!-- end of losses -->\n\nmore\n")
    written = run(tool, colours, tmp_path)
    assert written.startswith("# Words\n\n<!-- losses -->\n| loss |")
    assert "old" not in written
    assert "| csra | 0." in written
    assert "| bce, negative | 0." in written
    assert (tmp_path / "images" / "unknown_labels.png").stat().st_size > 10_000
    monkeypatch.setattr(tool, "_train", None)
    assert run(tool, colours, tmp_path) == written


def test_deleting_more_deletes_the_same_cells_and_more(tool: ModuleType) -> None:
    labels = np.array([[1, 0], [-1, 1], [0, 0]] * 50, np.int8)
    some, more = tool.delete(labels, 0.3, seed=1), tool.delete(labels, 0.6, seed=1)
    assert int((some >= 0).sum()) == 175
    assert int((more >= 0).sum()) == 100
    assert (more[some == -1] == -1).all()
    assert (some == tool.delete(labels, 0.3, seed=1)).all()


def test_cf1_is_the_harmonic_mean_of_mean_precision_and_mean_recall(tool: ModuleType) -> None:
    # Decided at 0: one class is found with one mistake (precision 1/2, recall 1), one is never predicted.
    logits = torch.tensor([[1.0, -1.0], [1.0, -1.0]])
    labels = torch.tensor([[1, 1], [0, 0]], dtype=torch.int8)

    class Decided(BCELoss):
        decides_at_zero = True

    figures = tool.judge(logits, labels, logits, labels, Decided())
    mean_precision, mean_recall = (0.5 + 0) / 2, (1 + 0) / 2
    assert figures["CF1"] == pytest.approx(2 * mean_precision * mean_recall / (mean_precision + mean_recall))
    assert figures["OF1"] == pytest.approx(2 * 1 / (2 * 1 + 1 + 1))
