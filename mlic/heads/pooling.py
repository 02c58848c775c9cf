"""Pooling: a feature map to one number per feature, in several ways between the average and the maximum."""

import math
from typing import Literal, cast, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from mlic.errors import UsageError, did_you_mean

__all__ = [
    "AverageMaxPooling",
    "AveragePooling",
    "GeneralizedMeanPooling",
    "LogSumExpPooling",
    "MaxPooling",
    "Pooling",
    "condensed",
    "fixed_name",
    "make_pooling",
]

Pooling = Literal["avg", "max", "avg_max", "gem", "lse"]
"""`avg`: average; `max`: maximum; `avg_max`: the mean of both; `gem`: generalised mean, for features that are never
negative (those behind a ReLU); `lse`: log-sum-exp, for any features. The last two learn where between the average and
the maximum they stand, with one parameter.
"""

_FLOOR = 1e-6

# All of them work in float32 at least: a sum over a large map, or a power, may exceed float16.


class AveragePooling(nn.Module):
    """The average over the places.

    Example:
        >>> AveragePooling()(torch.tensor([[[[1.0, 3.0]]]])).item()
        2.0
    """

    def forward(self, feature_map: Float[Tensor, "batch features h w"]) -> Float[Tensor, "batch features"]:
        """Returns one number per feature."""
        if _is_pooled(feature_map):
            return feature_map.flatten(1)
        dtype = torch.promote_types(feature_map.dtype, torch.float32)
        return feature_map.mean(dim=(2, 3), dtype=dtype).to(feature_map.dtype)


class MaxPooling(nn.Module):
    """The maximum over the places; places that share it share its gradient.

    Example:
        >>> MaxPooling()(torch.tensor([[[[1.0, 3.0]]]])).item()
        3.0
    """

    def forward(self, feature_map: Float[Tensor, "batch features h w"]) -> Float[Tensor, "batch features"]:
        """Returns one number per feature."""
        return feature_map.amax(dim=(2, 3))


class AverageMaxPooling(nn.Module):
    """Half the average plus half the maximum, so as many numbers as features and of their size.

    Example:
        >>> AverageMaxPooling()(torch.tensor([[[[1.0, 3.0]]]])).item()
        2.5
    """

    def forward(self, feature_map: Float[Tensor, "batch features h w"]) -> Float[Tensor, "batch features"]:
        """Returns one number per feature."""
        raised = feature_map.to(torch.promote_types(feature_map.dtype, torch.float32))
        return (0.5 * (raised.mean(dim=(2, 3)) + raised.amax(dim=(2, 3)))).to(feature_map.dtype)


class GeneralizedMeanPooling(nn.Module):
    """Generalised mean, `(mean of x^p)^(1/p)` (Radenovic et al. 2019, arXiv:1711.02512).

    One exponent for all features, which is learned and begins at 3. It is kept above 1, the average, by writing it as
    `1 + softplus(...)`; infinity would be the maximum.

    A negative feature has no such mean. The first map that is seen outside a trace is therefore looked at, and refused
    if it holds one: a backbone that can give negative features gives some in any image. What comes later, or through
    `torch.compile` or ONNX, is not looked at, since that would make a GPU wait each time; a negative feature gives NaN
    there, never a number that looks right.

    Example:
        >>> pooling = GeneralizedMeanPooling()
        >>> round(pooling(torch.tensor([[[[1.0, 3.0]]]])).item(), 3)  # cube root of (1 + 27) / 2
        2.41
    """

    def __init__(self) -> None:
        super().__init__()
        self.excess = nn.Parameter(torch.tensor(math.log(math.expm1(2.0))))  # its softplus is 2
        self._looked = False

    @property
    def p(self) -> Float[Tensor, ""]:
        """The exponent, in float32 at least."""
        return 1 + softplus(self.excess.to(torch.promote_types(self.excess.dtype, torch.float32)))

    def forward(self, feature_map: Float[Tensor, "batch features h w"]) -> Float[Tensor, "batch features"]:
        """Returns one number per feature.

        Raises:
            UsageError: if a feature of the first map is negative.
        """
        if not (self._looked or torch.compiler.is_compiling()):
            _require_non_negative(feature_map)
            self._looked = feature_map.numel() > 0
        raised = feature_map.to(torch.promote_types(feature_map.dtype, torch.float32))
        # x^p as exp(p log x), which cannot overflow, nor have the infinite slope of a root of 0 where a feature is 0
        # everywhere. The floor is far below what counts, and above where processors calculate slowly.
        logs = torch.where(raised < 0, math.nan, raised.clamp(min=_FLOOR).log())
        return (_log_mean_exp(self.p * logs) / self.p).exp().to(feature_map.dtype)


class LogSumExpPooling(nn.Module):
    """Log-sum-exp, `log(mean of exp(r x)) / r` (Pinheiro and Collobert 2015, arXiv:1411.6228).

    With a small sharpness r it is the average, with a large one the maximum; features may have any sign. Unlike in the
    paper, which pools the scores of classes, r is learned (as its logarithm, so that it stays positive), since features
    differ in size between backbones. It begins at 1.

    Example:
        >>> pooling = LogSumExpPooling()
        >>> round(pooling(torch.tensor([[[[0.0, math.log(3)]]]])).exp().item(), 3)  # (1 + 3) / 2
        2.0
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_sharpness = nn.Parameter(torch.tensor(0.0))

    @property
    def sharpness(self) -> Float[Tensor, ""]:
        """The r of the formula, in float32 at least."""
        return self.log_sharpness.to(torch.promote_types(self.log_sharpness.dtype, torch.float32)).exp()

    def forward(self, feature_map: Float[Tensor, "batch features h w"]) -> Float[Tensor, "batch features"]:
        """Returns one number per feature."""
        raised = feature_map.to(torch.promote_types(feature_map.dtype, torch.float32))
        return (_log_mean_exp(self.sharpness * raised) / self.sharpness).to(feature_map.dtype)


_POOLINGS: dict[str, type[nn.Module]] = {
    "avg": AveragePooling,
    "max": MaxPooling,
    "avg_max": AverageMaxPooling,
    "gem": GeneralizedMeanPooling,
    "lse": LogSumExpPooling,
}


def make_pooling(name: str) -> nn.Module:
    """Makes a pooling by its name.

    Raises:
        UsageError: if there is none of that name.
    """
    if name not in _POOLINGS:
        names = get_args(Pooling)
        raise UsageError(f"pooling is '{name}'; expected one of {', '.join(names)}{did_you_mean(name, names)}")
    return _POOLINGS[name]()


def fixed_name(pooling: nn.Module) -> str:
    """Returns the name of a pooling that learns nothing; empty for one that does.

    Example:
        >>> fixed_name(make_pooling("max")), fixed_name(make_pooling("gem"))
        ('max', '')
    """
    names = (name for name, kind in _POOLINGS.items() if type(pooling) is kind)
    return "" if any(True for _ in pooling.parameters()) else next(names, "")


def condensed(
    pooling: nn.Module, feature_map: Float[Tensor, "batch features h w"]
) -> Float[Tensor, "batch features ..."]:
    """Returns the map of a single place that the pooling makes the same of as of the whole one.

    The average, the maximum, and what lies between them, of a single number are this number. The whole map, where the
    pooling learns.

    Example:
        >>> condensed(make_pooling("avg"), torch.tensor([[[[1.0, 3.0]]]])).tolist()
        [[[[2.0]]]]
    """
    return cast(Tensor, pooling(feature_map))[:, :, None, None] if fixed_name(pooling) else feature_map


def _is_pooled(feature_map: Float[Tensor, "batch features h w"]) -> bool:
    """Says whether there is one place only, as in kept features, whose mean would cost as much as the linear layer.

    Not where the operations are recorded, since the recording has to hold for larger maps too.
    """
    recorded = torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[no-untyped-call, attr-defined]
    return not recorded and feature_map.shape[2:] == (1, 1)


def _log_mean_exp(numbers: Float[Tensor, "batch features h w"]) -> Float[Tensor, "batch features"]:
    # The result does not depend on what is taken out and put back, so the gradient need not know of it.
    largest = numbers.detach().amax(dim=(2, 3), keepdim=True)
    return largest.flatten(1) + (numbers - largest).exp().mean(dim=(2, 3)).log()


def _require_non_negative(feature_map: Float[Tensor, "batch features h w"]) -> None:
    if not feature_map.numel():
        return
    lowest = feature_map.detach().amin()
    if lowest < 0:
        raise UsageError(
            f"pooling is 'gem' and a feature of the map is {lowest.item():.3g}; the generalised mean is for features "
            "that are never negative, such as those behind a ReLU; take pooling: lse, which is for any features"
        )
