"""What each figure means, in plain words, for people who are not in the field."""

from typing import NamedTuple

__all__ = ["FIGURES", "NO_ACCURACY", "Meaning", "meaning"]


class Meaning(NamedTuple):
    """What a figure says.

    Attributes:
        words: one sentence.
        better: `higher` or `lower`.
    """

    words: str
    better: str = "higher"


FIGURES = {
    "mAP": Meaning(
        "Sort the images by a class's score: average precision is 1 if all that have the class come first; mAP is its "
        "mean over the classes, and needs no threshold."
    ),
    "auroc_macro": Meaning(
        "How often an image that has a class scores higher for it than one that has not, as a mean over the classes; "
        "0.5 is guessing."
    ),
    "OP": Meaning("Of all labels that the model gives, the share that is right."),
    "OR": Meaning("Of all labels that are there, the share that the model finds."),
    "OF1": Meaning("The balance (harmonic mean) of OP and OR: frequent classes decide it."),
    "CP": Meaning("The share of a class's given labels that is right, as a mean over the classes."),
    "CR": Meaning("The share of a class's labels that the model finds, as a mean over the classes."),
    "CF1": Meaning("The balance (harmonic mean) of CP and CR: rare classes count as much as frequent ones."),
    "f1_micro": Meaning("F1 of all labels together, the same number as OF1."),
    "f1_macro": Meaning("The mean of the classes' own F1: a class that is never found pulls it down."),
    "f1_weighted": Meaning("The mean of the classes' F1, each as heavy as the class is frequent."),
    "f1_samples": Meaning("How well the set of labels of an image is hit (F1), as a mean over the images."),
    "hamming": Meaning(
        "The share of all yes-or-no answers (is this class in this image?) that is wrong; compare it with the baseline "
        "that says nothing.",
        "lower",
    ),
    "subset_accuracy": Meaning("The share of the images for which every single label is right."),
    "jaccard_macro": Meaning(
        "Images that have a class and are said to, out of those that have it or are said to, as a mean over classes."
    ),
    "jaccard_samples": Meaning("Labels both given and true, out of those given or true, as a mean over the images."),
    "lrap": Meaning(
        "Sort the classes of an image by score: how many of those at or above a true one are true, on average."
    ),
    "coverage_error": Meaning(
        "How far down an image's list of classes, sorted by score, one has to read to meet all true ones, in classes.",
        "lower",
    ),
    "ranking_loss": Meaning(
        "Of the pairs of a true and a false class of an image, the share in which the false one scores higher.", "lower"
    ),
    "one_error": Meaning("The share of the images whose highest score belongs to a class that is not there.", "lower"),
    "calibration_error": Meaning(
        "How far scores are from being frequencies: of the labels with score 0.7, 70 % should be present; 0 is "
        "perfect, and always saying how frequent a class is reaches it knowing nothing.",
        "lower",
    ),
    "brier": Meaning("The mean square of score minus truth (1 present, 0 absent); 0 is perfect.", "lower"),
}
"""Figure -> its meaning, in the order of importance."""

NO_ACCURACY = (
    "Accuracy, the share of right answers, is not shown, because it flatters: {absent} of the labels known here are "
    "“absent”, so a model that never finds anything would be {absent} accurate. That model is the baseline "
    "“all negative”."
)


def meaning(name: str) -> Meaning:
    """Returns what a figure says; without words for one that is not known."""
    return FIGURES.get(name, Meaning(""))
