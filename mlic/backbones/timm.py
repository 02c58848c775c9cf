"""`TimmBackbone`: any model of timm that can give a feature map."""

import fnmatch
import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, cast

import timm
import torch
from jaxtyping import Float
from timm.layers.classifier import ClNormMlpClassifierHead, NormMlpClassifierHead
from timm.layers.patch_embed import PatchEmbed
from timm.models import group_parameters
from torch import Tensor

from mlic.backbones.base import Backbone
from mlic.backbones.weights import Weights, download_error, load_strictly, read_state_dict, require_download
from mlic.errors import MlicError, UsageError, WeightsError, did_you_mean

__all__ = ["TimmBackbone"]

Layout = Literal["NCHW", "NHWC", "tokens"]
"""What `forward_features` gives. `tokens` stands for whatever has no height and width of its own."""

Sizing = Literal["none", "set_input_size", "img_size"]
"""How a model is told the image size: not at all (a fully convolutional one), by its method, at construction."""


class TimmBackbone(Backbone):
    """Any model of timm, with or without a tag (`resnet50`, `convnext_tiny.fb_in22k`), without its classifier.

    The feature map is the one before pooling: channels first, class and register tokens dropped. Where a model
    normalises after its average pooling (ConvNeXt, ViTs that pool by the mean), the same layer normalises each place of
    the map. Parameters that have no part in the map, such as those of an attention pooling, do not learn.

    Args:
        name: a model that `timm.list_models()` lists; a tag chooses among its pretrained weights and preprocessings.
        weights: `imagenet` for the pretrained weights of the tag (on whichever data they were trained), which are
            downloaded once; `none` for random ones; or a file, as `mlic.backbones.weights.read_state_dict` reads it.
        freeze: whether parameters and BatchNorm statistics stay as they are.
        image_size: side of the square input in pixels; by default the one the weights were trained with. Position
            embeddings are resized to it.

    Raises:
        UsageError: if timm has no such model, it gives no feature map, or it does not take images of `image_size`.
        WeightsError: if there are no such weights, or they do not fit.
        DownloadError: if the weights cannot be fetched.

    Example:
        >>> backbone = TimmBackbone("test_resnet", weights="none", image_size=64)
        >>> backbone(torch.zeros(1, 3, 64, 64)).shape
        torch.Size([1, 96, 2, 2])
        >>> backbone.num_features
        96
    """

    def __init__(
        self, name: str, weights: Weights = "imagenet", freeze: bool = False, image_size: int | None = None
    ) -> None:
        super().__init__()
        name = _checked_name(name)
        survey = _survey(name, image_size)
        self.num_features = survey.num_features
        self.image_size = survey.image_size
        self.mean = _triple(survey.pretrained_cfg["mean"])
        self.std = _triple(survey.pretrained_cfg["std"])
        self._layout = survey.layout
        self.network: Any = _weighted(name, survey, weights)
        for parameter_name, parameter in self.network.named_parameters():
            if parameter_name in survey.unused:
                # DistributedDataParallel waits for the gradient of every parameter that asks for one.
                parameter.requires_grad_(False)
        if freeze:
            self.freeze()

    @classmethod
    def without_weights(cls, init_args: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the same arguments with `weights` none."""
        return {**init_args, "weights": "none"}

    def depths(self) -> dict[str, int]:
        """Returns the depths as timm's model groups its own layers."""
        if not hasattr(self.network, "group_matcher"):
            return super().depths()
        found = group_parameters(self.network, self.network.group_matcher(coarse=False), reverse=True)
        return {f"network.{name}": depth for name, depth in found.items()}

    def undecayed(self) -> set[str]:
        """Returns what timm's model names: position embeddings and the like."""
        named = self.network.no_weight_decay() if hasattr(self.network, "no_weight_decay") else ()
        # timm's own optimizers take the names for patterns: XCiT's is "pos_embed.*".
        parameters = [name for name, _ in self.network.named_parameters()]
        return {f"network.{name}" for pattern in named for name in fnmatch.filter(parameters, pattern)}

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch features h w"]:
        """Returns the feature map of `images`, which are normalised with `mean` and `std`."""
        return _feature_map(self.network, self._layout, images)


class _Survey(NamedTuple):
    """What a model is found to do at one image size, before any weights are there."""

    num_features: int
    image_size: int
    layout: Layout
    sizing: Sizing
    resizable: bool
    patch: int | None
    unused: frozenset[str]
    pretrained_cfg: dict[str, Any]


def _checked_name(name: str) -> str:
    """Returns `name` as timm takes it.

    Raises:
        UsageError: if there is no such model, or no such tag of it.
    """
    name = name.removeprefix("timm/")
    model, _, tag = name.partition(".")
    if not timm.is_model(model):
        raise UsageError(f"timm {timm.__version__} has no model '{model}'{did_you_mean(model, timm.list_models())}")
    if tag and name not in (tagged := timm.list_pretrained(f"{model}.*")):
        known = f"it has {', '.join(tagged)}" if tagged else "it has none at all"
        raise UsageError(
            f"timm {timm.__version__} has no weights '{tag}' of {model}; {known}{did_you_mean(name, tagged)}"
        )
    return name


def _survey(name: str, image_size: int | None) -> _Survey:
    """Tries the model out on the meta device, which computes shapes and no values.

    Asking the model itself is what makes it right for the hundreds of them: neither layout nor channels nor which
    image sizes are taken can be read from one attribute that all have.

    Raises:
        UsageError: if it gives no feature map, or does not take the image size.
    """
    if image_size is not None and image_size < 1:
        raise UsageError(
            f"image_size is {image_size}; expected the side of the images in pixels, or none for the model's own"
        )
    found = _try_out(name, None, "none")
    if isinstance(found, str):
        raise UsageError(f"{name} of timm gives no feature map [batch, features, h, w]: {found}; choose another model")
    if image_size in (None, found.image_size):
        return found
    ways: tuple[Sizing, ...] = ("set_input_size",) if found.resizable else ("none", "img_size")
    reasons = []
    for sizing in ways:
        resized = _try_out(name, image_size, sizing)
        if not isinstance(resized, str):
            return resized
        reasons.append(resized)
    raise UsageError(
        f"{name} of timm does not take images of {image_size} pixels ({reasons[0]}); "
        f"leave image_size out, which means {found.image_size}, or choose another model"
        f"{_nearest_multiples(image_size, found.patch)}"
    )


def _nearest_multiples(image_size: int, patch: int | None) -> str:
    if not patch or not image_size % patch:
        return ""
    below = image_size - image_size % patch
    if not below:
        return f"; the nearest multiple of its patch is {patch}"
    return f"; the nearest multiples of its patch are {below} and {below + patch}"


def _try_out(name: str, image_size: int | None, sizing: Sizing) -> _Survey | str:
    """Returns what the model does with images of `image_size` when told so by `sizing`, or why it fails."""
    try:
        # A caller may be inside no_grad or inference_mode; which parameters matter shows in their gradients alone.
        with torch.inference_mode(False), torch.enable_grad(), torch.device("meta"):
            model = _created(name, image_size, sizing)
            pretrained_cfg = model.pretrained_cfg
            size = pretrained_cfg["input_size"][-1] if image_size is None else image_size
            if sizing == "set_input_size":
                model.set_input_size(img_size=(size, size))
            model.eval()
            images = torch.empty(1, 3, size, size)
            features = model.forward_features(images)
            layout = _layout(model, features)
            # Tokens are made into a map by another method; the rest has been computed.
            feature_map = (
                _feature_map(model, layout, images) if layout == "tokens" else _mapped(model, layout, features)
            )
            if feature_map.ndim != 4 or feature_map.shape[1] != model.num_features:
                return f"its last map is {list(feature_map.shape)}, its classifier takes {model.num_features} features"
            patch = _patch(model, layout)
            if image_size is not None and patch and size % patch and feature_map.shape[-1] * patch < size:
                return f"patches of {patch} pixels would leave out the last {size % patch} pixels"
            torch.autograd.backward(feature_map.sum())
    except Exception as error:  # timm's models refuse what they do not take by errors of every kind
        return (str(error).strip().splitlines() or [type(error).__name__])[0]
    unused = frozenset(key for key, parameter in model.named_parameters() if parameter.grad is None)
    resizable = hasattr(model, "set_input_size")
    return _Survey(model.num_features, size, layout, sizing, resizable, patch, unused, pretrained_cfg)


def _created(name: str, image_size: int | None, sizing: Sizing, pretrained: bool = False) -> Any:
    sized: dict[str, Any] = {"img_size": image_size} if sizing == "img_size" else {}
    # The pooling is left as it is: it decides where the last norm stands, and so the names of the weights.
    return timm.create_model(name, pretrained=pretrained, num_classes=0, **sized)


def _weighted(name: str, survey: _Survey, weights: Weights) -> Any:
    """Makes the model with its weights, for the image size of the survey.

    Raises:
        WeightsError: if there are no such weights, or they do not fit.
        DownloadError: if the weights cannot be fetched.
    """
    if weights == "imagenet":
        model = _pretrained(name, survey)
    else:
        model = _created(name, survey.image_size, survey.sizing)
        if weights != "none":
            classifiers = survey.pretrained_cfg.get("classifier") or ()
            classifiers = (classifiers,) if isinstance(classifiers, str) else classifiers
            load_strictly(model, read_state_dict(weights), name, str(weights), classifiers)
    if survey.sizing == "set_input_size":
        model.set_input_size(img_size=(survey.image_size, survey.image_size))
    return model


def _pretrained(name: str, survey: _Survey) -> Any:
    source = survey.pretrained_cfg
    tag = source.get("tag")
    known_as = f"{source['architecture']}.{tag}" if tag else name
    if not any(source.get(key) for key in ("hf_hub_id", "url", "file")):
        raise WeightsError(f"timm has no pretrained weights of {known_as}; give weights: none, or a file")
    require_download(source, known_as)
    try:
        return _created(name, survey.image_size, survey.sizing, pretrained=True)
    except MlicError:
        raise
    except OSError as error:  # what urllib, huggingface_hub and a full disk have in common
        raise download_error(known_as, str(source.get("hf_hub_id") or source.get("url")), error) from error
    except RuntimeError as error:
        raise WeightsError(f"the weights of {known_as} do not fit at {survey.image_size} pixels: {error}") from error


def _layout(model: Any, features: object) -> Layout:
    if not isinstance(features, Tensor) or features.ndim != 4:
        return "tokens"
    return "NHWC" if getattr(model, "output_fmt", "NCHW") == "NHWC" else "NCHW"


def _patch(model: Any, layout: Layout) -> int | None:
    """Returns of what the side of an image has to be a multiple for tokens to see the whole; none if not known."""
    embedding = getattr(model, "patch_embed", getattr(model, "stem", None))  # `stem` in the MLP-Mixers
    # Others overlap their patches, or fill up the border.
    if layout != "tokens" or not isinstance(embedding, PatchEmbed) or embedding.patch_size is None:
        return None
    return math.lcm(*embedding.patch_size)


def _feature_map(model: Any, layout: Layout, images: Tensor) -> Tensor:
    """Returns [batch, features, h, w] from a model of timm."""
    if layout != "tokens":
        return _mapped(model, layout, model.forward_features(images))
    # Knows which tokens are prefixes, and the order of the others (Hiera's is not by rows).
    features = model.forward_intermediates(
        images,
        indices=1,
        norm=not isinstance(getattr(model, "head", None), ClNormMlpClassifierHead),
        output_fmt="NCHW",
        intermediates_only=True,
    )[-1]
    return _mapped(model, layout, features)


def _mapped(model: Any, layout: Layout, features: Tensor) -> Tensor:
    """Returns features channels first, normalised by the layer that the model has after its pooling."""
    head = getattr(model, "head", None)
    last_norm = head.norm if isinstance(head, ClNormMlpClassifierHead) else getattr(model, "fc_norm", None)
    if layout == "NHWC":
        features = features.permute(0, 3, 1, 2)
    if isinstance(head, NormMlpClassifierHead):
        return cast(Tensor, head.norm(features))
    if last_norm is None:
        return features
    return cast(Tensor, last_norm(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))


def _triple(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
