"""`WeightEMA`: a moving average of the weights, which is what is evaluated and saved."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from mlic.errors import UsageError

__all__ = ["WeightEMA"]

_STATISTICS = ("running_mean", "running_var")


class WeightEMA(pl.Callback):
    """Keeps a moving average of the weights and shows it to whoever looks (after Polyak & Juditsky 1992).

    Validations during `fit`, the `state_dict` of each checkpoint and the model after `fit` have the averaged weights.
    The training goes on with its own, which a checkpoint holds as `current_model_state`, so that it can be resumed;
    also without `WeightEMA`: the average ends there, and what is saved from then on are the training's own weights.

    After each step of the optimizer, `average = decay * average + (1 - decay) * weights`. The decay of the step after n
    others is at most (1 + n) / (10 + n), as in TensorFlow's ExponentialMovingAverage, so that a short run is not ruled
    by its random start. Averaged in the same way are the running means and variances of BatchNorm: those of the
    training are of activations that the averaged weights do not give. All other buffers (thresholds, counters) are the
    training's own. What never learns is not copied.

    Averages are kept in float32 where the weights are of lower precision, in which small changes would be lost.

    Args:
        decay: share of the average that is kept at each step of the optimizer, above 0 and below 1; such as 0.9997.
        half_life: instead of `decay`, the number of epochs after which half of the average is newer, above 0; so that
            batch size, number of processes and accumulation of gradients change nothing.

    Raises:
        UsageError: if not exactly one of the two is given, or it is out of its range.

    Example:
        >>> WeightEMA(decay=0.9).decay_at(0), WeightEMA(decay=0.9).decay_at(1000)
        (0.1, 0.9)
        >>> WeightEMA(half_life=0.5).decay_at(1000, steps_per_epoch=2)
        0.5
    """

    _average: dict[str, Tensor]
    _running: dict[str, Tensor]

    # Not Lightning's WeightAveraging: it exchanges all buffers (the thresholds would land in the wrong model, since it
    # does so before the module's own hook), copies the whole module with all that hangs on it, frozen weights too, and
    # does so before Lightning moves the module to its device; nothing of it would be left.

    def __init__(self, decay: float | None = None, half_life: float | None = None) -> None:
        if (decay is None) == (half_life is None):
            raise UsageError(
                f"WeightEMA has {'neither' if decay is None else 'both'} decay {'nor' if decay is None else 'and'} "
                "half_life; give one of them, such as decay: 0.9997 (of a step) or half_life: 1.5 (epochs)"
            )
        if decay is not None and not 0 < decay < 1:
            raise UsageError(f"WeightEMA's decay is {decay}; expected a number above 0 and below 1, such as 0.9997")
        if half_life is not None and not 0 < half_life < math.inf:
            raise UsageError(f"WeightEMA's half_life is {half_life}; expected a number of epochs above 0")
        self.decay = decay
        self.half_life = half_life
        self._forget()

    def decay_at(self, updates: int, steps_per_epoch: int = 1) -> float:
        """Returns the share of the average that is kept at a step.

        Args:
            updates: steps that were averaged before.
            steps_per_epoch: steps of the optimizer in an epoch; counts only where `half_life` was given.
        """
        halving = None if self.half_life is None else 0.5 ** (1 / (self.half_life * steps_per_epoch))
        decay = cast(float, self.decay if halving is None else halving)
        return min(decay, (1 + updates) / (10 + updates))

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Begins anew.

        Raises:
            UsageError: if the strategy cuts the model into pieces, of which no process has all.
        """
        self._forget()
        # True of FSDP, DeepSpeed and tensor parallelism, and of no strategy that leaves the model whole.
        if stage == "fit" and trainer.strategy.restore_checkpoint_after_setup:
            raise UsageError(
                f"WeightEMA needs the whole model in each process, and {type(trainer.strategy).__name__} cuts it into "
                "pieces; take trainer.strategy: ddp, or do without WeightEMA"
            )

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Goes on with the average and the weights of the training that is resumed."""
        if trainer.state.fn != TrainerFn.FITTING or "averaging_state" not in checkpoint:
            return
        state = checkpoint["averaging_state"]
        self._updates = state["updates"]
        self._average = {name: tensor.clone() for name, tensor in state["average"].items()}
        pl_module.load_state_dict(checkpoint["current_model_state"])

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts from the weights as they are; the model is on its device now."""
        self._average = {name: tensor.to(pl_module.device) for name, tensor in self._average.items()}
        self._take_up(pl_module)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Notes how many steps were taken before.

        Raises:
            UsageError: if `half_life` is given and nobody knows how long an epoch is.
        """
        self._last_step = trainer.global_step
        if self.half_life is not None and not math.isfinite(trainer.num_training_batches):
            raise UsageError(
                "WeightEMA's half_life is in epochs, and the training data does not tell how many batches an epoch "
                "has; give decay instead, or trainer.limit_train_batches as a number"
            )

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: object) -> None:
        """Averages, if the optimizer made a step."""
        if trainer.global_step == self._last_step:  # gradients are being accumulated
            return
        self._last_step = trainer.global_step
        self._take_up(pl_module)
        steps_per_epoch = math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
        decay = self.decay_at(self._updates, steps_per_epoch)
        tensors = _by_name(pl_module)
        current = [tensors[name].to(average.dtype) for name, average in self._average.items()]
        average_with = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        average_with(list(self._average.values()), current, self._updates)
        self._updates += 1

    # From its start to its end: between them lie the module's hooks, which fit thresholds to the averaged weights, and
    # checkpoints are saved after all other callbacks.
    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lets the validation see the average."""
        if trainer.state.fn == TrainerFn.FITTING:
            self._show_average(pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Gives the training its weights back."""
        if trainer.state.fn == TrainerFn.FITTING:
            self._show_running(pl_module)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Gives the training its weights back, if a validation was interrupted."""
        self._show_running(pl_module)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leaves the average in the model, which the trainer has moved to the CPU by now."""
        self._show_average(pl_module)
        self._average = {name: tensor.to(pl_module.device) for name, tensor in self._average.items()}

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Saves the average as the model's state; what occurs twice takes the space of one."""
        if not self._average:
            return
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {name: self._average.get(name, tensor) for name, tensor in state.items()}
        checkpoint["current_model_state"] = {name: self._running.get(name, tensor) for name, tensor in state.items()}
        checkpoint["averaging_state"] = {"updates": self._updates, "average": dict(self._average)}

    def _forget(self) -> None:
        self._average = {}
        self._running = {}  # the training's weights, while the model has the average
        self._updates = 0
        self._last_step = 0

    def _take_up(self, pl_module: pl.LightningModule) -> None:
        """Begins to average what learns and is not averaged yet: all at the start, and what is unfrozen later."""
        for name, tensor in _learning(pl_module):
            if name not in self._average:
                precision = torch.promote_types(tensor.dtype, torch.float32)
                self._average[name] = tensor.to(precision, copy=True)

    def _show_average(self, pl_module: pl.LightningModule) -> None:
        tensors = _by_name(pl_module)
        self._running = {name: tensors[name].clone() for name in self._average}
        _copy(self._average, tensors)

    def _show_running(self, pl_module: pl.LightningModule) -> None:
        if self._running:
            _copy(self._running, _by_name(pl_module))
            self._running = {}


def _learning(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yields the parameters that learn and the running statistics, by their names in a state dict."""
    for name, parameter in module.named_parameters(remove_duplicate=False):  # tied weights have all their names there
        if parameter.requires_grad:
            yield name, parameter.detach()
    for name, buffer in module.named_buffers(remove_duplicate=False):
        if name.endswith(_STATISTICS):
            yield name, buffer


def _by_name(module: nn.Module) -> dict[str, Tensor]:
    parameters = module.named_parameters(remove_duplicate=False)
    return {name: parameter.detach() for name, parameter in parameters} | dict(
        module.named_buffers(remove_duplicate=False)
    )


def _copy(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> None:
    for name, tensor in source.items():
        target[name].copy_(tensor)
