"""Checks of the arguments that heads have in common."""

from mlic.errors import UsageError

__all__ = ["check_dropout", "check_sizes"]


def check_sizes(head: str, num_features: int, num_classes: int) -> None:
    """Checks that a head has features to look at and classes to tell.

    Raises:
        UsageError: if a size is not positive.

    Example:
        >>> check_sizes("a linear head", 2048, 0)
        Traceback (most recent call last):
        ...
        mlic.errors.UsageError: a linear head of 2048 features and 0 classes; both must be positive
    """
    if num_features < 1 or num_classes < 1:
        raise UsageError(f"{head} of {num_features} features and {num_classes} classes; both must be positive")


def check_dropout(dropout: float) -> None:
    """Checks that a dropout is a probability and leaves something.

    Raises:
        UsageError: if it is outside [0, 1).
    """
    if not 0 <= dropout < 1:
        raise UsageError(f"dropout is {dropout}; expected a probability from 0 to below 1")
