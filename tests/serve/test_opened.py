"""What a checkpoint is served with."""

import numpy as np
import pytest
import torch

from mlic.backbones.timm import TimmBackbone
from mlic.classifier import MultiLabelClassifier
from mlic.errors import ImageError
from mlic.heads import Head
from mlic.verbs import serve


class Deaf(Head):
    """Logits without a gradient, as a head may have that computes elsewhere."""

    def __init__(self, num_features, num_classes):
        super().__init__()
        self.num_classes = num_classes

    def forward(self, feature_map):
        return feature_map.detach().mean(dim=(1, 2, 3))[:, None].repeat(1, self.num_classes)


def network(**how):
    backbone = lambda: TimmBackbone("test_resnet", weights="none", image_size=32)  # noqa: E731
    return MultiLabelClassifier(["red", "green"], backbone=backbone, **how)


def test_a_model_without_heat_maps_is_served_without_them(monkeypatch, caplog):
    monkeypatch.setattr(MultiLabelClassifier, "from_checkpoint", lambda path: network(head=Deaf))
    scorer, explain = serve._opened("best.ckpt", 1)
    assert explain is None
    assert "no heat maps: Deaf gives logits without a gradient" in caplog.text
    assert scorer(np.zeros((1, 3, 32, 32), np.uint8)).shape == (1, 2)


def test_a_model_that_has_diverged_draws_no_heat_map(encoded):
    classifier = network()
    with torch.no_grad():
        classifier.head.linear.weight.fill_(torch.nan)
    with pytest.raises(ImageError, match="diverged"):
        serve._heat_map(classifier, encoded(), "red")
