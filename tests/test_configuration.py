import json

import pytest

from mlic.configuration import class_path_of, expand_arguments, expand_names, read_yaml
from mlic.errors import PluginError, UsageError

TIMM = "mlic.backbones.timm.TimmBackbone"
CSV = "mlic.datamodules.readers.csv.CsvReader"


def test_a_name_becomes_the_class_path_of_its_part():
    assert class_path_of("losses", "focal") == {"class_path": "mlic.losses.focal.FocalLoss"}


def test_any_timm_name_becomes_a_timm_backbone():
    for name in ("resnet50", "convnext_tiny.fb_in22k"):
        assert class_path_of("backbones", name) == {"class_path": TIMM, "init_args": {"name": name}}


def test_a_class_path_stays_as_it_is():
    assert class_path_of("backbones", "package.module.Class") == {"class_path": "package.module.Class"}


def test_an_unknown_backbone_is_told_with_near_timm_models():
    with pytest.raises(PluginError, match=r"no backbone is called 'resnet5o'(.|\n)*near to it: .*resnet5"):
        class_path_of("backbones", "resnet5o")


def test_names_are_expanded_wherever_a_part_may_stand():
    config = {
        "model": {"backbone": "resnet18", "head": {"class_path": "linear", "init_args": {"dropout": 0.5}}},
        "data": {
            "class_path": "image",
            "init_args": {"train": {"class_path": "csv", "init_args": {"path": "a.csv"}}, "val": "b.csv"},
        },
    }
    assert expand_names(config) == {
        "model": {
            "backbone": {"class_path": TIMM, "init_args": {"name": "resnet18"}},
            "head": {"class_path": "mlic.heads.linear.LinearHead", "init_args": {"dropout": 0.5}},
        },
        "data": {
            "class_path": "mlic.datamodules.image.ImageDataModule",
            "init_args": {"train": {"class_path": CSV, "init_args": {"path": "a.csv"}}, "val": "b.csv"},
        },
    }


def test_arguments_of_a_timm_backbone_are_kept_beside_its_name():
    part = {"class_path": "resnet18", "init_args": {"freeze": True}}
    expanded = expand_names({"model": {"backbone": part}})
    assert expanded["model"]["backbone"]["init_args"] == {"name": "resnet18", "freeze": True}


def test_a_file_that_is_called_like_a_reader_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = {"data": {"class_path": "image", "init_args": {"train": "csv"}}}
    assert expand_names(config)["data"]["init_args"]["train"] == {"class_path": CSV}
    (tmp_path / "csv").touch()
    assert expand_names(config)["data"]["init_args"]["train"] == "csv"


@pytest.mark.parametrize("words", [["--model.loss", "focal"], ["--model.loss=focal"]])
def test_names_on_the_command_line_are_expanded(words):
    option, value = expand_arguments(words)
    assert (option, json.loads(value)) == ("--model.loss", {"class_path": "mlic.losses.focal.FocalLoss"})


def test_the_help_of_a_part_goes_by_its_name():
    assert expand_arguments(["--model.loss.help", "focal"]) == ["--model.loss.help", "mlic.losses.focal.FocalLoss"]


def test_other_words_pass_through():
    words = ["--trainer.max_epochs", "3", "--print_config", "--data.train", "labels.csv", "--flag"]
    assert expand_arguments(words) == words


def test_a_configuration_file_is_replaced_by_its_content(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("model:\n  loss: focal\n", encoding="utf-8")
    option, content = expand_arguments(["--config", str(path)])
    assert option == "--config"
    assert json.loads(content) == {"model": {"loss": {"class_path": "mlic.losses.focal.FocalLoss"}}}


def test_numbers_are_read_as_yaml_1_2_does(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("a: 1e-3\nb: 5\nc: .inf\nd: 1.\ne: yes-no\n", encoding="utf-8")
    assert read_yaml(path) == {"a": 0.001, "b": 5, "c": float("inf"), "d": 1.0, "e": "yes-no"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: 1\nb: [\n", r"c\.yaml:3: not valid YAML"),
        ("a: 1\na: 2\n", r"c\.yaml:2: not valid YAML: the key 'a' occurs twice"),
        ("- 1\n", r"c\.yaml: found list, expected a mapping"),
        ("", r"c\.yaml: found NoneType"),
    ],
)
def test_a_wrong_file_is_told_with_its_line(tmp_path, content, message):
    path = tmp_path / "c.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        read_yaml(path)


def test_a_missing_file_is_told_by_name():
    with pytest.raises(UsageError, match=r"nowhere\.yaml: No such file"):
        read_yaml("nowhere.yaml")
