import copy
import functools
import logging
import threading

import pytest
import torch
from timm.models.swin_transformer import SwinTransformer
from torch import nn

from mlic import engines
from mlic.backbones.timm import TimmBackbone
from mlic.engines import OnnxEngine, TorchEngine, make_engine, probe
from mlic.heads.linear import LinearHead
from mlic.heads.pooling import AveragePooling

SMALL = ["test_resnet", "test_efficientnet", "test_vit"]


def disturb(network):
    """Gives every norm statistics and weights of its own, so that fusing it changes something."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.running_mean, module.running_var, module.weight.data, module.bias.data):
                values.copy_(torch.rand(values.shape, generator=generator) + 0.5)
    return network


@functools.cache
def made(name):
    torch.manual_seed(0)
    return disturb(TimmBackbone(name, weights="none", image_size=64, freeze=True))


def backbone_of(name="test_resnet"):
    return copy.deepcopy(made(name))


def plainly(backbone, images, condense):
    mean, std = (torch.tensor(figures).view(1, 3, 1, 1) for figures in (backbone.mean, backbone.std))
    with torch.no_grad():
        return condense(backbone((images.float() / 255 - mean) / std))


def assert_same(found, expected):
    assert found.dtype == torch.float32
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.parametrize("kind", ["torch", "onnxruntime"])
@pytest.mark.parametrize("name", SMALL)
def test_an_engine_gives_what_the_network_gives_for_any_number_of_images(name, kind):
    backbone = backbone_of(name)
    engine = make_engine(backbone, backbone.mean, backbone.std, 64, AveragePooling(), engine=kind)
    assert engine.name == kind
    images = probe(5, 64).flip(2)
    for some in (images[:1], images[:3], images):
        assert_same(engine(some), plainly(backbone, some, AveragePooling()))


class Swin(nn.Module):
    """Four windows of a small Swin, shifted in every second block."""

    mean = std = (0.5, 0.5, 0.5)

    def __init__(self):
        super().__init__()
        self.network = SwinTransformer(
            img_size=32, patch_size=4, embed_dim=8, depths=(2, 2), num_heads=(2, 2), window_size=4
        )

    def forward(self, images):
        return self.network.forward_features(images).permute(0, 3, 1, 2)


@pytest.mark.parametrize("kind", ["torch", "onnxruntime"])
def test_the_windows_of_a_swin_do_not_depend_on_the_number_of_images(kind):
    torch.manual_seed(0)
    backbone = Swin().eval()
    engine = make_engine(backbone, backbone.mean, backbone.std, 32, AveragePooling(), engine=kind)
    assert engine.name == kind
    for some in (probe(1, 32), probe(5, 32).flip(2)):
        assert_same(engine(some), plainly(backbone, some, AveragePooling()))


def test_the_map_itself_is_given_where_nothing_condenses_it():
    backbone = backbone_of()
    for kind in ("torch", "onnxruntime"):
        engine = make_engine(backbone, backbone.mean, backbone.std, 64, engine=kind)
        assert_same(engine(probe(2, 64)), plainly(backbone, probe(2, 64), lambda feature_map: feature_map))


def test_a_head_condenses_to_logits():
    backbone, head = backbone_of(), LinearHead(96, 5).eval()
    for kind in ("torch", "onnxruntime"):
        engine = make_engine(backbone, backbone.mean, backbone.std, 64, head, engine=kind)
        assert_same(engine(probe(2, 64)), plainly(backbone, probe(2, 64), head))


class Doubling(nn.Module):
    """A head whose method condenses, with a parameter and with dropout."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(2.0))
        self.dropout = nn.Dropout(0.5)

    def condense(self, feature_map):
        return self.dropout(feature_map.mean((2, 3))) * self.factor


@pytest.mark.parametrize("kind", ["torch", "onnxruntime"])
def test_a_method_of_a_module_condenses_as_it_does_in_evaluation_and_as_it_is_now(kind):
    backbone, head = backbone_of(), Doubling().train()
    engine = make_engine(backbone, backbone.mean, backbone.std, 64, head.condense, engine=kind)
    assert (engine.name, head.training, head.factor.requires_grad) == (kind, True, True)
    expected = plainly(backbone, probe(3, 64), head.eval().condense)
    nn.init.zeros_(head.factor)
    assert_same(engine(probe(3, 64)), expected)


def test_all_norms_behind_convolutions_are_fused_also_those_with_an_activation_of_their_own():
    for name in ("test_resnet", "test_efficientnet"):
        backbone = backbone_of(name)
        norms = sum(isinstance(module, nn.BatchNorm2d) for module in backbone.modules())
        engine = TorchEngine(backbone, backbone.mean, backbone.std, 64)
        assert engine.num_fused == norms > 0
        assert not any(isinstance(module, nn.BatchNorm2d) for module in engine.network.modules())


def test_the_network_is_left_as_it_was():
    backbone = backbone_of()
    before = copy.deepcopy(backbone.state_dict())
    make_engine(backbone, backbone.mean, backbone.std, 64, engine="onnxruntime")
    after = backbone.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[key], before[key]) for key in before)
    assert not any(module._forward_hooks for module in backbone.modules())


def test_later_changes_of_the_network_do_not_reach_the_engine():
    backbone = backbone_of()
    engine = TorchEngine(backbone, backbone.mean, backbone.std, 64)
    before = engine(probe(1, 64))
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.zero_()
    assert torch.equal(engine(probe(1, 64)), before)


class Shared(nn.Module):
    """A convolution whose output is taken twice, so that its norm cannot be fused."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)
        self.norm = disturb(nn.Sequential(nn.BatchNorm2d(4)))

    def forward(self, images):
        given = self.convolution(images)
        return self.norm(given) + given


class Twice(nn.Module):
    """A convolution that runs twice, once before a norm."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 3)
        self.norm = disturb(nn.Sequential(nn.BatchNorm2d(3)))

    def forward(self, images):
        return self.convolution(self.norm(self.convolution(images)))


class Curious(nn.Module):
    """Looks at what fusing takes away."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, images):
        return self.norm(self.convolution(images)) * self.norm.eps


@pytest.mark.parametrize("kind", [Shared, Twice, Curious])
def test_what_cannot_be_fused_is_left_as_it_is(kind):
    torch.manual_seed(0)
    network = kind().eval()
    engine = TorchEngine(network, (0.5,) * 3, (0.5,) * 3, 16)
    assert engine.num_fused == 0
    with torch.no_grad():
        assert_same(engine(probe(2, 16)), network(probe(2, 16).float() / 255 * 2 - 1))


def test_a_network_in_training_mode_is_run_in_evaluation_mode_and_stays_in_its_own():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5)).train()
    engine = TorchEngine(network, (0.5,) * 3, (0.5,) * 3, 16)
    assert torch.equal(engine(probe(2, 16)), engine(probe(2, 16)))
    assert network.training
    assert network[1].num_batches_tracked == 0


def test_features_can_be_learnt_from():
    engine = TorchEngine(nn.Conv2d(3, 4, 3), (0.5,) * 3, (0.5,) * 3, 8)
    weight = torch.ones(1, requires_grad=True)
    (engine(probe(1, 8)) * weight).sum().backward()
    assert weight.grad is not None


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, logger="mlic.engines")
    return caplog


def test_without_onnx_runtime_torch_serves_and_the_log_says_so(monkeypatch, said):
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else object())
    assert make_engine(nn.Conv2d(3, 4, 3), (0.5,) * 3, (0.5,) * 3, 8, engine="onnxruntime").name == "torch"
    assert "onnxruntime would make it faster, but is not installed" in said.text


def test_other_numbers_of_onnx_runtime_are_not_taken(monkeypatch, said):
    monkeypatch.setattr(OnnxEngine, "__call__", lambda self, images: torch.zeros(len(images), 4, 6, 6))
    assert make_engine(nn.Conv2d(3, 4, 3), (0.5,) * 3, (0.5,) * 3, 8, engine="onnxruntime").name == "torch"
    assert "ONNX Runtime is not used: its numbers differ by" in said.text


class Untraceable(nn.Module):
    def forward(self, images):
        if torch.jit.is_tracing():
            raise ValueError("it cannot be exported\nfor many reasons")
        return images


def test_what_cannot_be_exported_is_run_by_torch(said, tmp_path):
    engine = make_engine(Untraceable(), (0.5,) * 3, (0.5,) * 3, 8, engine="onnxruntime", cache=tmp_path)
    assert engine.name == "torch"
    assert "ONNX Runtime is not used: it cannot be exported" in said.text
    assert list(tmp_path.iterdir()) == []


class Blind(nn.Module):
    """Is right for two images only once it is exported."""

    def forward(self, images):
        return images.sum() / int(images.shape[0]) * images


def test_an_export_that_holds_for_one_number_of_images_is_not_taken():
    assert make_engine(Blind(), (0.5,) * 3, (0.5,) * 3, 8, engine="onnxruntime").name in ("torch", "onnxruntime")
    engine = make_engine(Blind(), (0.5,) * 3, (0.5,) * 3, 8, engine="onnxruntime")
    normalised = probe(1, 8).float() / 255 * 2 - 1
    assert_same(engine(probe(1, 8)), normalised.sum() * normalised)


def test_an_export_is_kept_and_found_again(tmp_path, monkeypatch):
    backbone = backbone_of()
    given = (backbone, backbone.mean, backbone.std, 64)
    make_engine(*given, engine="onnxruntime", cache=tmp_path / "new")
    (kept,) = (tmp_path / "new").iterdir()
    monkeypatch.setattr(engines, "export", lambda *_: pytest.fail("exported again"))
    assert make_engine(*given, engine="onnxruntime", cache=tmp_path / "new").name == "onnxruntime"
    assert list((tmp_path / "new").iterdir()) == [kept]


@pytest.mark.parametrize("damage", [b"", b"no network"])
def test_a_damaged_export_is_made_anew(tmp_path, damage):
    network = nn.Conv2d(3, 4, 3)
    given = (network, (0.5,) * 3, (0.5,) * 3, 8)
    make_engine(*given, engine="onnxruntime", cache=tmp_path)
    (kept,) = tmp_path.iterdir()
    whole = kept.stat().st_size
    kept.write_bytes(damage)
    assert make_engine(*given, engine="onnxruntime", cache=tmp_path).name == "onnxruntime"
    assert kept.stat().st_size == whole


def test_other_weights_have_another_export(tmp_path):
    for _ in range(2):
        make_engine(nn.Conv2d(3, 4, 3), (0.5,) * 3, (0.5,) * 3, 8, engine="onnxruntime", cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_condensation_that_is_no_module_and_has_changed_is_noticed(tmp_path):
    network = nn.Conv2d(3, 4, 3)
    given = (network, (0.5,) * 3, (0.5,) * 3, 8)
    for condense in (lambda feature_map: feature_map.mean((2, 3)), lambda feature_map: feature_map.amax((2, 3))):
        engine = make_engine(*given, condense, engine="onnxruntime", cache=tmp_path)
        with torch.no_grad():
            assert_same(engine(probe(3, 8)), condense(network(probe(3, 8).float() / 255 * 2 - 1)))


def test_nothing_is_exported_for_a_few_images(monkeypatch, said):
    monkeypatch.setattr(engines, "export", lambda *_: pytest.fail("exported"))
    backbone = backbone_of()
    assert make_engine(backbone, backbone.mean, backbone.std, 64, num_images=3).name == "torch"
    assert "would take longer than it saves" in said.text


@pytest.mark.parametrize(("times", "name"), [([1.0, 2.0], "torch"), ([2.0, 1.0], "onnxruntime")])
def test_auto_takes_the_engine_that_is_faster(monkeypatch, times, name):
    monkeypatch.setattr(engines, "_seconds", lambda found, *_: times[: len(found)])
    assert make_engine(nn.Conv2d(3, 4, 3), (0.5,) * 3, (0.5,) * 3, 8).name == name


def test_making_an_engine_leaves_the_threads_of_torch_as_they_are():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        make_engine(nn.Conv2d(3, 4, 3), (0.5,) * 3, (0.5,) * 3, 8)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("kind", ["torch", "onnxruntime"])
def test_several_threads_may_call_an_engine_at_once(kind):
    backbone = backbone_of()
    engine = make_engine(backbone, backbone.mean, backbone.std, 64, AveragePooling(), engine=kind)
    images = probe(8, 64)
    expected = plainly(backbone, images, AveragePooling())
    found = {}
    threads = [
        threading.Thread(target=lambda place=place: found.update({place: engine(images[place : place + 2])}))
        for place in range(0, 8, 2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_same(torch.cat([found[place] for place in sorted(found)]), expected)


def test_no_file_is_left_where_no_folder_is_given(tmp_path, monkeypatch):
    monkeypatch.setattr(engines.tempfile, "tempdir", str(tmp_path))
    assert make_engine(nn.Conv2d(3, 4, 3), (0.5,) * 3, (0.5,) * 3, 8, engine="onnxruntime").name == "onnxruntime"
    assert list(tmp_path.iterdir()) == []
