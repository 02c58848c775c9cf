"""The optimizer of a training and the schedule of its learning rate, as Lightning takes them."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, cast

import pytorch_lightning as pl
from pytorch_lightning.cli import LRSchedulerCallable
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from mlic.datamodules.features import FeatureLoader
from mlic.errors import UsageError
from mlic.schedules import Schedule

__all__ = ["made_optimizer", "scheduled"]


def made_optimizer(make: Callable[[Any], Optimizer], groups: Sequence[dict[str, Any]]) -> Optimizer:
    """Makes an optimizer of groups of parameters.

    Raises:
        UsageError: if it refuses its arguments or parameters in groups.
    """
    try:
        return make(groups)
    except ValueError as error:  # how the optimizers of torch refuse
        raise UsageError(
            f"the optimizer refuses: {error}; expected one that takes parameters of any shape in groups, since "
            "biases and norms do not decay, such as AdamW, and arguments in their range"
        ) from error


def scheduled(
    optimizer: Optimizer,
    schedule: LRSchedulerCallable | Schedule | None,
    interval: Literal["epoch", "step"],
    trainer: pl.Trainer | None,
) -> OptimizerLRScheduler:
    """Gives an optimizer its schedule.

    Args:
        optimizer: with the learning rates that the schedule scales.
        schedule: makes the scheduler; None for a constant rate.
        interval: what a scheduler that is no `Schedule` counts.
        trainer: tells a `Schedule` how long the training is.

    Raises:
        UsageError: if a ReduceLROnPlateau that watches mAP waits for it to fall, or if a `Schedule` is to last for an
            endless training.
    """
    if schedule is None:
        return optimizer
    if isinstance(schedule, Schedule):
        scheduler = schedule.scheduler(optimizer, _total_steps(cast(pl.Trainer, trainer), schedule))
        described: dict[str, Any] = {"scheduler": scheduler, "interval": "step"}
        return cast(OptimizerLRScheduler, {"optimizer": optimizer, "lr_scheduler": described})
    scheduler = schedule(optimizer)
    if isinstance(scheduler, ReduceLROnPlateau) and interval == "step":
        raise UsageError(
            "ReduceLROnPlateau watches a figure that a validation gives, and counts steps; set "
            "model.lr_scheduler_interval: epoch"
        )
    monitor = getattr(scheduler, "monitor", "val/mAP")
    if monitor == "val/mAP" and getattr(scheduler, "mode", "max") != "max":
        raise UsageError("ReduceLROnPlateau watches val/mAP, which should rise; give it mode: max")
    described = {"scheduler": scheduler, "interval": interval, "monitor": monitor}
    return cast(OptimizerLRScheduler, {"optimizer": optimizer, "lr_scheduler": described})


def _total_steps(trainer: pl.Trainer, schedule: Schedule) -> int:
    steps = trainer.estimated_stepping_batches
    if not math.isfinite(steps):
        raise UsageError(
            f"{type(schedule).__name__} has to know how long the training is; set trainer.max_epochs or "
            "trainer.max_steps"
        )
    loader, epochs, most = trainer.train_dataloader, trainer.max_epochs, trainer.max_steps
    if isinstance(loader, FeatureLoader) and epochs is not None and epochs >= 0:
        # Lightning counts what comes at a time, which may be several batches.
        steps = min(loader.num_steps * epochs, most if most >= 0 else math.inf)
    return max(1, int(steps))
