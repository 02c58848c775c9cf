"""`Predictor`: a checkpoint and paths of images to scores and labels."""

import csv
import glob
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import BasePredictionWriter
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler

from mlic.classifier import MultiLabelClassifier
from mlic.datamodules.base import Batch
from mlic.datamodules.dataset import ImageDataset, Sample, collate
from mlic.datamodules.loading import default_num_workers
from mlic.errors import UsageError, did_you_mean
from mlic.labels import LabelTable
from mlic.suffixes import IMAGE_SUFFIXES
from mlic.thresholds import decide
from mlic.views import TTA

__all__ = ["CsvWriter", "JsonlWriter", "Prediction", "Predictor", "Writable", "find_images"]


class Prediction(NamedTuple):
    """What the model says about one image.

    Attributes:
        path: as given.
        labels: the classes said to be present, in class order.
        scores: class to score in [0, 1]; empty when there is an error.
        error: why the image could not be read; empty when it could.
    """

    path: str
    labels: tuple[str, ...]
    scores: dict[str, float]
    error: str = ""


@runtime_checkable
class Writable(Protocol):
    """An open text file, as far as writing needs it."""

    def write(self, text: str, /) -> int:
        """Writes some text."""
        ...


class Predictor:
    """Predicts with a checkpoint alone: its parts, classes, preprocessing and thresholds come from it.

    Args:
        checkpoint: a path, or a classifier that is already there.
        batch_size: images a step and device.
        num_workers: processes that decode; by default half of the cores, at most 8.
        tta: over which views of an image its scores are averaged; by default the checkpoint's.
        trainer: runs the model; by default on whatever accelerator there is. Its callbacks stay as they are.

    Example:
        `Predictor("best.ckpt").predict(["a.jpg"])[0].labels`
    """

    def __init__(
        self,
        checkpoint: str | Path | MultiLabelClassifier,
        *,
        batch_size: int = 32,
        num_workers: int | None = None,
        tta: TTA | None = None,
        trainer: pl.Trainer | None = None,
    ) -> None:
        self.classifier: MultiLabelClassifier = (
            checkpoint
            if isinstance(checkpoint, MultiLabelClassifier)
            else MultiLabelClassifier.from_checkpoint(checkpoint)
        )
        if tta is not None:
            self.classifier.use_tta(tta)
        if batch_size < 1:
            raise UsageError(f"batch_size is {batch_size}; expected 1 or more")
        self.batch_size = batch_size
        self.num_workers = default_num_workers() if num_workers is None else num_workers
        self.trainer = trainer or pl.Trainer(
            logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, devices=1
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in order."""
        return self.classifier.classes

    def predict(self, paths: Iterable[str | Path]) -> list[Prediction]:
        """Returns one prediction for each path, in order. An unreadable image has an `error` and no scores."""
        predictions: list[Prediction] = []
        self.write(paths, predictions.append)
        return predictions

    def write(self, paths: Iterable[str | Path], write: Callable[[Prediction], None]) -> tuple[int, int]:
        """Hands one prediction for each path to `write`, in order, while it goes.

        Returns how many were written, and how many of them have an error.

        With several processes, `write` is called on the first, at the end.
        """
        names = [str(path) for path in paths]
        # An empty root leaves each path as it was given: relative to the working directory, or absolute.
        table = LabelTable.from_present(names, self.classes, [None] * len(names), root=Path())
        if not len(table):
            return 0, 0
        loader = DataLoader(
            ImageDataset(table, self.classifier.backbone.image_size),
            batch_size=self.batch_size,
            sampler=_Share(table, self.trainer),
            num_workers=min(self.num_workers, len(table)),
            collate_fn=collate,
            pin_memory=torch.cuda.is_available(),
        )
        rows = _Rows(table, self.classifier, write)
        self.trainer.callbacks.append(rows)  # type: ignore[attr-defined]
        try:
            self.trainer.predict(self.classifier, loader, return_predictions=False)
        finally:
            self.trainer.callbacks.remove(rows)  # type: ignore[attr-defined]
        return rows.num_written, rows.num_errors


class _Share(DistributedSampler[Sample]):
    """Each process's share of the rows, in order; repeats some where there are fewer rows than processes."""

    def __init__(self, table: LabelTable, trainer: pl.Trainer) -> None:
        super().__init__(table, num_replicas=trainer.world_size, rank=0, shuffle=False)  # type: ignore[arg-type]
        self._trainer = trainer

    def __iter__(self) -> Iterator[int]:  # type: ignore[override]
        self.rank = self._trainer.global_rank  # not known before the processes have started
        return super().__iter__()  # type: ignore[return-value]


class _Rows(BasePredictionWriter):
    """Turns batches of scores into predictions, each image once."""

    def __init__(
        self, table: LabelTable, classifier: MultiLabelClassifier, write: Callable[[Prediction], None]
    ) -> None:
        super().__init__(write_interval="batch")
        self.num_written = 0
        self.num_errors = 0
        self._table = table
        self._classifier = classifier
        self._write = write
        self._kept: dict[int, Prediction] = {}

    def write_on_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        prediction: Any,
        batch_indices: Sequence[int] | None,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Writes a batch, or keeps it for the first process to write."""
        present = decide(prediction, self._classifier.thresholds.to(prediction.device))
        rows = dict(self._rows(batch, prediction, present))
        if trainer.world_size > 1:
            self._kept |= rows
        else:
            self._flush(rows)

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Brings the rows of all processes together."""
        if trainer.world_size == 1:
            return
        everyone: list[dict[int, Prediction]] = [{} for _ in range(trainer.world_size)]
        torch.distributed.all_gather_object(everyone, self._kept)
        if trainer.is_global_zero:
            self._flush({index: row for kept in everyone for index, row in kept.items()})

    def _rows(self, batch: Batch, scores: Tensor, present: Tensor) -> Iterator[tuple[int, Prediction]]:
        for index, row, chosen in zip(batch.index.tolist(), scores.tolist(), present.tolist(), strict=True):
            if any(math.isnan(score) for score in row):
                yield index, Prediction(self._table.paths[index], (), {}, "the model gives no number: it has diverged")
                continue
            labels = tuple(name for name, says in zip(self._classifier.classes, chosen, strict=True) if says)
            named = dict(zip(self._classifier.classes, row, strict=True))
            yield index, Prediction(self._table.paths[index], labels, named)
        for index, error in batch.errors:
            yield index, Prediction(self._table.paths[index], (), {}, error)

    def _flush(self, rows: dict[int, Prediction]) -> None:
        for index in sorted(rows):
            self.num_written += 1
            self.num_errors += bool(rows[index].error)
            self._write(rows[index])


class CsvWriter:
    """Writes `path,labels,error` and then a column with the score of each class; labels are joined by `|`.

    Args:
        stream: where to; opened with `newline=""`.
        classes: the names of the classes, in order.

    Raises:
        UsageError: if a class is called like one of the first columns, or has a `|` in its name.
    """

    def __init__(self, stream: Writable, classes: Sequence[str]) -> None:
        unfit = [name for name in classes if name in ("path", "labels", "error") or "|" in name]
        if unfit:
            raise UsageError(f"the class '{unfit[0]}' would make the CSV ambiguous; write JSON lines (.jsonl, --json)")
        self._rows = csv.writer(stream, lineterminator="\n")
        self._classes = classes
        self._rows.writerow(["path", "labels", "error", *classes])

    def __call__(self, prediction: Prediction) -> None:
        """Writes one row."""
        scores = [f"{prediction.scores[name]:.6f}" if prediction.scores else "" for name in self._classes]
        self._rows.writerow([prediction.path, "|".join(prediction.labels), prediction.error, *scores])


class JsonlWriter:
    """Writes an object a line: `path`, `labels` (a list), `scores` (class to score) and `error` (null if none).

    Args:
        stream: where to.
    """

    def __init__(self, stream: Writable) -> None:
        self._stream = stream

    def __call__(self, prediction: Prediction) -> None:
        """Writes one line."""
        row = {
            "path": prediction.path,
            "labels": list(prediction.labels),
            "scores": prediction.scores,
            "error": prediction.error or None,
        }
        self._stream.write(json.dumps(row, ensure_ascii=False) + "\n")


def find_images(paths: Iterable[str]) -> list[str]:
    """Returns the images that command-line words mean: files, folders (all images below), globs, lists of paths.

    A list is a `.txt` file with a path a line, relative to the working directory. Files named one by one, and those in
    a list, are kept whatever they are, so that each gets a row; hidden files in a folder are not.

    Raises:
        UsageError: if a word means nothing, or a folder holds no image.
    """
    found: list[str] = []
    for word in paths:
        path = Path(word)
        if path.is_dir():
            below = sorted(str(file) for file in path.rglob("*") if _is_image_file(file))
            if not below:
                raise UsageError(f"{word}: no image below this folder; looked for {', '.join(sorted(IMAGE_SUFFIXES))}")
            found += below
        elif path.suffix.lower() == ".txt" and path.is_file():
            found += _listed(path)
        elif path.is_file():
            found.append(word)
        else:
            matched = sorted(glob.glob(word, recursive=True))  # noqa: PTH207, since Path.glob takes no absolute pattern
            if not matched:
                near = did_you_mean(path.name, [file.name for file in path.parent.glob("*")])
                raise UsageError(f"{word}: no such file, folder or pattern{near}")
            found += find_images(matched)
    return found


def _is_image_file(file: Path) -> bool:
    return file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".") and file.is_file()


def _listed(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path}: not UTF-8 text ({error.reason} at byte {error.start}); expected a list of paths"
        ) from None
    return [line.strip() for line in lines if line.strip()]
