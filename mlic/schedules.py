"""Learning-rate schedules that take their length from the training, so that no configuration has to count steps."""

import abc
import logging
import math
from dataclasses import dataclass
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from mlic.errors import UsageError

__all__ = ["OneCycle", "Schedule", "WarmupCosine"]

log = logging.getLogger(__name__)

_OTHER = (
    "lr_scheduler is {}, and the checkpoint was trained with another; leave the checkpoint's, or train anew, without "
    "--ckpt_path"
)


class Schedule(abc.ABC):
    """Makes a scheduler of torch that is stepped after each step of the optimizer, once the number of them is known."""

    @abc.abstractmethod
    def scheduler(self, optimizer: Optimizer, total_steps: int) -> LRScheduler:
        """Returns the scheduler.

        Args:
            optimizer: each of its groups has the learning rate that the schedule scales.
            total_steps: steps of the optimizer in the whole training, 1 or more.
        """


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up to the learning rate and down again, by cosines (Smith & Topin 2017, arXiv:1708.07120; torch's OneCycleLR).

    The rate begins at 1/25 of the optimizer's, and ends at 1/10,000 of where it began. The momentum (Adam's first beta)
    goes the other way, from 0.95 to 0.85 and back. A training that is resumed keeps to its plan, and cannot be made
    longer.

    Args:
        warmup: share of the steps in which the rate rises, above 0 and below 1.

    Raises:
        UsageError: if `warmup` is out of its range.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5, momentum=0.9)
        >>> [round(rate, 4) for rate in OneCycle().scheduler(optimizer, total_steps=10).get_last_lr()]
        [0.02]
    """

    warmup: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.warmup < 1:
            raise UsageError(f"warmup is {self.warmup}; expected a share of the steps above 0 and below 1")

    def scheduler(self, optimizer: Optimizer, total_steps: int) -> LRScheduler:
        """Returns torch's OneCycleLR; without moving the momentum where the optimizer has none."""
        rates = [group["lr"] for group in optimizer.param_groups]
        turning = "momentum" in optimizer.defaults or "betas" in optimizer.defaults
        return _Cycle(optimizer, rates, total_steps, pct_start=self.warmup, cycle_momentum=turning)


@dataclass(frozen=True)
class WarmupCosine(Schedule):
    """Linearly up to the learning rate, then down by half a cosine (Loshchilov & Hutter 2016, arXiv:1608.03983).

    A training that is resumed for more steps than it was begun with is on the longer curve at once, where the rate is
    higher.

    Args:
        warmup: share of the steps in which the rate rises, 0 or more and below 1.
        final: share of the learning rate that is left at the end, 0 to 1.

    Raises:
        UsageError: if a share is out of its range.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
        >>> scheduler = WarmupCosine(warmup=0.0).scheduler(optimizer, total_steps=2)
        >>> optimizer.step(), scheduler.step(), scheduler.get_last_lr()
        (None, None, [0.25])
    """

    warmup: float = 0.05
    final: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.warmup < 1:
            raise UsageError(f"warmup is {self.warmup}; expected a share of the steps, 0 or more and below 1")
        if not 0 <= self.final <= 1:
            raise UsageError(f"final is {self.final}; expected a share of the learning rate, 0 to 1")

    def scheduler(self, optimizer: Optimizer, total_steps: int) -> LRScheduler:
        """Returns a scheduler that multiplies each group's learning rate."""
        rising = round(self.warmup * total_steps)

        # A plain function, of which nothing is written into checkpoints.
        def factor(step: int) -> float:
            if step < rising:
                return (step + 1) / (rising + 1)
            gone = min(1.0, (step - rising) / max(1, total_steps - rising))
            return self.final + (1 - self.final) * (1 + math.cos(math.pi * gone)) / 2

        return _Factors(optimizer, factor)


class _Cycle(OneCycleLR):
    """OneCycleLR, which a resumed training cannot prolong: its rates come from the plan in the checkpoint."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if "total_steps" not in state_dict:
            raise UsageError(_OTHER.format("OneCycle"))
        planned, asked = state_dict["total_steps"], self.total_steps
        if asked > planned:
            raise UsageError(
                f"the checkpoint's OneCycle was planned for {planned} steps of the optimizer, and this training is to "
                f"take {asked}; a cycle cannot be prolonged: keep trainer.max_epochs and all else that makes the steps "
                "as they were, or train anew, without --ckpt_path"
            )
        if asked < planned:
            log.warning(
                "the checkpoint's OneCycle was planned for %d steps of the optimizer, and this training is to take %d: "
                "it ends before the learning rate is down",
                planned,
                asked,
            )
        super().load_state_dict(state_dict)


class _Factors(LambdaLR):
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if "lr_lambdas" not in state_dict:
            raise UsageError(_OTHER.format("WarmupCosine"))
        super().load_state_dict(state_dict)
