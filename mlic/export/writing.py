"""Writes a classifier in one format, and looks whether the file computes what the classifier computes."""

import importlib
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Int8, UInt8

from mlic.classifier import MultiLabelClassifier
from mlic.errors import MlicError, UsageError, did_you_mean
from mlic.export.checking import TOLERANCE, Agreement, Outputs, compare
from mlic.export.onnxfile import write_onnx
from mlic.export.openvinofile import write_openvino
from mlic.export.quantizing import Cost, compare_precision, quantize, read_squares
from mlic.export.torchfile import read_torch, write_torch
from mlic.export.weights import write_weights
from mlic.hub import CONFIG_FILE
from mlic.images import squash
from mlic.scorers.onnx import OnnxScorer

__all__ = ["FORMATS", "NAMES", "Format", "checked_formats", "files_beside", "write_checked", "write_quantized"]

Format = Literal["onnx", "torch", "openvino", "safetensors"]
FORMATS: tuple[Format, ...] = get_args(Format)

NAMES: Mapping[Format, str] = {
    "onnx": "model.onnx",
    "torch": "model.pt2",
    "openvino": "model.xml",
    "safetensors": "model.safetensors",
}
"""What the file of each format is called in a folder."""

Pixels = Iterable[UInt8[np.ndarray, "height width 3"]]


def checked_formats(names: str) -> tuple[Format, ...]:
    """Returns the formats that a text names, separated by commas.

    Raises:
        UsageError: if one is not known.

    Example:
        >>> checked_formats("onnx,safetensors")
        ('onnx', 'safetensors')
    """
    found = [name.strip() for name in names.split(",")]
    for name in found:
        if name not in FORMATS:
            near = did_you_mean(name, FORMATS)
            raise UsageError(f"--format is '{name}'; expected one or several of {', '.join(FORMATS)}{near}")
    return tuple(one for one in FORMATS if one in found)


def files_beside(kind: Format, path: Path) -> tuple[Path, ...]:
    """Returns all the files of a format.

    Args:
        kind: the format.
        path: the file that it is named by.

    Example:
        >>> [file.name for file in files_beside("openvino", Path("model.xml"))]
        ['model.xml', 'model.bin']
    """
    if kind == "openvino":
        return path, path.with_suffix(".bin")
    return (path, path.with_name(CONFIG_FILE)) if kind == "safetensors" else (path,)


def write_checked(
    classifier: MultiLabelClassifier,
    card: Mapping[str, Any],
    facts: Mapping[str, Any],
    kind: Format,
    path: Path,
    images: Pixels,
) -> Agreement:
    """Writes a file and compares its scores with the classifier's; a file that fails does not stay.

    Args:
        classifier: in evaluation mode.
        card: what its checkpoint holds under `mlic`.
        facts: what the file is to tell of itself.
        kind: the format.
        path: the file; of safetensors, the weights.
        images: what is compared.

    Raises:
        UsageError: if a package is not installed, the classifier cannot be exported, or there is no image.
        MlicError: if the file cannot be written, or differs by more than 1e-4 in a score.
    """
    if kind == "onnx":
        write_onnx(classifier, facts, path)
    elif kind == "torch":
        write_torch(classifier, facts, path)
    elif kind == "openvino":
        write_openvino(classifier, facts, path)
    else:
        write_weights(classifier, card, facts, path.parent)
    agreement = compare(classifier, _READERS[kind](path), images)
    if not agreement.images or not agreement.holds:
        for written in files_beside(kind, path):
            written.unlink(missing_ok=True)
    if not agreement.images:
        raise UsageError("no image could be read to check the file with, so it was removed; name others with --check")
    if not agreement.holds:
        raise MlicError(
            f"{path} gives other scores than the checkpoint: the largest difference is {agreement.difference:.1e} on "
            f"{agreement.images} images, above {TOLERANCE:.0e}; it was removed. Another --format may do"
        )
    return agreement


def write_quantized(
    classifier: MultiLabelClassifier,
    facts: Mapping[str, Any],
    path: Path,
    calibrate: Sequence[Path],
    judge: Sequence[Path],
    labels: Int8[np.ndarray, "images classes"] | None,
) -> Cost:
    """Writes an ONNX file in 8 bits, and measures what they cost against one in float32.

    Args:
        classifier: in evaluation mode.
        facts: what the file is to tell of itself.
        path: the file.
        calibrate: images that the ranges of activations are measured on.
        judge: images that both files score.
        labels: of those; None if they are not known.

    Raises:
        UsageError: if no image can be read, or a package is not installed.
        MlicError: if ONNX Runtime cannot quantise the network.
    """
    side = classifier.backbone.image_size
    squares = [square for _, some in read_squares(calibrate, side) for square in some]
    told = {"weights": "int8", "activations": "uint8", "images": len(squares)}
    with tempfile.TemporaryDirectory(prefix=".export-", dir=path.parent) as folder:
        whole = Path(folder) / "float32.onnx"
        write_onnx(classifier, facts, whole)
        write_onnx(classifier, {**facts, "quantized": told}, path, change=lambda network: quantize(network, squares))
        return compare_precision(OnnxScorer(whole), OnnxScorer(path), judge, labels)


def _onnx_outputs(path: Path) -> Outputs:
    return OnnxScorer(path).decide


def _torch_outputs(path: Path) -> Outputs:
    module, _ = read_torch(path)

    def outputs(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with torch.inference_mode():
            scores, present = module(torch.from_numpy(images))
        return scores.numpy(), present.numpy()

    return outputs


def _openvino_outputs(path: Path) -> Outputs:
    openvino: Any = importlib.import_module("openvino")
    compiled = openvino.compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def outputs(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = compiled({"images": images})
        return found["scores"], found["present"].astype(bool)

    return outputs


def _weights_outputs(path: Path) -> Outputs:
    read = MultiLabelClassifier.from_checkpoint(path.parent)

    def outputs(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        squares = [squash(image, read.backbone.image_size) for image in torch.from_numpy(images)]
        with torch.inference_mode():
            logits = read.averaged(torch.stack(squares))
        return read.decisions.scores(logits).numpy(), read.decisions.present(logits).numpy()

    return outputs


_READERS: Mapping[Format, Callable[[Path], Outputs]] = {
    "onnx": _onnx_outputs,
    "torch": _torch_outputs,
    "openvino": _openvino_outputs,
    "safetensors": _weights_outputs,
}
