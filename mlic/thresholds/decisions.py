"""`Decisions`: how logits become scores, and scores become classes said to be present."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

__all__ = ["Decisions", "decide"]


def decide(
    scores: Float[Tensor, "samples classes"],
    thresholds: Float[Tensor, " classes"],
    at_most: int | None = None,
) -> Bool[Tensor, "samples classes"]:
    """Returns which classes are said to be present: those whose score is the threshold or more.

    Args:
        scores: 0 to 1.
        thresholds: of each class.
        at_most: how many classes an image may have: those with the highest scores, of equal ones those that come first;
            None for any number.

    Example:
        >>> decide(torch.tensor([[0.2, 0.7, 0.9]]), torch.tensor([0.2, 0.8, 0.8]))
        tensor([[ True, False,  True]])
        >>> decide(torch.tensor([[0.2, 0.7, 0.9]]), torch.tensor([0.2, 0.8, 0.8]), at_most=1)
        tensor([[False, False,  True]])
    """
    present = scores >= thresholds
    if at_most is None or at_most >= scores.shape[1]:
        return present
    highest = scores.argsort(dim=1, descending=True, stable=True)[:, :at_most]
    return present & torch.zeros_like(present).scatter(1, highest, True)


@dataclass(frozen=True)
class Decisions:
    """What turns logits into scores, and scores into classes said to be present.

    Attributes:
        thresholds: of each class, on its calibrated score, 0 to 1.
        slope: what the logits of each class are multiplied by, above 0: 1 / temperature where all have the same.
        offset: what is added to them then.
        at_most: how many classes an image may have; None for any number.

    Example:
        >>> decisions = Decisions(torch.tensor([0.5]), slope=torch.tensor([2.0]), offset=torch.tensor([-1.0]))
        >>> logits = torch.tensor([[0.5], [0.4]])
        >>> decisions.scores(logits).tolist(), decisions.present(logits).tolist()
        ([[0.5], [0.4501660168170929]], [[True], [False]])
    """

    thresholds: Float[Tensor, " classes"]
    slope: Float[Tensor, " classes"]
    offset: Float[Tensor, " classes"]
    at_most: int | None = None

    @classmethod
    def plain(cls, num_classes: int) -> "Decisions":
        """Returns the sigmoid as it is, and 0.5 for each class."""
        return cls(torch.full((num_classes,), 0.5), torch.ones(num_classes), torch.zeros(num_classes))

    def to(self, device: torch.device | str) -> "Decisions":
        """Returns the same on another device."""
        return Decisions(self.thresholds.to(device), self.slope.to(device), self.offset.to(device), self.at_most)

    def scores(self, logits: Float[Tensor, "samples classes"]) -> Float[Tensor, "samples classes"]:
        """Returns the calibrated scores, 0 to 1."""
        return torch.sigmoid(self.strength(logits))

    def strength(self, logits: Float[Tensor, "samples classes"]) -> Float[Tensor, "samples classes"]:
        """Returns the calibrated logits, which tell apart what scores near 1 do not: those above 17 are all 1."""
        return self.slope * logits + self.offset

    def present(self, logits: Float[Tensor, "samples classes"]) -> Bool[Tensor, "samples classes"]:
        """Returns which classes are said to be present."""
        return decide(self.scores(logits), self.thresholds, self.at_most)
