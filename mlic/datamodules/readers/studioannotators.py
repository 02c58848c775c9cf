"""What several annotators say of one image, made one."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple

__all__ = ["Policy", "Vote", "settle"]

Policy = Literal["majority", "latest", "union"]
"""`majority`: what most say; `latest`: what the last one says; `union`: what anybody says."""


class Vote(NamedTuple):
    """What one annotation says of an image.

    Attributes:
        classes: those it names; about the others it says that they are absent.
        time: when it was made, in seconds; 0 if that is not known.
        is_ground_truth: whether somebody marked it as right.
    """

    classes: frozenset[int]
    time: float = 0.0
    is_ground_truth: bool = False


def settle(votes: Sequence[Vote], policy: Policy) -> dict[int, int]:
    """Returns the classes that are not absent: 1 present, -1 unknown.

    Where one is marked as ground truth, only such votes count. A class that exactly half of the annotators name is
    unknown by `majority`. Of votes of one time, the last in order is the latest.

    Example:
        >>> ann, bob, eve = Vote(frozenset([0, 1])), Vote(frozenset([1, 2])), Vote(frozenset([1]))
        >>> settle([ann, bob], "majority"), settle([ann, bob, eve], "majority")
        ({0: -1, 1: 1, 2: -1}, {1: 1})
        >>> settle([ann, bob], "latest"), settle([ann, bob], "union")
        ({1: 1, 2: 1}, {0: 1, 1: 1, 2: 1})
    """
    counted = [vote for vote in votes if vote.is_ground_truth] or list(votes)
    if policy == "latest":
        counted = [max(reversed(counted), key=lambda vote: vote.time)]
    named = Counter(at for vote in counted for at in sorted(vote.classes))
    if policy == "union":
        return dict.fromkeys(named, 1)
    return {at: 1 if 2 * count > len(counted) else -1 for at, count in named.items() if 2 * count >= len(counted)}
