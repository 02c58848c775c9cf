"""An exported model in place of a checkpoint."""

import json
import subprocess
import sys

import pytest

from mlic.cli import main
from mlic.errors import UsageError
from mlic.export.facts import describe
from mlic.export.onnxfile import write_onnx
from mlic.predict import Predictor

RUN = """
import json, sys
from mlic.cli import main
code = main(sys.argv[1:])
sys.stderr.write("\\n" + json.dumps([code, sorted(sys.modules)]))
"""


@pytest.fixture(scope="module")
def exported(classifier, tmp_path_factory):
    checkpoint = {}
    classifier.on_save_checkpoint(checkpoint)
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    write_onnx(classifier, describe(classifier, checkpoint["mlic"]), path)
    return path


def test_an_exported_model_says_what_the_checkpoint_says(exported, classifier, images, hostile):
    paths = [*images, *map(str, hostile.iterdir())]
    for one, other in zip(Predictor(exported).predict(paths), Predictor(classifier).predict(paths), strict=True):
        assert (one.path, one.error) == (other.path, other.error)
        assert one.scores == pytest.approx(other.scores, abs=1e-5)


def test_an_exported_model_needs_no_torch(exported, images, tmp_path):
    words = ["predict", "--ckpt_path", str(exported), *images[:3], "--output", "out.csv"]
    ended = subprocess.run(
        [sys.executable, "-c", RUN, *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    exit_code, modules = json.loads(ended.stderr.splitlines()[-1])
    assert exit_code == 0, ended.stderr
    assert not {"torch", "pytorch_lightning", "torchvision", "timm", "onnx", "pyarrow", "matplotlib"} & set(modules)
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 4


def test_a_run_with_an_exported_model_is_gone_on_with(exported, images, tmp_path):
    whole, output = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    for path in (whole, output):
        assert main(["predict", "--ckpt_path", str(exported), *images, "--output", str(path)]) == 0
    output.write_bytes(whole.read_bytes()[:3000])
    assert main(["predict", "--ckpt_path", str(exported), *images, "--output", str(output), "--resume"]) == 0
    assert output.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"tta": "flip"}, "tta flip takes a checkpoint"), ({"engine": "torch"}, "engine torch takes a checkpoint")],
)
def test_what_an_exported_model_cannot_do_is_told(options, message, exported):
    with pytest.raises(UsageError, match=message):
        Predictor(exported, **options)


def test_an_exported_model_has_neither_features_nor_a_classifier(exported, images):
    predictor = Predictor(exported)
    assert predictor.classes == ("red", "green", "blue")
    assert predictor.engine_name == "onnxruntime"
    with pytest.raises(UsageError, match="features take the checkpoint"):
        predictor.write(images[:1], lambda prediction: None, write_features=lambda names, rows: None)
    with pytest.raises(UsageError, match="load a checkpoint"):
        _ = predictor.classifier
