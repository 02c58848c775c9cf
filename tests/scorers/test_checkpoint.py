import numpy as np
import pytest
import torch

from mlic.backbones.timm import TimmBackbone
from mlic.classifier import MultiLabelClassifier
from mlic.engines import probe
from mlic.errors import CheckpointError, UsageError
from mlic.heads.csra import CSRAHead
from mlic.heads.linear import LinearHead
from mlic.scorers import Scorer, open_scorer
from mlic.scorers.checkpoint import CheckpointScorer
from mlic.views import views


def classifier(head=LinearHead, tta="none", name="test_resnet"):
    torch.manual_seed(0)
    network = MultiLabelClassifier(
        ["cat", "dog"], backbone=lambda: TimmBackbone(name, weights="none", image_size=32), head=head, tta=tta
    )
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
    return network.eval()


def saved(network, path):
    checkpoint = {"state_dict": network.state_dict()}
    network.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, path)
    return path


@pytest.mark.parametrize("engine", ["plain", "torch", "onnxruntime"])
@pytest.mark.parametrize("head", [LinearHead, CSRAHead])
def test_each_engine_gives_the_scores_of_the_classifier(engine, head):
    network, images = classifier(head), probe(3, 32)
    with torch.inference_mode():
        expected = network.decisions.scores(network(images))
        features = network.feature_map(images).mean(dim=(2, 3))
    scorer = CheckpointScorer(network, engine=engine)
    assert scorer.engine == engine
    scores, embedded = scorer.embed(images.numpy())
    np.testing.assert_allclose(scores, expected, atol=2e-5)
    np.testing.assert_allclose(embedded, features, atol=1e-4 * float(features.abs().max()))


@pytest.mark.parametrize("tta", ["flip", "multi_scale", "ten_crop"])
def test_logits_are_averaged_over_the_views(tta):
    network, images = classifier(tta=tta), probe(2, 32)
    with torch.inference_mode():
        logits = torch.stack([network(view) for view in views(images, tta)]).mean(dim=0)
    scorer = CheckpointScorer(network)
    np.testing.assert_allclose(scorer(images.numpy()), network.decisions.scores(logits), atol=2e-5)


def test_few_images_are_not_worth_a_copy_of_the_network():
    assert CheckpointScorer(classifier(), num_images=16).engine == "plain"
    assert CheckpointScorer(classifier(), num_images=17).engine == "torch"


def test_an_engine_with_other_scores_is_not_used(monkeypatch):
    def off(*args, **options):
        made = make(*args, **options)
        made.network.mean.add_(0.5)
        return made

    import mlic.scorers.checkpoint as module

    make = module.make_engine
    monkeypatch.setattr(module, "make_engine", off)
    assert CheckpointScorer(classifier(), engine="torch").engine == "plain"


def test_calibration_and_thresholds_are_those_of_the_classifier():
    network, images = classifier(), probe(2, 32)
    scorer = CheckpointScorer(network, num_images=2)
    before = scorer(images.numpy())
    network.thresholds.copy_(torch.tensor([0.25, 0.75]))
    network.slope.fill_(2.0)
    assert scorer.thresholds.tolist() == [0.25, 0.75]
    logit = np.log(before / (1 - before))
    np.testing.assert_allclose(scorer(images.numpy()), 1 / (1 + np.exp(-2 * logit)), atol=1e-6)


def test_a_checkpoint_is_opened_with_what_it_says(tmp_path):
    path = saved(classifier(tta="flip"), tmp_path / "best.ckpt")
    scorer = open_scorer(path, num_images=1)
    assert isinstance(scorer, Scorer)
    assert (scorer.name, scorer.classes, scorer.image_size) == ("best.ckpt", ("cat", "dog"), 32)
    images = probe(1, 32)
    np.testing.assert_allclose(scorer(images.numpy()), CheckpointScorer(classifier(tta="flip"))(images.numpy()), 1e-4)
    assert (open_scorer(path, tta="none", num_images=1)(images.numpy()) != scorer(images.numpy())).any()


def test_what_an_exported_file_cannot_do_is_told(tmp_path):
    with pytest.raises(UsageError, match="tta flip takes a checkpoint"):
        open_scorer(tmp_path / "model.onnx", tta="flip")
    with pytest.raises(UsageError, match="engine torch takes a checkpoint"):
        open_scorer(tmp_path / "model.onnx", engine="torch")
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        open_scorer(tmp_path / "best.ckpt")
