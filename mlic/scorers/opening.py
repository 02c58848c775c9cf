"""Which scorer a file asks for; torch is imported only for a checkpoint."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlic.errors import UsageError
from mlic.hub import is_on_hub
from mlic.scorers.base import EngineChoice, Scorer

if TYPE_CHECKING:
    from mlic.views import TTA
else:
    TTA = Any  # what it is, is in a module that imports torch

__all__ = ["is_exported", "open_scorer"]


def open_scorer(
    path: str | Path,
    *,
    tta: TTA | None = None,
    engine: EngineChoice = "auto",
    num_images: int | None = None,
    num_lanes: int = 1,
) -> Scorer:
    """Returns the scorer of a checkpoint, or of an exported `.onnx` file, which needs no torch.

    Args:
        path: the file.
        tta: over which views of an image its scores are averaged; by default those of the checkpoint. An exported file
            has its own.
        engine: what computes; see `mlic.scorers.checkpoint.CheckpointScorer`. An exported file has ONNX Runtime.
        num_images: how many images are to be done, as far as it is known: few are not worth a faster engine.
        num_lanes: how many threads will call it at once, each with one core.

    Raises:
        CheckpointError: if the file is no checkpoint of mlic, or no exported model.
        UsageError: if an exported file is asked for other views or another engine.
    """
    if not is_exported(path):
        from mlic.classifier import MultiLabelClassifier
        from mlic.scorers.checkpoint import CheckpointScorer

        classifier = MultiLabelClassifier.from_checkpoint(path)
        if tta is not None:
            classifier.use_tta(tta)
        return CheckpointScorer(
            classifier, name=Path(path).name, engine=engine, num_images=num_images, num_lanes=num_lanes
        )
    if tta not in (None, "none"):
        raise UsageError(f"{path}: an exported model; its views are in it, so that tta {tta} takes a checkpoint")
    if engine not in ("auto", "onnxruntime"):
        raise UsageError(f"{path}: an exported model, which ONNX Runtime runs; the engine {engine} takes a checkpoint")
    from mlic.scorers.onnx import OnnxScorer

    scorer: Scorer = OnnxScorer(Path(path), num_threads=1)
    return scorer


def is_exported(path: str | Path) -> bool:
    """Says whether a file is an exported model, by its name.

    Example:
        >>> is_exported("model.onnx"), is_exported("best.ckpt"), is_exported("hf://user/name.onnx")
        (True, False, False)
    """
    if is_on_hub(path):
        return False
    return Path(path).suffix.lower() == ".onnx"
