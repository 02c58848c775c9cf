"""`MultiLabelClassifier`: backbone, head and loss wired into a LightningModule."""

import logging
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import pytorch_lightning as pl
import torch
from jaxtyping import Bool, Float, UInt8
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from pytorch_lightning.core.optimizer import LightningOptimizer
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

import mlic
from mlic.agreement import agree, agree_on_labels
from mlic.backbones.base import Backbone
from mlic.backbones.inception_v3 import InceptionV3
from mlic.checkpoints import read_checkpoint
from mlic.datamodules.base import Batch, FeatureBatch, MultiLabelDataModule
from mlic.datamodules.features import OfFeatures
from mlic.errors import CheckpointError, MlicError, UsageError
from mlic.exact import Exact, ExactHead, kept_for_exact
from mlic.heads.base import Head
from mlic.heads.linear import LinearHead
from mlic.labels.counts import ClassCounts
from mlic.losses.base import Loss
from mlic.losses.bce import BCELoss
from mlic.metrics import MultiLabelMetrics, Rows, headline, per_class
from mlic.optimization import made_optimizer, scheduled
from mlic.parameters import fuse, multiply_rates, parameter_groups
from mlic.parts import class_of, rebuild, spec
from mlic.schedules import Schedule
from mlic.stepping import agree_on_steps, catch_up, step_through, watched
from mlic.thresholds import DecisionRule, Decisions, Fitted, cross_fitted, fit_decisions
from mlic.views import TTA, check_tta, scaled_sides, views

__all__ = ["MultiLabelClassifier"]

log = logging.getLogger(__name__)

_DIVERGED = "the training has diverged: lower the learning rate, or set trainer.gradient_clip_val"

Side = Literal["val", "test"]
_BEST_F1 = DecisionRule()
_DECISIONS = ("thresholds", "slope", "offset")
_IN_SCRIPT = "{} is defined in a script; put it into a module, or no other program can load the checkpoint"

ClassifierType = TypeVar("ClassifierType", bound="MultiLabelClassifier")


class MultiLabelClassifier(pl.LightningModule):
    """Learns and predicts which classes an image shows.

    Each part is a factory, so that a head can be made for the backbone's features and the data's classes.

    Args:
        classes: names of the classes; their order is the order of all outputs.
        backbone: makes the `Backbone`.
        head: makes the `Head` from `num_features` and `num_classes`.
        loss: makes the `Loss`.
        optimizer: makes the optimizer from the parameters that learn, in groups: biases and norms do not decay.
        lr_scheduler: makes the learning-rate scheduler from the optimizer; or a `Schedule`, which takes its length from
            the training and counts steps.
        lr_scheduler_interval: whether a scheduler that is no `Schedule` counts epochs or steps.
        head_lr_multiplier: how many times the optimizer's learning rate the head has, above 0.
        layer_decay: by what the learning rate is multiplied from each layer of the backbone to the one before it, above
            0 and at most 1 (Clark et al. 2020, arXiv:2003.10555; 0.65 to 0.8 are usual for vision transformers).
        tta: test-time augmentation: over which views of an image its logits are averaged in validation, test and
            prediction, as `mlic.views.views` says; kept in the checkpoint.
        decision: how scores are calibrated and thresholds fitted, on the validation samples.

    Raises:
        UsageError: if a number is out of its range.

    Attributes:
        class_counts: how often each class is present in the training data, which some losses weigh by; kept in the
            checkpoint. None before a training.
        decisions: how logits become scores and classes said to be present; fitted on the validation samples at the end
            of each validation during `fit`, and kept in the checkpoint.
        fitted: how many samples the decisions were fitted to, and which classes could not have what was asked for.
        evaluated: the rows of the last evaluation of `val` and of `test`, those of all processes.
    """

    thresholds: Tensor
    slope: Tensor
    offset: Tensor
    _mean: Tensor
    _std: Tensor

    def __init__(
        self,
        classes: Sequence[str],
        backbone: Callable[[], Backbone] = InceptionV3,
        head: Callable[[int, int], Head] = LinearHead,
        loss: Callable[[], Loss] = BCELoss,
        optimizer: OptimizerCallable = lambda params: torch.optim.AdamW(params, lr=1e-3),
        lr_scheduler: LRSchedulerCallable | Schedule | None = None,
        lr_scheduler_interval: Literal["epoch", "step"] = "epoch",
        head_lr_multiplier: float = 1.0,
        layer_decay: float = 1.0,
        tta: TTA = "none",
        decision: DecisionRule = _BEST_F1,
    ) -> None:
        super().__init__()
        if not 0 < head_lr_multiplier < math.inf:
            raise UsageError(f"head_lr_multiplier is {head_lr_multiplier}; expected a finite number above 0")
        if not 0 < layer_decay <= 1:
            raise UsageError(f"layer_decay is {layer_decay}; expected a number above 0 and at most 1, such as 0.75")
        self.classes = tuple(classes)
        # Channels last: 1.4 times as fast on a CPU for convolutional networks, and what mixed precision wants on a GPU.
        self.backbone = backbone().to(memory_format=torch.channels_last)
        self.head = head(self.backbone.num_features, len(self.classes))
        self.loss = loss()
        self.class_counts: ClassCounts | None = None
        self._optimizer = optimizer
        self._lr_scheduler = lr_scheduler
        self._lr_scheduler_interval = lr_scheduler_interval
        self._head_lr_multiplier = head_lr_multiplier
        self._layer_decay = layer_decay
        plain = Decisions.plain(len(self.classes))
        for name in _DECISIONS:
            self.register_buffer(name, getattr(plain, name))
        self.decision = decision
        self.fitted: Mapping[str, Any] = {}
        self.register_buffer("_mean", torch.tensor(self.backbone.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("_std", torch.tensor(self.backbone.std).view(1, 3, 1, 1), persistent=False)
        self.collected = nn.ModuleDict({side: MultiLabelMetrics(len(self.classes)) for side in ("val", "test")})
        self.evaluated: dict[Side, Rows] = {}
        self._watched: Mapping[str, float] = {}
        self._resumes = False
        self._exact: ExactHead | None = None
        self.tta: TTA
        self.use_tta(tta)

    @classmethod
    def from_checkpoint(cls: type[ClassifierType], path: str | Path) -> ClassifierType:
        """Rebuilds a classifier from its checkpoint alone, on the CPU and in evaluation mode; downloads nothing.

        Raises:
            CheckpointError: if the file is not a checkpoint of mlic, or needs a part that is not installed.
        """
        checkpoint = read_checkpoint(path)
        card = checkpoint["mlic"]
        parts = card["model"]
        backbone_arguments = class_of(parts["backbone"], Backbone).without_weights(parts["backbone"]["init_args"])
        head_arguments = class_of(parts["head"], Head).without_files(parts["head"]["init_args"])
        classifier = cls(
            card["classes"],
            backbone=lambda: rebuild({**parts["backbone"], "init_args": backbone_arguments}, Backbone),
            head=lambda *sizes: rebuild({**parts["head"], "init_args": head_arguments}, Head, *sizes),
            loss=lambda: rebuild(parts["loss"], Loss),
            tta=parts.get("tta", "none"),
            decision=DecisionRule(**parts.get("decision", {})),
        )
        card_size = card["preprocessing"]["image_size"]
        if classifier.backbone.image_size != card_size:
            raise CheckpointError(
                f"{path} was trained on images of {card_size} pixels, its backbone is made for "
                f"{classifier.backbone.image_size} here; install the version of timm that trained it"
            )
        # A release of timm may change what a name without a tag stands for; the checkpoint's figures count.
        for buffer, figures in ((classifier._mean, "mean"), (classifier._std, "std")):
            buffer.copy_(torch.tensor(card["preprocessing"][figures]).view(1, 3, 1, 1))
        checkpoint = {**checkpoint, "state_dict": dict(checkpoint["state_dict"])}
        classifier.on_load_checkpoint(checkpoint)
        classifier.load_state_dict(checkpoint["state_dict"])
        return classifier.eval()

    def forward(self, images: UInt8[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch classes"]:
        """Returns the logits, in float32, of images as a loader yields them: 0 to 255, not normalised."""
        return cast(Tensor, self.head(self.feature_map(images))).float()

    def feature_map(self, images: UInt8[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch features h w"]:
        """Returns what the backbone makes of images as a loader yields them; without a gradient if it is frozen."""
        normalised = (images.to(self._mean.dtype) / 255 - self._mean) / self._std
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.backbone.frozen):
            return cast(Tensor, self.backbone(normalised.contiguous(memory_format=torch.channels_last)))

    def averaged(self, images: UInt8[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch classes"]:
        """Returns the logits of images, averaged over the views that `tta` names."""
        return torch.stack([self(view) for view in views(images, self.tta)]).mean(dim=0)

    def use_tta(self, tta: TTA) -> None:
        """Chooses the views that evaluation and prediction average over.

        Raises:
            UsageError: if there are no such views, or the backbone does not take images of their sizes.
        """
        check_tta(tta)
        if tta == "multi_scale":
            for side in scaled_sides(self.backbone.image_size):
                self._require_side(side)
        self.tta = tta

    def setup(self, stage: str) -> None:
        """Agrees with the datamodule on the classes, the image size and the kind of labels.

        Raises:
            UsageError: if they differ, or if soft labels are to be learnt by a loss that does not take them.
        """
        data = getattr(self.trainer, "datamodule", None)
        if stage == "fit":
            self.loss.remember({})  # a checkpoint that is resumed is loaded after this
            self._resumes = False
            self._exact = None
            self.automatic_optimization = not (isinstance(data, OfFeatures) and data.steps > 1)
        if not isinstance(data, MultiLabelDataModule):
            return
        agree(data, self.classes, self.backbone, self.tta)
        if stage == "fit":
            agree_on_labels(data, self.loss)
        if stage == "fit" and data.class_counts is not None:
            self._take_counts(data.class_counts)

    def training_step(self, batch: Batch | FeatureBatch, batch_idx: int) -> Float[Tensor, ""] | None:
        """Returns the loss of a batch; None where several batches come at once, of each of which it has learnt."""
        # Not at the start of the epoch: pytorch-lightning 2.6 has none where it goes on in the middle of one.
        self.loss.epoch = self.current_epoch
        if self._exact is not None:
            if batch_idx == 0:
                self._solve(self._exact)
            return None
        if isinstance(batch, FeatureBatch) and not self.automatic_optimization:
            mean = step_through(self, batch, self._loss)
            if mean is not None:
                self._log_loss(mean, len(batch.index))
            return None
        if len(batch.index) == 0:
            self.loss.index = batch.index
            # Every image was unreadable and skipped. A zero that every parameter has part in keeps DDP in step, and a
            # loss of no samples keeps its sums over the processes in step.
            zero = sum((p.sum() * 0 for p in self.parameters() if p.requires_grad), self.thresholds.new_zeros(()))
            return zero + cast(Tensor, self.loss(zero.expand(0, len(self.classes)), batch.labels))
        loss = self._loss(batch)
        self._log_loss(loss, len(batch.index))
        return loss

    def on_train_epoch_start(self) -> None:
        """Sets the learning rate of the epoch, where Lightning does not."""
        earlier, self._watched = self._watched, {}
        resumes, self._resumes = self._resumes, False
        if resumes or not self.automatic_optimization:
            catch_up(self.trainer, earlier)

    def on_validation_epoch_start(self) -> None:
        """Forgets the rows of the last validation."""
        self._rows_of("val").reset()

    def on_test_epoch_start(self) -> None:
        """Forgets the rows of the last test."""
        self._rows_of("test").reset()

    def validation_step(self, batch: Batch | FeatureBatch, batch_idx: int) -> None:
        """Keeps the logits and labels of a batch."""
        self._collect("val", batch)

    def test_step(self, batch: Batch | FeatureBatch, batch_idx: int) -> None:
        """Keeps the logits and labels of a batch."""
        self._collect("test", batch)

    def predict_step(self, batch: Batch, batch_idx: int) -> Float[Tensor, "batch classes"]:
        """Returns the scores of a batch, 0 to 1."""
        if len(batch.index) == 0:
            return torch.empty(0, len(self.classes))
        return self.decisions.scores(self.averaged(batch.images))

    def on_validation_epoch_end(self) -> None:
        """Logs the metrics; during `fit` it fits scores and thresholds first.

        The figures of decisions are then cross-fitted: each sample is decided by what the others gave, since thresholds
        are better on the samples that they were fitted on than on any others.
        """
        rows = self._gathered("val")
        if self.trainer.state.fn == TrainerFn.FITTING and not self.trainer.sanity_checking:
            self.fit_decisions(rows)
            present = cross_fitted(self.decision, rows.logits, rows.labels, self.loss.decides_at_zero)
            self._log_metrics("val", rows, present)
        else:
            self._log_metrics("val", rows, self.decisions.to("cpu").present(rows.logits))

    def on_test_epoch_end(self) -> None:
        """Logs the metrics."""
        rows = self._gathered("test")
        self._log_metrics("test", rows, self.decisions.to("cpu").present(rows.logits))

    @property
    def decisions(self) -> Decisions:
        """How logits, on the device of the model, become scores and classes said to be present."""
        return Decisions(self.thresholds, self.slope, self.offset, self.decision.at_most)

    def fit_decisions(self, rows: Rows) -> Fitted:
        """Fits scores and thresholds to samples whose labels are known, as `decision` says; returns what came of it."""
        fitted = fit_decisions(self.decision, rows.logits, rows.labels, self.loss.decides_at_zero)
        for name in _DECISIONS:
            getattr(self, name).copy_(getattr(fitted.decisions, name))
        self.fitted = {
            "samples": len(rows.index),
            "shared": [name for name, shared in zip(self.classes, fitted.shared.tolist(), strict=True) if shared],
            "unreached": [name for name, missed in zip(self.classes, fitted.unreached.tolist(), strict=True) if missed],
        }
        return fitted

    def class_table(self, side: Side) -> dict[str, list[int | float]]:
        """Returns a column for each figure of the classes, as `mlic.metrics.per_class`, from the last evaluation."""
        rows = self.evaluated[side]
        decisions = self.decisions.to("cpu")
        columns = per_class(rows.logits, rows.labels, decisions.present(rows.logits), decisions.thresholds)
        return {name: column.tolist() for name, column in columns.items()}

    def on_train_epoch_end(self) -> None:
        """Stops when the training has diverged.

        Raises:
            MlicError: if the loss is not a number.
        """
        loss = self.trainer.callback_metrics.get("train/loss")
        if loss is not None and not torch.isfinite(loss):
            raise MlicError(f"after epoch {self.current_epoch + 1} the training loss is {float(loss)}; {_DIVERGED}")

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Gives the optimizer the parameters that learn, and the scheduler the length of the training.

        Raises:
            UsageError: if the optimizer refuses its arguments or parameters in groups, if a ReduceLROnPlateau that
                watches mAP waits for it to fall, if a `Schedule` is to last for an endless training, or if the backbone
                does not know its layers, which `layer_decay` asks for.
        """
        optimizer = made_optimizer(self._optimizer, self._parameter_groups())
        if isinstance(optimizer, Exact):
            return self._prepare_exact(optimizer)
        multiply_rates(optimizer)
        # A scaler of float16 would have to know of a fused step.
        if self._trainer is None or self._trainer.precision != "16-mixed":
            fuse(optimizer)
        return scheduled(optimizer, self._lr_scheduler, self._lr_scheduler_interval, self._trainer)

    def _prepare_exact(self, optimizer: Exact) -> Exact:
        data = kept_for_exact(self.trainer, optimizer, scheduled=self._lr_scheduler is not None)
        self._exact = ExactHead(self.head, self.loss, data.sides["train"])
        self.automatic_optimization = False
        return optimizer

    def _solve(self, exact: ExactHead) -> None:
        """Solves the head for the penalty of the epoch; the last one ends the training."""
        optimizer = cast(LightningOptimizer, self.optimizers())
        penalties = cast(Exact, optimizer.optimizer).penalties
        penalty = penalties[min(self.current_epoch, len(penalties) - 1)]
        objective: list[Tensor] = []
        optimizer.step(closure=lambda: objective.append(exact.solve(penalty)))
        self.log("penalty", penalty)
        self._log_loss(objective[0].float(), 1)
        self.trainer.should_stop = self.current_epoch + 1 >= len(penalties)

    def _require_side(self, side: int) -> None:
        training = self.backbone.training
        try:
            with torch.no_grad():
                self.backbone.eval()(self._mean.new_zeros(1, 3, side, side))
        except Exception as error:  # a network that does not take a size says so by errors of every kind
            raise UsageError(
                f"tta multi_scale shows images of {side} pixels, which {type(self.backbone).__name__} does not take "
                f"({type(error).__name__}); take flip or ten_crop"
            ) from error
        finally:
            self.backbone.train(training)

    def _parameter_groups(self) -> list[dict[str, Any]]:
        depths = self.backbone.learning_depths() if self._layer_decay < 1 and not self.backbone.frozen else {}
        layers = 1 + max(depths.values(), default=0)

        def multiplier(name: str) -> float:
            part, _, inside = name.partition(".")
            if part != "backbone":
                return self._head_lr_multiplier
            return self._layer_decay ** (layers - depths[inside]) if depths else 1.0

        undecayed = {f"backbone.{name}" for name in self.backbone.undecayed()}
        return parameter_groups(self.named_parameters(), multiplier, undecayed)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds what it takes to use the checkpoint without its configuration: plain data only."""
        for part in (self.backbone, self.head, self.loss):
            if type(part).__module__ == "__main__":
                warnings.warn(_IN_SCRIPT.format(type(part).__name__), stacklevel=2)
        card = checkpoint.setdefault("mlic", {})  # a callback may have written into it before
        card |= {
            "version": mlic.__version__,
            "classes": list(self.classes),
            "class_counts": None if self.class_counts is None else self.class_counts._asdict(),
            "loss_memory": self.loss.memory(),
            "watched": {} if self._trainer is None else watched(self.trainer),
            "model": {
                "backbone": spec(self.backbone),
                "head": spec(self.head, given=2),
                "loss": spec(self.loss),
                "tta": self.tta,
                "decision": asdict(self.decision),
            },
            "fitted": self.fitted,
            "preprocessing": {
                "resize": "squash",
                "image_size": self.backbone.image_size,
                "mean": [float(value) for value in self.backbone.mean],
                "std": [float(value) for value in self.backbone.std],
            },
        }

    def with_decisions(self, checkpoint: Mapping[str, Any]) -> dict[str, Any]:
        """Returns a checkpoint that decides as this model does; all else in it is as it was."""
        card, decision = checkpoint["mlic"], {"decision": asdict(self.decision)}
        changed = {**card, "fitted": self.fitted, "model": {**card["model"], **decision}}
        if "model" in (card.get("config") or {}):
            changed["config"] = {**card["config"], "model": {**card["config"]["model"], **decision}}
        state = {**checkpoint["state_dict"], **{name: getattr(self, name).cpu() for name in _DECISIONS}}
        return {**checkpoint, "state_dict": state, "mlic": changed}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Tells the loss how often each class was present in the training data, and what it has to remember.

        A training that is resumed goes on with its own weights, also where `WeightEMA` saved averages in their place
        and takes no part now.
        """
        resumes = self._resumes = self._trainer is not None and self._trainer.state.fn == TrainerFn.FITTING
        if resumes:
            agree_on_steps(checkpoint)
        if resumes and "current_model_state" in checkpoint:
            checkpoint["state_dict"] = checkpoint["current_model_state"]
        plain = Decisions.plain(len(self.classes))
        for name in _DECISIONS:  # a checkpoint from before scores were calibrated
            checkpoint["state_dict"].setdefault(name, getattr(plain, name))
        self._watched = checkpoint.get("mlic", {}).get("watched", {})
        self.fitted = checkpoint.get("mlic", {}).get("fitted", {})
        self.loss.remember(checkpoint.get("mlic", {}).get("loss_memory", {}))
        counts = checkpoint.get("mlic", {}).get("class_counts")
        # A training that is resumed has counted its own data.
        if counts is not None and self.class_counts is None:
            self._take_counts(ClassCounts(**counts))

    def _apply(self: ClassifierType, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> ClassifierType:
        """Moves and converts, but leaves decisions in single precision: as bfloat16 a threshold of 0.999 would be 1."""
        exact = {name: getattr(self, name) for name in _DECISIONS}
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, before in exact.items():
            now = getattr(self, name)
            if now.element_size() < before.element_size():
                setattr(self, name, before.to(now.device))
        return self

    def _take_counts(self, counts: ClassCounts) -> None:
        self.class_counts = counts
        self.loss.adapt(counts)

    def _logits(self, batch: Batch | FeatureBatch) -> Float[Tensor, "batch classes"]:
        """Returns the logits of a batch of images, or of one of features."""
        if isinstance(batch, FeatureBatch):
            # In half or double precision throughout, the head has it; in mixed precision it has float32.
            return cast(Tensor, self.head(batch.features.to(self._mean.dtype))).float()
        return cast(Tensor, self(batch.images))

    def _loss(self, batch: Batch | FeatureBatch) -> Float[Tensor, ""]:
        self.loss.index = batch.index
        return cast(Tensor, self.loss(self._logits(batch), batch.labels))

    def _log_loss(self, loss: Float[Tensor, ""], num_samples: int) -> None:
        self.log("train/loss_step", loss, prog_bar=True, batch_size=num_samples)
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=num_samples)

    def _rows_of(self, side: Side) -> MultiLabelMetrics:
        return cast(MultiLabelMetrics, self.collected[side])

    def _collect(self, side: Side, batch: Batch | FeatureBatch) -> None:
        if len(batch.index):
            logits = self._logits(batch) if isinstance(batch, FeatureBatch) else self.averaged(batch.images)
            self._rows_of(side).update(logits, batch.labels, batch.index)

    def _gathered(self, side: Side) -> Rows:
        """Brings the rows of all processes together; each of them has to call it."""
        rows = self.evaluated[side] = self._rows_of(side).rows()
        if rows.logits.isnan().any():
            raise MlicError(f"the model gives scores that are not numbers; {_DIVERGED}")
        return rows

    def _log_metrics(self, side: Side, rows: Rows, present: Bool[Tensor, "samples classes"]) -> None:
        # From the rows of all processes: the same number on each, whatever the batches and the sampler's padding.
        loss = self.loss(rows.logits.to(self.device), rows.labels.to(self.device))
        figures = {"loss": loss, **headline(rows.logits, rows.labels, present)}
        self.log_dict({f"{side}/{name}": value for name, value in figures.items()}, prog_bar=False)
