"""An ONNX file that takes images of any size and gives scores and decisions."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mlic import __version__
from mlic.classifier import MultiLabelClassifier
from mlic.engines import export, probe
from mlic.errors import MlicError, UsageError
from mlic.export.facts import as_metadata
from mlic.export.network import Logits
from mlic.export.squares import OPSET, square_model
from mlic.thresholds import Decisions

if TYPE_CHECKING:
    import onnx

__all__ = ["write_onnx"]

_LARGEST = 1_900_000_000  # bytes; protobuf refuses messages of 2 GiB

_DECIDE = """
<ir_version: 8, opset_import: ["" : OPSET]>
decisions (float[batch, CLASSES] logits) => (float[batch, CLASSES] scores, bool[batch, CLASSES] present)
<float[CLASSES] slope, float[CLASSES] offset, float[CLASSES] thresholds MORE>
{
    scaled = Mul(slope, logits)
    shifted = Add(scaled, offset)
    scores = Sigmoid(shifted)
    REST
}
"""
_ANY_NUMBER = "present = GreaterOrEqual(scores, thresholds)"
_AT_MOST_VALUES = ", int64[1] at_most, bool yes = {1}"  # ONNX Runtime warns of values that no node takes
_AT_MOST = """
    reached = GreaterOrEqual(scores, thresholds)
    highest, places = TopK<axis = 1, largest = 1, sorted = 1>(scores, at_most)
    nowhere = Xor(reached, reached)
    chosen_shape = Shape(places)
    all_chosen = Expand(yes, chosen_shape)
    among = ScatterElements<axis = 1>(nowhere, places, all_chosen)
    present = And(reached, among)
"""


def write_onnx(
    classifier: MultiLabelClassifier,
    facts: Mapping[str, Any],
    path: Path,
    change: Callable[[Path], Path] | None = None,
    squash: Callable[[int], "onnx.ModelProto"] = square_model,
) -> None:
    """Writes a classifier as ONNX: `images`, uint8 [batch, 3, height, width], to `scores` and `present`.

    Args:
        classifier: as it is now.
        facts: what the file is to tell of itself.
        path: where to.
        change: makes another file of the network alone, from squares to logits, such as one with fewer bits; it is
            given the file, and returns its own.
        squash: makes the model that stands before the network, for the side of its squares.

    Raises:
        UsageError: if the packages are not installed, or the classifier cannot be exported.
        MlicError: if torch cannot export the network.
    """
    try:
        import onnx
    except ImportError:
        raise UsageError("an export to ONNX needs the package onnx: pip install 'mlic[export]'") from None
    logits = Logits(classifier)
    size = classifier.backbone.image_size
    with tempfile.TemporaryDirectory(prefix=".export-", dir=path.parent) as folder:
        network = Path(folder) / "network.onnx"
        try:
            export(logits, probe(2, size), network)
        except Exception as error:  # torch's exporter fails in every way
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise MlicError(
                f"torch {torch.__version__} cannot export this network to ONNX ({reason}); "
                "--format torch or safetensors may do"
            ) from error
        whole = _joined(
            squash(size),
            onnx.load(change(network) if change else network),
            _decisions_model(classifier.decisions.to("cpu")),
        )
        if whole.ByteSize() > _LARGEST:
            raise UsageError(f"{path}: {whole.ByteSize() / 1e9:.1f} GB are more than one ONNX file may have")
        _describe(whole, facts)
        whole_path = Path(folder) / "whole.onnx"
        onnx.save(whole, whole_path)
        whole_path.replace(path)


def _joined(square: "onnx.ModelProto", network: "onnx.ModelProto", decisions: "onnx.ModelProto") -> "onnx.ModelProto":
    """Puts the squash before the network, and the decisions behind it."""
    from onnx import checker

    # Not onnx.compose, which does not rename what a loop takes from around it (onnx 1.23).
    _rename(square.graph, "squash/", {"images": "images", "square": "square"})
    _rename(network.graph, "network/", {"images": "square", "output": "logits"})
    _rename(decisions.graph, "decide/", {"logits": "logits", "scores": "scores", "present": "present"})
    whole = network
    parts = (square.graph, network.graph, decisions.graph)
    nodes = [node for part in parts for node in part.node]
    values = [value for part in parts for value in part.initializer]
    del network.graph.node[:], network.graph.initializer[:], network.graph.input[:], network.graph.output[:]
    del network.graph.value_info[:]
    whole.graph.node.extend(nodes)
    whole.graph.initializer.extend(values)
    whole.graph.input.extend(square.graph.input)
    whole.graph.output.extend(decisions.graph.output)
    whole.graph.name = "mlic"
    checker.check_model(whole)
    return whole


def _rename(graph: "onnx.GraphProto", prefix: str, named: Mapping[str, str]) -> None:
    """Puts a prefix before the name of each value and node, in loops and branches too, except for those `named`."""
    for value in [*graph.input, *graph.output, *graph.value_info, *graph.initializer]:
        value.name = named.get(value.name, prefix + value.name)
    for node in graph.node:
        node.name = prefix + (node.name or node.output[0])
        node.input[:] = [named.get(name, prefix + name) if name else "" for name in node.input]
        node.output[:] = [named.get(name, prefix + name) if name else "" for name in node.output]
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _rename(attribute.g, prefix, named)


def _decisions_model(decisions: Decisions) -> "onnx.ModelProto":
    """Returns `mlic.thresholds.Decisions` as a model from `logits` to `scores` and `present`."""
    from onnx import numpy_helper, parser

    count = len(decisions.thresholds)
    limited = decisions.at_most is not None and decisions.at_most < count
    text = _DECIDE.replace("MORE", _AT_MOST_VALUES if limited else "").replace(
        "REST", _AT_MOST if limited else _ANY_NUMBER
    )
    for word, by in {"OPSET": str(OPSET), "CLASSES": str(count)}.items():
        text = text.replace(word, by)
    model = parser.parse_model(text)
    arrays = {name: getattr(decisions, name).numpy() for name in ("slope", "offset", "thresholds")}
    if limited:
        arrays["at_most"] = np.array([decisions.at_most], np.int64)
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in arrays.items())
    return model


def _describe(model: "onnx.ModelProto", facts: Mapping[str, Any]) -> None:
    """Writes the facts into a model, and who made it."""
    from onnx import helper

    model.producer_name, model.producer_version = "mlic", __version__
    model.doc_string = (
        "A multi-label image classifier. images: uint8 RGB [batch, 3, height, width] of any size; "
        "scores: calibrated, 0 to 1; present: the classes said to be in the image. The metadata name the classes."
    )
    helper.set_model_props(model, as_metadata(facts))
