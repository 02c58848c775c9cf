"""Many steps in one go: what Lightning does around a step takes longer than the step of a head on kept features."""

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import pytorch_lightning as pl
import torch
from jaxtyping import Float
from pytorch_lightning.core.optimizer import LightningOptimizer
from pytorch_lightning.utilities.types import LRSchedulerConfig
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau

from mlic.datamodules.base import FeatureBatch

__all__ = ["agree_on_steps", "catch_up", "step_through", "watched"]


def step_through(
    module: pl.LightningModule, batches: FeatureBatch, loss_of: Callable[[FeatureBatch], Float[Tensor, ""]]
) -> Float[Tensor, ""] | None:
    """Learns from each of several batches, and returns their mean loss; None if `max_steps` left none to learn from.

    The module optimizes by itself (`automatic_optimization = False`); schedulers that count steps are stepped.

    Args:
        module: in a training, with one optimizer.
        batches: as `FeatureBatch.parts` takes them apart.
        loss_of: of one batch.
    """
    trainer, optimizer = module.trainer, cast(LightningOptimizer, module.optimizers())
    schedulers = [config.scheduler for config in trainer.lr_scheduler_configs if config.interval == "step"]
    losses: list[Tensor] = []
    num_samples = 0
    for batch in batches.parts():
        if 0 <= trainer.max_steps <= trainer.global_step:
            break
        loss = loss_of(batch)
        optimizer.zero_grad()
        module.manual_backward(loss)
        optimizer.step()
        for scheduler in schedulers:
            cast(Any, scheduler).step()
        losses.append(loss.detach() * len(batch.index))
        num_samples += len(batch.index)
    # Loggers are told the number of batches that came (2.6.6), and it is steps that curves are compared by.
    trainer.fit_loop.epoch_loop._batches_that_stepped += max(0, len(losses) - 1)
    return torch.stack(losses).sum() / num_samples if losses else None


def catch_up(trainer: pl.Trainer, earlier: Mapping[str, float]) -> None:
    """Steps the schedulers that count epochs up to the current one, where Lightning does not.

    It leaves them to a module that optimizes by itself. And it steps a ReduceLROnPlateau only after the checkpoint of
    an epoch is saved, so that a resumed training would lack a step (2.6.6).

    A resumed training may begin an epoch twice; what counts is where the scheduler stands.

    Args:
        trainer: at the start of an epoch.
        earlier: what `watched` gave when the checkpoint that is resumed was saved.
    """
    metrics = {**earlier, **trainer.callback_metrics}
    for config in trainer.lr_scheduler_configs:
        scheduler: Any = config.scheduler
        # One that does not tell where it stands is left to Lightning.
        while config.interval == "epoch" and getattr(scheduler, "last_epoch", math.inf) < trainer.current_epoch:
            monitor = _monitor(config)
            if monitor is None:
                scheduler.step()
            elif monitor in metrics:
                scheduler.step(metrics[monitor])
            else:
                break


def agree_on_steps(checkpoint: Mapping[str, Any]) -> None:
    """Makes a checkpoint say how many steps were taken to a training that takes them in the other way.

    Lightning counts the steps of a module that optimizes by itself apart from those that it takes for one, and the
    training that is resumed would begin at 0 (2.6.6).

    Args:
        checkpoint: of Lightning; changed in place.
    """
    progress = checkpoint.get("loops", {}).get("fit_loop", {})
    automatic = progress.get("epoch_loop.automatic_optimization.optim_progress", {}).get("optimizer", {})
    manual = progress.get("epoch_loop.manual_optimization.optim_step_progress", {})
    for counts in (automatic.get("step", {}).get("total"), manual.get("total")):
        if counts is not None:
            counts |= dict.fromkeys(("ready", "completed"), checkpoint["global_step"])


def watched(trainer: pl.Trainer) -> dict[str, float]:
    """Returns the newest figure that a ReduceLROnPlateau watches, by its name."""
    names = {_monitor(config) for config in trainer.lr_scheduler_configs}
    return {name: float(figure) for name, figure in trainer.callback_metrics.items() if name in names}


def _monitor(config: LRSchedulerConfig) -> str | None:
    """Returns what a ReduceLROnPlateau watches; None for another scheduler.

    Where a module optimizes by itself, Lightning forgets that a scheduler is one, and what was said of it.
    """
    if not isinstance(config.scheduler, ReduceLROnPlateau):
        return None
    return config.monitor or getattr(config.scheduler, "monitor", "val/mAP")
