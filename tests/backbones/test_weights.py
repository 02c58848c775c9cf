import re
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from mlic.backbones.timm import TimmBackbone
from mlic.backbones.weights import load_strictly, read_state_dict
from mlic.errors import WeightsError


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(1)
    return TimmBackbone("test_resnet", weights="none").network


@pytest.fixture
def state(network: nn.Module) -> dict[str, Tensor]:
    """What timm's file of the model holds: the classifier too."""
    return {**network.state_dict(), "fc.weight": torch.zeros(1000, 96), "fc.bias": torch.zeros(1000)}


def saved(folder: Path, content: Any) -> Path:
    path = folder / "weights.pth"
    torch.save(content, path)
    return path


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s, "epoch": 3}, lambda s: {"model": s}])
def test_a_state_dict_loads_by_itself_and_wrapped(
    tmp_path: Path, network: nn.Module, state: dict[str, Tensor], wrap: Any
) -> None:
    backbone = TimmBackbone("test_resnet", weights=saved(tmp_path, wrap(state)))
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in backbone.network.state_dict().items())


@pytest.mark.parametrize("as_text", [False, True])
def test_safetensors_load(tmp_path: Path, network: nn.Module, state: dict[str, Tensor], as_text: bool) -> None:
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(state, path)
    backbone = TimmBackbone("test_resnet", weights=str(path) if as_text else path)
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in backbone.network.state_dict().items())


PREFIXES = ["module.", "backbone.", "model.", "_orig_mod.", "backbone.network.", "module.model."]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("on_classifier", [False, True])
def test_a_prefix_that_all_keys_share_is_taken_off(
    tmp_path: Path, network: nn.Module, state: dict[str, Tensor], prefix: str, on_classifier: bool
) -> None:
    wrapped = {
        key if key.startswith("fc.") and not on_classifier else prefix + key: value for key, value in state.items()
    }
    backbone = TimmBackbone("test_resnet", weights=saved(tmp_path, {"state_dict": wrapped}))
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in backbone.network.state_dict().items())


def test_a_prefix_that_one_key_lacks_stays(tmp_path: Path, state: dict[str, Tensor]) -> None:
    wrapped = {f"module.{key}": value for key, value in state.items()} | {"x": torch.zeros(1)}
    with pytest.raises(WeightsError, match=re.escape("unexpected (module.")):
        TimmBackbone("test_resnet", weights=saved(tmp_path, wrapped))


def test_a_prefix_of_the_model_itself_stays() -> None:
    model = nn.ModuleDict({"model": nn.Linear(1, 1)})
    load_strictly(model, {"model.weight": torch.full((1, 1), 7.0), "model.bias": torch.zeros(1)}, "a model", "a file")
    assert model["model"].get_parameter("weight").item() == 7


def test_a_checkpoint_of_mlic_gives_its_backbone(tmp_path: Path, network: nn.Module) -> None:
    state = {f"backbone.network.{key}": value for key, value in network.state_dict().items()}
    others = {"thresholds": torch.zeros(2), "head.linear.weight": torch.zeros(2, 96), "loss.weight": torch.zeros(2)}
    path = saved(tmp_path, {"epoch": 1, "state_dict": {**others, **state}, "mlic": {"classes": ["a", "b"]}})
    backbone = TimmBackbone("test_resnet", weights=path)
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in backbone.network.state_dict().items())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_weights_that_are_not_finite_are_refused_by_name(
    tmp_path: Path, state: dict[str, Tensor], value: float, dtype: torch.dtype
) -> None:
    key = "layer1.0.conv1.weight"
    state[key] = state[key].to(dtype, copy=True)
    state[key].view(-1)[3] = value
    with pytest.raises(WeightsError, match=re.escape(f"weights.pth: {key} holds values that are not finite numbers")):
        TimmBackbone("test_resnet", weights=saved(tmp_path, state))


def test_a_classifier_that_is_not_used_may_hold_anything(tmp_path: Path, state: dict[str, Tensor]) -> None:
    state["fc.bias"][0] = torch.nan
    TimmBackbone("test_resnet", weights=saved(tmp_path, state))


def test_weights_of_another_image_size_are_resized_after_loading(tmp_path: Path) -> None:
    own = TimmBackbone("test_vit", weights="none")
    backbone = TimmBackbone("test_vit", weights=saved(tmp_path, own.network.state_dict()), image_size=64)
    assert backbone(torch.zeros(1, 3, 64, 64)).shape[-2:] == (4, 4)


def test_a_file_from_before_num_batches_tracked_loads(tmp_path: Path, state: dict[str, Tensor]) -> None:
    old = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    TimmBackbone("test_resnet", weights=saved(tmp_path, old))


def test_a_missing_key_is_named(tmp_path: Path, state: dict[str, Tensor]) -> None:
    del state["conv1.0.weight"]
    with pytest.raises(WeightsError, match=re.escape("does not fit test_resnet: 1 missing (conv1.0.weight)")):
        TimmBackbone("test_resnet", weights=saved(tmp_path, state))


def test_an_unexpected_key_is_named(tmp_path: Path, state: dict[str, Tensor]) -> None:
    state["layer9.conv.weight"] = torch.zeros(1)
    with pytest.raises(WeightsError, match=re.escape("does not fit test_resnet: 1 unexpected (layer9.conv.weight)")):
        TimmBackbone("test_resnet", weights=saved(tmp_path, state))


def test_a_misshapen_key_is_named_with_both_shapes(tmp_path: Path, state: dict[str, Tensor]) -> None:
    shape = tuple(state["conv1.0.weight"].shape)
    state["conv1.0.weight"] = torch.zeros(1, 2, 3)
    with pytest.raises(
        WeightsError, match=re.escape(f"1 misshapen (conv1.0.weight: (1, 2, 3) in the file, {shape} in the model)")
    ):
        TimmBackbone("test_resnet", weights=saved(tmp_path, state))


def test_of_many_faults_three_are_named_and_all_counted() -> None:
    model = nn.Sequential(*(nn.Linear(1, 1, bias=False) for _ in range(5)))
    with pytest.raises(
        WeightsError, match=re.escape("5 missing (0.weight, 1.weight, 2.weight, ...); 1 unexpected (x)")
    ):
        load_strictly(model, {"x": torch.zeros(1)}, "a model", "a file")


def test_a_classifier_that_is_there_is_not_left_out() -> None:
    model = nn.ModuleDict({"head": nn.Linear(1, 1)})
    load_strictly(model, {"head.weight": torch.full((1, 1), 7.0), "head.bias": torch.zeros(1)}, "a model", "a file")
    assert model["head"].get_parameter("weight").item() == 7


def test_a_name_that_is_no_file_gets_the_nearest_word() -> None:
    with pytest.raises(WeightsError, match=r"no file 'imagnet'; expected .*did you mean 'imagenet'"):
        read_state_dict("imagnet")


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_a_file_of_another_kind_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("not weights", encoding="utf-8")
    with pytest.raises(WeightsError, match=f"{re.escape(name)}: not weights that can be read"):
        read_state_dict(tmp_path / name)


def test_a_pickled_model_is_refused_and_its_code_not_run(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="weights_only=True"):
        read_state_dict(saved(tmp_path, nn.Linear(1, 1)))


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, [1, 2], {"state_dict": {"a": "b"}}])
def test_a_file_without_a_state_dict_is_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(WeightsError, match="holds no state dict"):
        read_state_dict(saved(tmp_path, content))
