"""Static quantisation of an exported network to 8 bits, with ONNX Runtime, and what it costs."""

import contextlib
import importlib.util
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int8, UInt8

from mlic.errors import ImageError, MlicError, UsageError
from mlic.metrics import mean_average_precision
from mlic.scorers.onnx import OnnxScorer
from mlic.squares import read_square_array
from mlic.threads import available_cores

__all__ = ["Cost", "compare_precision", "quantize", "read_squares"]

log = logging.getLogger(__name__)

# What multiplies, and the activations that are one with it: a range that is clipped anyway is a better range. With sums
# too, EfficientNet-Lite0 is a third faster, and its scores differ twice as much.
_QUANTIZED = ("Conv", "Gemm", "MatMul", "Clip", "Relu")
_AT_ONCE = 8


class Cost(NamedTuple):
    """What fewer bits cost.

    Attributes:
        images: how many were scored by both.
        difference: the largest between two scores.
        mean: the mean difference.
        map_before: mean average precision of the file in float32, 0 to 1; None without labels.
        map_after: the same of the file in 8 bits.
    """

    images: int
    difference: float
    mean: float
    map_before: float | None = None
    map_after: float | None = None


def quantize(network: Path, squares: Sequence[UInt8[np.ndarray, "3 side side"]]) -> Path:
    """Returns another file beside `network` whose convolutions and products compute with 8 bits.

    Weights are int8, with a scale for each channel and 7 bits of range, so that no processor's sums overflow;
    activations are uint8, with the range that they have on the images (`QuantizeLinear` and `DequantizeLinear` around
    each operation). The head stays in float32: it is small, and its errors are those of the scores.

    Args:
        network: ONNX, from `images` to `output`.
        squares: what activations are measured on; some hundred photographs of the kind that the model is for.

    Raises:
        UsageError: if there is no image, or a package is not installed.
        MlicError: if ONNX Runtime cannot quantise the network.
    """
    if not squares:
        raise UsageError("there are no images to calibrate on; name some with --calibrate FOLDER")
    if missing := [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]:
        raise UsageError(f"quantisation needs {' and '.join(missing)}: pip install 'mlic[export]'")
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared, quantized = network.with_name("prepared.onnx"), network.with_name("quantized.onnx")
    try:
        with _quiet():
            quant_pre_process(str(network), str(prepared), skip_symbolic_shape=True)
            nodes = onnx.load(prepared).graph.node
            quantization.quantize_static(
                str(prepared),
                str(quantized),
                _Batches(squares),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=list(_QUANTIZED),
                nodes_to_exclude=[node.name for node in nodes if node.name.startswith("/head/")],
                per_channel=True,
                reduce_range=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
            )
    except Exception as error:  # its errors have no base class but this
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise MlicError(f"ONNX Runtime cannot quantise this network ({reason})") from error
    return quantized


def compare_precision(
    before: OnnxScorer, after: OnnxScorer, paths: Sequence[Path], labels: Int8[np.ndarray, "images classes"] | None
) -> Cost:
    """Scores images with a file of float32 and with one of 8 bits.

    Args:
        before: in float32.
        after: in 8 bits.
        paths: of the images; one that cannot be read is left out.
        labels: 1 present, 0 absent, -1 unknown; None if they are not known.
    """
    kept: list[int] = []
    rows: list[tuple[Float32[np.ndarray, "batch classes"], Float32[np.ndarray, "batch classes"]]] = []
    for positions, squares in read_squares(paths, before.image_size):
        kept += positions
        rows.append((before(squares), after(squares)))
    if not rows:
        return Cost(0, 0.0, 0.0)
    first, second = (np.concatenate(scores) for scores in zip(*rows, strict=True))
    difference = np.abs(first - second)
    found = Cost(len(kept), float(difference.max()), float(difference.mean()))
    if labels is None:
        return found
    known = torch.from_numpy(labels[kept])
    maps = [float(mean_average_precision(torch.from_numpy(scores), known)) for scores in (first, second)]
    return found._replace(map_before=maps[0], map_after=maps[1])


def read_squares(
    paths: Sequence[Path], side: int
) -> Iterator[tuple[list[int], UInt8[np.ndarray, "batch 3 side side"]]]:
    """Yields squares, some at a time, with the positions of their paths; what cannot be read is told, and left out."""

    def read(path: Path) -> UInt8[np.ndarray, "3 side side"] | ImageError:
        try:
            return read_square_array(path, side)
        except ImageError as error:
            return error

    with ThreadPoolExecutor(available_cores()) as threads:
        for begin in range(0, len(paths), _AT_ONCE):
            found = list(enumerate(threads.map(read, paths[begin : begin + _AT_ONCE]), begin))
            for _, square in found:
                if isinstance(square, ImageError):
                    log.warning("left out: %s", square)
            good = [(position, square) for position, square in found if isinstance(square, np.ndarray)]
            if good:
                yield [position for position, _ in good], np.stack([square for _, square in good])


class _Batches:
    """What ONNX Runtime calibrates on: a batch at a time."""

    def __init__(self, squares: Sequence[UInt8[np.ndarray, "3 side side"]]) -> None:
        self._left = iter([squares[begin : begin + _AT_ONCE] for begin in range(0, len(squares), _AT_ONCE)])

    def get_next(self) -> dict[str, Any] | None:
        """Returns the next batch by the name of the input; None after the last."""
        batch = next(self._left, None)
        return None if batch is None else {"images": np.stack(batch)}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps ONNX Runtime's advice to itself: it goes to the root logger."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
