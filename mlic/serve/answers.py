"""What the server answers, as structures: the same that /openapi.json describes."""

import msgspec
import numpy as np
from jaxtyping import Float32

from mlic.scorers.base import Scorer, present

__all__ = ["Answer", "ClassAnswer", "Health", "ImageAnswer", "Model", "Problem", "answer", "describe"]

_DIGITS = 6


class ImageAnswer(msgspec.Struct):
    """What the model says about one image: labels and scores, or an error that tells why there are none."""

    name: str
    labels: list[str]
    scores: dict[str, float]
    error: str | None = None


class Answer(msgspec.Struct):
    """What the model says about the images of a request, in their order.

    `thresholds` has the score from which on a class is said to be present; `at_most`, how many classes an image may
    have. `error` is there if no image could be read.
    """

    model: str
    thresholds: dict[str, float]
    at_most: int | None
    predictions: list[ImageAnswer]
    error: str | None = None


class ClassAnswer(msgspec.Struct):
    """A class, and the score from which on it is said to be present."""

    name: str
    threshold: float


class Model(msgspec.Struct):
    """The model, its classes in the order of the scores, and what the server takes."""

    model: str
    engine: str
    image_size: int
    at_most: int | None
    classes: list[ClassAnswer]
    explains: bool
    limits: dict[str, int | float]


class Health(msgspec.Struct):
    """Says that requests are answered."""

    status: str
    model: str
    version: str


class Problem(msgspec.Struct):
    """Why a request is not answered."""

    error: str


def answer(
    scorer: Scorer,
    thresholds: Float32[np.ndarray, " classes"],
    names: list[str],
    results: list[Float32[np.ndarray, " classes"] | str],
) -> Answer:
    """Returns what is said about images.

    Args:
        scorer: the model.
        thresholds: of each class.
        names: of the images.
        results: of each image its scores, or why there are none.
    """
    predictions = []
    for name, result in zip(names, results, strict=True):
        if isinstance(result, str):
            predictions.append(ImageAnswer(name, [], {}, result))
            continue
        (is_present,) = present(result[None], thresholds, scorer.at_most)
        labels = [label for label, there in zip(scorer.classes, is_present, strict=True) if there]
        scores = dict(zip(scorer.classes, _rounded(result), strict=True))
        predictions.append(ImageAnswer(name, labels, scores))
    error = None if any(one.error is None for one in predictions) else "none of the images can be read"
    by_class = dict(zip(scorer.classes, _rounded(thresholds), strict=True))
    return Answer(scorer.name, by_class, scorer.at_most, predictions, error)


def describe(scorer: Scorer, explains: bool, limits: dict[str, int | float]) -> Model:
    """Returns what is to be known of a model.

    Args:
        scorer: the model.
        explains: whether there are heat maps.
        limits: what the server takes.
    """
    pairs = zip(scorer.classes, _rounded(scorer.thresholds), strict=True)
    classes = [ClassAnswer(name, threshold) for name, threshold in pairs]
    return Model(scorer.name, scorer.engine, scorer.image_size, scorer.at_most, classes, explains, limits)


def _rounded(numbers: Float32[np.ndarray, " classes"]) -> list[float]:
    """Returns numbers of few digits; those that are none (a class without a threshold) as 1 or 0, which JSON has."""
    return [round(float(number), _DIGITS) for number in np.nan_to_num(numbers, posinf=1.0, neginf=0.0)]
