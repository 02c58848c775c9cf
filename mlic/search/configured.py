"""`SearchCLI`: the configuration of `mlic fit`, and the features that heads of each kind need."""

import inspect
from collections.abc import Mapping
from typing import Any, cast

import pytorch_lightning as pl
import torch

from mlic.backbones.base import Backbone
from mlic.configuration import settle
from mlic.datamodules.features import FeatureData
from mlic.errors import UsageError
from mlic.heads.base import Head
from mlic.parts import rebuild, spec
from mlic.progress import quietly
from mlic.search.heads import HeadTraining
from mlic.search.places import Config
from mlic.search.space import Space
from mlic.training import TrainingCLI

__all__ = ["SearchCLI"]

# What decides nothing here, what is taken, and what is said of one process below.
_TRAINER = (
    *("max_epochs", "gradient_clip_val", "accelerator", "default_root_dir", "strategy", "devices", "num_nodes"),
    *("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary", "log_every_n_steps"),
    *("num_sanity_val_steps", "deterministic", "benchmark", "profiler", "detect_anomaly", "inference_mode"),
    *("use_distributed_sampler", "limit_test_batches", "limit_predict_batches", "sync_batchnorm", "precision"),
    *("enable_autolog_hparams", "model_registry"),
)
_PRECISIONS = (None, 32, "32", "32-true")


class SearchCLI(TrainingCLI):
    """Parses and makes what `mlic fit` would, but for a run's folder.

    Args:
        arguments: the words of `mlic fit`.

    Raises:
        UsageError: if the configuration is wrong, or asks for what a search does not do.
    """

    def __init__(self, arguments: list[str]) -> None:
        said, left = settle(arguments)
        resumes = said.get("ckpt_path") or any(word.partition("=")[0] == "--ckpt_path" for word in left)
        if resumes:
            raise UsageError(
                "a search begins every head anew; leave out ckpt_path (model.backbone.weights takes a file)"
            )
        super().__init__("extract", arguments)
        _refuse_foreign(self._recorded["trainer"])
        if not self.datamodule.validates:
            raise UsageError("a search ranks by validation mAP; give --data.val, a file or a share such as 0.1")
        if self.trainer.world_size > 1:
            raise UsageError(
                "a search runs in one process; take --trainer.devices 1 (`mlic features extract` with the same words "
                "fills the store on all devices before)"
            )

    @property
    def base(self) -> Config:
        """The whole configuration, which the search varies."""
        return self._recorded

    def training(self, space: Space) -> HeadTraining:
        """Returns what trains heads; tries out all parts of the space, then computes the features that are missing.

        Raises:
            UsageError: if a part does not take its arguments, or features cannot be kept.
        """
        seed = torch.initial_seed() % 2**32
        state = self._state_at_head(seed)
        device = self.trainer.strategy.root_device
        training = HeadTraining(self.model.backbone.num_features, self.model.classes, seed, state, device)
        found = [training.try_out(*specimen) for specimen in space.specimens(self.base)]
        for head in (self.model.head, *found):
            if head is not None and head.condensed not in training.kinds:
                training.take(head.condensed, self._features_for(head))
        return training

    def _features_for(self, head: Head) -> FeatureData:
        own = self.model.head
        self.model.head = head
        try:
            with quietly():
                return cast(FeatureData, self._with_features(required=True))
        finally:
            self.model.head = own

    def _state_at_head(self, seed: int) -> torch.Tensor:
        """Returns the state of torch's generator when `mlic fit` makes the head: after the same backbone."""
        backbone = spec(self.model.backbone)
        torch.manual_seed(seed)
        rebuild({**backbone, "init_args": type(self.model.backbone).without_weights(backbone["init_args"])}, Backbone)
        return torch.get_rng_state()


def _refuse_foreign(trainer: Mapping[str, Any]) -> None:
    """Refuses options of the Trainer that would make `mlic fit` train otherwise than a search does."""
    parameters = inspect.signature(pl.Trainer.__init__).parameters
    for name, value in trainer.items():
        ours = {"enable_model_summary": False}.get(name, parameters[name].default if name in parameters else value)
        if name not in _TRAINER and value not in (ours, None):
            raise UsageError(f"a search trains heads without trainer.{name}; leave it out, and give it to `mlic fit`")
    if trainer["precision"] not in _PRECISIONS:
        raise UsageError(f"trainer.precision is {trainer['precision']}; a search trains heads in 32-true")
    if trainer["max_epochs"] is None or trainer["max_epochs"] < 1:
        raise UsageError(f"trainer.max_epochs is {trainer['max_epochs']}; a search needs a number, 1 or more")
