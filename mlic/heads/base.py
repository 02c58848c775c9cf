"""`Head`: a feature map to logits."""

import abc
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from mlic.parts import Part

__all__ = ["AttentionHead", "ClassMaps", "Head"]


class ClassMaps(NamedTuple):
    """How much each place has to do with each class, and in which sense.

    Attributes:
        method: `class_activation`: what the place adds to the logit, so that the logit is the mean over the places, and
            a bias; below 0 it speaks against the class. `attention`: how much the class looks at the place, 0 or more
            and 1 in sum, which tells not whether what is seen there speaks for it.
        values: a map for each class.
    """

    method: Literal["class_activation", "attention"]
    values: Float[Tensor, "batch classes h w"]


class Head(Part, nn.Module, abc.ABC):
    """Turns a feature map into one logit per class. Its constructor takes `num_features` and `num_classes` first."""

    @abc.abstractmethod
    def forward(self, feature_map: Float[Tensor, "batch features h w"]) -> Float[Tensor, "batch classes"]:
        """Returns the logits, for any height and width of the map."""

    @property
    def condensed(self) -> str:
        """The name of what `condense` keeps, the same for all heads that keep the same; empty: the whole map."""
        return ""

    def condense(self, feature_map: Float[Tensor, "batch features h w"]) -> Float[Tensor, "batch features ..."]:
        """Returns what of a feature map the head has to know, itself a map: the head makes the same logits of both.

        Asked when features are kept, so that no more is kept than is needed. Nothing in it may learn. A head that pools
        before everything else overrides this and `condensed`.
        """
        return feature_map

    def maps(self, feature_map: Float[Tensor, "batch features h w"]) -> ClassMaps | None:
        """Returns how much each place has to do with each class, without dropout; None if the head cannot tell.

        `mlic explain` asks for it. Nobody has to override this: Grad-CAM explains any head.
        """
        return None

    @classmethod
    def without_files(cls, init_args: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the constructor arguments that make the same network without reading files.

        Asked when a checkpoint brings the weights. A head that reads some in its constructor overrides this.
        """
        return dict(init_args)


class AttentionHead(Head):
    """A head in which each class looks at some places more than at others, which is its explanation.

    One that can also tell what each place adds to the logit overrides `maps`.
    """

    @abc.abstractmethod
    def attention(self, feature_map: Float[Tensor, "batch features h w"]) -> Float[Tensor, "batch classes h w"]:
        """Returns how much of its attention each class gives to each place: 0 or more, and 1 in sum over the places."""

    def maps(self, feature_map: Float[Tensor, "batch features h w"]) -> ClassMaps | None:
        """Returns the attention."""
        return ClassMaps("attention", self.attention(feature_map))
