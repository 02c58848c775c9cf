"""`Predictor`: a checkpoint or an exported model, and paths of images, to scores and labels."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

import numpy as np
from jaxtyping import Float32

from mlic.errors import UsageError
from mlic.predict.inputs import Given, Lots, without
from mlic.predict.lanes import LOT, see_in_lanes
from mlic.predict.prediction import Prediction
from mlic.predict.seen import Rows, WriteFeatures
from mlic.predict.sources import Source
from mlic.scorers import EngineChoice, Scorer, is_exported, open_scorer
from mlic.threads import choose_threads

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from mlic.classifier import MultiLabelClassifier
    from mlic.views import TTA

    Trainer = pl.Trainer
else:
    MultiLabelClassifier = TTA = Trainer = Any  # what they are is in modules that import torch

__all__ = ["Predictor"]

_MANY = 20_000  # images that are worth any engine


class Predictor:
    """Predicts with a checkpoint alone, or with what `mlic export` made of it for ONNX Runtime, which needs no torch.

    Parts, classes, preprocessing, calibration and thresholds come from the file. On a CPU each core decodes images and
    runs the network on them, on the fastest engine that gives the same scores; what runs on other devices, or on
    several, runs in a Trainer.

    Args:
        checkpoint: a path, or a classifier that is already there, which is put into evaluation mode.
        batch_size: images a step and device; a core takes at most 4 at a time.
        num_workers: processes that decode for a device that is no CPU; by default half of the cores, at most 8.
        tta: over which views of an image its scores are averaged; by default the checkpoint's.
        threshold: the score from which on any class is said to be present; by default those that were fitted.
        engine: what computes on a CPU, as `mlic.scorers.checkpoint.CheckpointScorer` tells.
        trainer: runs the model; by default on one GPU, if there is one, and otherwise on the cores.

    Raises:
        UsageError: if an argument is out of its range, or does not go with an exported model.

    Example:
        `Predictor("best.ckpt").predict(["a.jpg"])[0].labels`
    """

    def __init__(
        self,
        checkpoint: "str | Path | MultiLabelClassifier",
        *,
        batch_size: int = 32,
        num_workers: int | None = None,
        tta: TTA | None = None,
        threshold: float | None = None,
        engine: EngineChoice = "auto",
        trainer: Trainer | None = None,
    ) -> None:
        if batch_size < 1:
            raise UsageError(f"batch_size is {batch_size}; expected 1 or more")
        if num_workers is not None and num_workers < 0:
            raise UsageError(f"num_workers is {num_workers}; expected 0 or more")
        if threshold is not None and not 0 <= threshold <= 1:
            raise UsageError(f"threshold is {threshold}; expected a score, 0 to 1")
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.engine: EngineChoice = engine
        self._threshold = threshold
        self._scorer: Scorer | None = None
        self._classifier: Any = None
        self._trainer: Any = None
        if isinstance(checkpoint, str | Path) and is_exported(checkpoint):
            self._scorer = open_scorer(checkpoint, tta=tta, engine=engine)
            if trainer is not None and not _is_one_cpu(trainer):
                raise UsageError(f"{checkpoint}: an exported model runs on the cores of one process; leave out trainer")
        else:
            self._classifier = _classifier(checkpoint, tta)
            self._trainer = _trainer_for(trainer)

    @property
    def classifier(self) -> "MultiLabelClassifier":
        """The classifier of the checkpoint.

        Raises:
            UsageError: if the model is an exported one, which has none.
        """
        if self._classifier is None:
            raise UsageError("an exported model has no classifier; load a checkpoint")
        return cast("MultiLabelClassifier", self._classifier)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in order."""
        model: Any = self._scorer if self._classifier is None else self._classifier
        classes: tuple[str, ...] = model.classes
        return classes

    @property
    def num_features(self) -> int:
        """How many features an image has.

        Raises:
            UsageError: if the model is an exported one, which gives none.
        """
        if self._classifier is None:
            raise UsageError("an exported model gives scores alone; features take the checkpoint")
        return int(self._classifier.backbone.num_features)

    @property
    def engine_name(self) -> str:
        """What computes: `plain`, `torch` or `onnxruntime` on the cores, or `trainer`; known once it has been used."""
        return "trainer" if self._trainer is not None else "" if self._scorer is None else self._scorer.engine

    def go_on_with(self, engine_name: str) -> None:
        """Takes the engine that has computed the first rows, so that the others have the same digits.

        Args:
            engine_name: as `engine_name` was then; another word changes nothing.
        """
        for engine in get_args(EngineChoice):
            if engine == engine_name and self._classifier is not None:
                self.engine = engine

    def predict(self, paths: Iterable[str | Path]) -> list[Prediction]:
        """Returns one prediction for each path, in order. An unreadable image has an `error` and no scores."""
        predictions: list[Prediction] = []
        self.write(paths, predictions.append)
        return predictions

    def prepare(self, num_images: int | None = None) -> None:
        """Makes ready what computes; `write` does it by itself.

        Args:
            num_images: how many images are to be done; few are not worth a faster engine. None means many.
        """
        if self._classifier is None or self._trainer is not None:
            return
        from mlic.scorers.checkpoint import FEW, CheckpointScorer

        is_enough = self._scorer is not None and (
            self._scorer.engine != "plain" or (num_images is not None and num_images <= FEW)
        )
        if not is_enough:
            self._scorer = CheckpointScorer(
                self._classifier, engine=self.engine, num_images=num_images, num_lanes=choose_threads().lanes
            )

    def write(
        self,
        paths: Iterable[str | Path | Source] | Lots,
        write: Callable[[Prediction], None],
        *,
        write_features: WriteFeatures | None = None,
        done: int = 0,
    ) -> tuple[int, int]:
        """Hands one prediction for each image to `write`, in order, as it goes, in constant memory.

        Returns how many were written, and how many of them have an error.

        With several processes, all of which call it, `write` is called on the first.

        Args:
            paths: the images; gone through once.
            write: takes each prediction.
            write_features: takes the names of images, and the features of each (not numbers where it cannot be read):
                what the backbone gave, averaged over the places of its map; before their predictions.
            done: how many of the first predictions are there already, and are not computed again but for a few, so
                that the others come from the same batches as in an uninterrupted run.
        """
        if isinstance(paths, str):
            raise UsageError(
                f"'{paths}' is one path, and its letters would be taken for many; give a list: ['{paths}']"
            )
        lots: Lots = paths if isinstance(paths, Lots) else Given(paths)
        num_features = 0 if write_features is None else self.num_features
        self.prepare(lots.num_known(_MANY))
        thresholds, at_most = self._decisions()
        rows = partial(Rows, self.classes, thresholds, at_most, write, write_features, num_features)
        if self._trainer is None:
            return self._write_in_lanes(lots, rows, done, write_features is not None)
        return self._write_on_devices(lots, rows, done)

    def _decisions(self) -> tuple[Float32[np.ndarray, " classes"], int | None]:
        if self._classifier is None:
            scorer = cast(Scorer, self._scorer)
            thresholds, at_most = scorer.thresholds, scorer.at_most
        else:
            decisions = self._classifier.decisions
            thresholds, at_most = decisions.thresholds.float().cpu().numpy(), decisions.at_most
        if self._threshold is not None:
            thresholds = np.full(len(self.classes), self._threshold, np.float32)
        return thresholds, at_most

    def _write_in_lanes(self, lots: Lots, make: Callable[..., Rows], done: int, embeds: bool) -> tuple[int, int]:
        scorer: Any = self._scorer
        size = min(self.batch_size, LOT)
        start = done // size * size
        rows = make(left_out=done - start)
        compute = scorer.embed if embeds else lambda images: (scorer(images), None)
        for seen in see_in_lanes(scorer, without(lots.lots(size), start), compute, choose_threads().lanes):
            rows(seen)
        return rows.num_written, rows.num_errors

    def _write_on_devices(self, lots: Lots, make: Callable[..., Rows], done: int) -> tuple[int, int]:
        from mlic.datamodules.loading import default_num_workers
        from mlic.predict.devices import Feed, see_on_devices

        trainer = self._trainer
        of_a_round = self.batch_size * trainer.world_size
        start = done // of_a_round * of_a_round
        rows = make(left_out=done - start)
        workers = default_num_workers() if self.num_workers is None else self.num_workers
        feed = Feed(lots, trainer, self.classifier.backbone.image_size, self.batch_size, workers, start)
        see_on_devices(self.classifier, feed, trainer, rows)
        return rows.num_written, rows.num_errors


def _classifier(checkpoint: "str | Path | MultiLabelClassifier", tta: TTA | None) -> "MultiLabelClassifier":
    from mlic.classifier import MultiLabelClassifier

    if not isinstance(checkpoint, MultiLabelClassifier):
        checkpoint = MultiLabelClassifier.from_checkpoint(checkpoint)
    if tta is not None:
        checkpoint.use_tta(tta)
    return checkpoint


def _trainer_for(trainer: Any) -> Any:
    """Returns the Trainer that is to run the model; None where the cores of this process do."""
    import torch

    if trainer is not None:
        return None if _is_one_cpu(trainer) else trainer
    if not (torch.cuda.is_available() or torch.backends.mps.is_available()):
        return None
    import pytorch_lightning as pl

    return pl.Trainer(
        logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, devices=1
    )


def _is_one_cpu(trainer: Any) -> bool:
    on_cores = trainer.strategy.root_device.type == "cpu" and trainer.precision in ("32-true", "32")
    return bool(on_cores and trainer.world_size == 1)
