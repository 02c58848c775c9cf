"""Many steps in one go: what Lightning does around a step takes longer than the step of a head on kept features."""

from collections.abc import Callable
from typing import Any, cast

import pytorch_lightning as pl
import torch
from jaxtyping import Float
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor

from mlic.datamodules.base import FeatureBatch

__all__ = ["catch_up", "step_through"]


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
    return torch.stack(losses).sum() / num_samples if losses else None


def catch_up(trainer: pl.Trainer) -> None:
    """Steps the schedulers that count epochs up to the current one, which Lightning leaves to such a module.

    A resumed training may begin an epoch twice; what counts is where the scheduler stands.
    """
    for config in trainer.lr_scheduler_configs:
        scheduler: Any = config.scheduler
        while config.interval == "epoch" and scheduler.last_epoch < trainer.current_epoch:
            if not config.reduce_on_plateau:
                scheduler.step()
            elif config.monitor in trainer.callback_metrics:
                scheduler.step(trainer.callback_metrics[config.monitor])
            else:
                break
