import math
import subprocess
import sys
from collections.abc import Callable
from typing import cast, get_args

import pytest
import torch
from torch import Tensor, nn

from mlic.errors import UsageError
from mlic.heads.pooling import GeneralizedMeanPooling, LogSumExpPooling, Pooling, make_pooling

NAMES = list(get_args(Pooling))


def positive(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)) + 0.1


def with_p(p: float) -> GeneralizedMeanPooling:
    pooling = GeneralizedMeanPooling()
    nn.init.constant_(pooling.excess, p - 1 if p > 50 else math.log(math.expm1(p - 1)))  # undoes softplus
    return pooling


def with_sharpness(sharpness: float) -> LogSumExpPooling:
    pooling = LogSumExpPooling()
    nn.init.constant_(pooling.log_sharpness, math.log(sharpness))
    return pooling


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(1, 1), (7, 7), (3, 9)])
def test_every_pooling_gives_one_number_per_feature(name: Pooling, size: tuple[int, int]) -> None:
    assert make_pooling(name)(positive(2, 6, *size)).shape == (2, 6)


@pytest.mark.parametrize("name", NAMES)
def test_a_map_that_is_the_same_everywhere_is_pooled_to_what_it_is(name: Pooling) -> None:
    features = positive(2, 6)
    torch.testing.assert_close(make_pooling(name)(features[:, :, None, None].expand(2, 6, 3, 4)), features)


@pytest.mark.parametrize("name", NAMES)
def test_every_pooling_lies_between_average_and_maximum(name: Pooling) -> None:
    feature_map = positive(2, 6, 3, 4)
    pooled = make_pooling(name)(feature_map)
    assert (pooled >= feature_map.mean(dim=(2, 3)) - 1e-6).all()
    assert (pooled <= feature_map.amax(dim=(2, 3)) + 1e-6).all()


@pytest.mark.parametrize("name", NAMES)
def test_where_a_feature_is_does_not_matter(name: Pooling) -> None:
    feature_map = positive(2, 6, 3, 4)
    pooling = make_pooling(name)
    torch.testing.assert_close(pooling(feature_map), pooling(feature_map.flip(2, 3)))


@pytest.mark.parametrize("name", NAMES)
def test_how_a_map_lies_in_memory_does_not_matter(name: Pooling) -> None:
    feature_map = positive(2, 6, 3, 4)
    pooling = make_pooling(name)
    last = feature_map.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(pooling(feature_map), pooling(last))


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_the_formula(name: Pooling) -> None:
    feature_map = positive(2, 3, 2, 3).double().requires_grad_()
    pooling = make_pooling(name).double()
    assert torch.autograd.gradcheck(lambda given: pooling(given), feature_map)


@pytest.mark.parametrize(("pooling", "of"), [(with_p(2.5), "excess"), (with_sharpness(2.5), "log_sharpness")])
def test_the_parameter_learns_by_the_gradient_of_the_formula(pooling: nn.Module, of: str) -> None:
    feature_map = positive(2, 3, 2, 3).double()
    pooling = pooling.double()
    parameter = cast(nn.Parameter, getattr(pooling, of))

    def pooled(value: Tensor) -> Tensor:
        return cast(Tensor, torch.func.functional_call(pooling, {of: value}, feature_map))

    assert torch.autograd.gradcheck(pooled, parameter.detach().clone().requires_grad_())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_what_is_pooled_keeps_its_type(name: Pooling, dtype: torch.dtype) -> None:
    assert make_pooling(name).to(dtype)(positive(2, 6, 3, 4).to(dtype)).dtype == dtype


@pytest.mark.parametrize("name", NAMES)
def test_a_large_float16_map_does_not_overflow(name: Pooling) -> None:
    feature_map = torch.full((1, 1, 32, 32), 60_000.0, dtype=torch.float16)  # its sum and its cube are infinite there
    torch.testing.assert_close(make_pooling(name)(feature_map), feature_map[:, :, 0, 0])


@pytest.mark.parametrize("name", NAMES)
def test_a_feature_that_is_0_everywhere_pools_to_0_with_finite_gradients(name: Pooling) -> None:
    feature_map = torch.zeros(1, 2, 3, 3, requires_grad=True)
    pooling = make_pooling(name)
    pooled = pooling(feature_map)
    torch.testing.assert_close(pooled, torch.zeros(1, 2), atol=2e-6, rtol=0)
    pooled.sum().backward()
    gradients = [feature_map.grad, *(parameter.grad for parameter in pooling.parameters())]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("name", ["avg", "max", "avg_max", "lse"])
def test_features_of_any_sign_are_shifted_as_a_whole(name: Pooling) -> None:
    feature_map = positive(2, 6, 3, 4)
    pooling = make_pooling(name)
    torch.testing.assert_close(pooling(feature_map - 5), pooling(feature_map) - 5)


@pytest.mark.parametrize("name", ["avg", "max", "avg_max", "gem"])
def test_features_of_another_unit_are_pooled_in_that_unit(name: Pooling) -> None:
    feature_map = positive(2, 6, 3, 4)
    pooling = make_pooling(name)
    torch.testing.assert_close(pooling(1000 * feature_map), 1000 * pooling(feature_map))


def test_avg_max_is_the_mean_of_both() -> None:
    feature_map = positive(2, 6, 3, 4)
    both = make_pooling("avg")(feature_map) + make_pooling("max")(feature_map)
    torch.testing.assert_close(make_pooling("avg_max")(feature_map), both / 2)


def test_places_that_share_the_maximum_share_its_gradient() -> None:
    feature_map = torch.tensor([[[[1.0, 2.0, 2.0]]]], requires_grad=True)
    make_pooling("max")(feature_map).sum().backward()
    gradient = feature_map.grad
    assert gradient is not None
    assert gradient.tolist() == [[[[0.0, 0.5, 0.5]]]]


def test_gem_begins_as_the_cubic_mean() -> None:
    feature_map = positive(2, 6, 3, 4)
    torch.testing.assert_close(make_pooling("gem")(feature_map), feature_map.pow(3).mean(dim=(2, 3)).pow(1 / 3))


def test_gem_near_1_is_the_average_and_large_the_maximum() -> None:
    feature_map = positive(2, 6, 3, 4)
    torch.testing.assert_close(with_p(1 + 1e-6)(feature_map), feature_map.mean(dim=(2, 3)), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(with_p(1000.0)(feature_map), feature_map.amax(dim=(2, 3)), atol=0, rtol=0.01)


def test_gem_of_places_that_are_0_counts_them() -> None:
    pooled = make_pooling("gem")(torch.tensor([[[[0.0, 2.0]]]]))
    torch.testing.assert_close(pooled.item(), (8 / 2) ** (1 / 3))


def test_the_exponent_stays_above_1_wherever_learning_leads() -> None:
    pooling = GeneralizedMeanPooling()
    nn.init.constant_(pooling.excess, -1000.0)
    assert pooling.p.item() >= 1
    assert pooling(positive(2, 6, 3, 4)).isfinite().all()


def test_lse_is_the_formula() -> None:
    feature_map = torch.randn(2, 6, 3, 4, generator=torch.Generator().manual_seed(0))
    by_hand = (2.5 * feature_map).exp().mean(dim=(2, 3)).log() / 2.5
    torch.testing.assert_close(with_sharpness(2.5)(feature_map), by_hand)


def test_lse_of_small_sharpness_is_the_average_and_of_large_the_maximum() -> None:
    feature_map = torch.randn(2, 6, 3, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(with_sharpness(1e-3)(feature_map), feature_map.mean(dim=(2, 3)), atol=2e-3, rtol=0)
    torch.testing.assert_close(with_sharpness(1e4)(feature_map), feature_map.amax(dim=(2, 3)), atol=1e-3, rtol=0)


def test_lse_of_a_larger_map_of_the_same_content_is_the_same() -> None:
    feature_map = torch.randn(2, 6, 3, 4, generator=torch.Generator().manual_seed(0))
    pooling = LogSumExpPooling()
    torch.testing.assert_close(pooling(feature_map.repeat(1, 1, 2, 3)), pooling(feature_map))


def test_gem_refuses_a_map_with_a_negative_feature_and_names_lse() -> None:
    feature_map = positive(2, 6, 3, 4)
    feature_map[1, 3, 2, 2] = -0.25
    with pytest.raises(UsageError, match=r"a feature of the map is -0\.25; .* take pooling: lse"):
        make_pooling("gem")(feature_map)


def test_gem_goes_on_refusing_until_a_map_was_right() -> None:
    pooling = make_pooling("gem")
    for _ in range(2):
        with pytest.raises(UsageError, match="never negative"):
            pooling(-positive(1, 1, 2, 2))


def test_a_negative_feature_after_the_first_map_gives_nan_and_not_a_number_that_looks_right() -> None:
    pooling = make_pooling("gem")
    feature_map = positive(2, 6, 3, 4)
    pooling(feature_map)
    feature_map[1, 3, 2, 2] = -0.25
    assert pooling(feature_map).isnan().nonzero().tolist() == [[1, 3]]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_gem_exports_to_onnx_with_nan_for_negative_features(
    run_onnx: Callable[[nn.Module, Tensor, Tensor], Tensor],
) -> None:
    pooling = make_pooling("gem")  # not yet used, so that looking at the map would break the export
    given = positive(3, 6, 3, 4)
    given[1, 3, 2, 2] = -0.25
    found = run_onnx(pooling, positive(2, 6, 3, 4), given)
    assert found.isnan().nonzero().tolist() == [[1, 3]]
    expected = torch.func.functional_call(pooling, {}, given.abs())
    torch.testing.assert_close(found[[0, 2]], expected[[0, 2]], atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_every_pooling_compiles_as_one_graph() -> None:
    # In a process of its own, since the type checks of the tests cannot be compiled.
    program = """
import torch
from mlic.heads.pooling import make_pooling

feature_map = torch.rand(2, 6, 3, 4)
for name in ("avg", "max", "avg_max", "gem", "lse"):
    pooling = make_pooling(name)
    found = torch.compile(pooling, backend="eager", fullgraph=True)(feature_map)
    torch.testing.assert_close(found, pooling(feature_map))
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_an_unknown_pooling_is_answered_with_the_names() -> None:
    with pytest.raises(UsageError, match="pooling is 'mean'; expected one of avg, max, avg_max, gem, lse"):
        make_pooling("mean")
