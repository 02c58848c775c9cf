"""`Study`: tries points of a space, one after the other, each chosen by what the ones before it gave."""

import copy
import json
import logging
import math
import statistics
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32

from mlic.errors import UsageError
from mlic.search.heads import Epoch, HeadTraining
from mlic.search.places import Config
from mlic.search.processes import in_processes
from mlic.search.space import Range, Space
from mlic.tracking import track

__all__ = ["Study", "Trial", "constant", "in_words", "load_optuna"]

log = logging.getLogger(__name__)

_SHOWN = 10  # trials whose logits are kept, so that their spread can be told
_REPEATS = 100  # points in a row that were tried before, after which a space is said to hold no others
_AT_RANDOM = 12  # trials before the sampler knows enough
_AT_A_TIME = 4  # points that are chosen at once
_COMPARED = 5  # trials that a poor one has to be worse than the half of
_UNDISTURBED = 2  # epochs that each trial has


@dataclass
class Trial:
    """What came of a point.

    Attributes:
        number: from 0, which is the configuration as it is.
        said: what was chosen at each place.
        config: the whole configuration; of an exact solution that of its best penalty.
        state: `pruned` if it was left since others were better after as many epochs.
        curve: after each epoch the best validation mAP so far.
        epoch: the one that is best, from 1; 0 if there was none.
        is_path: whether what is called epochs are the penalties of an exact solution.
        seconds: how long it took.
        error: why it failed.
        logits: of the best epoch; None unless it is one of the best, or the configuration as it is.
    """

    number: int
    said: dict[str, str | int | float]
    config: Config
    state: Literal["done", "pruned", "failed"] = "done"
    curve: list[float] = field(default_factory=list)
    epoch: int = 0
    is_path: bool = False
    seconds: float = 0.0
    error: str = ""
    logits: Float32[np.ndarray, "samples classes"] | None = None

    @property
    def mean_ap(self) -> float | None:
        """The best validation mAP of an epoch; None if there is none."""
        return self.curve[-1] if self.state != "failed" and self.epoch else None

    def take(self, epoch: Epoch) -> None:
        """Notes an epoch, and takes its figures if it is the best."""
        # Where nothing can be ranked mAP is not a number, and no epoch is better than another.
        if not math.isnan(epoch.mean_ap) and (not self.epoch or epoch.mean_ap > self.curve[-1]):
            self.curve.append(epoch.mean_ap)
            self.epoch, self.logits = epoch.number, epoch.logits.numpy()
            if epoch.penalty is not None:
                self.is_path = True
                self.config["model"]["optimizer"]["init_args"]["penalties"] = [epoch.penalty]
                self.said["penalty"] = epoch.penalty
        else:
            self.curve.append(self.curve[-1] if self.curve else 0.0)

    def row(self) -> dict[str, Any]:
        """Returns what is written of it, as plain data."""
        failure = {"error": self.error} if self.error else {}
        return {
            "trial": self.number,
            "state": self.state,
            "val/mAP": self.mean_ap,
            "epoch": self.epoch,
            "epochs": len(self.curve),
            "seconds": round(self.seconds, 3),
            **failure,
            "choices": self.said,
        }


def load_optuna() -> Any:
    """Returns Optuna.

    Raises:
        UsageError: if it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise UsageError(f'mlic search needs Optuna ({error}): pip install "mlic[search]"') from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


class Study:
    """Runs trials: Optuna's TPE (Bergstra et al. 2011) chooses the points, and poor ones are left early.

    A few points are chosen at a time, and are tried in as many processes as torch has threads. What is chosen, and what
    is left early, depends on those before them alone: the same seed gives the same search on any number of cores.

    A trial is left when its best mAP so far is below the median of what others had after as many epochs (the median
    rule of Golovin et al. 2017, doi:10.1145/3097983.3098043).

    Args:
        space: what there is to choose.
        base: the whole configuration that is varied; it is tried first.
        training: trains heads.
        seed: of the choices.
        note: is told each trial as soon as it is known.
        processes: how many trials run at a time; by default one a thread of torch on a CPU under Linux, else one.

    Attributes:
        trials: those that have ended.
    """

    def __init__(
        self,
        space: Space,
        base: Mapping[str, Any],
        training: HeadTraining,
        seed: int,
        note: Callable[[Trial], None] = lambda trial: None,
        processes: int | None = None,
    ) -> None:
        optuna = self._optuna = load_optuna()
        self._space, self._base, self._training, self._note = space, base, training, note
        sampler = optuna.samplers.TPESampler(n_startup_trials=_AT_RANDOM, seed=seed % 2**32)
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        self._processes = (torch.get_num_threads() if training.forks else 1) if processes is None else processes
        self._known: set[str] = set()
        self.trials: list[Trial] = []

    def run(self, trials: int) -> None:
        """Tries points until there are so many trials, or there is nothing else to try.

        Args:
            trials: how many, that of the configuration as it is among them.
        """
        for number in track(range(trials), trials, "searching"):
            if number < len(self.trials):
                continue
            points = self._points(min(_AT_A_TIME, trials - number))
            if not points:
                log.info("the space holds no other points than the %d that were tried", len(self.trials))
                return
            self._try(points)

    def ranked(self) -> list[Trial]:
        """Returns the trials that have a mAP, the best first; of equal ones the earlier."""
        return sorted(
            (trial for trial in self.trials if trial.mean_ap is not None), key=lambda trial: -(trial.mean_ap or 0.0)
        )

    def best(self) -> list[Trial]:
        """Returns the best few, and the configuration as it is; of these the logits are known."""
        ranked = self.ranked()
        return ranked[:_SHOWN] + [trial for trial in ranked[_SHOWN:] if trial.number == 0]

    def _points(self, count: int) -> list["_Point"]:
        """Chooses points that were not tried before; fewer where no others are found."""
        if not self.trials:
            return [_Point(Trial(0, {}, copy.deepcopy(dict(self._base))), None)]
        points: dict[str, _Point] = {}
        for _ in range(_REPEATS):
            asked = self._study.ask()
            choice = self._space.choose(self._base, _Asked(asked))
            key = _key(choice.config)
            if key in self._known or key in points:
                # Nothing is to be gained there; its figure once more would draw the sampler to where nothing else is.
                self._study.tell(asked, 0.0)
            else:
                points[key] = _Point(Trial(len(self.trials) + len(points), choice.said, choice.config), asked)
            if len(points) == count:
                break
        return list(points.values())

    def _try(self, points: Sequence["_Point"]) -> None:
        """Runs points, and keeps what came of them in their order; of what is interrupted, those that have ended."""
        keys = [_key(point.trial.config) for point in points]
        ended: dict[int, Trial] = {}
        try:
            run = [partial(self._run, point.trial) for point in points]
            for number, trial in in_processes(run, self._processes):
                ended[number] = trial if isinstance(trial, Trial) else _lost(points[number].trial, trial)
        finally:
            for number in sorted(ended):
                self._keep(keys[number], ended[number], points[number].asked)

    def _run(self, trial: Trial) -> Trial:
        started = time.perf_counter()
        try:
            for epoch in self._training.epochs(trial.config):
                trial.take(epoch)
                if self._is_poor(trial):
                    trial.state = "pruned"
                    break
        except Exception as error:  # a part that does not fit is a row of the table, not the end of the search
            _fail(trial, error)
        trial.seconds = time.perf_counter() - started
        return trial

    def _is_poor(self, trial: Trial) -> bool:
        done = len(trial.curve)
        if trial.is_path or not trial.number or done <= _UNDISTURBED or done >= trial.config["trainer"]["max_epochs"]:
            return False
        others = [
            other.curve[done - 1]
            for other in self.trials
            if other.state == "done" and not other.is_path and len(other.curve) >= done
        ]
        return len(others) >= _COMPARED and trial.curve[-1] < statistics.median(others)

    def _keep(self, key: str, trial: Trial, asked: Any) -> None:
        before = self.ranked()
        self.trials.append(trial)
        self._known.add(key)
        if asked is not None and trial.state == "pruned":
            asked.report(trial.curve[-1], len(trial.curve))
            self._study.tell(asked, state=self._optuna.trial.TrialState.PRUNED)
        elif asked is not None:
            # A failure counts as the worst there is, so that the sampler keeps away from it.
            self._study.tell(asked, trial.mean_ap or 0.0)
        for other in self.ranked()[_SHOWN:]:
            if other.number:
                other.logits = None
        self._note(trial)
        if trial.mean_ap is not None and (not before or trial.mean_ap > (before[0].mean_ap or 0.0)):
            log.info("trial %d: val/mAP %.4f, %s", trial.number, trial.mean_ap, in_words(trial))


class _Point(NamedTuple):
    """What is to be tried, and Optuna's trial that chose it."""

    trial: Trial
    asked: Any


def _fail(trial: Trial, error: BaseException) -> None:
    trial.state, trial.error, trial.logits = "failed", " ".join(f"{type(error).__name__}: {error}".split()), None


def _lost(trial: Trial, error: Exception) -> Trial:
    _fail(trial, error)
    return trial


class _Asked:
    """Lets a trial of Optuna choose."""

    def __init__(self, trial: Any) -> None:
        self._trial = trial

    def number(self, name: str, range_: Range) -> int | float:
        suggest = self._trial.suggest_int if isinstance(range_.low, int) else self._trial.suggest_float
        found: int | float = suggest(name, range_.low, range_.high, log=range_.log)
        return found

    def option(self, name: str, labels: Sequence[str]) -> int:
        return labels.index(self._trial.suggest_categorical(name, list(labels)))


def in_words(trial: Trial, left_out: Collection[str] = ()) -> str:
    """Returns what was chosen, in a line.

    Args:
        trial: any.
        left_out: places that are not worth the room.
    """
    said = {place.rpartition(".")[2]: value for place, value in trial.said.items() if place not in left_out}
    words = [f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in said.items()]
    return ", ".join(words) if trial.said else "the configuration as it is"


def constant(trials: Sequence[Trial]) -> set[str]:
    """Returns the places where all trials but the configuration itself have the same."""
    said = [trial.said.items() for trial in trials if trial.said]
    return {place for place, _ in set.intersection(*map(set, said))} if said else set()


def _key(config: Mapping[str, Any]) -> str:
    return json.dumps(config, sort_keys=True, default=str)
