"""One number per class, as a tensor of whatever type and device the logits have."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from mlic.errors import UsageError

__all__ = ["PerClass"]


class PerClass:
    """Keeps one number per class in full precision.

    Not a buffer: converting the model to a half type would round the numbers for good, and a loss has no state to save.

    Args:
        name: what the numbers are called in an error.
        values: one number per class, in the order of the classes.

    Example:
        >>> import torch
        >>> PerClass("weight", [0.5, 2.0]).like(torch.zeros(3, 2))
        tensor([0.5000, 2.0000])
    """

    def __init__(self, name: str, values: Sequence[float]) -> None:
        self.name = name
        self.values = list(values)
        self._tensor: Tensor | None = None

    def like(self, logits: Float[Tensor, "batch classes"]) -> Float[Tensor, " classes"]:
        """Returns the numbers with the type and the device of the logits.

        Raises:
            UsageError: if there are more or fewer classes than numbers.
        """
        if len(self.values) != logits.shape[1]:
            raise UsageError(
                f"{self.name} has {len(self.values)} numbers and there are {logits.shape[1]} classes; "
                "there has to be one number per class"
            )
        if self._tensor is None or self._tensor.dtype != logits.dtype or self._tensor.device != logits.device:
            self._tensor = logits.new_tensor(self.values)
        return self._tensor
