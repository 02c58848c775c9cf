"""A small classifier, its checkpoint, and images with hostile names."""

import os
from pathlib import Path

import pytest
import torch

HOSTILE = (
    b"a, b.jpg",
    b'quo"te.jpg',
    b"new\nline.jpg",
    b"return\r.jpg",
    b"latin\xe9.jpg",
    b" spaces .jpg",
    b"d\xc3\xb6g.jpg",
)


@pytest.fixture(scope="session")
def checkpoint(colours, tmp_path_factory) -> Path:
    """A checkpoint that has learnt a little; made without the command line, as a Python user would."""
    import pytorch_lightning as pl

    from mlic import ImageDataModule, MultiLabelClassifier
    from mlic.backbones.timm import TimmBackbone

    pl.seed_everything(0)
    data = ImageDataModule(colours / "train.csv", colours / "val.csv", batch_size=8, num_workers=0)
    classifier = MultiLabelClassifier(
        data.classes, backbone=lambda: TimmBackbone("test_resnet", weights="none", image_size=32)
    )
    folder = tmp_path_factory.mktemp("checkpoint")
    trainer = pl.Trainer(
        max_epochs=3, accelerator="cpu", logger=False, enable_progress_bar=False, default_root_dir=folder
    )
    trainer.fit(classifier, datamodule=data)
    trainer.save_checkpoint(folder / "plain.ckpt")
    return folder / "plain.ckpt"


@pytest.fixture(scope="session")
def classifier():
    """A classifier that has learnt nothing, and is made at once."""
    from mlic import MultiLabelClassifier
    from mlic.backbones.timm import TimmBackbone

    torch.manual_seed(0)
    return MultiLabelClassifier(
        ["red", "green", "blue"], backbone=lambda: TimmBackbone("test_resnet", weights="none", image_size=32)
    ).eval()


@pytest.fixture(scope="session")
def images(colours) -> list[str]:
    """The paths of the 64 images, sorted."""
    return sorted(map(str, (colours / "images").iterdir()))


@pytest.fixture(scope="session")
def hostile(colours, tmp_path_factory) -> Path:
    """A folder with images whose names hurt; one of them cannot be read."""
    folder = tmp_path_factory.mktemp("hostile")
    data = (colours / "images/003.jpg").read_bytes()
    for name in HOSTILE:
        (folder / os.fsdecode(name)).write_bytes(data)
    (folder / 'bad",\n.jpg').write_bytes(b"no image")
    return folder
