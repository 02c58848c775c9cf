"""`GradualUnfreezing`: the head learns first, then the backbone from its last layers to its first."""

import logging
from collections.abc import Mapping
from typing import cast

import pytorch_lightning as pl
from pytorch_lightning.strategies import SingleDeviceStrategy
from torch import nn

from mlic.backbones.base import Backbone
from mlic.classifier import MultiLabelClassifier
from mlic.errors import UsageError

__all__ = ["GradualUnfreezing"]

log = logging.getLogger(__name__)


class GradualUnfreezing(pl.Callback):
    """Releases a pretrained backbone piece by piece, the last layers first (Howard & Ruder 2018, arXiv:1801.06146).

    A random head sends random gradients, which would spoil the weights that come before it. So it learns alone first;
    then the backbone is released in pieces of equally many layers. What is not released yet does not learn and does not
    decay, and is in evaluation mode, as a backbone with `freeze: true`: BatchNorm keeps its statistics, nothing is
    dropped.

    Args:
        epochs_per_stage: for how many epochs the head learns alone, and after that each piece before the next is
            released, 1 or more.
        stages: into how many pieces the backbone is cut, from 1 to the number of its layers.

    Raises:
        UsageError: if an argument is out of its range.

    Example:
        >>> callback = GradualUnfreezing(epochs_per_stage=2, stages=3)
        >>> [callback.released(epoch) for epoch in range(8)]
        [0, 0, 1, 1, 2, 2, 3, 3]
    """

    _depths: dict[str, int]
    _pieces: dict[str, int]
    _released: int | None
    _waiting: list[nn.Parameter]
    _modes: dict[nn.Module, bool]

    def __init__(self, epochs_per_stage: int = 1, stages: int = 3) -> None:
        if epochs_per_stage < 1:
            raise UsageError(f"GradualUnfreezing's epochs_per_stage is {epochs_per_stage}; expected 1 or more")
        if stages < 1:
            raise UsageError(f"GradualUnfreezing's stages are {stages}; expected 1 or more pieces of the backbone")
        self.epochs_per_stage = epochs_per_stage
        self.stages = stages
        self._forget()

    def released(self, epoch: int) -> int:
        """Returns how many pieces learn in an epoch, which are counted from 0."""
        return min(self.stages, epoch // self.epochs_per_stage)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Cuts the backbone into pieces.

        Raises:
            UsageError: if the backbone is frozen, does not know its layers, or has fewer of them than `stages`.
        """
        if stage != "fit":
            return
        self._forget()
        backbone = _backbone(pl_module)
        if backbone.frozen:
            raise UsageError(
                "GradualUnfreezing releases the backbone step by step, and this one is frozen as a whole; leave out "
                "its freeze: true, or GradualUnfreezing"
            )
        self._depths = backbone.learning_depths()
        self._pieces = _cut(self._depths, self.stages)
        last = trainer.max_epochs
        if last is not None and last > 0 and self.released(last - 1) < self.stages:
            log.warning(
                "of the %d pieces of the backbone, GradualUnfreezing releases %d in %d epochs; take more epochs, or "
                "fewer stages",
                self.stages,
                self.released(last - 1),
                last,
            )

    # A resumed epoch has batches, but no start of its own.
    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: object) -> None:
        """Releases what is due."""
        released = self.released(trainer.current_epoch)
        if released == self._released:
            return
        backbone = _backbone(pl_module)
        if self._released is None:
            self._modes = {module: module.training for module in backbone.modules()}
        self._released = released
        self._hold(backbone, released, alone=isinstance(trainer.strategy, SingleDeviceStrategy))
        self._tell(trainer.current_epoch, released)

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Drops the gradients of what is not released, before anybody clips them or makes a step with them."""
        for parameter in self._waiting:
            parameter.grad = None

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leaves the backbone as it was found."""
        self._let_go(pl_module)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Leaves the backbone as it was found."""
        self._let_go(pl_module)

    def _forget(self) -> None:
        self._depths = {}
        self._pieces = {}  # name of a parameter to the number of its piece; 1 is released first
        self._released = None
        self._waiting = []
        self._modes = {}

    def _hold(self, backbone: Backbone, released: int, alone: bool) -> None:
        """Lets the first `released` pieces learn, and holds the others.

        Args:
            backbone: the backbone.
            released: number of pieces.
            alone: whether no other process takes part. With others, DistributedDataParallel waits for the gradient of
                each parameter that asked for one when it was wrapped, and never looks at the others: then all of them
                are computed, and dropped.
        """
        learning = {name: p for name, p in backbone.named_parameters() if name in self._pieces}
        waiting = {p for name, p in learning.items() if self._pieces[name] > released}
        self._waiting = list(waiting)
        if alone:
            for parameter in learning.values():
                parameter.requires_grad_(parameter not in waiting)
        for module, training in self._modes.items():
            module.training = training
        for module in self._modes:
            own = set(module.parameters()) & set(learning.values())
            if own and own <= waiting:
                module.eval()

    def _let_go(self, pl_module: pl.LightningModule) -> None:
        if self._released is not None:
            self._hold(_backbone(pl_module), self.stages, alone=True)
            self._released = None

    def _tell(self, epoch: int, released: int) -> None:
        layers = len(set(self._depths.values()))
        if not released:
            log.info(
                "epoch %d: the head learns alone; of the backbone's %d layers the last follow in epoch %d, "
                "the first in epoch %d",
                epoch + 1,
                layers,
                1 + self.epochs_per_stage,
                1 + self.epochs_per_stage * self.stages,
            )
            return
        learning = {depth for name, depth in self._depths.items() if self._pieces[name] <= released}
        log.info(
            "epoch %d: the head and the last %d of the backbone's %d layers learn (%d of %d pieces are released)",
            epoch + 1,
            len(learning),
            layers,
            released,
            self.stages,
        )


def _backbone(pl_module: pl.LightningModule) -> Backbone:
    return cast(MultiLabelClassifier, pl_module).backbone


def _cut(depths: Mapping[str, int], pieces: int) -> dict[str, int]:
    """Cuts the layers into pieces of equally many, give or take one; returns for each name the number of its piece.

    Raises:
        UsageError: if there are fewer layers than pieces.

    Example:
        >>> _cut({"stem": 0, "block.weight": 1, "block.bias": 1, "last": 2}, pieces=2)
        {'stem': 2, 'block.weight': 1, 'block.bias': 1, 'last': 1}
    """
    layers = sorted(set(depths.values()), reverse=True)
    if len(layers) < pieces:
        raise UsageError(
            f"GradualUnfreezing's stages are {pieces}, and the backbone has {len(layers)} layers that learn; expected "
            f"at most {len(layers)}"
        )
    numbers = {layer: 1 + place * pieces // len(layers) for place, layer in enumerate(layers)}
    return {name: numbers[depth] for name, depth in depths.items()}
