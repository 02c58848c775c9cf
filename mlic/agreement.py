"""What the parts of a model and the data have to agree on before anything runs."""

from collections.abc import Sequence

from mlic.backbones.base import Backbone
from mlic.datamodules.base import MultiLabelDataModule
from mlic.datamodules.features import OfFeatures
from mlic.errors import UsageError
from mlic.losses.base import Loss
from mlic.views import TTA

__all__ = ["agree", "agree_on_labels"]


def agree(data: MultiLabelDataModule, classes: Sequence[str], backbone: Backbone, tta: TTA) -> None:
    """Gives the data the backbone's image size where it has none, and checks that it fits the model.

    Raises:
        UsageError: if the classes, the image size or the number of features differ.
    """
    if tuple(data.classes) != tuple(classes):
        raise UsageError(
            f"the data has the classes {list(data.classes)}, the model {list(classes)}; "
            "give the datamodule the model's classes, in this order"
        )
    if isinstance(data, OfFeatures):
        _agree_on_features(data, backbone, tta)
    if data.image_size is None:
        data.image_size = backbone.image_size
    elif data.image_size != backbone.image_size:
        raise UsageError(
            f"the datamodule gives images of {data.image_size} pixels, the backbone takes "
            f"{backbone.image_size}; say image_size in one place only"
        )


def agree_on_labels(data: MultiLabelDataModule, loss: Loss) -> None:
    """Checks that a loss takes the training labels.

    Raises:
        UsageError: if some lie between 0 and 1, and it takes no such labels.
    """
    if data.has_soft_labels and not loss.takes_soft_labels:
        raise UsageError(
            f"{type(loss).__name__} takes no soft labels, and some training labels lie between 0 and 1; take "
            "another loss, such as --model.loss bce, or hard labels (data.unknown may have made soft ones, "
            "data.mixing does)"
        )


def _agree_on_features(data: OfFeatures, backbone: Backbone, tta: TTA) -> None:
    """Checks that features can stand in the place of what the backbone makes of images."""
    if tta != "none":
        raise UsageError(f"model.tta {tta} averages over views of an image, and there are none; leave it out")
    if not backbone.frozen:
        raise UsageError(
            "the backbone learns, and the data has features that stay as they are; take --model.backbone "
            "precomputed, or --model.backbone.freeze true"
        )
    for side, kept in data.sides.items():
        if (found := kept.views[0].shape[1]) != backbone.num_features:
            raise UsageError(
                f"the {side} samples have {found} features, and {type(backbone).__name__} makes "
                f"{backbone.num_features}; give the features that it makes, or --model.backbone precomputed"
            )
