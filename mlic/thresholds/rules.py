"""`DecisionRule`: what is asked of the decisions, before anything is fitted."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from mlic.errors import UsageError, did_you_mean

__all__ = ["Calibration", "DecisionRule", "Objective", "Scope"]

Objective = Literal["f1", "precision", "recall", "fnr", "fixed"]
Scope = Literal["per_class", "global"]
Calibration = Literal["none", "temperature", "platt"]


@dataclass(frozen=True)
class DecisionRule:
    """What thresholds have to achieve on the samples that they are fitted on, and how scores are calibrated before.

    Args:
        objective: what a threshold is chosen for. `f1`: the highest F-beta. `precision`: the most recall at a precision
            of `target` or more. `recall`: the highest threshold at which the recall is `target` or more. `fnr`: an
            image misses on average at most the share `target` of its classes, also among images not seen yet
            (conformal risk control); one threshold for all classes, whatever the scope. `fixed`: the score `target`.
        beta: for `f1`: recall counts beta times as much as precision, above 0.
        target: the precision or the recall to reach, above 0 and at most 1; for `fnr` above 0 and below 1, 0.1 if it is
            not given; for `fixed` 0 to 1, 0.5 if it is not given; nothing for `f1`.
        scope: `per_class`: a threshold for each class. `global`: one for all cells together.
        min_support: number of known positives from which a class has a threshold of its own; with fewer it gets the
            global one. Platt scaling asks for as many known negatives too.
        at_most: how many classes an image may have, those with the highest scores; any number if it is not given. The
            thresholds are fitted as if it were not there.
        calibration: how logits become scores. `none`: by the sigmoid. `temperature`: divided by one number before.
            `platt`: by a slope and an offset of each class.

    Raises:
        UsageError: if a value is out of its range, or says something that the objective does not know.

    Example:
        >>> DecisionRule().level
        0.5
        >>> DecisionRule(objective="recall", target=0.9).level
        0.9
    """

    objective: Objective = "f1"
    beta: float = 1.0
    target: float | None = None
    scope: Scope = "per_class"
    min_support: int = 10
    at_most: int | None = None
    calibration: Calibration = "temperature"

    def __post_init__(self) -> None:
        _one_of("objective", self.objective, get_args(Objective))
        _one_of("scope", self.scope, get_args(Scope))
        _one_of("calibration", self.calibration, get_args(Calibration))
        if not 0 < self.beta < math.inf:
            raise UsageError(f"beta is {self.beta}; expected a number above 0")
        if self.beta != 1 and self.objective != "f1":
            raise UsageError(f"beta is {self.beta}, and the objective is {self.objective}; only f1 knows a beta")
        if self.min_support < 0:
            raise UsageError(f"min_support is {self.min_support}; expected a number of positives, 0 or more")
        if self.at_most is not None and self.at_most < 1:
            raise UsageError(f"at_most is {self.at_most}; expected a number of classes, 1 or more, or none")
        self._check_target()
        self._check_guarantee()

    @property
    def level(self) -> float:
        """The target, or what stands for one that is not given: 0.1 for `fnr`, else 0.5."""
        if self.target is not None:
            return self.target
        return 0.1 if self.objective == "fnr" else 0.5

    @property
    def is_plain_f1(self) -> bool:
        """Whether F1 with recall counting as much as precision is asked for, which nobody has to ask for."""
        return self.objective == "f1" and self.beta == 1

    @property
    def goal(self) -> str:
        """What is asked of the thresholds, in words.

        Example:
            >>> DecisionRule(objective="recall", target=0.9).goal
            'a recall of at least 0.9'
        """
        if self.objective == "f1":
            return (
                "the highest F1" if self.beta == 1 else f"the highest F1, recall counting {self.beta:g} times as much"
            )
        if self.objective == "fixed":
            return f"the score {self.level:g}"
        if self.objective == "fnr":
            return f"at most {self.level:g} of the classes of an image missed, on average"
        return f"a {self.objective} of at least {self.level:g}"

    def _check_target(self) -> None:
        if self.target is None:
            if self.objective in ("precision", "recall"):
                raise UsageError(
                    f"the objective is {self.objective}, and no target is given; say which {self.objective} to reach, "
                    "as in target: 0.9"
                )
            return
        if self.objective == "f1":
            raise UsageError(f"target is {self.target}, and f1 has none; choose another objective, or leave it out")
        inside, expected = {
            "fixed": (0 <= self.target <= 1, "a score, 0 to 1"),
            "fnr": (0 < self.target < 1, "a share of the classes of an image, above 0 and below 1"),
        }.get(self.objective, (0 < self.target <= 1, f"a {self.objective}, above 0 and at most 1"))
        if not inside:
            raise UsageError(f"target is {self.target}; expected {expected}, for the objective {self.objective}")

    def _check_guarantee(self) -> None:
        if self.objective != "fnr":
            return
        if self.at_most is not None:
            raise UsageError(
                f"at_most is {self.at_most}, and the objective is fnr, which cannot be promised of images that "
                "have more classes; leave one of them out"
            )
        if self.calibration == "platt":
            raise UsageError(
                "calibration is platt, and the objective is fnr, whose promise needs the order of an image's classes "
                "not to depend on the samples it is fitted on; choose temperature or none"
            )


def _one_of(field: str, found: str, names: tuple[str, ...]) -> None:
    if found not in names:
        raise UsageError(f"{field} is {found!r}; expected one of {', '.join(names)}{did_you_mean(found, names)}")
