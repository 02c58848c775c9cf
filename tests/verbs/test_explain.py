import json
import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from mlic.backbones.precomputed import Precomputed
from mlic.backbones.timm import TimmBackbone
from mlic.classifier import MultiLabelClassifier
from mlic.cli import main
from mlic.predict import Predictor

CLASSES = ("red", "green/lime", "blå")


def saved(path, backbone=None, biases=(2.0, -1.0, 1.0), classes=CLASSES):
    torch.manual_seed(0)
    network = MultiLabelClassifier(
        classes, backbone=backbone or (lambda: TimmBackbone("test_resnet", weights="none", image_size=32))
    )
    with torch.no_grad():
        network.head.linear.bias.copy_(torch.tensor(biases)[: len(classes)])
    checkpoint = {"state_dict": network.state_dict()}
    network.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, path)
    return path


@pytest.fixture
def desk(tmp_path, monkeypatch, colours):
    """A folder with best.ckpt, which says of any image that it is red and blue, and two photographs."""
    monkeypatch.chdir(tmp_path)
    saved("best.ckpt")
    for number in (1, 2):
        Image.open(colours / f"images/{number:03}.jpg").save(f"photo{number}.jpg")
    return tmp_path


def told(capsys, *words):
    capsys.readouterr()
    assert main(["explain", "--ckpt_path", "best.ckpt", "--json", *words]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def refused(capsys, *words):
    capsys.readouterr()
    assert main(["explain", "--ckpt_path", "best.ckpt", *words]) == 2
    said = capsys.readouterr()
    assert not said.out
    return said.err


def test_present_classes_are_drawn_with_the_scores_of_predict(desk, capsys):
    found = told(capsys, "photo1.jpg", "photo2.jpg")
    assert found["output"] == "explain/v1"
    rows = list(Predictor("best.ckpt").predict(["photo1.jpg", "photo2.jpg"]))
    for one, row in zip(found["images"], rows, strict=True):
        assert (one["path"], one["method"]) == (row.path, "class_activation")
        assert {said["class"]: pytest.approx(said["score"], abs=1e-5) for said in one["classes"]} == {
            name: row.scores[name] for name in row.labels
        }
        assert [said["class"] for said in one["classes"]] == ["red", "blå"]  # the highest first
        for said in one["classes"]:
            assert said["present"]
            assert said["threshold"] == 0.5
            assert said["lowest"] <= said["highest"]
            assert Image.open(said["file"]).size == (64, 48)
        assert Image.open(one["sheet"]).width > 500
    assert {path.name for path in Path("explain/v1").iterdir()} == {
        f"photo{number}{end}.png" for number in (1, 2) for end in ("", "--red", "--blå")
    }
    assert told(capsys, "photo1.jpg")["output"] == "explain/v2"


def test_people_read_the_files_and_what_the_maps_mean(desk, capsys):
    assert main(["explain", "--ckpt_path", "best.ckpt", "photo1.jpg", "--output", "why"]) == 0
    said = capsys.readouterr()
    assert "why/photo1.png  photo1.jpg\n" in said.out
    assert ", present (threshold 0.50), highest " in said.out
    assert "class activation: how much each place adds to the logit" in said.out
    assert said.err.splitlines()[-1] == "1 images, in why"


def test_classes_can_be_chosen_whatever_their_scores(desk, capsys):
    (one,) = told(capsys, "photo1.jpg", "--class", "green/lime", "--class", "red")["images"]
    assert [said["class"] for said in one["classes"]] == ["green/lime", "red"]
    assert [said["present"] for said in one["classes"]] == [False, True]
    assert Path(one["classes"][0]["file"]).name == "photo1--green_lime.png"
    (one,) = told(capsys, "photo1.jpg", "--top", "1")["images"]
    assert [said["class"] for said in one["classes"]] == ["red"]
    assert "expected one of them" in refused(capsys, "photo1.jpg", "--top", "1", "--class", "red")
    assert "--top is 0" in refused(capsys, "photo1.jpg", "--top", "0")


def test_where_no_class_is_present_the_three_highest_are_drawn(desk, capsys):
    saved("best.ckpt", biases=(-4.0, -2.0, -6.0, -3.0), classes=("a", "b", "c", "d"))
    (one,) = told(capsys, "photo1.jpg")["images"]
    assert [said["class"] for said in one["classes"]] == ["b", "d", "a"]


def test_an_unknown_class_is_told_before_anything_is_made(desk, capsys):
    assert "'gren/lime' is not among the 3 classes of the model; did you mean 'green/lime'?" in refused(
        capsys, "photo1.jpg", "--class", "gren/lime"
    )
    assert "LinearHead has no map of the kind attention" in refused(capsys, "photo1.jpg", "--method", "attention")
    assert "invalid choice: 'magic'" in refused(capsys, "photo1.jpg", "--method", "magic")
    assert "no such file" in refused(capsys, "photo9.jpg")
    assert not Path("explain").exists()


def test_another_method_can_be_asked_for(desk, capsys):
    (one,) = told(capsys, "photo1.jpg", "--method", "grad_cam")["images"]
    assert one["method"] == "grad_cam"


def test_nothing_is_overwritten(desk, capsys):
    told(capsys, "photo1.jpg", "--output", "why")
    before = {path: path.read_bytes() for path in Path("why").iterdir()}
    assert "why is there already and holds files; name a new folder" in refused(capsys, "photo2.jpg", "--output", "why")
    assert {path: path.read_bytes() for path in Path("why").iterdir()} == before
    assert "photo1.jpg is a file" in refused(capsys, "photo2.jpg", "--output", "photo1.jpg")
    Path("empty").mkdir()
    told(capsys, "photo1.jpg", "--output", "empty")


def test_an_image_that_is_given_twice_or_has_a_namesake_has_pictures_of_its_own(desk, capsys):
    Path("other").mkdir()
    Image.open("photo2.jpg").save("other/PHOTO1.png")
    found = told(capsys, "photo1.jpg", "photo1.jpg", "other", "--class", "red")["images"]
    files = [one["sheet"] for one in found] + [one["classes"][0]["file"] for one in found]
    assert len({name.casefold() for name in files}) == 6
    assert all(Path(name).is_file() for name in files)


def test_an_unreadable_image_is_told_and_the_others_are_drawn(desk, capsys):
    Path("bad.jpg").write_text("no image")
    capsys.readouterr()
    assert main(["explain", "--ckpt_path", "best.ckpt", "bad.jpg", "photo1.jpg", "--json"]) == 0
    said = capsys.readouterr()
    bad, good = json.loads(said.out)["images"]
    assert bad.keys() == {"path", "error"}
    assert bad["path"] == "bad.jpg"
    assert bad["error"] in said.err
    assert Path(good["sheet"]).is_file()
    assert said.err.splitlines()[-1] == "1 images, in explain/v1; 1 could not be read"


def test_an_image_stands_upright_in_its_own_shape_and_a_large_one_is_drawn_smaller(desk, capsys):
    image = Image.new("RGB", (300, 100), (200, 30, 30))
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    image.save("turned.jpg", exif=exif)
    (one,) = told(capsys, "turned.jpg", "--class", "red")["images"]
    assert Image.open(one["classes"][0]["file"]).size == (100, 300)
    (one,) = told(capsys, "turned.jpg", "--class", "red", "--max_side", "60")["images"]
    assert Image.open(one["classes"][0]["file"]).size == (20, 60)


def test_a_model_of_features_and_an_exported_one_are_refused_with_a_reason(desk, capsys):
    Path("model.onnx").write_bytes(b"")
    assert "exported model" in refused(capsys, "photo1.jpg", "--ckpt_path", "model.onnx")
    saved("best.ckpt", backbone=lambda: Precomputed(4))
    assert "has never seen an image" in refused(capsys, "photo1.jpg")
    assert not Path("explain").exists()


def test_the_page_of_the_docs_is_true(desk, capsys):
    page = (Path(__file__).parents[2] / "docs/explain.md").read_text(encoding="utf-8")
    saved("best.ckpt", classes=("dog", "cat"))
    Path("photos").mkdir()
    Path("photo1.jpg").rename("photo.jpg")
    Path("photo2.jpg").rename("photos/b.jpg")
    commands = [line.split()[1:] for line in page.splitlines() if line.startswith("mlic explain ")]
    assert len(commands) == 3
    for words in commands:
        assert main(words) == 0, capsys.readouterr().err
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(block, "docs/explain.md", "exec"), {})
    assert Image.open("dog.png").size == (64, 48)
    assert "class_activation" in capsys.readouterr().out
