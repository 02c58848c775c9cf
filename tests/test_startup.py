"""What each verb and each floor leaves alone. Which modules are there tells more reliably than a clock."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from mlic.backbones.timm import TimmBackbone
from mlic.classifier import MultiLabelClassifier

ROOT = Path(__file__).parents[1]

NEVER = {"onnx", "onnxruntime", "onnxscript", "sklearn", "tensorboard", "tensorflow", "pandas", "optuna"}
FRAMEWORKS = {"pytorch_lightning", "lightning_fabric", "timm", "torchmetrics", "torchvision"} | NEVER
LIBRARIES = {"jsonargparse", "numpy", "PIL", "yaml", "jaxtyping", "matplotlib", "scipy", "pyarrow", "huggingface_hub"}
HEAVY = {"torch", "safetensors"} | LIBRARIES | FRAMEWORKS

RUN = """
import json, sys
from mlic.cli import main
code = main(sys.argv[1:])
sys.stderr.write("\\n" + json.dumps([code, sorted(sys.modules)]))
"""
IMPORT = """
import importlib, json, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
sys.stderr.write("\\n" + json.dumps([0, sorted(sys.modules)]))
"""


def modules(code, *words, folder):
    """The exit code, and the names of all modules that were imported when it was done."""
    command = [sys.executable, "-W", "ignore", "-c", code, *map(str, words)]
    ended = subprocess.run(command, cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    exit_code, names = json.loads(ended.stderr.splitlines()[-1])
    return exit_code, set(names)


@pytest.mark.parametrize(
    "words",
    [
        "--help",
        "--version",
        "",
        "plugins",
        "plugins losses --json",
        "fit --help",
        "predict --help",
        "serve --help",
        "nonsense",
    ],
)
def test_what_answers_at_once_imports_the_standard_library_alone(words, tmp_path):
    exit_code, names = modules(RUN, *words.split(), folder=tmp_path)
    assert exit_code == (2 if words == "nonsense" else 0)
    assert not names & HEAVY


@pytest.mark.parametrize("words", ["stats labels.csv", "convert labels.csv --to jsonl --output out.jsonl"])
def test_annotations_are_read_without_torch_and_drawn_only_when_asked(words, tmp_path):
    (tmp_path / "labels.csv").write_text("path,cat,dog\na.jpg,1,0\nb.jpg,0,1\n")
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    exit_code, names = modules(RUN, "data", *words.split(), folder=tmp_path)
    assert exit_code == 0
    assert not names & ({"torch", "matplotlib", "scipy", "pyarrow", "huggingface_hub"} | FRAMEWORKS)


def test_arithmetic_and_parts_import_torch_and_no_framework(tmp_path):
    rooms = [
        "mlic.metrics",
        "mlic.thresholds",
        "mlic.images",
        "mlic.losses.asymmetric",
        "mlic.heads.csra",
        "mlic.views",
    ]
    _, names = modules(IMPORT, *rooms, folder=tmp_path)
    assert "torch" in names
    assert not names & ({"matplotlib", "scipy"} | FRAMEWORKS)


def test_the_class_that_collects_brings_torchmetrics_and_neither_lightning_nor_timm(tmp_path):
    _, names = modules(IMPORT, "mlic.metrics.collected", folder=tmp_path)
    assert "torchmetrics" in names
    assert not names & {"pytorch_lightning", "timm"}


@pytest.mark.slow
def test_predict_imports_no_other_verb_no_logger_and_no_plots(tmp_path):
    network = MultiLabelClassifier(["cat"], backbone=lambda: TimmBackbone("test_resnet", weights="none", image_size=32))
    checkpoint = {"state_dict": network.state_dict()}
    network.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, tmp_path / "best.ckpt")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg")
    exit_code, names = modules(RUN, "predict", "--ckpt_path", "best.ckpt", "a.jpg", folder=tmp_path)
    assert exit_code == 0
    ours = {"mlic.plots", "mlic.training", "mlic.verbs.fit", "mlic.datamodules.readers"}
    unused = {"torch.utils.tensorboard", "torchvision.transforms.v2", "pyarrow"} | ours | NEVER
    assert sorted(names & unused) == []
