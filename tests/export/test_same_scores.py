import numpy as np
import onnxruntime
import pytest
import torch

from mlic.classifier import MultiLabelClassifier
from mlic.export.onnxfile import write_onnx
from mlic.export.torchfile import read_torch, write_torch
from mlic.export.weights import write_weights
from mlic.images import read_square
from mlic.pixels import read_pixels
from mlic.scorers import Scorer, present
from mlic.scorers.checkpoint import CheckpointScorer
from mlic.scorers.onnx import OnnxScorer

TOLERANCE = 1e-4
SIDE = 64
BACKBONES = ("test_resnet", "smallest_swin", "test_vit")
HEADS = ("linear", "csra", "ml_decoder")


def expected(classifier, path):
    with torch.inference_mode():
        logits = classifier(read_square(path, SIDE)[None])
    return classifier.decisions.scores(logits).numpy(), classifier.decisions.present(logits).numpy()


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_same_bytes_have_the_same_scores_by_onnx_runtime(
    backbone, head, kinds, make_classifier, facts_of, tmp_path
):
    classifier = make_classifier(backbone, head, at_most=2)
    write_onnx(classifier, facts_of(classifier), tmp_path / "a.onnx")
    scorer = OnnxScorer(tmp_path / "a.onnx")
    assert isinstance(scorer, Scorer)
    everything = []
    for path in kinds.values():
        scores, decided = expected(classifier, path)
        found = scorer(scorer.read(path)[None])
        assert np.abs(found - scores).max() <= TOLERANCE, path
        assert np.array_equal(present(found, scorer.thresholds, scorer.at_most), decided)
        everything.append((scores, scorer.read(path)))
    together = scorer(np.stack([square for _, square in everything]))
    assert np.abs(together - np.concatenate([scores for scores, _ in everything])).max() <= TOLERANCE
    assert np.ptp(together, axis=0).max() > 0.01, "the images are to be told apart"


@pytest.mark.parametrize(("backbone", "head"), list(zip(BACKBONES, ("csra", "ml_decoder", "linear"), strict=True)))
def test_the_same_bytes_have_the_same_scores_over_http(backbone, head, kinds, make_classifier, facts_of, tmp_path):
    pytest.importorskip("starlette", reason="Starlette is not installed: pip install 'mlic[serve]'")
    from starlette.testclient import TestClient

    from mlic.serve import make_app

    classifier = make_classifier(backbone, head, at_most=2)
    write_onnx(classifier, facts_of(classifier), tmp_path / "a.onnx")
    for scorer in (OnnxScorer(tmp_path / "a.onnx"), CheckpointScorer(classifier)):
        app = make_app(scorer)
        forms = [("images", (path.name, path.read_bytes(), "application/octet-stream")) for path in kinds.values()]
        answer = TestClient(app).post("/predict", files=forms)
        app.state.close()
        assert answer.status_code == 200, answer.text
        for path, row in zip(kinds.values(), answer.json()["predictions"], strict=True):
            scores, decided = expected(classifier, path)
            found = np.array([[row["scores"][name] for name in classifier.classes]])
            assert np.abs(found - scores).max() <= TOLERANCE, path
            assert set(row["labels"]) == {
                name for name, says in zip(classifier.classes, decided[0], strict=True) if says
            }


@pytest.mark.parametrize("backbone", BACKBONES)
def test_images_of_any_size_go_into_the_file_as_they_are(backbone, kinds, make_classifier, facts_of, tmp_path):
    classifier = make_classifier(backbone, at_most=2)
    write_onnx(classifier, facts_of(classifier), tmp_path / "a.onnx")
    scorer = OnnxScorer(tmp_path / "a.onnx")
    for name in ("plain", "turned by EXIF", "palette with alpha", "tiny", "the size", "8,000 pixels"):
        pixels = read_pixels(kinds[name], SIDE)  # as large as `read_square` decodes it
        scores, decided = scorer.decide(pixels.transpose(2, 0, 1)[None])
        wanted = expected(classifier, kinds[name])
        assert np.abs(scores - wanted[0]).max() <= TOLERANCE
        assert np.array_equal(decided, wanted[1])


@pytest.mark.parametrize(
    ("backbone", "head"), [("test_resnet", "csra"), ("smallest_swin", "linear"), ("test_vit", "ml_decoder")]
)
def test_torch_runs_a_pt2_file_to_the_same_scores(backbone, head, kinds, make_classifier, facts_of, tmp_path):
    classifier = make_classifier(backbone, head, at_most=1)
    write_torch(classifier, facts_of(classifier), tmp_path / "a.pt2")
    module, facts = read_torch(tmp_path / "a.pt2")
    assert facts == facts_of(classifier)
    squares = []
    for path in kinds.values():
        wanted = expected(classifier, path)
        squares.append((read_square(path, SIDE), wanted[0]))
        pixels = torch.from_numpy(read_pixels(path, SIDE)).permute(2, 0, 1)[None]
        scores, decided = module(pixels)
        assert np.abs(scores.numpy() - wanted[0]).max() <= TOLERANCE
        assert np.array_equal(decided.numpy(), wanted[1])
    together, _ = module(torch.stack([square for square, _ in squares]))
    assert np.abs(together.numpy() - np.concatenate([scores for _, scores in squares])).max() <= TOLERANCE


def test_a_file_averages_over_the_mirrored_image_as_its_checkpoint_does(kinds, make_classifier, facts_of, tmp_path):
    classifier = make_classifier(tta="flip")
    write_onnx(classifier, facts_of(classifier), tmp_path / "a.onnx")
    square = read_square(kinds["plain"], SIDE)[None]
    with torch.inference_mode():
        wanted = classifier.decisions.scores(classifier.averaged(square)).numpy()
        single = classifier.decisions.scores(classifier(square)).numpy()
    found = OnnxScorer(tmp_path / "a.onnx")(square.numpy())
    assert np.abs(found - wanted).max() <= TOLERANCE < np.abs(found - single).max()


def test_ties_at_most_are_broken_as_everywhere(make_classifier, facts_of, tmp_path):
    classifier = make_classifier(at_most=2)
    for name, value in (("slope", 0.0), ("offset", 0.0), ("thresholds", 0.5)):
        getattr(classifier, name).fill_(value)
    write_onnx(classifier, facts_of(classifier), tmp_path / "a.onnx")
    scores, decided = OnnxScorer(tmp_path / "a.onnx").decide(np.zeros((1, 3, SIDE, SIDE), np.uint8))
    assert scores.tolist() == [[0.5] * 5]
    assert decided.tolist() == [[True, True, False, False, False]]


@pytest.mark.parametrize("at_most", [None, 2])
def test_whoever_loads_a_file_is_not_warned(at_most, make_classifier, facts_of, tmp_path, capfd):
    classifier = make_classifier(at_most=at_most)
    write_onnx(classifier, facts_of(classifier), tmp_path / "a.onnx")
    capfd.readouterr()
    onnxruntime.InferenceSession(tmp_path / "a.onnx", providers=["CPUExecutionProvider"])
    assert capfd.readouterr().err == ""


def test_a_classifier_comes_back_from_safetensors_whole(make_classifier, card_of, facts_of, tmp_path):
    classifier = make_classifier("test_vit", "ml_decoder", at_most=2)
    write_weights(classifier, card_of(classifier), facts_of(classifier), tmp_path)
    again = MultiLabelClassifier.from_checkpoint(tmp_path)
    images = torch.randint(0, 256, (2, 3, SIDE, SIDE), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(again(images), classifier(images))
    assert again.classes == classifier.classes
    assert again.decisions.at_most == 2
    assert torch.equal(again.decisions.thresholds, classifier.decisions.thresholds)
