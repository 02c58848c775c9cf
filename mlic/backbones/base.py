"""`Backbone`: images to a feature map."""

import abc
from collections.abc import Mapping
from typing import Any, TypeVar

from jaxtyping import Float
from torch import Tensor, nn

from mlic.errors import UsageError
from mlic.parts import Part

__all__ = ["Backbone"]

BackboneType = TypeVar("BackboneType", bound="Backbone")


class Backbone(Part, nn.Module, abc.ABC):
    """Turns normalised images into a feature map. Preprocessing belongs to it and is applied by the classifier, once.

    A subclass sets the four fields below in its constructor and writes `forward`; see `examples/` for a whole one.

    Attributes:
        num_features: channels D of the feature map.
        image_size: side of the square input in pixels.
        mean: per channel (red, green, blue), subtracted from pixels in [0, 1].
        std: per channel, divided by after that.
        frozen: whether its parameters and its BatchNorm statistics stay as they are.
    """

    num_features: int
    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    frozen: bool = False

    @abc.abstractmethod
    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch features h w"]:
        """Returns the feature map of `images`, which are normalised with `mean` and `std`."""

    def freeze(self) -> None:
        """Stops all learning in it: no gradients, and BatchNorm keeps the statistics it has."""
        self.frozen = True
        self.requires_grad_(False)
        self.eval()

    def train(self: BackboneType, mode: bool = True) -> BackboneType:
        """Switches to training mode, except that a frozen backbone stays in evaluation mode."""
        return super().train(mode and not self.frozen)

    def depths(self) -> dict[str, int]:
        """Returns how deep each parameter lies: 0 is nearest to the image; one number more is one layer further.

        Asked by `layer_decay` and by gradual unfreezing. The names are those of `named_parameters()`.

        Raises:
            UsageError: if the backbone does not tell.
        """
        raise UsageError(
            f"{type(self).__name__} does not tell how deep its layers lie, which layer_decay and gradual unfreezing "
            "have to know; do without them, or define depths() in it"
        )

    def learning_depths(self) -> dict[str, int]:
        """Returns the depths of the parameters that learn.

        Raises:
            UsageError: if the backbone does not tell them, or not all of them.
        """
        known = self.depths()
        learning = [name for name, parameter in self.named_parameters() if parameter.requires_grad]
        unknown = [name for name in learning if name not in known]
        if unknown:
            raise UsageError(
                f"{type(self).__name__}.depths() leaves out {', '.join(unknown[:3])}; expected the depth of each "
                "parameter, by its name in named_parameters()"
            )
        return {name: known[name] for name in learning}

    def undecayed(self) -> set[str]:
        """Returns the parameters that weight decay should leave alone, besides all biases and norms."""
        return set()

    @classmethod
    def without_weights(cls, init_args: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the constructor arguments that make the same network without fetching weights.

        Asked when a checkpoint brings the weights. A backbone that loads some in its constructor overrides this.
        """
        return dict(init_args)
