"""An OpenVINO model, made from ONNX: an `.xml` file, and its weights in a `.bin` beside it."""

import importlib
import importlib.util
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlic.classifier import MultiLabelClassifier
from mlic.errors import MlicError, UsageError
from mlic.export.onnxfile import write_onnx
from mlic.export.squares import unbranched_square_model

__all__ = ["write_openvino"]


def write_openvino(classifier: MultiLabelClassifier, facts: Mapping[str, Any], path: Path) -> None:
    """Writes a classifier for OpenVINO, with the inputs and outputs of the ONNX file, in float32.

    OpenVINO computes in bfloat16 where the processor can, unless it is told otherwise by
    `INFERENCE_PRECISION_HINT: f32`: scores then differ by about 0.001.

    Args:
        classifier: as it is now.
        facts: what the file is to tell of itself, under `mlic` in its `rt_info`.
        path: where to; its name has to end in `.xml`.

    Raises:
        UsageError: if a package is not installed, or the classifier cannot be exported.
        MlicError: if OpenVINO does not take the network.
    """
    if importlib.util.find_spec("openvino") is None:
        raise UsageError("an export to OpenVINO needs its package: pip install 'mlic[export,openvino]'")
    openvino: Any = importlib.import_module("openvino")
    with tempfile.TemporaryDirectory(prefix=".export-", dir=path.parent) as folder:
        onnx_file = Path(folder) / "whole.onnx"
        write_onnx(classifier, facts, onnx_file, squash=unbranched_square_model)
        try:
            model = openvino.convert_model(str(onnx_file))
            for name, value in facts.items():
                model.set_rt_info(json.dumps(value, ensure_ascii=False), ["mlic", name])
            openvino.save_model(model, str(Path(folder) / path.name), compress_to_fp16=False)
        except Exception as error:  # OpenVINO's errors have no base class but this
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise MlicError(f"OpenVINO does not take this network ({reason})") from error
        for suffix in (".bin", ".xml"):
            (Path(folder) / path.name).with_suffix(suffix).replace(path.with_suffix(suffix))
