"""What the tests of the heads share."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn


@pytest.fixture
def run_onnx(tmp_path: Path) -> Callable[[nn.Module, Tensor, Tensor], Tensor]:
    """Exports a module for one example input, batch left free, and runs another input through ONNX Runtime."""

    def run(module: nn.Module, example: Tensor, given: Tensor) -> Tensor:
        import onnxruntime

        path = tmp_path / "module.onnx"
        batch = torch.export.Dim("batch", min=1, max=64)
        torch.onnx.export(
            module.eval(),
            (example,),
            path,
            input_names=["given"],
            dynamic_shapes=({0: batch},),
            dynamo=True,
            verbose=False,
        )
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        (found,) = session.run(None, {"given": given.numpy()})
        return torch.from_numpy(np.asarray(found))

    return run
