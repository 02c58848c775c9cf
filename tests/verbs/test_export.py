import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import yaml

from mlic.backbones.timm import TimmBackbone
from mlic.checkpoints import read_checkpoint
from mlic.classifier import MultiLabelClassifier
from mlic.cli import main
from mlic.export.card import SCRIPT
from mlic.images import read_square
from mlic.scorers.onnx import OnnxScorer

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def trained(colours, tmp_path_factory):
    """The checkpoint of a short training, with its data."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copytree(colours, folder / "photos")
    words = [
        *("--data.train", str(folder / "photos/train.csv"), "--data.val", str(folder / "photos/val.csv")),
        *("--model.backbone", "test_resnet", "--model.backbone.weights", "none", "--model.backbone.image_size", "32"),
        *("--data.num_workers", "0", "--trainer.max_epochs", "3", "--trainer.accelerator", "cpu"),
        *("--trainer.default_root_dir", str(folder / "runs"), "--name", "colours"),
    ]
    assert main(["fit", *words]) == 0
    return folder / "runs/colours/v1/best.ckpt"


@pytest.fixture
def checkpoint(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return str(shutil.copy(trained, tmp_path / "best.ckpt"))


def export(capsys, *words):
    exit_code = main(["export", *words, "--json"])
    out, err = capsys.readouterr()
    assert exit_code == 0, err
    return json.loads(out)


def refused(capsys, exit_code, *words):
    assert main(["export", *words]) == exit_code
    return capsys.readouterr().err


def photographs(trained):
    return sorted((trained.parents[3] / "photos/images").iterdir())


def move(checkpoint):
    """Writes moved.ckpt, whose validation data are not where it says."""
    stored = torch.load(checkpoint, weights_only=True)
    stored["mlic"]["config"]["data"]["init_args"]["val"] = str(Path("gone.csv").absolute())
    torch.save(stored, "moved.ckpt")


def test_a_checkpoint_becomes_a_file_beside_it_that_was_checked_on_its_validation_images(checkpoint, trained, capsys):
    told = export(capsys, "--ckpt_path", checkpoint)
    assert Path(told["onnx"]["path"]) == Path(checkpoint).with_suffix(".onnx")
    assert told["onnx"]["images"] == 16
    assert told["onnx"]["difference"] <= 1e-4
    assert told["onnx"]["decisions"] == 0
    classifier = MultiLabelClassifier.from_checkpoint(checkpoint)
    scorer = OnnxScorer(told["onnx"]["path"])
    for path in photographs(trained)[:3]:
        with torch.inference_mode():
            wanted = classifier.decisions.scores(classifier(read_square(path, 32)[None])).numpy()
        assert np.abs(scorer(scorer.read(path)[None]) - wanted).max() <= 1e-4


def test_the_file_tells_of_itself_and_nothing_of_the_machine(checkpoint, capsys):
    export(capsys, "--ckpt_path", checkpoint)
    about = OnnxScorer("best.onnx").about
    card = read_checkpoint(checkpoint)["mlic"]
    assert about["classes"] == card["classes"]
    assert about["thresholds"] == read_checkpoint(checkpoint)["state_dict"]["thresholds"].tolist()
    assert about["metrics"] == card["metrics"]
    assert about["backbone"]["init_args"]["name"] == "test_resnet"
    assert (about["mlic_version"], about["license"], about["quantized"]) == (card["version"], None, None)
    assert str(Path(checkpoint).parent) not in json.dumps(about)


def test_the_licence_of_timm_s_weights_is_told():
    from mlic.export.facts import weights_license

    classifier = MultiLabelClassifier(
        ["a"], backbone=lambda: TimmBackbone("test_resnet.r160_in1k", weights="none", image_size=32)
    )
    path = "mlic.backbones.timm.TimmBackbone"
    assert weights_license(classifier, {"class_path": path, "init_args": {"weights": "imagenet"}}) == "apache-2.0"
    assert weights_license(classifier, {"class_path": path, "init_args": {"weights": "own.pth"}}) is None


def test_all_formats_stand_in_a_folder_with_a_model_card(checkpoint, capsys):
    told = export(capsys, "--ckpt_path", checkpoint, "--format", "onnx,torch,safetensors", "--output", "food/")
    files = {path.name for path in Path("food").iterdir()}
    assert files == {"README.md", "config.json", "model.onnx", "model.pt2", "model.safetensors"}
    assert all(told[kind]["difference"] <= 1e-4 for kind in ("onnx", "torch", "safetensors"))
    assert "photos" not in Path("food/config.json").read_text(encoding="utf-8")
    front, body = Path("food/README.md").read_text(encoding="utf-8").split("---\n", 2)[1:]
    card = yaml.safe_load(front)
    assert (card["library_name"], card["pipeline_tag"]) == ("mlic", "image-classification")
    assert "multi-label" in card["tags"]
    (result,) = card["model-index"][0]["results"]
    measured = {metric["type"]: metric["value"] for metric in result["metrics"]}
    metrics = read_checkpoint(checkpoint)["mlic"]["metrics"]
    assert measured["mAP"] == pytest.approx(metrics["val/mAP"], abs=1e-4)
    for name, threshold in zip(
        read_checkpoint(checkpoint)["mlic"]["classes"], OnnxScorer("food/model.onnx").thresholds, strict=True
    ):
        assert f"| {name} | {threshold:.4f} |" in body
    assert "## Limits" in body


@pytest.mark.parametrize("source", ["card", "docs"])
def test_the_script_needs_neither_torch_nor_mlic(source, checkpoint, trained, capsys):
    export(capsys, "--ckpt_path", checkpoint, "--output", "food/")
    page = Path("food/README.md") if source == "card" else ROOT / "docs/export.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    script = next(block for block in blocks if "onnxruntime" in block)
    if source == "docs":
        assert script == SCRIPT.replace("FILE", "model.onnx")
    assert len(script.splitlines()) <= 20
    blocked = "import sys\nfor name in ('torch', 'mlic', 'timm'): sys.modules[name] = None\n"
    Path("food/run.py").write_text(blocked + script, encoding="utf-8")
    path = photographs(trained)[0]
    done = subprocess.run(
        [sys.executable, "run.py", str(path)], cwd="food", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    scorer = OnnxScorer("food/model.onnx")
    (scores,) = scorer(scorer.read(path)[None])
    lines = done.stdout.splitlines()
    assert len(lines) == len(scorer.classes)
    for line, name, score, threshold in zip(lines, scorer.classes, scores, scorer.thresholds, strict=True):
        assert line.split()[1:3] == [name, f"{score:.4f}"]
        assert line.endswith("present") == (score >= threshold)


def test_8_bits_are_measured_on_the_validation_samples(checkpoint, capsys):
    told = export(capsys, "--ckpt_path", checkpoint, "--quantize", "int8")["onnx"]
    assert Path(told["path"]).name == "best-int8.onnx"
    assert 0 <= told["map_before"] <= 1
    assert abs(told["map_after"] - told["map_before"]) < 0.2
    assert 0 < told["difference"] < 0.5
    assert told["images"] == 16
    kinds = {node.op_type for node in onnx.load(told["path"]).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    assert OnnxScorer(told["path"]).about["quantized"]["weights"] == "int8"


def test_8_bits_may_be_calibrated_on_other_images_and_the_drop_is_printed(checkpoint, trained, capsys):
    folder = str(photographs(trained)[0].parent)
    words = ["--quantize", "int8", "--calibrate", folder]
    assert main(["export", "--ckpt_path", checkpoint, *words]) == 0
    out = capsys.readouterr().out
    assert re.search(r"on 16 images: the largest difference of a score is 0\.\d+", out)
    assert re.search(r"mAP 0\.\d+ before, 0\.\d+ after: a (loss|gain) of 0\.\d+", out)
    move(checkpoint)
    assert main(["export", "--ckpt_path", "moved.ckpt", *words]) == 0
    out = capsys.readouterr().out
    assert "on 64 images" in out
    assert "mAP" not in out, "nobody knows the labels of these images"


def test_without_its_data_a_checkpoint_is_checked_on_what_is_named_or_drawn(checkpoint, trained, capsys):
    move(checkpoint)
    assert export(capsys, "--ckpt_path", "moved.ckpt")["onnx"]["images"] == 8
    named = [str(path) for path in photographs(trained)[:2]]
    told = export(capsys, "--ckpt_path", "moved.ckpt", "--output", "b.onnx", "--check", *named)
    assert told["onnx"]["images"] == 2
    said = refused(capsys, 2, "--ckpt_path", "moved.ckpt", "--output", "c.onnx", "--quantize", "int8")
    assert "--calibrate" in said


def test_a_file_that_differs_does_not_stay(checkpoint, capsys, monkeypatch):
    true = OnnxScorer.decide

    def other(self, images):
        scores, present = true(self, images)
        return scores + np.float32(2e-4), present

    monkeypatch.setattr(OnnxScorer, "decide", other)
    said = refused(capsys, 1, "--ckpt_path", checkpoint)
    assert "2.0e-04" in said
    assert not Path("best.onnx").exists()


def test_a_folder_of_weights_is_a_checkpoint_for_prediction_and_export(checkpoint, trained, capsys):
    export(capsys, "--ckpt_path", checkpoint, "--format", "safetensors", "--output", "food/")
    path = str(photographs(trained)[0])
    rows = []
    for name in (checkpoint, "food"):
        assert main(["predict", "--ckpt_path", name, path, "--json"]) == 0
        rows.append(json.loads(capsys.readouterr().out))
    assert rows[0]["scores"] == pytest.approx(rows[1]["scores"], abs=1e-6)
    assert rows[0]["labels"] == rows[1]["labels"]
    assert export(capsys, "--ckpt_path", "food", "--output", "again.onnx")["onnx"]["difference"] <= 1e-4


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--format", "onxx"], "did you mean 'onnx'"),
        (["--format", "torch", "--quantize", "int8"], "add onnx to --format"),
        (["--calibrate", "photos"], "add that, or leave it out"),
        (["--quantize", "int8", "--check", "photos"], "measured on the validation samples"),
        (["--output", "a.pt2"], "does not fit --format onnx"),
        (["--check", "nowhere"], "no such file or folder 'nowhere'"),
        (["--tta", "multi_scale"], "cannot make"),
        (["--outptu", "a.onnx"], "--outptu"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(words, part, checkpoint, capsys):
    assert part in refused(capsys, 2, "--ckpt_path", checkpoint, *words)
    assert not list(Path().glob("*.onnx"))


def test_nothing_is_overwritten(checkpoint, capsys):
    Path("best.onnx").write_text("mine")
    assert "is there already" in refused(capsys, 2, "--ckpt_path", checkpoint)
    assert Path("best.onnx").read_text() == "mine"
    Path("folder").mkdir()
    for name in ("README.md", "config.json"):
        path = Path("folder") / name
        path.write_text("mine")
        said = refused(capsys, 2, "--ckpt_path", checkpoint, "--format", "safetensors", "--output", "folder")
        assert f"{path} is there already" in said
        assert [(one, one.read_text()) for one in Path("folder").iterdir()] == [(path, "mine")]
        path.unlink()


def test_a_file_that_no_image_was_there_to_check_does_not_stay(checkpoint, capsys):
    Path("text.jpg").write_text("no image")
    words = ["--format", "onnx,safetensors", "--output", "folder/", "--check", "text.jpg"]
    assert "no image could be read" in refused(capsys, 2, "--ckpt_path", checkpoint, *words)
    assert not list(Path("folder").iterdir())


def test_of_weights_that_differ_nothing_stays(checkpoint, capsys, monkeypatch):
    true = MultiLabelClassifier.from_checkpoint.__func__

    def other(cls, path, *words, **options):
        classifier = true(cls, path, *words, **options)
        if Path(path).is_dir():
            classifier.offset += 0.1
        return classifier

    monkeypatch.setattr(MultiLabelClassifier, "from_checkpoint", classmethod(other))
    said = refused(capsys, 1, "--ckpt_path", checkpoint, "--format", "safetensors", "--output", "folder/")
    assert "gives other scores" in said
    assert not list(Path("folder").iterdir())


def test_a_missing_package_is_named(checkpoint, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert "pip install 'mlic[export]'" in refused(capsys, 2, "--ckpt_path", checkpoint)
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert "openvino" in refused(capsys, 2, "--ckpt_path", checkpoint, "--format", "openvino")
