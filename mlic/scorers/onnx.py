"""`OnnxScorer`: a file that `mlic export` wrote, with ONNX Runtime alone; imports no torch."""

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from mlic.errors import CheckpointError, UsageError
from mlic.squares import read_square_array
from mlic.threads import available_cores

__all__ = ["OnnxScorer"]

_NEEDED = ("classes", "thresholds", "at_most", "image_size")


class OnnxScorer:
    """Scores images with an ONNX file that `mlic export` wrote: `mlic.scorers.Scorer` without torch.

    The file has all in it: preprocessing, calibration, thresholds, the names of the classes. It may be called from
    several threads at once.

    Args:
        path: the file.
        num_threads: threads that share one operation; by default one a core. With lanes, 1.
        providers: of ONNX Runtime, such as `CUDAExecutionProvider`, in order of preference; by default the CPU's.

    Attributes:
        name: the name of the file.
        engine: `onnxruntime`.
        classes: the names of the classes; their order is that of the scores.
        image_size: side of the square that the network sees, in pixels.
        thresholds: of each class, the score from which on it is said to be present.
        at_most: how many classes an image may have; None for any number.
        about: everything else that the file tells of itself: backbone, head, metrics, licence of the weights, version.

    Raises:
        CheckpointError: if there is no such file, ONNX Runtime does not take it, or mlic did not write it.
        UsageError: if ONNX Runtime is not installed.
    """

    engine = "onnxruntime"

    def __init__(
        self, path: str | Path, num_threads: int | None = None, providers: Sequence[str] | None = None
    ) -> None:
        self.name = Path(path).name
        self._session = _session(Path(path), num_threads or available_cores(), providers)
        self.about = _about(path, self._session.get_modelmeta().custom_metadata_map)
        self.classes: tuple[str, ...] = tuple(self.about["classes"])
        self.image_size = int(self.about["image_size"])
        self.thresholds: Float32[np.ndarray, " classes"] = np.array(self.about["thresholds"], np.float32)
        self.at_most: int | None = self.about["at_most"]

    def read(self, source: Path | bytes) -> UInt8[np.ndarray, "3 side side"]:
        """Reads an image, from a file or from what is in it, as training and all else see it.

        Raises:
            ImageError: if it cannot be read.
        """
        return read_square_array(source, self.image_size)

    def __call__(self, images: UInt8[np.ndarray, "batch 3 height width"]) -> Float32[np.ndarray, "batch classes"]:
        """Returns the calibrated scores, 0 to 1, of images of 0 to 255, of any one size, that are not normalised."""
        if not len(images):
            return np.empty((0, len(self.classes)), np.float32)
        scores: Float32[np.ndarray, "batch classes"]
        (scores,) = self._session.run(["scores"], {"images": np.ascontiguousarray(images)})
        return scores

    def decide(
        self, images: UInt8[np.ndarray, "batch 3 height width"]
    ) -> tuple[Float32[np.ndarray, "batch classes"], Bool[np.ndarray, "batch classes"]]:
        """Returns the scores, and which classes are present as the file itself decides."""
        scores, present = self._session.run(["scores", "present"], {"images": np.ascontiguousarray(images)})
        return scores, present


def _session(path: Path, num_threads: int, providers: Sequence[str] | None) -> Any:
    if importlib.util.find_spec("onnxruntime") is None:
        raise UsageError(f"{path} needs ONNX Runtime, which is not installed: pip install 'mlic[onnx]'")
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; mlic export --ckpt_path best.ckpt --output {path} writes one")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads that wait in a loop take the processor from whoever shares it.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(
            str(path), options, providers=list(providers) if providers is not None else ["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime's errors have no base class but this
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{path}: not a network that ONNX Runtime takes ({reason})") from error


def _about(path: str | Path, told: dict[str, str]) -> dict[str, Any]:
    """Returns what the metadata of a file say, each a piece of JSON."""
    missing = [name for name in _NEEDED if name not in told]
    if missing:
        raise CheckpointError(
            f"{path}: an ONNX file, but not one of mlic: its metadata have no {', '.join(missing)}; "
            "expected one that `mlic export` wrote"
        )
    about: dict[str, Any] = {}
    for name, value in told.items():
        try:
            about[name] = json.loads(value)
        except ValueError as error:
            if name in _NEEDED:
                raise CheckpointError(f"{path}: its metadata cannot be read ({name}: {error})") from error
            about[name] = value  # some other program has added it
    return about
