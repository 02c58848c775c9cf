import io

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.models import SwinTransformer, build_model_with_cfg, register_model

from mlic.backbones.timm import TimmBackbone
from mlic.checkpoints import write_checkpoint
from mlic.classifier import MultiLabelClassifier
from mlic.export.facts import describe
from mlic.heads.csra import CSRAHead
from mlic.heads.linear import LinearHead
from mlic.heads.ml_decoder import MLDecoderHead
from mlic.thresholds import DecisionRule

SIDE = 64

HEADS = {
    "linear": LinearHead,
    "csra": lambda features, classes: CSRAHead(features, classes, num_heads=2),
    "ml_decoder": lambda features, classes: MLDecoderHead(features, classes, width=16, num_heads=2, feed_forward=16),
}
CLASSES = ("cat", "dög", "sea | sky", "person", "car")


@register_model
def smallest_swin(pretrained=False, **kwargs):
    """timm has no small Swin of its own."""
    sizes = {"embed_dim": 16, "depths": (2, 2), "num_heads": (2, 4), "window_size": 4}
    cfg = timm.get_pretrained_cfg("swin_tiny_patch4_window7_224")
    return build_model_with_cfg(
        SwinTransformer, "smallest_swin", pretrained, **{**sizes, **kwargs, "pretrained_cfg": cfg}
    )


def _make(backbone="test_resnet", head="linear", at_most=None, tta="none", seed=0):
    """A network of random weights that says something else of each image, with decisions of its own."""
    torch.manual_seed(seed)
    classifier = MultiLabelClassifier(
        CLASSES,
        backbone=lambda: TimmBackbone(backbone, weights="none", image_size=SIDE),
        head=HEADS[head],
        decision=DecisionRule(at_most=at_most),
        tta=tta,
    ).eval()
    for name, parameter in classifier.head.named_parameters():
        if "weight" in name:
            parameter.data *= 5
    classifier.slope.uniform_(0.5, 2)
    classifier.offset.uniform_(-0.5, 0.5)
    classifier.thresholds.uniform_(0.4, 0.6)
    return classifier


def _save(classifier, path, metrics=None):
    checkpoint = {"state_dict": classifier.state_dict(), "epoch": 1}
    classifier.on_save_checkpoint(checkpoint)
    checkpoint["mlic"]["metrics"] = {"val/mAP": 0.5, "val/f1_micro": None} if metrics is None else metrics
    write_checkpoint(path, checkpoint)
    return path


def _photograph(width, height, seed=0):
    """Shapes and noise: smooth areas and sharp borders."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (4, 5, 3)).astype(np.uint8)
    pixels = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.NEAREST)).astype(int)
    return Image.fromarray(np.clip(pixels + random.normal(0, 20, pixels.shape), 0, 255).astype(np.uint8))


def _bytes(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return _bytes(_photograph(120, 80), "JPEG", exif=exif)


def _palette():
    image = _photograph(90, 70).quantize(32)
    return _bytes(image, "PNG", transparency=bytes(range(0, 256, 8)))


def _animated():
    frames = [_photograph(60, 50, seed).quantize(16) for seed in range(3)]
    return _bytes(frames[0], "GIF", save_all=True, append_images=frames[1:])


def _deep():
    grey = np.linspace(0, 65535, 70 * 90).reshape(70, 90).astype(np.uint16)
    return _bytes(Image.fromarray(grey), "PNG")


KINDS = {
    "plain": lambda: _bytes(_photograph(500, 375), "JPEG", quality=95),
    "turned by EXIF": _turned,
    "CMYK": lambda: _bytes(_photograph(80, 60).convert("CMYK"), "JPEG"),
    "16-bit grey": _deep,
    "grey": lambda: _bytes(_photograph(80, 60).convert("L"), "JPEG"),
    "palette with alpha": _palette,
    "animated GIF": _animated,
    "tiny": lambda: _bytes(_photograph(1, 2), "PNG"),
    "the size": lambda: _bytes(_photograph(SIDE, SIDE), "PNG"),
    "8,000 pixels": lambda: _bytes(_photograph(8000, 600), "JPEG"),
}


@pytest.fixture(scope="session")
def kinds(tmp_path_factory):
    """A file of each kind."""
    folder = tmp_path_factory.mktemp("kinds")
    paths = {}
    for name, make in KINDS.items():
        paths[name] = folder / f"{name.replace(' ', '_')}.img"
        paths[name].write_bytes(make())
    return paths


@pytest.fixture
def make_classifier():
    return _make


@pytest.fixture
def save():
    """Writes the checkpoint of a classifier to a path."""
    return _save


@pytest.fixture
def photograph():
    return _photograph


@pytest.fixture
def card_of():
    def card_of(classifier):
        checkpoint = {"state_dict": {}}
        classifier.on_save_checkpoint(checkpoint)
        return {**checkpoint["mlic"], "metrics": {"val/mAP": 0.5, "val/f1_micro": None}}

    return card_of


@pytest.fixture
def facts_of(card_of):
    return lambda classifier: describe(classifier, card_of(classifier))
