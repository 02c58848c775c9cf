import shutil
from pathlib import Path

import huggingface_hub
import pytest
import torch

from mlic.backbones.timm import TimmBackbone
from mlic.classifier import MultiLabelClassifier
from mlic.cli import main
from mlic.errors import DownloadError, UsageError
from mlic.export.facts import describe
from mlic.export.weights import write_weights
from mlic.hub import fetch, push


class Hub:
    """A hub that is a folder."""

    def __init__(self, root):
        self.root = root
        self.asked = []
        self.private = None

    def snapshot_download(self, repository, revision=None, allow_patterns=None, **_):
        self.asked.append((repository, revision))
        if not (self.root / repository).is_dir():
            raise OSError(f"404: no {repository}\nmore lines")
        for path in (self.root / repository).iterdir():
            assert path.name in allow_patterns or path.name in ("README.md", "model.onnx")
        return str(self.root / repository)

    def create_repo(self, repository, private=None, exist_ok=False):
        assert exist_ok
        self.private = private
        (self.root / repository).mkdir(parents=True, exist_ok=True)

    def upload_folder(self, repo_id, folder_path, **_):
        shutil.copytree(folder_path, self.root / repo_id, dirs_exist_ok=True)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    fake = Hub(tmp_path / "hub")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fake.snapshot_download)
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda **_: fake)
    return fake


@pytest.fixture
def exported(tmp_path):
    """A classifier, and a folder as `mlic export` writes it."""
    classifier = MultiLabelClassifier(
        ["cat", "dog"], backbone=lambda: TimmBackbone("test_resnet", weights="none", image_size=32)
    ).eval()
    checkpoint = {"state_dict": {}}
    classifier.on_save_checkpoint(checkpoint)
    folder = tmp_path / "model"
    folder.mkdir()
    write_weights(classifier, checkpoint["mlic"], describe(classifier, checkpoint["mlic"]), folder)
    (folder / "README.md").write_text("---\nlicense: unknown\n---\n")
    return classifier, folder


def test_what_is_pushed_is_loaded_by_its_name(hub, exported, capsys):
    classifier, folder = exported
    assert main(["push", str(folder), "--repo", "user/pets", "--private"]) == 0
    assert capsys.readouterr().out.strip().endswith("/user/pets")
    assert hub.private is True
    again = MultiLabelClassifier.from_checkpoint("hf://user/pets")
    images = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(again(images), classifier(images))
    assert again.classes == ("cat", "dog")


def test_a_name_may_have_been_a_path_and_may_name_a_revision(hub, exported):
    push(exported[1], "user/pets")
    fetch(Path("hf://user/pets@v2"))
    fetch("hf://user/pets")
    assert hub.asked == [("user/pets", "v2"), ("user/pets", None)]


def test_a_model_that_is_not_there_is_told_in_one_line(hub):
    with pytest.raises(DownloadError, match=r"hf://user/none cannot be fetched \(404: no user/none\)$"):
        MultiLabelClassifier.from_checkpoint("hf://user/none")


@pytest.mark.parametrize("name", ["hf://pets", "hf://user/pets/more", "hf://user/../x", "hf://"])
def test_what_is_no_name_is_refused_before_the_hub_is_asked(name, hub):
    with pytest.raises(UsageError, match="names no model"):
        fetch(name)
    assert not hub.asked


def test_a_folder_without_a_card_is_not_pushed(hub, tmp_path):
    with pytest.raises(UsageError, match="no model card"):
        push(tmp_path, "user/pets")


def test_a_repository_has_to_have_an_owner(hub, exported):
    for name in ("pets", "user/pets@v2"):
        with pytest.raises(UsageError, match="expected user/name"):
            push(exported[1], name)
    assert not hub.root.exists()


def test_a_repository_of_something_else_is_told(hub):
    (hub.root / "user/other").mkdir(parents=True)
    with pytest.raises(DownloadError, match=r"hf://user/other holds no config.json and model.safetensors"):
        MultiLabelClassifier.from_checkpoint("hf://user/other")
