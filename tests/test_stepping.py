"""What stands around many steps in one go: schedulers that count epochs."""

from unittest.mock import Mock

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import LRSchedulerConfig
from torch.optim.lr_scheduler import ChainedScheduler, ExponentialLR

from mlic.stepping import catch_up


@pytest.fixture
def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)


def trainer(scheduler: object, epoch: int) -> Mock:
    configs = [LRSchedulerConfig(scheduler)]
    return Mock(pl.Trainer, lr_scheduler_configs=configs, current_epoch=epoch, callback_metrics={})


def test_a_scheduler_is_brought_to_the_epoch_and_no_further(optimizer):
    at_three = trainer(ExponentialLR(optimizer, 0.5), 3)
    for _ in range(2):
        catch_up(at_three, {})
        assert optimizer.param_groups[0]["lr"] == 0.125


def test_a_scheduler_that_does_not_tell_its_epoch_is_left_alone(optimizer):
    catch_up(trainer(ChainedScheduler([ExponentialLR(optimizer, 0.5)]), 3), {})
    assert optimizer.param_groups[0]["lr"] == 1.0
