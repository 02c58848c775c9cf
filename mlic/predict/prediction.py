"""`Prediction`: what the model says about one image; and which part of it is shown."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from mlic.errors import UsageError

__all__ = ["Prediction", "Shown", "Writable"]


class Prediction(NamedTuple):
    """What the model says about one image.

    Attributes:
        path: as given; of an image in a tar file, the path of the tar file, a slash, and the name in it.
        labels: the classes said to be present, in class order.
        scores: class to score in [0, 1], in class order; empty when there is an error.
        error: why the image could not be read; empty when it could.
        key: of an image in a tar file, its name there up to the first dot, by which WebDataset joins the files of a
            sample; otherwise empty.
    """

    path: str
    labels: tuple[str, ...]
    scores: dict[str, float]
    error: str = ""
    key: str = ""


@runtime_checkable
class Writable(Protocol):
    """An open text file, as far as writing needs it."""

    def write(self, text: str, /) -> int:
        """Writes some text."""
        ...


@dataclass(frozen=True)
class Shown:
    """Which scores of an image are written. The labels are always those said to be present.

    Attributes:
        top: only so many, the highest; None for all.
        classes: `all`, or `present`: only of the labels.

    Raises:
        UsageError: if `top` is below 1.

    Example:
        >>> prediction = Prediction("a.jpg", ("dog",), {"cat": 0.2, "dog": 0.9, "owl": 0.4})
        >>> Shown().of(prediction)
        {'cat': 0.2, 'dog': 0.9, 'owl': 0.4}
        >>> Shown(top=2).of(prediction)
        {'dog': 0.9, 'owl': 0.4}
        >>> Shown(classes="present").of(prediction)
        {'dog': 0.9}
    """

    top: int | None = None
    classes: Literal["all", "present"] = "all"

    def __post_init__(self) -> None:
        if self.top is not None and self.top < 1:
            raise UsageError(f"top is {self.top}; expected the number of classes to show, 1 or more")

    @property
    def is_all(self) -> bool:
        """Whether every score is shown, in class order; otherwise they are ranked."""
        return self.top is None and self.classes == "all"

    def of(self, prediction: Prediction) -> dict[str, float]:
        """Returns class to score: all in class order, or the chosen ones, the highest first."""
        return prediction.scores if self.is_all else self.ranked(prediction)

    def ranked(self, prediction: Prediction) -> dict[str, float]:
        """Returns class to score, the highest first; of equal scores the one that comes first."""
        scores = prediction.scores
        names = prediction.labels if self.classes == "present" else scores
        best = sorted(names, key=lambda name: -scores[name])
        return {name: scores[name] for name in best[: self.top]}
