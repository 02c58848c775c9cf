"""`explain`: how much each place of an image has to do with a class."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from mlic.backbones.precomputed import Precomputed
from mlic.classifier import MultiLabelClassifier
from mlic.errors import UsageError, did_you_mean
from mlic.explain.gradients import grad_cam
from mlic.heads.base import AttentionHead, ClassMaps

__all__ = [
    "MEANINGS",
    "Asked",
    "Explanation",
    "Method",
    "Seen",
    "check_asked",
    "explain",
    "explain_seen",
    "require_images",
    "see",
]

Method = Literal["class_activation", "attention", "grad_cam"]
"""`class_activation` and `attention` as in `mlic.heads.ClassMaps`; `grad_cam`: `mlic.explain.gradients.grad_cam`."""

Asked = Literal["auto", "class_activation", "attention", "grad_cam"]
"""`auto`: what the head tells of itself, which is exact; Grad-CAM where it tells nothing."""

MEANINGS: dict[Method, str] = {
    "class_activation": (
        "class activation: how much each place adds to the logit of the class, exactly. It tells what the model went "
        "by, not whether that is right."
    ),
    "attention": (
        "attention: how much the class looks at each place. It does not tell whether what it sees there speaks for the "
        "class or against it."
    ),
    "grad_cam": (
        "Grad-CAM: the features of each place, weighted by the gradient of the logit. An estimate of what the model "
        "went by; it is exact only where the head is linear behind an average."
    ),
}
"""What the maps of each method tell, for people."""


class Seen(NamedTuple):
    """What a classifier made of some images.

    Attributes:
        feature_map: of the images as they are.
        scores: of all classes, averaged over the classifier's views as in a prediction; 0 to 1.
        present: the classes said to be present.
    """

    feature_map: Float[Tensor, "images features h w"]
    scores: Float[Tensor, "images classes"]
    present: Bool[Tensor, "images classes"]


@dataclass(frozen=True)
class Explanation:
    """Where in images some classes were seen.

    Attributes:
        method: what the maps are.
        classes: the names of the classes, in the order that they were asked for.
        scores: of each image and class, 0 to 1.
        thresholds: of each class.
        present: whether it is said to be present.
        raw: a map of each image and class as the method gives it, on the grid of the feature map. Below 0 a place
            speaks against the class; an attention has nothing below 0.
    """

    method: Method
    classes: tuple[str, ...]
    scores: Float[Tensor, "images chosen"]
    thresholds: Float[Tensor, " chosen"]
    present: Bool[Tensor, "images chosen"]
    raw: Float[Tensor, "images chosen h w"]

    @property
    def lowest(self) -> Float[Tensor, "images chosen"]:
        """The lowest number of each raw map."""
        return self.raw.amin(dim=(2, 3))

    @property
    def highest(self) -> Float[Tensor, "images chosen"]:
        """The highest number of each raw map: what 1 stands for in `maps`."""
        return self.raw.amax(dim=(2, 3))

    @property
    def maps(self) -> Float[Tensor, "images chosen h w"]:
        """The maps from 0 to 1: what is below 0 is 0, and all is divided by the highest number of the map.

        All 0 where no place speaks for the class. 0 stays 0, so that a class that is seen everywhere alike has a map of
        ones, and no contrast is made of nothing.
        """
        highest = self.highest[:, :, None, None]
        spoken = self.raw.clamp(min=0)
        return torch.where(highest > 0, spoken / highest, torch.zeros_like(spoken))

    def stretched(self, place: int, height: int, width: int, image: int = 0) -> Float[Tensor, "{height} {width}"]:
        """Returns one of `maps` over the whole image, which the network saw squashed to a square.

        Bicubic, from 0 to 1: the few places of a map as hills, of which nothing sharper is known.

        Args:
            place: of the class, among those that were asked for.
            height: of the image in its own shape, in pixels.
            width: likewise.
            image: which one, where there are several.
        """
        one = self.maps[image : image + 1, place : place + 1]
        stretched = torch.nn.functional.interpolate(one, (height, width), mode="bicubic", antialias=True)
        return stretched[0, 0].clamp(0, 1)


def explain(
    classifier: MultiLabelClassifier,
    images: UInt8[Tensor, "images 3 height width"],
    classes: Sequence[str],
    method: Asked = "auto",
) -> Explanation:
    """Tells how much each place of some images has to do with some classes.

    Args:
        classifier: is put into evaluation mode.
        images: squares as `mlic.images.read_square` gives them, of the side `classifier.backbone.image_size`.
        classes: names; one that is given twice counts once.
        method: how; `auto` takes the exact one of the head, or Grad-CAM.

    Raises:
        UsageError: if the classifier has no such class, takes no images, or its head does not tell what is asked for.
    """
    check_asked(classifier, classes, method)
    return explain_seen(classifier, see(classifier, images), classes, method)


def see(classifier: MultiLabelClassifier, images: UInt8[Tensor, "images 3 height width"]) -> Seen:
    """Runs a classifier on squares, as `explain` does, so that its classes can be chosen by the scores.

    Raises:
        UsageError: if the classifier takes no images.
    """
    require_images(classifier)
    classifier.eval()
    with torch.inference_mode(False), torch.no_grad():
        images = images.to(classifier.thresholds.device)
        feature_map = classifier.feature_map(images)
        logits = classifier.head(feature_map).float() if classifier.tta == "none" else classifier.averaged(images)
        decisions = classifier.decisions
        return Seen(feature_map, decisions.scores(logits), decisions.present(logits))


def check_asked(classifier: MultiLabelClassifier, classes: Sequence[str] = (), method: Asked = "auto") -> None:
    """Checks that a classifier can explain some classes so, before there is an image.

    Raises:
        UsageError: as `explain` does.
    """
    _columns_of(classifier, classes)
    require_images(classifier)
    with torch.no_grad():
        nothing = torch.zeros(1, classifier.backbone.num_features, 1, 1, device=classifier.thresholds.device)
        _maps(classifier, nothing, [], method)


def explain_seen(
    classifier: MultiLabelClassifier, seen: Seen, classes: Sequence[str], method: Asked = "auto"
) -> Explanation:
    """Explains what was seen already, as `explain` does."""
    columns = _columns_of(classifier, classes)
    with torch.inference_mode(False), torch.no_grad():
        used, raw = _maps(classifier, seen.feature_map, columns, method)
    return Explanation(
        method=used,
        classes=tuple(classifier.classes[column] for column in columns),
        scores=seen.scores[:, columns],
        thresholds=classifier.decisions.thresholds[columns],
        present=seen.present[:, columns],
        raw=raw.float(),
    )


def require_images(classifier: MultiLabelClassifier) -> None:
    """Checks that a classifier takes images.

    Raises:
        UsageError: if it was trained on features.
    """
    if isinstance(classifier.backbone, Precomputed):
        raise UsageError(
            "this model was trained on features that another program computed (backbone precomputed) and has never "
            "seen an image; to explain one, train with the backbone that made them in its place: --model.backbone NAME "
            "--model.backbone.freeze true"
        )


def _columns_of(classifier: MultiLabelClassifier, classes: Sequence[str]) -> list[int]:
    """Returns which columns some classes are, each once.

    Raises:
        UsageError: if there is no such class.
    """
    column = {name: place for place, name in enumerate(classifier.classes)}
    for name in classes:
        if name not in column:
            near = did_you_mean(name, classifier.classes) or f"; there are {', '.join(classifier.classes[:20])}"
            more = ", ..." if len(classifier.classes) > 20 and near.startswith("; there") else ""
            raise UsageError(f"'{name}' is not among the {len(classifier.classes)} classes of the model{near}{more}")
    return [column[name] for name in dict.fromkeys(classes)]


def _maps(
    classifier: MultiLabelClassifier,
    feature_map: Float[Tensor, "images features h w"],
    columns: list[int],
    method: Asked,
) -> tuple[Method, Float[Tensor, "images chosen h w"]]:
    head = classifier.head
    if method == "attention" and isinstance(head, AttentionHead):
        own: ClassMaps | None = ClassMaps("attention", head.attention(feature_map))
    else:
        own = None if method == "grad_cam" else head.maps(feature_map)
    if own is not None and method in ("auto", own.method):
        return own.method, own.values[:, columns]
    if method in ("class_activation", "attention"):
        raise UsageError(
            f"the head {type(head).__name__} has no map of the kind {method}; take auto, which this head answers with "
            f"{'grad_cam' if own is None else own.method}, or grad_cam, which explains any head"
        )
    return "grad_cam", grad_cam(head, feature_map, columns)
