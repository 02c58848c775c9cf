"""The queries that a decoder begins with: random ones, or embeddings of the classes from a file."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from jaxtyping import Float
from torch import Tensor, nn

from mlic.errors import UsageError
from mlic.heads.groups import check_groups, groups_of_classes

__all__ = ["first_queries", "read_embeddings"]

_SUFFIXES = (".npy", ".safetensors", ".pt")


def first_queries(path: Path | None, num_classes: int, num_groups: int, width: int) -> Float[Tensor, "groups width"]:
    """Returns a query for each group: random, or from a file of embeddings.

    A file has an embedding for each group, or one for each class, in the order of the classes; a group's query is then
    the mean of its classes'. Embeddings of another length than `width` go through a random linear layer, whose rows or
    columns are orthonormal: if it makes them longer it keeps all distances and angles, if it makes them shorter it
    keeps the angles about, and all distances shrink about alike. It does not learn; the projection of the attention,
    which comes next, does.

    Args:
        path: as in `read_embeddings`; None for random queries.
        num_classes: number of classes.
        num_groups: number of queries, from 1 to `num_classes`.
        width: length of a query.

    Raises:
        UsageError: if the file cannot be read, or the number of its rows fits neither groups nor classes, or
            `num_groups` is out of its range.
    """
    check_groups(num_groups, num_classes)
    if path is None:
        return torch.randn(num_groups, width)
    embeddings = read_embeddings(path)
    if len(embeddings) not in (num_groups, num_classes):
        raise UsageError(
            f"queries: {path} holds {len(embeddings)} embeddings; expected {num_classes}, one per class"
            + (f", or {num_groups}, one per group" if num_groups != num_classes else "")
        )
    if len(embeddings) != num_groups:
        groups = groups_of_classes(num_classes, num_groups)
        sums = torch.zeros(num_groups, embeddings.shape[1]).index_add(0, groups, embeddings)
        embeddings = sums / groups.bincount()[:, None]
    if embeddings.shape[1] == width:
        return embeddings
    return embeddings @ nn.init.orthogonal_(torch.empty(embeddings.shape[1], width))


def read_embeddings(path: Path) -> Float[Tensor, "rows size"]:
    """Reads a matrix from a file, in float32: a row for each embedding.

    Args:
        path: a `.npy` file; or a `.safetensors` or `.pt` file (`torch.load(weights_only=True)`) with one tensor. No
            code in it is run.

    Raises:
        UsageError: if there is no such file, or it holds anything but one matrix of finite real numbers.
    """
    path = Path(path).expanduser()  # a spec that is rebuilt has a string
    if not path.is_file():
        raise UsageError(f"queries: no file '{path}'; expected one of embeddings, a row for each class")
    if path.suffix not in _SUFFIXES:
        raise UsageError(f"queries: {path} ends in '{path.suffix}'; expected {', '.join(_SUFFIXES)}")
    try:
        found = _loaded(path)
    except Exception as error:  # the readers raise what they like on a file of another kind
        raise UsageError(
            f"queries: {path} cannot be read ({type(error).__name__}); expected a file of numbers that "
            "numpy.save, safetensors or torch.save wrote"
        ) from error
    if isinstance(found, Mapping) and len(found) == 1:
        (found,) = found.values()
    if not isinstance(found, Tensor):
        several = f"{len(found)} entries" if isinstance(found, Mapping) else f"a {type(found).__name__}"
        raise UsageError(f"queries: {path} holds {several}; expected one tensor")
    if found.layout != torch.strided or found.is_quantized or found.is_complex() or found.ndim != 2 or 0 in found.shape:
        raise UsageError(
            f"queries: {path} holds numbers of the shape {tuple(found.shape)}, type {found.dtype} and layout "
            f"{found.layout}; expected a dense matrix of real numbers with a row for each class"
        )
    embeddings = found.detach().to(torch.float32)
    if not embeddings.isfinite().all():
        raise UsageError(f"queries: {path} holds values that are not finite numbers in float32; take another file")
    return embeddings


def _loaded(path: Path) -> object:
    if path.suffix == ".npy":
        numbers = np.load(path, allow_pickle=False)
        return torch.from_numpy(numbers.astype(numbers.dtype.newbyteorder("="), copy=False))
    if path.suffix == ".safetensors":
        return safetensors.torch.load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)
