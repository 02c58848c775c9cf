import json
import re

import pytest

from mlic.configuration import class_path_of, expand_names, merge, read_yaml, settle
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


@pytest.mark.parametrize(
    "words", [["--model.loss", "focal"], ["--model.loss=focal"], ["--model.loss.class_path", "focal"]]
)
def test_names_on_the_command_line_are_settled(words):
    assert settle(words) == ({"model": {"loss": {"class_path": "mlic.losses.focal.FocalLoss"}}}, [])


def test_the_help_of_a_part_goes_by_its_name():
    assert settle(["--model.loss.help", "focal"])[1] == ["--model.loss.help", "mlic.losses.focal.FocalLoss"]


def test_other_words_are_left():
    words = ["--trainer.max_epochs", "3", "--print_config", "--model.loss.gamma", "3", "--flag"]
    assert settle(words) == ({}, words)


def test_sources_of_data_are_readers_paths_shares_or_nothing():
    words = ["--data.train", "csv", "--data.val", "0.2", "--data.test=null", "--data.batch_size", "4"]
    config, left = settle(words)
    assert config["data"]["init_args"] == {"train": {"class_path": CSV}, "val": 0.2, "test": None}
    assert left == ["--data.batch_size", "4"]
    assert settle(["--data.train", "mlic:csv"])[0]["data"]["init_args"]["train"] == {"class_path": CSV}


def test_the_command_line_wins_over_files_and_later_files_over_earlier_ones(tmp_path):
    (tmp_path / "a.yaml").write_text("model: {loss: bce, head: linear}\n")
    (tmp_path / "b.yaml").write_text("model: {loss: focal}\n")
    words = ["--model.head", "a.Head", "-c", str(tmp_path / "a.yaml"), "--config", str(tmp_path / "b.yaml")]
    model = settle(words)[0]["model"]
    assert model["loss"]["class_path"] == "mlic.losses.focal.FocalLoss"
    assert model["head"]["class_path"] == "a.Head"


def test_a_part_of_another_class_keeps_the_given_arguments_that_it_takes(caplog):
    old = {"class_path": "mlic.losses.focal.FocalLoss", "init_args": {"gamma": 3.0, "reduction": "sum"}}
    with caplog.at_level("INFO"):
        merged = merge(old, {"class_path": "mlic.losses.bce.BCELoss"})
    assert merged == {"class_path": "mlic.losses.bce.BCELoss", "init_args": {"reduction": "sum"}}
    assert "does not take gamma, which was given for mlic.losses.focal.FocalLoss" in caplog.text


def test_optimizers_and_schedulers_go_by_their_names():
    words = ["--model.optimizer", "SGD", "--model.lr_scheduler", "ReduceLROnPlateau"]
    assert settle(words)[0]["model"] == {
        "optimizer": {"class_path": "torch.optim.SGD"},
        "lr_scheduler": {"class_path": "torch.optim.lr_scheduler.ReduceLROnPlateau"},
    }
    assert settle(["--model.optimizer", "adamw"])[0]["model"]["optimizer"]["class_path"] == "torch.optim.AdamW"
    assert settle(["--model.optimizer", "exact"])[0]["model"]["optimizer"]["class_path"] == "mlic.exact.Exact"
    with pytest.raises(UsageError, match=r"'AdamWW', which is not in mlic\.exact, torch\.optim; did you mean 'AdamW'"):
        settle(["--model.optimizer", "AdamWW"])


EMA = "mlic.averaging.WeightEMA"


def test_callbacks_of_mlic_and_of_lightning_go_by_their_names(tmp_path):
    (tmp_path / "c.yaml").write_text(
        "trainer: {callbacks: [{class_path: WeightEMA, init_args: {decay: 0.9}}, GradualUnfreezing, EarlyStopping]}\n"
    )
    assert settle(["-c", str(tmp_path / "c.yaml")])[0]["trainer"]["callbacks"] == [
        {"class_path": EMA, "init_args": {"decay": 0.9}},
        {"class_path": "mlic.unfreezing.GradualUnfreezing"},
        {"class_path": "pytorch_lightning.callbacks.EarlyStopping"},
    ]
    for alone in ("WeightEMA", {"class_path": "WeightEMA"}):
        assert expand_names({"trainer": {"callbacks": alone}}) == {"trainer": {"callbacks": [{"class_path": EMA}]}}
    with pytest.raises(UsageError, match=r"'WeihtEMA', which is not in mlic\.averaging, .*; did you mean 'WeightEMA'"):
        expand_names({"trainer": {"callbacks": [{"class_path": "WeihtEMA"}]}})


def test_callbacks_on_the_command_line_are_spelt_out_and_stay_in_their_order():
    words = ["--trainer.callbacks+=WeightEMA", "--trainer.callbacks.decay=0.9", "--trainer.callbacks+", "Timer"]
    config, left = settle(words)
    assert config == {}
    first, ema, decay, second, timer = left
    assert (first, decay, second) == ("--trainer.callbacks+", words[1], "--trainer.callbacks+")
    assert json.loads(ema) == [{"class_path": EMA}]
    assert json.loads(timer) == [{"class_path": "pytorch_lightning.callbacks.Timer"}]
    for value, meant in (
        ("null", None),
        ("package.Callback", [{"class_path": "package.Callback"}]),
        ("[{class_path: WeightEMA, init_args: {decay: 0.9}}]", [{"class_path": EMA, "init_args": {"decay": 0.9}}]),
    ):
        option, written = settle(["--trainer.callbacks", value])[1]
        assert (option, json.loads(written)) == ("--trainer.callbacks", meant)
    with pytest.raises(UsageError, match=r"--trainer\.callbacks:1: not valid YAML"):
        settle(["--trainer.callbacks", "[WeightEMA"])


def test_a_section_may_be_given_whole(tmp_path):
    (tmp_path / "data.yaml").write_text("class_path: image\ninit_args: {batch_size: 3}\n")
    config, _ = settle(["--model", "{loss: focal}", "--data", str(tmp_path / "data.yaml")])
    assert config["model"]["loss"] == {"class_path": "mlic.losses.focal.FocalLoss"}
    assert config["data"]["init_args"] == {"batch_size": 3}


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ({"class_path": "focal", "gamma": 2}, "'gamma' stands beside class_path; arguments belong under init_args"),
        ({"focal": {"gamma": 2}}, "found 'focal' as a key; expected {class_path: focal"),
    ],
)
def test_a_part_that_would_be_misunderstood_is_refused(loss, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        expand_names({"model": {"loss": loss}})


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
