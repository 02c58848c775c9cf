from pathlib import Path

import pytest
import torch
import torchvision

from mlic.backbones.base import Backbone
from mlic.backbones.inception_v3 import InceptionV3
from mlic.errors import UsageError
from mlic.parts import rebuild, spec


def test_at_299_pixels_the_map_is_2048_by_8_by_8_in_training_and_out_of_it() -> None:
    backbone = InceptionV3(weights="none")
    assert (backbone.num_features, backbone.image_size) == (2048, 299)
    images = torch.zeros(2, 3, 299, 299)
    with torch.no_grad():
        for mode in (True, False):
            feature_map = backbone.train(mode)(images)
            assert isinstance(feature_map, torch.Tensor)
            assert feature_map.shape == (2, 2048, 8, 8)


def test_there_is_no_auxiliary_classifier() -> None:
    assert not any("AuxLogits" in key for key in InceptionV3(weights="none", image_size=96).state_dict())


def test_mean_and_std_are_half() -> None:
    backbone = InceptionV3(weights="none", image_size=96)
    assert backbone.mean == backbone.std == (0.5, 0.5, 0.5)


def test_an_image_below_75_pixels_is_refused() -> None:
    assert InceptionV3(weights="none", image_size=75).image_size == 75
    with pytest.raises(UsageError, match="does not take images of 74 pixels"):
        InceptionV3(weights="none", image_size=74)


def test_it_is_torchvisions_inception_with_the_normalisation_taken_out(tmp_path: Path) -> None:
    # Its file fits, its auxiliary classifier is left out, and its transform_input is what `mean` and `std` replace.
    theirs = torchvision.models.Inception3(init_weights=False, aux_logits=True, transform_input=True).eval()
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, std=0.1)
    torch.save(theirs.state_dict(), tmp_path / "inception.pth")
    ours = InceptionV3(weights=tmp_path / "inception.pth", image_size=107).eval()
    seen: list[torch.Tensor] = []
    theirs.Mixed_7c.register_forward_hook(lambda module, arguments, output: seen.append(output))
    pixels = torch.rand(1, 3, 107, 107)
    imagenet_mean, imagenet_std = torch.tensor((0.485, 0.456, 0.406)), torch.tensor((0.229, 0.224, 0.225))
    with torch.no_grad():
        theirs((pixels - imagenet_mean.view(1, 3, 1, 1)) / imagenet_std.view(1, 3, 1, 1))
        feature_map = ours((pixels - 0.5) / 0.5)
    assert feature_map.std() > 1e-3
    torch.testing.assert_close(feature_map, seen[0], atol=1e-4, rtol=1e-3)


def test_is_rebuilt_from_its_spec_without_weights() -> None:
    described = spec(InceptionV3(weights="none", freeze=True, image_size=96))
    described["init_args"]["weights"] = "imagenet"
    described["init_args"] = InceptionV3.without_weights(described["init_args"])
    again = rebuild(described, Backbone)
    assert isinstance(again, InceptionV3)
    assert (again.frozen, again.image_size) == (True, 96)
