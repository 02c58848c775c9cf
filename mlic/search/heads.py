"""`HeadTraining`: trains heads on kept features as `mlic fit` does, without what a Trainer does around each step."""

import inspect
import math
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Float32, Int8
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from mlic.datamodules.features import FeatureData, Kept
from mlic.datamodules.sampling import EpochSampler
from mlic.errors import MlicError, UsageError
from mlic.exact import Exact, ExactHead
from mlic.heads.base import Head
from mlic.losses.base import Loss
from mlic.metrics import mean_average_precision
from mlic.parameters import multiply_rates, parameter_groups
from mlic.parts import Spec, class_of, resolve
from mlic.schedules import Schedule
from mlic.search.samples import Samples

__all__ = ["Epoch", "HeadTraining"]

_EVALUATED = 4096  # samples at a time


class Epoch(NamedTuple):
    """How good a head is after an epoch.

    Attributes:
        number: from 1.
        mean_ap: mAP of the validation samples.
        logits: of the validation samples.
        penalty: of an exact solution, of which each has an epoch.
    """

    number: int
    mean_ap: float
    logits: Float32[Tensor, "samples classes"]
    penalty: float | None = None


class HeadTraining:
    """Trains heads on the features of one backbone, each as a configuration says.

    The steps are those of `mlic fit` with the same configuration: the same first weights, the same order, the same
    learning rates.

    Args:
        num_features: of the backbone.
        classes: names of the classes.
        seed: of the run.
        random_state: of torch's generator when `mlic fit` makes the head.
        device: where heads are trained.
    """

    def __init__(
        self, num_features: int, classes: tuple[str, ...], seed: int, random_state: Tensor, device: torch.device
    ) -> None:
        self._sizes = (num_features, len(classes))
        self.seed = seed
        self._random_state, self._device = random_state, device
        self._data: dict[str, FeatureData] = {}
        self._samples: dict[str, tuple[Samples, Samples]] = {}

    def take(self, condensed: str, data: FeatureData) -> None:
        """Takes the features for heads of one kind.

        Args:
            condensed: the heads' `condensed`.
            data: with validation samples.
        """
        self._data[condensed] = data
        self._samples[condensed] = (
            Samples(data.sides["train"], self._device),
            Samples(data.sides["val"], self._device),
        )

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of heads of which there are features."""
        return tuple(self._data)

    @property
    def forks(self) -> bool:
        """Whether several processes may train at once: on a CPU, and where forking is safe."""
        return self._device.type == "cpu" and sys.platform == "linux"

    @property
    def labels(self) -> Int8[Tensor, "samples classes"]:
        """Those of the validation samples."""
        kept = next(iter(self._data.values())).sides["val"]
        return torch.from_numpy(kept.table.dense(kept.rows)).to(torch.int8)

    def head(self, spec: Spec) -> Head:
        """Makes a head."""
        return class_of(spec, Head)(*self._sizes, **spec["init_args"])

    def try_out(self, place: str, spec: Spec) -> Head | None:
        """Makes a part, to see whether it takes its arguments; returns it if it is a head.

        Raises:
            UsageError: if it does not.
        """
        try:
            if place == "model.head":
                return self.head(spec)
            if place == "model.loss":
                class_of(spec, Loss)(**spec["init_args"])
                return None
            weight = nn.Parameter(torch.zeros(2, 2))
            if place == "model.optimizer":
                _optimizer(spec, [{"params": [weight]}])
            else:
                _scheduler(spec, torch.optim.SGD([weight], lr=0.1), 100)
        except Exception as error:  # whatever a constructor does with what it did not expect
            said = ", ".join(f"{name} {value}" for name, value in spec["init_args"].items())
            name = spec["class_path"].rpartition(".")[2]
            raise UsageError(f"{place}: {name} with {said or 'its defaults'}: {error}") from error
        return None

    def epochs(self, config: Mapping[str, Any]) -> Iterator[Epoch]:
        """Trains one head, and tells after each epoch how good it is; of `Exact`, after each penalty.

        Args:
            config: a whole configuration.

        Raises:
            UsageError: if the parts do not fit one another or the data.
            MlicError: if the training diverges.
        """
        model = config["model"]
        torch.set_rng_state(self._random_state)
        head = self.head(model["head"])
        loss = class_of(model["loss"], Loss)(**model["loss"]["init_args"])
        if head.condensed not in self._data:
            raise UsageError(f"no features are kept for {head!r}; an argument that decides which has to be a choice")
        data = self._data[head.condensed]
        if not loss.takes_soft_labels and data.has_soft_labels:
            raise UsageError(f"{type(loss).__name__} takes no soft labels, and some training labels are soft")
        loss.remember({})
        if data.class_counts is not None:
            loss.adapt(data.class_counts)
        multiplier = float(model["head_lr_multiplier"])
        parts = nn.ModuleDict()
        parts["head"], parts["loss"] = head.to(self._device), loss.to(self._device)
        groups = parameter_groups(parts.named_parameters(), lambda name: multiplier)
        optimizer = _optimizer(model["optimizer"], groups)
        if isinstance(optimizer, Exact):
            yield from self._solutions(head, loss, data.sides["train"], optimizer)
            return
        multiply_rates(optimizer)
        yield from self._trained(config, head, loss, optimizer)

    def _solutions(self, head: Head, loss: Loss, kept: Kept, optimizer: Exact) -> Iterator[Epoch]:
        exact = ExactHead(head, loss, kept)
        for number, penalty in enumerate(optimizer.penalties, 1):
            exact.solve(penalty)
            yield self._evaluated(head, number, penalty)

    def _trained(self, config: Mapping[str, Any], head: Head, loss: Loss, optimizer: Optimizer) -> Iterator[Epoch]:
        data, samples = self._data[head.condensed], self._samples[head.condensed][0]
        size, epochs = int(config["data"]["init_args"]["batch_size"]), int(config["trainer"]["max_epochs"])
        sampler = cast(EpochSampler, data.train_dataloader().sampler)
        ends = _steps(len(sampler), size)
        schedule = _scheduler(config["model"]["lr_scheduler"], optimizer, len(ends) * epochs)
        each_step = isinstance(schedule, _Stepped) or config["model"]["lr_scheduler_interval"] == "step"
        scheduler = schedule.scheduler if isinstance(schedule, _Stepped) else schedule
        clip = config["trainer"]["gradient_clip_val"]
        for epoch in range(epochs):
            # As `mlic fit` seeds its epochs (`mlic.training.ReseedEpochs`), for dropout.
            torch.manual_seed(self.seed + 1_000_003 * (1 + epoch))
            loss.epoch = epoch
            losses = self._epoch(head, loss, optimizer, samples, sampler, ends, clip, scheduler if each_step else None)
            if not math.isfinite(losses):
                raise MlicError(f"after epoch {epoch + 1} the training loss is {losses}; the training has diverged")
            found = self._evaluated(head, epoch + 1)
            yield found
            if scheduler is not None and not each_step:
                _step_epoch(scheduler, found.mean_ap)

    def _epoch(
        self,
        head: Head,
        loss: Loss,
        optimizer: Optimizer,
        samples: Samples,
        sampler: EpochSampler,
        ends: list[tuple[int, int]],
        clip: float | None,
        scheduler: Any,
    ) -> float:
        """Learns from each batch once; returns the mean loss of a batch."""
        head.train()
        loss.train()
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        epoch = loss.epoch
        sampler.set_epoch(epoch)
        order = torch.from_numpy(sampler.order())
        losses: list[Tensor] = []
        for start, stop in ends:
            features, labels, index = samples.batch(order[start:stop], epoch)
            loss.index = index
            value = loss(head(features).float(), labels)
            optimizer.zero_grad()
            value.backward()
            if clip:
                clip_grad_norm_(parameters, clip)
            optimizer.step()
            if scheduler is not None:
                scheduler.step()
            losses.append(value.detach())
        return float(torch.stack(losses).mean()) if losses else 0.0

    @torch.no_grad()
    def _evaluated(self, head: Head, number: int, penalty: float | None = None) -> Epoch:
        head.eval()
        samples = self._samples[head.condensed][1]
        order = torch.arange(len(samples))
        batches = [samples.batch(at, 0) for at in torch.split(order, _EVALUATED)]
        logits = torch.cat([head(features).float().cpu() for features, _, _ in batches])
        if logits.isnan().any():
            raise MlicError("the model gives scores that are not numbers; the training has diverged")
        labels = torch.cat([labels.cpu() for _, labels, _ in batches]).to(torch.int8)
        return Epoch(number, float(mean_average_precision(logits, labels).float()), logits, penalty)


class _Stepped(NamedTuple):
    """A scheduler that is stepped after each step of the optimizer."""

    scheduler: Any


def _optimizer(spec: Spec, groups: list[dict[str, Any]]) -> Optimizer:
    found = resolve(spec["class_path"])
    arguments = dict(spec["init_args"])
    # One call of a kernel for all that is done to a parameter: the same arithmetic in half of the time.
    fused = "fused" in inspect.signature(found).parameters and arguments.get("fused") is None
    if fused and not any(arguments.get(name) for name in ("foreach", "differentiable", "capturable")):
        arguments["fused"] = True
    return cast(Optimizer, found(groups, **arguments))


def _scheduler(spec: Spec | None, optimizer: Optimizer, total_steps: int) -> Any:
    if spec is None:
        return None
    found = resolve(spec["class_path"])
    if issubclass(found, Schedule):
        return _Stepped(found(**spec["init_args"]).scheduler(optimizer, total_steps))
    scheduler = found(optimizer, **spec["init_args"])
    if isinstance(scheduler, ReduceLROnPlateau):
        monitor = getattr(scheduler, "monitor", "val/mAP")
        if monitor != "val/mAP" or scheduler.mode != "max":
            raise UsageError(f"in a search ReduceLROnPlateau watches val/mAP, with mode: max; found {monitor}")
    return scheduler


def _step_epoch(scheduler: Any, mean_ap: float) -> None:
    if isinstance(scheduler, ReduceLROnPlateau):
        scheduler.step(mean_ap)
    else:
        scheduler.step()


def _steps(length: int, size: int) -> list[tuple[int, int]]:
    """Returns where each batch of an epoch begins and ends; a last one of a single sample is left out."""
    length -= length > size and length % size == 1
    return [(start, min(start + size, length)) for start in range(0, length, size)]
