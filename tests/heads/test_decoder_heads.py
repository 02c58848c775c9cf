"""What the two heads with a transformer decoder have in common."""

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from mlic.backbones.timm import TimmBackbone
from mlic.errors import UsageError
from mlic.heads.base import Head
from mlic.heads.ml_decoder import MLDecoderHead
from mlic.heads.query2label import Query2LabelHead
from mlic.parts import rebuild, spec

Decoding = type[MLDecoderHead] | type[Query2LabelHead]
RunOnnx = Callable[[nn.Module, Tensor, Tensor], Tensor]

both = pytest.mark.parametrize("cls", [MLDecoderHead, Query2LabelHead])


def small(cls: Decoding, num_classes: int = 3, num_groups: int | None = None, dropout: float = 0.0) -> Head:
    torch.manual_seed(0)
    return cls(6, num_classes, num_groups=num_groups, width=16, num_heads=4, feed_forward=32, dropout=dropout)


@functools.cache
def made(name: str, image_size: int) -> TimmBackbone:
    return TimmBackbone(name, weights="none", image_size=image_size)


def last_layer(head: Head) -> nn.Module:
    return head.layer if isinstance(head, MLDecoderHead) else head.layers[-1]  # type: ignore[union-attr, return-value]


@both
@pytest.mark.parametrize("size", [(1, 1), (7, 7), (3, 9), (1, 40)])
def test_takes_a_map_of_any_size(cls: Decoding, size: tuple[int, int]) -> None:
    head = small(cls)
    feature_map = torch.randn(2, 6, *size)
    assert head(feature_map).shape == (2, 3)
    assert head.attention(feature_map).shape == (2, 3, *size)


@both
@pytest.mark.parametrize(
    ("num_classes", "num_groups"),
    [(1, None), (7, None), (101, None), (150, None), (1, 1), (101, 1), (7, 7), (101, 7), (150, 7), (1000, 7)],
)
def test_there_is_a_logit_for_each_class(cls: Decoding, num_classes: int, num_groups: int | None) -> None:
    head = small(cls, num_classes, num_groups)
    assert head(torch.randn(2, 6, 2, 2)).shape == (2, num_classes)
    assert head(torch.randn(1, 6, 2, 2)).unique().numel() == num_classes
    assert head.attention(torch.randn(2, 6, 2, 2)).shape == (2, num_classes, 2, 2)


@both
def test_a_batch_is_its_samples_one_by_one(cls: Decoding) -> None:
    head = small(cls).eval()
    feature_map = torch.randn(3, 6, 2, 4)
    torch.testing.assert_close(head(feature_map), torch.cat([head(sample[None]) for sample in feature_map]))


@both
def test_a_batch_may_be_empty(cls: Decoding) -> None:
    head = small(cls)
    assert head(torch.empty(0, 6, 2, 4)).shape == (0, 3)
    assert head.attention(torch.empty(0, 6, 2, 4)).shape == (0, 3, 2, 4)


@both
def test_attention_sums_to_one_over_the_places(cls: Decoding) -> None:
    attention = small(cls).attention(5 * torch.randn(2, 6, 5, 4))
    assert attention.min() >= 0
    torch.testing.assert_close(attention.sum(dim=(2, 3)), torch.ones(2, 3))
    assert not torch.allclose(attention[:, 0], attention[:, 1])  # each query looks for itself


@both
def test_classes_of_a_group_share_its_attention(cls: Decoding) -> None:
    attention = small(cls, 5, num_groups=2).attention(5 * torch.randn(2, 6, 5, 4))
    assert attention[:, 0].equal(attention[:, 2])
    assert attention[:, 3].equal(attention[:, 4])
    assert not torch.allclose(attention[:, 2], attention[:, 3])


@both
def test_attention_says_what_the_logits_are_made_of(cls: Decoding) -> None:
    # With one head, what the last layer gathers is the values weighted by the attention: caught inside the module.
    torch.manual_seed(0)
    head = cls(6, 3, width=16, num_heads=1, feed_forward=32).eval()
    caught: dict[str, Tensor] = {}
    layer = last_layer(head).cross_attention
    layer.value.register_forward_hook(lambda module, given, found: caught.update(values=found))
    layer.output.register_forward_hook(lambda module, given, found: caught.update(gathered=given[0]))
    feature_map = 5 * torch.randn(2, 6, 5, 4)
    head(feature_map)
    torch.testing.assert_close(head.attention(feature_map).flatten(2) @ caught["values"], caught["gathered"])


@both
def test_a_place_without_attention_has_no_say(cls: Decoding) -> None:
    # Where the attention is on one place alone, the features of the others do not matter.
    head = small(cls).eval()
    with torch.no_grad():
        last_layer(head).cross_attention.key.weight *= 1e4
    feature_map = torch.randn(1, 6, 3, 3, requires_grad=True)
    attention = head.attention(feature_map).detach()
    unseen = attention.sum(dim=1).flatten() < 1e-6
    assert unseen.any()
    if isinstance(head, MLDecoderHead):  # in a decoder of several layers the first one looks elsewhere
        head(feature_map).sum().backward()
        gradient = feature_map.grad
        assert gradient is not None
        felt = gradient.norm(dim=1).flatten()
        assert felt[unseen].max() < 1e-3 * felt.max()


@both
def test_looking_leaves_nothing_behind(cls: Decoding) -> None:
    head = small(cls).eval()
    before = {name: set(vars(module)) for name, module in head.named_modules()}
    head.attention(torch.randn(2, 6, 5, 4))
    head(torch.randn(2, 6, 5, 4))
    assert {name: set(vars(module)) for name, module in head.named_modules()} == before


@pytest.mark.parametrize(("cls", "num_groups"), [(MLDecoderHead, 2), (Query2LabelHead, None)])
def test_onnx_gives_the_same_logits(cls: Decoding, num_groups: int | None, run_onnx: RunOnnx) -> None:
    head = small(cls, 5, num_groups).eval()
    given = torch.randn(3, 6, 4, 5)
    torch.testing.assert_close(run_onnx(head, torch.randn(2, 6, 4, 5), given), head(given), rtol=1e-4, atol=1e-4)


@both
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_mixed_precision_gives_about_the_same_logits(cls: Decoding, dtype: torch.dtype) -> None:
    head = small(cls)
    feature_map = torch.randn(2, 6, 4, 5, requires_grad=True)
    with torch.autocast("cpu", dtype):
        logits = head(feature_map)
        attention = head.attention(feature_map)
    torch.testing.assert_close(logits.float(), head(feature_map), rtol=0.1, atol=0.1)
    torch.testing.assert_close(attention.sum(dim=(2, 3)), torch.ones(2, 3), rtol=0, atol=0.02)
    functional.binary_cross_entropy_with_logits(logits.float(), torch.ones(2, 3)).backward()
    gradient = feature_map.grad
    assert gradient is not None
    assert gradient.isfinite().all()
    assert gradient.any()


@both
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_may_be_of_any_precision(cls: Decoding, dtype: torch.dtype) -> None:
    head = small(cls).to(dtype)
    logits = head(torch.randn(2, 6, 4, 5, dtype=dtype))
    assert logits.dtype == dtype
    assert logits.isfinite().all()


@both
@pytest.mark.parametrize("scale", [0.0, 1e-4, 1e3])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_small_and_large_features_do_not_overflow(cls: Decoding, scale: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    head = cls(512, 5, width=128)
    feature_map = (scale * torch.randn(1, 512, 4, 4)).to(dtype).requires_grad_()
    with torch.autocast("cpu", dtype):
        logits = head(feature_map)
        attention = head.attention(feature_map)
    assert logits.isfinite().all()
    assert attention.isfinite().all()
    logits.float().square().mean().backward()
    assert feature_map.grad is not None
    assert feature_map.grad.isfinite().all()


@both
@pytest.mark.parametrize(
    ("name", "image_size"), [("test_resnet", 64), ("swin_tiny_patch4_window7_224", 224), ("test_vit", 64)]
)
def test_gradient_reaches_backbones_of_every_kind(cls: Decoding, name: str, image_size: int) -> None:
    torch.manual_seed(0)
    backbone = made(name, image_size)
    backbone.zero_grad()
    head = cls(backbone.num_features, 5, width=16)
    head(backbone(torch.randn(2, 3, image_size, image_size))).square().sum().backward()
    learning = {key: parameter for key, parameter in backbone.named_parameters() if parameter.requires_grad}
    for key, parameter in learning.items():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
    assert next(iter(learning.values())).grad.any()  # type: ignore[union-attr]
    assert all(parameter.grad is not None for parameter in head.parameters())  # or DDP waits for it


@both
def test_learns_eight_maps_by_heart(cls: Decoding) -> None:
    head = small(cls, 5)
    feature_map, labels = torch.randn(8, 6, 4, 4), torch.randint(2, (8, 5)).float()
    optimizer = torch.optim.AdamW(head.parameters(), lr=3e-3)
    for _ in range(150):
        optimizer.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(head(feature_map), labels)
        loss.backward()
        optimizer.step()
    assert loss < 0.05
    assert (head(feature_map) > 0).equal(labels.bool())


@both
def test_scores_begin_near_half(cls: Decoding) -> None:
    torch.manual_seed(0)
    scores = cls(64, 80).eval()(torch.randn(4, 64, 7, 7)).sigmoid()
    assert 0.4 < scores.mean() < 0.6
    assert scores.min() > 0.05
    assert scores.max() < 0.95


@both
def test_dropout_acts_in_training_only(cls: Decoding) -> None:
    head = small(cls, dropout=0.5)
    feature_map = torch.randn(2, 6, 4, 5)
    assert not head(feature_map).equal(head(feature_map))
    head.eval()
    assert head(feature_map).equal(head(feature_map))


@both
def test_another_of_the_same_spec_with_the_same_state_gives_the_same_logits(cls: Decoding) -> None:
    head = small(cls, 5, num_groups=2).eval()
    described = spec(head, given=2)  # the sizes were positional
    again = rebuild(described, Head, 6, 5).eval()  # with other random queries
    again.load_state_dict(head.state_dict())
    feature_map = torch.randn(2, 6, 4, 5)
    assert again(feature_map).equal(head(feature_map))
    assert again.attention(feature_map).equal(head.attention(feature_map))


@both
@pytest.mark.parametrize("size", [16, 24, 5])
@pytest.mark.parametrize("rows", [2, 5])
def test_a_checkpoint_needs_no_file_of_embeddings(cls: Decoding, size: int, rows: int, tmp_path: Path) -> None:
    np.save(tmp_path / "words.npy", np.random.default_rng(0).normal(size=(rows, size)))
    options = {"num_groups": 2, "width": 16, "num_heads": 4}
    head = cls(6, 5, queries=tmp_path / "words.npy", **options).eval()  # type: ignore[arg-type]
    described = spec(head, given=2)
    assert described["init_args"]["queries"] == str(tmp_path / "words.npy")
    (tmp_path / "words.npy").unlink()
    arguments = cls.without_files(described["init_args"])
    again = rebuild({**described, "init_args": arguments}, Head, 6, 5).eval()
    again.load_state_dict(head.state_dict())
    feature_map = torch.randn(2, 6, 4, 5)
    assert again(feature_map).equal(head(feature_map))


@both
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 20}, "width is 20 and num_heads 8"),
        ({"num_heads": 0}, "num_heads 0"),
        ({"feed_forward": 0}, "feed_forward is 0"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"dropout": -0.1}, "dropout is -0.1"),
        ({"num_groups": 0}, "num_groups is 0; expected 1 to 5"),
        ({"num_groups": 6}, "num_groups is 6; expected 1 to 5"),
        ({"queries": Path("none.npy")}, "no file 'none.npy'"),
    ],
)
def test_bad_arguments_are_refused(cls: Decoding, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        cls(6, 5, **options)  # type: ignore[arg-type]


@both
@pytest.mark.parametrize("sizes", [(0, 3), (6, 0)])
def test_a_head_without_features_or_classes_is_refused(cls: Decoding, sizes: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="must be positive"):
        cls(*sizes)
