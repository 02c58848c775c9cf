"""What holds for every head that mlic brings, as it is made without options."""

import copy
import functools
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

import mlic.heads
from mlic import plugins
from mlic.backbones.timm import TimmBackbone
from mlic.errors import UsageError
from mlic.heads.base import AttentionHead, Head
from mlic.parts import rebuild, spec

NAMES = [plugin.name for plugin in plugins.available("heads") if plugin.built_in]

# Besides each head without options, what an exporter or a compiler could trip over.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in NAMES},
    **{f"linear, {pooling}": ("linear", {"pooling": pooling}) for pooling in ("max", "avg_max", "gem", "lse")},
    "csra, 4 heads": ("csra", {"num_heads": 4}),
}

every = pytest.mark.parametrize("name", NAMES)


def head_class(name: str) -> type[Head]:
    return plugins.load(plugins.find("heads", name))


ATTENTIVE = [name for name in NAMES if issubclass(head_class(name), AttentionHead)]


def make(name: str, num_features: int, num_classes: int, **options: Any) -> Head:
    torch.manual_seed(0)
    return head_class(name)(num_features, num_classes, **options)


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@functools.cache
def map_of(backbone: str, image_size: int) -> Tensor:
    with torch.no_grad():
        found: Tensor = TimmBackbone(backbone, weights="none", image_size=image_size)(normal(2, 3, *[image_size] * 2))
    return found


def test_there_are_six_heads() -> None:
    assert set(NAMES) >= {"linear", "mlp", "csra", "cam", "ml_decoder", "query2label"}


@every
def test_it_can_be_imported_from_mlic_heads(name: str) -> None:
    assert getattr(mlic.heads, head_class(name).__name__) is head_class(name)
    assert head_class(name).__name__ in mlic.heads.__all__


@every
@pytest.mark.parametrize("size", [(1, 1), (7, 7), (3, 9), (9, 3), (1, 20)])
def test_it_takes_a_map_of_any_size(name: str, size: tuple[int, int]) -> None:
    assert make(name, 16, 5)(normal(2, 16, *size)).shape == (2, 5)


@every
@pytest.mark.parametrize("num_classes", [1, 2, 99, 1000])
def test_it_takes_any_number_of_classes(name: str, num_classes: int) -> None:
    assert make(name, 16, num_classes)(normal(2, 16, 2, 3)).shape == (2, num_classes)


class Largest(TorchDispatchMode):
    """Notes the size of the largest tensor that is made, views of parameters left out."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.numel = 0
        held = [*module.parameters(), *module.buffers()]
        self._held = {tensor.untyped_storage().data_ptr() for tensor in held}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if isinstance(found, Tensor) and found.untyped_storage().data_ptr() not in self._held:
            self.numel = max(self.numel, found.numel())
        return found


@every
def test_ten_thousand_classes_need_no_features_of_each_class(name: str) -> None:
    # A query per class would make query2label compare 10,000 queries with each other: its docstring says what to do.
    options = {"num_groups": 100} if name == "query2label" else {}
    batch, features, classes, side = 4, 512, 10_000, 4
    head = make(name, features, classes, **options).eval()
    with torch.no_grad(), Largest(head) as largest:
        assert head(normal(batch, features, side, side)).shape == (batch, classes)
    assert largest.numel < batch * classes * features / 8


@every
def test_a_batch_is_its_samples_one_by_one(name: str) -> None:
    head = make(name, 16, 5).eval()
    feature_map = normal(3, 16, 4, 5)
    alone = torch.cat([head(sample[None]) for sample in feature_map])
    torch.testing.assert_close(head(feature_map), alone, atol=1e-5, rtol=1e-5)


@every
def test_a_batch_may_be_empty(name: str) -> None:
    assert make(name, 16, 5)(torch.empty(0, 16, 4, 5)).shape == (0, 5)


@every
def test_how_the_map_lies_in_memory_does_not_matter(name: str) -> None:
    head = make(name, 16, 5).eval()
    feature_map = normal(2, 16, 4, 5)
    last = feature_map.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(head(last), head(feature_map), atol=1e-5, rtol=1e-5)


@every
def test_in_evaluation_it_gives_the_same_twice_and_keeps_its_state(name: str) -> None:
    head = make(name, 16, 5).eval()
    before = copy.deepcopy(head.state_dict())
    feature_map = normal(2, 16, 4, 5)
    assert torch.equal(head(feature_map), head(feature_map))
    assert all(torch.equal(value, before[key]) for key, value in head.state_dict().items())


@every
def test_from_one_seed_come_equal_heads(name: str) -> None:
    one, other = make(name, 16, 5).state_dict(), make(name, 16, 5).state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)


@every
@pytest.mark.parametrize("scale", [0.1, 1.0])
def test_scores_begin_near_half(name: str, scale: float) -> None:
    head = make(name, 512, 80).eval()
    for feature_map in (normal(4, 512, 7, 7), normal(4, 512, 7, 7).relu(), normal(4, 512, 1, 1)):
        scores = torch.sigmoid(head(scale * feature_map))
        assert 0.4 < scores.mean() < 0.6
        assert scores.quantile(0.01) > 0.1
        assert scores.quantile(0.99) < 0.9


@every
def test_every_parameter_and_every_sample_receives_a_gradient(name: str) -> None:
    head = make(name, 16, 5)
    feature_map = normal(3, 16, 4, 5).requires_grad_()
    binary_cross_entropy_with_logits(head(feature_map), torch.ones(3, 5)).backward()
    without = [key for key, parameter in head.named_parameters() if parameter.requires_grad and parameter.grad is None]
    assert without == []  # or DistributedDataParallel waits for it
    assert feature_map.grad is not None
    assert feature_map.grad.isfinite().all()
    assert feature_map.grad.flatten(1).norm(dim=1).min() > 1e-6


@every
@pytest.mark.parametrize(
    ("backbone", "image_size"), [("test_resnet", 64), ("swin_tiny_patch4_window7_224", 224), ("test_vit", 64)]
)
def test_maps_of_every_kind_of_backbone_fit(name: str, backbone: str, image_size: int) -> None:
    feature_map = map_of(backbone, image_size).clone().requires_grad_()
    logits = make(name, feature_map.shape[1], 5)(feature_map)
    assert logits.shape == (2, 5)
    binary_cross_entropy_with_logits(logits, torch.ones(2, 5)).backward()
    assert feature_map.grad is not None
    assert feature_map.grad.isfinite().all()
    assert feature_map.grad.any()


@every
def test_it_learns_eight_images_by_heart_together_with_a_backbone(name: str) -> None:
    backbone = TimmBackbone("test_resnet", weights="none", image_size=32)
    model = nn.Sequential(backbone, make(name, backbone.num_features, 5))
    images = normal(8, 3, 32, 32)
    labels = torch.randint(2, (8, 5), generator=torch.Generator().manual_seed(1)).float()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(60):
        optimizer.zero_grad()
        loss = binary_cross_entropy_with_logits(model(images), labels)
        loss.backward()
        optimizer.step()
        if loss < 0.05:
            break
    assert loss < 0.05
    assert torch.equal(model(images) > 0, labels.bool())


@every
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_may_be_of_any_precision(name: str, dtype: torch.dtype) -> None:
    head = make(name, 16, 5).eval()
    feature_map = normal(2, 16, 4, 5)
    expected = head(feature_map)
    logits = head.to(dtype)(feature_map.to(dtype))
    assert logits.dtype == dtype
    torch.testing.assert_close(logits.float(), expected, atol=0.05, rtol=0.05)


@every
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_mixed_precision_gives_about_the_same(name: str, dtype: torch.dtype) -> None:
    head = make(name, 16, 5).eval()
    feature_map = normal(2, 16, 4, 5)
    with torch.autocast("cpu", dtype):
        logits = head(feature_map)
    torch.testing.assert_close(logits.float(), head(feature_map), atol=0.05, rtol=0.05)


@every
@pytest.mark.parametrize("scale", [0.0, 1e-4, 1e3])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_mixed_precision_overflows_neither_forward_nor_backward(name: str, dtype: torch.dtype, scale: float) -> None:
    head = make(name, 512, 5)
    feature_map = (scale * normal(2, 512, 3, 3)).to(dtype).requires_grad_()
    with torch.autocast("cpu", dtype):
        logits = head(feature_map)
    assert logits.isfinite().all()
    binary_cross_entropy_with_logits(logits.float(), torch.ones(2, 5)).backward()
    gradients = [feature_map.grad, *(parameter.grad for parameter in head.parameters())]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("name", ATTENTIVE)
@pytest.mark.parametrize("scale", [0.0, 1.0, 1000.0])
@pytest.mark.parametrize("size", [(1, 1), (3, 9)])
def test_attention_sums_to_one_over_the_places(name: str, size: tuple[int, int], scale: float) -> None:
    head = make(name, 16, 5)
    assert isinstance(head, AttentionHead)
    with torch.no_grad():
        for parameter in head.parameters():  # as if it had learned something
            parameter += 0.1 * torch.randn_like(parameter)
    attention = head.attention(scale * normal(2, 16, *size))
    assert attention.shape == (2, 5, *size)
    assert attention.min() >= 0
    torch.testing.assert_close(attention.sum(dim=(2, 3)), torch.ones(2, 5))


@every
def test_it_is_rebuilt_from_its_spec(name: str) -> None:
    head = make(name, 16, 5).eval()
    described = spec(head, given=2)
    assert described["init_args"] == {}
    again = rebuild(described, Head, 16, 5).eval()
    again.load_state_dict(head.state_dict())
    feature_map = normal(2, 16, 4, 5)
    assert torch.equal(again(feature_map), head(feature_map))


@every
def test_a_copy_is_a_head_of_its_own(name: str) -> None:
    head = make(name, 16, 5).eval()
    feature_map = normal(2, 16, 4, 5)
    before = head(feature_map)
    copied = copy.deepcopy(head)  # as averaged weights are made
    assert torch.equal(copied(feature_map), before)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.zero_()
    assert torch.equal(head(feature_map), before)


@every
@pytest.mark.parametrize("sizes", [(0, 5), (16, 0), (-1, 5)])
def test_sizes_that_are_not_positive_are_refused(name: str, sizes: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match=rf"{sizes[0]} features and {sizes[1]} classes; both must be positive"):
        make(name, *sizes)


@every
def test_the_docstring_states_parameters_and_multiply_adds(name: str) -> None:
    stated = re.search(
        r"At 2048 features, 80 classes and a 14 x 14\s+map: ([\d,]+) parameters.*?([\d.]+)\s+million\s+multiply-adds",
        str(head_class(name).__doc__),
        re.DOTALL,
    )
    assert stated is not None
    head = make(name, 2048, 80).eval()
    assert sum(parameter.numel() for parameter in head.parameters()) == int(stated[1].replace(",", ""))
    # The kernels that fuse an attention are not counted.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        head(torch.zeros(1, 2048, 14, 14))
    counted = counter.get_total_flops() / 2 / 1e6
    assert float(stated[2]) == pytest.approx(counted, rel=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_onnx_gives_the_same_logits(variant: str, run_onnx: Callable[[nn.Module, Tensor, Tensor], Tensor]) -> None:
    name, options = VARIANTS[variant]
    head = make(name, 16, 5, **options).eval()
    given = normal(3, 16, 4, 5).abs()
    found = run_onnx(head, normal(2, 16, 4, 5).abs(), given)
    torch.testing.assert_close(found, head(given), atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_every_head_compiles_as_one_graph() -> None:
    # In a process of its own, since the type checks of the tests cannot be compiled.
    program = f"""
import torch
from mlic import plugins

feature_map = torch.rand(2, 16, 4, 5)
for name, options in {list(VARIANTS.values())!r}:
    head = plugins.load(plugins.find("heads", name))(16, 5, **options).eval()
    compiled = torch.compile(head, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(feature_map), head(feature_map))
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300)
