"""How a model decides, in plain sentences."""

import torch

from mlic.thresholds import Decisions

__all__ = ["described"]


def described(decisions: Decisions) -> list[str]:
    """Returns sentences about calibration, thresholds and the greatest number of classes an image may have.

    Example:
        >>> for sentence in described(Decisions.plain(3)):
        ...     print(sentence)
        Scores are the sigmoid of the model's logits as they are: nothing was calibrated.
        A class is said to be present from a score of 0.5 on, the same for all classes.
    """
    sentences = [_calibration(decisions), _thresholds(decisions)]
    if decisions.at_most is not None:
        number = "the one class" if decisions.at_most == 1 else f"the {decisions.at_most} classes"
        sentences.append(f"Of those, an image keeps {number} with the highest scores.")
    return sentences


def _calibration(decisions: Decisions) -> str:
    slope, offset = decisions.slope, decisions.offset
    one_slope = bool(len(slope) == 0 or (slope == slope[0]).all())
    if not offset.any() and one_slope:
        if len(slope) == 0 or slope[0] == 1:
            return "Scores are the sigmoid of the model's logits as they are: nothing was calibrated."
        return (
            f"Scores are calibrated by one temperature (Guo et al. 2017): the logits are divided by {1 / slope[0]:.3g} "
            "before the sigmoid, which changes how sure the scores are, not their order."
        )
    return (
        f"Scores are calibrated class by class (Platt 1999): the logits are multiplied by {_span(slope)} and shifted "
        f"by {_span(offset)} before the sigmoid, so that scores come close to frequencies."
    )


def _thresholds(decisions: Decisions) -> str:
    thresholds = decisions.thresholds
    if len(thresholds) == 0 or (thresholds == thresholds[0]).all():
        value = f"{float(thresholds[0]):.4g}" if len(thresholds) else "0.5"
        return f"A class is said to be present from a score of {value} on, the same for all classes."
    return (
        f"A class is said to be present from a score of its own on: {float(thresholds.min()):.3g} to "
        f"{float(thresholds.max()):.3g}, in the table of classes."
    )


def _span(values: torch.Tensor) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
