import json
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import helper, parser

from mlic.errors import CheckpointError, UsageError
from mlic.scorers import Scorer
from mlic.scorers.onnx import OnnxScorer

FACTS = {"classes": ["cat", "dög"], "thresholds": [0.25, 0.75], "at_most": 1, "image_size": 4, "backbone": "none"}


@pytest.fixture
def mean_model(tmp_path):
    """A file as mlic's, whose scores are the mean of the pixels / 255."""
    model = parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 18]>
        mean (uint8[batch, 3, height, width] images) => (float[batch, 2] scores, bool[batch, 2] present) {
            pixels = Cast<to = 1>(images)
            axes = Constant<value = int64[3] {1, 2, 3}>()
            mean = ReduceMean<keepdims = 0>(pixels, axes)
            white = Constant<value_float = 255.0>()
            last = Constant<value = int64[1] {1}>()
            score = Div(mean, white)
            column = Unsqueeze(score, last)
            scores = Concat<axis = 1>(column, column)
            half = Constant<value_float = 0.5>()
            present = Greater(scores, half)
        }
    """)
    helper.set_model_props(model, {name: json.dumps(value) for name, value in FACTS.items()})
    onnx.save(model, tmp_path / "mean.onnx")
    return tmp_path / "mean.onnx"


def test_the_file_tells_all_that_a_scorer_has_to_know(mean_model):
    scorer = OnnxScorer(mean_model)
    assert isinstance(scorer, Scorer)
    assert (scorer.name, scorer.engine) == ("mean.onnx", "onnxruntime")
    assert scorer.classes == ("cat", "dög")
    assert scorer.thresholds.tolist() == [0.25, 0.75]
    assert (scorer.at_most, scorer.image_size, scorer.about["backbone"]) == (1, 4, "none")


def test_scores_are_rows_in_order(mean_model):
    images = np.stack([np.full((3, 5, 7), value, np.uint8) for value in (0, 51, 255)])
    scores = OnnxScorer(mean_model, num_threads=1)(images)
    assert scores.dtype == np.float32
    assert np.allclose(scores, [[0, 0], [0.2, 0.2], [1, 1]])


def test_no_images_have_no_scores(mean_model):
    assert OnnxScorer(mean_model)(np.empty((0, 3, 4, 4), np.uint8)).shape == (0, 2)


def test_another_program_s_file_is_refused(mean_model):
    model = onnx.load(mean_model)
    del model.metadata_props[:]
    onnx.save(model, mean_model)
    with pytest.raises(CheckpointError, match=r"not one of mlic.*no classes, thresholds"):
        OnnxScorer(mean_model)


def test_what_others_have_added_to_the_metadata_does_no_harm(mean_model):
    model = onnx.load(mean_model)
    helper.set_model_props(model, {entry.key: entry.value for entry in model.metadata_props} | {"author": "somebody"})
    onnx.save(model, mean_model)
    assert OnnxScorer(mean_model).about["author"] == "somebody"
    helper.set_model_props(model, {entry.key: entry.value for entry in model.metadata_props} | {"classes": "[cat"})
    onnx.save(model, mean_model)
    with pytest.raises(CheckpointError, match=r"metadata cannot be read \(classes"):
        OnnxScorer(mean_model)


def test_what_is_no_network_is_refused(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"hello")
    with pytest.raises(CheckpointError, match="not a network"):
        OnnxScorer(tmp_path / "a.onnx")
    with pytest.raises(CheckpointError, match="no such file"):
        OnnxScorer(tmp_path / "b.onnx")


def test_onnx_runtime_that_is_not_there_is_named(mean_model, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'mlic\[onnx\]'"):
        OnnxScorer(mean_model)


def test_scoring_an_image_imports_no_torch(mean_model, tmp_path):
    code = """
import sys, io
from PIL import Image
from mlic.scorers.onnx import OnnxScorer
scorer = OnnxScorer("mean.onnx")
file = io.BytesIO()
Image.new("RGB", (30, 20), (255, 255, 255)).save(file, "PNG")
assert scorer(scorer.read(file.getvalue())[None]).tolist() == [[1.0, 1.0]]
heavy = {"torch", "timm", "pytorch_lightning", "onnx", "matplotlib", "huggingface_hub"} & set(sys.modules)
sys.exit(str(heavy) if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
